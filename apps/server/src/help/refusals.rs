//! What is said of a command line that cannot be understood. In English clap says it; its kinds are put into Russian here.
//! In both languages the last line is the command to type next.

use super::words;
use crate::cli::Cli;
use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use openclaw_core::Language;
use std::ffi::OsString;
use std::fmt::Write as _;

/// Where clap begins to say what to try, without the command.
const TRY: &str = "\nFor more information, try ";

/// What clap says, in this language. Help and version are in it already.
pub(crate) fn said(error: &clap::Error, typed: &[OsString], language: Language) -> String {
    match language {
        Language::Ru if error.use_stderr() => in_russian(error, typed),
        Language::Ru => usage_in_russian(&error.render().to_string()),
        Language::En => with_next(&error.render().to_string(), typed),
    }
}

/// What clap says in English, in colours.
pub(crate) fn coloured(error: &clap::Error, typed: &[OsString]) -> String {
    with_next(&error.render().ansi().to_string(), typed)
}

/// The command in the place of clap's `--help`, which is none.
fn with_next(said: &str, typed: &[OsString]) -> String {
    match said.rsplit_once(TRY) {
        Some((said, _)) => format!("{said}\n  next  {}\n", help_for(typed)),
        None => said.to_owned(),
    }
}

/// The command whose help tells what could have been typed.
fn help_for(typed: &[OsString]) -> String {
    let (mut command, mut path) = (Cli::command(), "openclaw".to_owned());
    for word in typed.iter().skip(1).filter_map(|word| word.to_str()) {
        let Some(found) = command.find_subcommand(word).cloned() else {
            break;
        };
        let _ = write!(path, " {word}");
        command = found;
    }
    format!("{path} --help")
}

fn in_russian(error: &clap::Error, typed: &[OsString]) -> String {
    let one = |kind| context(error, kind).unwrap_or_default();
    let (argument, value) = (one(ContextKind::InvalidArg), one(ContextKind::InvalidValue));
    let what = match error.kind() {
        ErrorKind::UnknownArgument => format!("неизвестный аргумент '{argument}'"),
        ErrorKind::InvalidSubcommand => {
            format!("неизвестная команда '{}'", one(ContextKind::InvalidSubcommand))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // The help itself, which is in Russian.
            return error.render().to_string();
        }
        ErrorKind::MissingRequiredArgument => format!("не хватает: {argument}"),
        ErrorKind::InvalidValue if value.is_empty() => format!("у '{argument}' нет значения"),
        ErrorKind::InvalidValue => format!("'{value}' не подходит для '{argument}'"),
        ErrorKind::ValueValidation => {
            let source = std::error::Error::source(error).map(ToString::to_string);
            let why = source.map_or_else(String::new, |why| format!(": {}", words::russian(&why)));
            format!("'{value}' не подходит для '{argument}'{why}")
        }
        ErrorKind::ArgumentConflict => {
            let other = one(ContextKind::PriorArg);
            format!("'{argument}' нельзя задать вместе с '{other}'")
        }
        ErrorKind::TooManyValues => format!("'{value}' для '{argument}' лишнее"),
        // What is not expected of this command line is told in clap's own words.
        _ => return error.render().to_string(),
    };
    let mut text = format!("ошибка: {what}\n");
    // Writing to a String cannot fail.
    if let Some(possible) = context(error, ContextKind::ValidValue) {
        let _ = writeln!(text, "  возможные значения: {possible}");
    }
    for kind in [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ] {
        if let Some(near) = context(error, kind) {
            let _ = writeln!(text, "\n  похоже на: '{near}'");
        }
    }
    if let Some(usage) = context(error, ContextKind::Usage) {
        let usage = usage_in_russian(&usage.replacen("Usage:", "Использование:", 1));
        let _ = writeln!(text, "\n{}", usage.trim_end());
    }
    let _ = writeln!(text, "\n  дальше  {}", help_for(typed));
    text
}

/// The words that stand for options and commands where the usage is shown.
fn usage_in_russian(text: &str) -> String {
    text.replace("[OPTIONS]", "[ПАРАМЕТРЫ]")
        .replace("[COMMAND]", "[КОМАНДА]")
        .replace("<COMMAND>", "<КОМАНДА>")
}

