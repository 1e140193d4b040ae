//! The command line in the reader's language, with examples under every command.
//!
//! What can be typed is declared once, in English, beside what it means ([`crate::cli`]). Here each text of it is put
//! into Russian where that is the language, and clap's own few words with it.

mod examples;
mod refusals;
mod words;

use crate::cli::{Cli, ServeArgs};
use crate::texts::Texts;
use clap::{Arg, ArgAction, Command, CommandFactory as _, FromArgMatches as _};
use openclaw_core::Language;
use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use refusals::{coloured, said};

/// The command line as it was typed.
///
/// # Errors
///
/// clap's: help or version that was asked for, or what cannot be understood.
pub(crate) fn parse(typed: &[OsString], language: Language) -> Result<Cli, clap::Error> {
    let mut command = command(language);
    let typed = match language {
        Language::En => typed.to_vec(),
        Language::Ru => help_as_flag(typed),
    };
    let matches = command.try_get_matches_from_mut(typed)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The language of the command line, before it is understood: of the configuration that its flags lead to.
pub(crate) fn language(typed: &[OsString]) -> Language {
    let flag = |name: &str| {
        let mut words = typed.iter();
        while let Some(word) = words.next() {
            let Some(word) = word.to_str() else { continue };
            if word == name {
                return words.next().map(PathBuf::from);
            }
            if let Some(value) = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
                return Some(value.into());
            }
        }
        None
    };
    let from = ServeArgs {
        config: flag("--config"),
        data_dir: flag("--data-dir"),
        ..ServeArgs::default()
    };
    Texts::configured(&from).language()
}

/// What can be typed, for people who read this language.
pub(crate) fn command(language: Language) -> Command {
    let command = with_examples(Cli::command(), &[], language);
    match language {
        Language::En => command,
        Language::Ru => in_russian(command),
    }
}

/// `openclaw help budget` is `openclaw budget --help`: the help command speaks English only.
fn help_as_flag(typed: &[OsString]) -> Vec<OsString> {
    match typed {
        [program, help, rest @ ..] if help == "help" => std::iter::once(program.clone())
            .chain(rest.iter().cloned())
            .chain([OsString::from("--help")])
            .collect(),
        _ => typed.to_vec(),
    }
}

fn with_examples(command: Command, path: &[String], language: Language) -> Command {
    let lines = examples::of(path);
    let command = if lines.is_empty() {
        command
    } else {
        let (examples, more) = match language {
            Language::En => ("Examples", examples::EXIT_CODES_EN),
            Language::Ru => ("Примеры", examples::EXIT_CODES_RU),
        };
        let mut text = format!("{examples}:\n");
        for line in lines {
            text.push_str(&format!("  {line}\n"));
        }
        if path.is_empty() {
            text.push_str(more);
        }
        command.after_help(text.trim_end().to_owned())
    };
    let names: Vec<String> = command
        .get_subcommands()
        .map(|one| one.get_name().to_owned())
        .collect();
    names.into_iter().fold(command, |command, name| {
        let mut path = path.to_vec();
        path.push(name.clone());
        command.mut_subcommand(name, |one| with_examples(one, &path, language))
    })
}

fn in_russian(command: Command) -> Command {
    let about = command
        .get_about()
        .map(|about| words::russian(&about.to_string()));
    let names: Vec<String> = command
        .get_subcommands()
        .map(|one| one.get_name().to_owned())
        .collect();
    let has_version = command.get_version().is_some();
    let mut command = command
        .mut_args(argument_in_russian)
        .disable_help_subcommand(true)
        .disable_help_flag(true)
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .action(ArgAction::Help)
                .help("Показать эту справку")
                .help_heading("Параметры"),
        )
        .help_template("{about-with-newline}\nИспользование: {usage}\n\n{all-args}{after-help}")
        .subcommand_help_heading("Команды")
        .subcommand_value_name("КОМАНДА");
    if let Some(about) = about {
        command = command.about(about);
    }
    if has_version {
        command = command.disable_version_flag(true).arg(
            Arg::new("version")
                .short('V')
                .long("version")
                .action(ArgAction::Version)
                .help("Показать версию")
                .help_heading("Параметры"),
        );
    }
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, in_russian))
}

