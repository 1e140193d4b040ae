//! What is said of a command line that cannot be understood. In English clap says it; its kinds are put into Russian here.

use super::words;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use openclaw_core::Language;
use std::fmt::Write as _;

/// What clap says, in this language. Help and version are in it already.
pub(crate) fn said(error: &clap::Error, language: Language) -> String {
    match language {
        Language::Ru if error.use_stderr() => in_russian(error),
        Language::Ru => usage_in_russian(&error.render().to_string()),
        Language::En => error.render().to_string(),
    }
}

fn in_russian(error: &clap::Error) -> String {
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
    text.push_str("\nподробнее: --help\n");
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
        let text = said(&error, Language::Ru);
        for word in words.iter().chain(&["ошибка: ", "Использование: openclaw"]) {
            assert!(text.contains(word), "{word} in\n{text}");
        }
        assert!(!text.contains("error") && !text.contains("Usage"), "{text}");
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
            said(&parse(&typed, Language::Ru).unwrap_err(), Language::Ru)
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
        assert!(tier.contains("такого тира нет; нужен free, standard"), "{tier}");
        let help = said_of(&["openclaw", "status", "--help"]);
        assert!(
            help.contains("[ПАРАМЕТРЫ]") && !help.contains("[OPTIONS]"),
            "{help}"
        );
        let both = said_of(&["openclaw", "queue", "drop", "turn_1", "--yes", "--dry-run"]);
        assert!(both.contains("нельзя задать вместе с"), "{both}");
    }
}
