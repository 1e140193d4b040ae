//! The next command of a failure, with the flags that said which server or which configuration the failed one was about:
//! without them the hint would speak of another.

use crate::cli::quoted;
use std::ffi::OsString;

/// Before the next command, as a failure writes it.
const NEXT: &str = "\n  next  ";
/// What ends a command where words of explanation follow it.
const ENDS: [&str; 3] = [", ", ": ", " · "];

/// A flag that is carried over, and the commands that take it.
struct Carried {
    flag: &'static str,
    commands: &'static [&'static str],
}

const CARRIED: [Carried; 3] = [
    Carried {
        flag: "--config",
        commands: &[
            "serve",
            "models",
            "budget",
            "config check",
            "config show",
            "config explain",
        ],
    },
    Carried {
        flag: "--data-dir",
        commands: &[
            "serve", "status", "health", "send", "keys", "workers", "queue", "models", "budget", "config",
        ],
    },
    Carried {
        flag: "--url",
        commands: &[
            "status",
            "health",
            "send",
            "keys",
            "workers",
            "queue",
            "models",
            "budget",
            "config reload",
        ],
    },
];

/// What is said of a failure, whose last line names the next command, with the flags of the command that failed.
pub(crate) fn with_flags(said: &str, typed: &[OsString]) -> String {
    let Some((before, next)) = said.rsplit_once(NEXT) else {
        return said.to_owned();
    };
    let Some(command) = next.strip_prefix("openclaw ") else {
        return said.to_owned();
    };
    let end = ENDS
        .iter()
        .filter_map(|end| command.find(end))
        .min()
        .unwrap_or(command.len());
    let (command, words) = command.split_at(end);
    let mut flags = String::new();
    for carried in &CARRIED {
        let takes = carried.commands.iter().any(|name| {
            command
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        if !takes || command.contains(carried.flag) {
            continue;
        }
        if let Some(value) = value(typed, carried.flag) {
            flags.push_str(&format!(" {} {}", carried.flag, quoted(&value)));
        }
    }
    format!("{before}{NEXT}openclaw {command}{flags}{words}")
}

/// The whole command that was typed, with another value for one flag.
pub(crate) fn with_value(flag: &str, value: &str) -> String {
    let typed: Vec<OsString> = std::env::args_os().collect();
    typed_with(&typed, flag, value)
}

fn typed_with(typed: &[OsString], flag: &str, value: &str) -> String {
    let mut command = "openclaw".to_owned();
    let mut words = typed.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        let is_joined = word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='));
        if word == flag || is_joined {
            if !is_joined {
                words.next();
            }
            command.push_str(&format!(" {flag} {}", quoted(value)));
        } else {
            command.push_str(&format!(" {}", quoted(&word)));
        }
    }
    command
}

/// The value that was typed for a flag, behind it or in the same word.
fn value(typed: &[OsString], flag: &str) -> Option<String> {
    let mut words = typed
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy())
        .take_while(|word| word != "--");
    while let Some(word) = words.next() {
        if word == flag {
            return words.next().map(|value| value.into_owned());
        }
        if let Some(value) = word.strip_prefix(flag).and_then(|rest| rest.strip_prefix('=')) {
            return Some(value.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_typed_again_whole_with_another_value() {
        for (typed, again) in [
            ("openclaw status --url h:1", "openclaw status --url http://h:1"),
            (
                "/bin/openclaw keys list --url=h:1 --json",
                "openclaw keys list --url http://h:1 --json",
            ),
        ] {
            let typed: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
            assert_eq!(typed_with(&typed, "--url", "http://h:1"), again);
        }
    }

    #[test]
    fn the_next_command_is_about_the_same_server_and_the_same_configuration() {
        let said = |typed: &str, next: &str| {
            let typed: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
            with_flags(&format!("it failed{NEXT}{next}"), &typed)
                .strip_prefix("it failed\n  next  ")
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            said("openclaw send hi --data-dir /d", "openclaw models test"),
            "openclaw models test --data-dir /d"
        );
        assert_eq!(
            said(
                "openclaw send hi --data-dir=/d --url http://h:1",
                "openclaw status, which lists the models"
            ),
            "openclaw status --data-dir /d --url http://h:1, which lists the models"
        );
        assert_eq!(
            said(
                "openclaw models list --config c.toml --url http://h:1",
                "openclaw config explain x"
            ),
            "openclaw config explain x --config c.toml"
        );
        // What is there already, what does not take it and what is no command stay as they are.
        for next in [
            "openclaw serve --data-dir /d",
            "openclaw version",
            "try again in 3 s",
        ] {
            assert_eq!(said("openclaw send hi --data-dir /d", next), next);
        }
        assert_eq!(
            said("openclaw send -- --url", "openclaw status"),
            "openclaw status"
        );
        assert_eq!(with_flags("no hint", &[]), "no hint");
    }
}