fn argument_in_russian(argument: Arg) -> Arg {
    let mut help = argument
        .get_help()
        .map_or_else(String::new, |help| words::russian(&help.to_string()));
    let takes_value = argument.get_action().takes_values();
    let join = |values: Vec<String>| values.join(", ");
    let possible = join(
        argument
            .get_possible_values()
            .iter()
            .map(|value| value.get_name().to_owned())
            .collect(),
    );
    let default = join(
        argument
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy().into_owned())
            .collect(),
    );
    if takes_value && !default.is_empty() {
        help.push_str(&format!(" [по умолчанию: {default}]"));
    }
    if takes_value && !possible.is_empty() {
        help.push_str(&format!(" [значения: {possible}]"));
    }
    let heading = if argument.is_positional() {
        "Аргументы"
    } else {
        "Параметры"
    };
    argument
        .help(help)
        .help_heading(heading)
        .hide_default_value(takes_value)
        .hide_possible_values(takes_value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn walk(command: &Command, see: &mut dyn FnMut(&Command)) {
        see(command);
        for one in command.get_subcommands() {
            walk(one, see);
        }
    }

    #[test]
    fn every_text_of_the_command_line_is_in_both_languages_and_none_is_left_over() {
        let mut texts = BTreeSet::new();
        walk(&Cli::command(), &mut |command| {
            texts.extend(command.get_about().map(ToString::to_string));
            texts.extend(
                command
                    .get_arguments()
                    .filter_map(|argument| argument.get_help().map(ToString::to_string)),
            );
        });
        let missing: Vec<_> = texts.iter().filter(|text| words::find(text).is_none()).collect();
        assert!(missing.is_empty(), "not in Russian: {missing:#?}");
        let spare: Vec<_> = words::HELP
            .iter()
            .filter(|(en, _)| !texts.contains(*en))
            .collect();
        assert!(spare.is_empty(), "said by nobody: {spare:#?}");
    }

    #[test]
    fn the_russian_command_line_is_sound_and_takes_what_the_english_one_takes() {
        command(Language::Ru).debug_assert();
        command(Language::En).debug_assert();
        let typed = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let words = ["openclaw", "budget", "report", "--by", "day", "--since", "24h"];
        assert!(parse(&typed(&words), Language::Ru).is_ok());
        for help in [&["openclaw", "help", "budget"][..], &["openclaw", "budget", "-h"]] {
            let shown = parse(&typed(help), Language::Ru).unwrap_err();
            assert_eq!(shown.exit_code(), 0);
            let text = shown.to_string();
            for words in ["Использование:", "Команды:", "Параметры:", "Примеры:"]
            {
                assert!(text.contains(words), "{words} in\n{text}");
            }
        }
    }

    #[test]
    fn every_command_has_two_examples_and_all_of_them_can_be_typed() {
        fn check(command: &Command, path: &[String]) {
            let lines = examples::of(path);
            let is_leaf = command.get_subcommands().next().is_none();
            let enough = if path == ["version"] { 1 } else { 2 };
            assert!(
                lines.len() >= enough,
                "{path:?} has {} examples, leaf: {is_leaf}",
                lines.len()
            );
            for line in lines {
                examples::check(line, path);
            }
            for one in command.get_subcommands() {
                let mut path = path.to_vec();
                path.push(one.get_name().to_owned());
                check(one, &path);
            }
        }
        check(&Cli::command(), &[]);
        let text = command(Language::En)
            .find_subcommand_mut("status")
            .unwrap()
            .render_help()
            .to_string();
        assert!(text.contains("Examples:\n  openclaw status\n"), "{text}");
    }

    #[test]
    fn a_near_miss_is_answered_with_the_near_one() {
        for (typed, near) in [
            (&["openclaw", "budgett"][..], "budget"),
            (&["openclaw", "budget", "explan", "x"], "explain"),
            (&["openclaw", "models", "tset"], "test"),
            (&["openclaw", "queue", "resum"], "resume"),
            (&["openclaw", "workers", "recycel", "1"], "recycle"),
            (&["openclaw", "config", "relaod"], "reload"),
            (&["openclaw", "helth"], "health"),
            (&["openclaw", "health", "--redy"], "--ready"),
        ] {
            let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
            for language in Language::ALL {
                let error = parse(&typed, language).unwrap_err();
                let text = said(&error, &typed, language);
                assert!(text.contains(&format!("'{near}'")), "{near} in\n{text}");
                assert_eq!(error.exit_code(), 2);
            }
        }
    }

    #[test]
    fn the_language_is_that_of_the_configuration_the_flags_lead_to() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("other.toml");
        std::fs::write(&file, "[server]\nlocale = \"ru\"\n").unwrap();
        let path = file.to_str().unwrap();
        for typed in [
            vec!["openclaw", "serve", "--config", path],
            vec!["openclaw", "models", "list", &format!("--config={path}")],
        ] {
            let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
            assert_eq!(language(&typed), Language::Ru);
        }
    }
}