/// What clap says of one thing, as text.
fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        ContextValue::Bool(_) | ContextValue::Number(_) | ContextValue::None => None,
        // What a later clap may add is not told.
        _ => None,
    }
    .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use std::ffi::OsString;

    #[track_caller]
    fn check(typed: &[&str], words: &[&str]) {
        let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
        let error = parse(&typed, Language::Ru).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = said(&error, &typed, Language::Ru);
        for word in words.iter().chain(&["ошибка: ", "Использование: openclaw"]) {
            assert!(text.contains(word), "{word} in\n{text}");
        }
        assert!(!text.contains("error") && !text.contains("Usage"), "{text}");
    }

    #[test]
    fn the_last_line_is_the_command_to_type_next() {
        for (typed, next) in [
            (&["openclaw", "stats"][..], "openclaw --help"),
            (&["openclaw", "send", "hello", "there"], "openclaw send --help"),
            (&["openclaw", "serve", "--port", "3000"], "openclaw serve --help"),
            (
                &["openclaw", "keys", "create", "--tier", "gold"],
                "openclaw keys create --help",
            ),
            (
                &["openclaw", "completions", "tcsh"],
                "openclaw completions --help",
            ),
            (&["openclaw", "help", "nope"], "openclaw --help"),
        ] {
            let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
            for (language, word) in [(Language::En, "next"), (Language::Ru, "дальше")] {
                let error = parse(&typed, language).unwrap_err();
                let text = said(&error, &typed, language);
                let last = format!("\n\n  {word}  {next}\n");
                assert!(text.ends_with(&last), "{last} in\n{text}");
                assert!(!text.contains(TRY), "{text}");
                if language == Language::En {
                    assert!(coloured(&error, &typed).ends_with(&last), "{typed:?}");
                }
            }
        }
        // Help that was asked for, and help in the place of what was left out, lead on by themselves.
        for typed in [&["openclaw", "send", "--help"][..], &["openclaw", "keys"]] {
            let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
            let error = parse(&typed, Language::En).unwrap_err();
            let text = said(&error, &typed, Language::En);
            assert!(!text.contains("  next  "), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_told_in_russian() {
        check(
            &["openclaw", "budgett"],
            &["неизвестная команда 'budgett'", "'budget'"],
        );
        check(
            &["openclaw", "status", "--jsn"],
            &["неизвестный аргумент '--jsn'", "'--json'"],
        );
        check(&["openclaw", "budget", "show"], &["не хватает: <TENANT>"]);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_told_in_russian() {
        let said_of = |typed: &[&str]| {
            let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
            said(&parse(&typed, Language::Ru).unwrap_err(), &typed, Language::Ru)
        };
        let span = said_of(&["openclaw", "budget", "report", "--since", "7x"]);
        assert!(
            span.contains("'7x' не подходит для '--since <TIME>': нужно число с единицей"),
            "{span}"
        );
        let by = said_of(&["openclaw", "budget", "report", "--by", "tenat"]);
        assert!(
            by.contains("возможные значения: tier, tenant, model, day") && by.contains("'tenant'"),
            "{by}"
        );
        let tier = said_of(&["openclaw", "keys", "create", "--tier", "gold"]);
        assert!(
            tier.contains("такого тира нет: `gold`; нужен free, standard"),
            "{tier}"
        );
        let long = "x".repeat(129);
        for (user, why) in [
            ("", "имя не может быть пустым"),
            ("a:b", "в имени не может быть ':'"),
            (&long, "длина имени в байтах 129, допустимо 128"),
        ] {
            let refused = said_of(&["openclaw", "keys", "create", "--user", user]);
            assert!(refused.contains(why), "{refused}");
        }
        let what = said_of(&["openclaw", "queue", "drop", "x"]);
        assert!(what.contains("нужно turn_N или call_N"), "{what}");
        let help = said_of(&["openclaw", "status", "--help"]);
        assert!(
            help.contains("[ПАРАМЕТРЫ]") && !help.contains("[OPTIONS]"),
            "{help}"
        );
        let both = said_of(&["openclaw", "queue", "drop", "turn_1", "--yes", "--dry-run"]);
        assert!(both.contains("нельзя задать вместе с"), "{both}");
    }
}
