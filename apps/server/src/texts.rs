//! What commands say to people, in English and Russian, from one catalogue.
//!
//! Each entry has a name, the values it speaks of and its two texts, side by side. The compiler checks the names in the
//! braces, a test that no value is forgotten in one of the languages. Names of states, fields, commands and variables are
//! the same in both; `--json`, logs and the API are English.

mod budget;
mod config;
mod confirm;
mod connection;
mod data;
mod explain;
mod faults;
mod foreign;
mod health;
mod keys;
mod models;
mod no_answer;
mod provider_faults;
mod queue;
mod said;
mod send;
mod serve;
mod server_said;
mod status;
mod workers;

use crate::cli::{ServeArgs, ServerArgs};
use crate::config::environment::ProcessEnvironment;
use crate::config::{locale, sections::Locale};
use crate::serve::InvalidConfig;
use crate::words::why_no_file;
use openclaw_core::Language;
use std::path::Path;
use std::time::Duration;

pub(crate) use foreign::in_russian;
pub(crate) use said::Said;

/// The catalogue in one language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    language: Language,
}

/// Entries of the catalogue: `name(values) { "English", "Russian" }`, and counted words: `name # { [one, many], [one,
/// few, many] }`.
macro_rules! catalogue {
    (
        $( $name:ident ( $($value:ident),* ) { $en:literal, $ru:literal } )*
        $( ; $( $counted:ident # { [$en_one:literal, $en_many:literal], [$ru_one:literal, $ru_few:literal, $ru_many:literal] } )* )?
    ) => {
        impl $crate::texts::Texts {
            $(
                pub(crate) fn $name(self $(, $value: impl std::fmt::Display + Copy)*) -> String {
                    match self.language() {
                        openclaw_core::Language::En => format!($en),
                        openclaw_core::Language::Ru => format!($ru),
                    }
                }
            )*
            $($(
                pub(crate) fn $counted(self, number: u64) -> String {
                    let word = self.language().counted(
                        number,
                        [$en_one, $en_many],
                        [$ru_one, $ru_few, $ru_many],
                    );
                    format!("{} {word}", $crate::texts::grouped(number))
                }
            )*)?
        }

        #[cfg(test)]
        pub(super) const ENTRIES: &[super::Entry] = &[
            $( super::Entry {
                name: stringify!($name),
                values: &[$(stringify!($value)),*],
                en: $en,
                ru: $ru,
            }, )*
            $($(
                super::Entry { name: stringify!($counted), values: &[], en: $en_one, ru: $ru_one },
                super::Entry { name: stringify!($counted), values: &[], en: $en_many, ru: $ru_few },
                super::Entry { name: stringify!($counted), values: &[], en: $en_many, ru: $ru_many },
            )*)?
        ];
    };
}
use catalogue;

/// One entry, for the tests.
#[cfg(test)]
pub(super) struct Entry {
    name: &'static str,
    values: &'static [&'static str],
    en: &'static str,
    ru: &'static str,
}

// === impl Texts ===

impl Texts {
    /// In this language.
    pub(crate) fn new(language: Language) -> Self {
        Self { language }
    }

    /// Of a command that talks to a server: the language of this machine's configuration, else of the terminal.
    pub(crate) fn of(args: &ServerArgs) -> Self {
        Self::configured(&ServeArgs {
            data_dir: args.data_dir.clone(),
            ..ServeArgs::default()
        })
    }

    /// The same where the configuration is named.
    pub(crate) fn configured(args: &ServeArgs) -> Self {
        match crate::serve::load(args) {
            Ok(loaded) => Self::new(loaded.language),
            Err(error) => match error.downcast_ref::<InvalidConfig>() {
                Some(invalid) => Self::new(invalid.language()),
                None => Self::of_terminal(),
            },
        }
    }

    /// The language of the terminal, where no configuration tells.
    pub(crate) fn of_terminal() -> Self {
        Self::new(locale::language(Locale::Auto, &ProcessEnvironment))
    }

    /// Which language it is.
    pub(crate) fn language(self) -> Language {
        self.language
    }

    /// The one of two texts, English and Russian, that is in this language.
    pub(crate) fn one_of(self, [en, ru]: [&str; 2]) -> &str {
        match self.language {
            Language::En => en,
            Language::Ru => ru,
        }
    }

    /// `6 d 02:14`, `02:14:09` below a day.
    pub(crate) fn span(self, time: Duration) -> String {
        let seconds = time.as_secs();
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        if days > 0 {
            self.status_days(days, hours, minutes)
        } else {
            format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
        }
    }

    /// Milliseconds as people read them: `250 ms`, `2.5 s`, and a minute or more as a span.
    pub(crate) fn time(self, millis: u64) -> String {
        if millis < 1_000 {
            self.milliseconds(millis)
        } else if millis >= 60_000 {
            self.span(Duration::from_millis(millis))
        } else {
            let seconds = millis as f64 / 1_000.0;
            match self.language {
                Language::En => format!("{seconds:.1} s"),
                Language::Ru => format!("{seconds:.1} с"),
            }
        }
    }

    /// Why a file cannot be read, in words that say what to mend.
    pub(crate) fn no_file(self, error: &std::io::Error) -> String {
        use std::io::ErrorKind;
        match (self.language, error.kind()) {
            (Language::Ru, ErrorKind::NotFound) => "такого файла нет".to_owned(),
            (Language::Ru, ErrorKind::PermissionDenied) => "этому пользователю его не открыть".to_owned(),
            (Language::Ru, ErrorKind::IsADirectory) => "это каталог".to_owned(),
            (Language::Ru, ErrorKind::NotADirectory) => "часть пути — не каталог".to_owned(),
            (Language::Ru, ErrorKind::AlreadyExists) => "на его месте есть что-то другое".to_owned(),
            (Language::Ru, ErrorKind::StorageFull) => "диск заполнен".to_owned(),
            (Language::Ru, ErrorKind::ReadOnlyFilesystem) => {
                "его файловая система только для чтения".to_owned()
            }
            (Language::Ru, ErrorKind::InvalidData) => "это не текст в UTF-8".to_owned(),
            (Language::Ru | Language::En, _) => why_no_file(error),
        }
    }

    /// A failure's text with the word before the next command in this language.
    pub(crate) fn next_lines(self, text: &str) -> String {
        match self.language {
            Language::En => text.to_owned(),
            Language::Ru => text.replace("\n  next  ", "\n  дальше  "),
        }
    }

    fn milliseconds(self, millis: u64) -> String {
        match self.language {
            Language::En => format!("{millis} ms"),
            Language::Ru => format!("{millis} мс"),
        }
    }

    /// A path as it is shown.
    pub(crate) fn path(path: &Path) -> String {
        path.display().to_string()
    }
}

/// `1 204 000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const CATALOGUES: &[&[Entry]] = &[
        budget::ENTRIES,
        config::ENTRIES,
        confirm::ENTRIES,
        connection::ENTRIES,
        data::ENTRIES,
        explain::ENTRIES,
        faults::ENTRIES,
        health::ENTRIES,
        keys::ENTRIES,
        models::ENTRIES,
        provider_faults::ENTRIES,
        queue::ENTRIES,
        send::ENTRIES,
        serve::ENTRIES,
        status::ENTRIES,
        workers::ENTRIES,
    ];

    /// Texts that are the same in both languages: numbers, names and signs alone.
    fn is_wordless(text: &str) -> bool {
        !holes_removed(text).chars().any(char::is_alphabetic)
    }

    fn holes_removed(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            rest = after.split_once('}').map_or("", |(_, after)| after);
        }
        out.push_str(rest);
        out
    }

    #[test]
    fn every_entry_speaks_of_the_same_values_in_both_languages() {
        let mut seen = 0;
        for entry in CATALOGUES.iter().copied().flatten() {
            for value in entry.values {
                let hole = |text: &str| {
                    text.contains(&format!("{{{value}}}")) || text.contains(&format!("{{{value}:"))
                };
                assert!(hole(entry.en), "{}: no {value} in English", entry.name);
                assert!(hole(entry.ru), "{}: no {value} in Russian", entry.name);
            }
            seen += 1;
        }
        assert!(seen > 100, "{seen}");
    }

    #[test]
    fn every_entry_is_in_its_language() {
        let is_cyrillic = |c: char| matches!(c, '\u{0400}'..='\u{04FF}');
        for entry in CATALOGUES.iter().copied().flatten() {
            assert!(!entry.en.chars().any(is_cyrillic), "{}: {}", entry.name, entry.en);
            assert!(
                is_wordless(entry.en) || entry.ru.chars().any(is_cyrillic),
                "{} is not Russian: {}",
                entry.name,
                entry.ru
            );
        }
    }

    #[test]
    fn both_languages_have_the_same_columns_lines_and_ends() {
        for entry in CATALOGUES.iter().copied().flatten() {
            for mark in ['|', '\n'] {
                let count = |text: &str| text.matches(mark).count();
                assert_eq!(count(entry.en), count(entry.ru), "{}: {mark:?}", entry.name);
            }
        }
    }

    #[test]
    fn no_name_is_there_twice_with_other_words() {
        let names: Vec<_> = CATALOGUES
            .iter()
            .copied()
            .flatten()
            .filter(|entry| !entry.values.is_empty())
            .map(|entry| entry.name)
            .collect();
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }

    #[test]
    fn why_a_file_cannot_be_used_is_told_in_russian() {
        for kind in [
            std::io::ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied,
            std::io::ErrorKind::AlreadyExists,
            std::io::ErrorKind::IsADirectory,
            std::io::ErrorKind::NotADirectory,
            std::io::ErrorKind::StorageFull,
            std::io::ErrorKind::ReadOnlyFilesystem,
            std::io::ErrorKind::InvalidData,
        ] {
            let said = Texts::new(Language::Ru).no_file(&kind.into());
            assert!(!said.chars().any(|c| c.is_ascii_lowercase()), "{said}");
        }
    }

    #[test]
    fn numbers_are_grouped_by_threes_and_times_have_units() {
        assert_eq!(
            [0, 999, 1_000, 1_204_000].map(grouped),
            ["0", "999", "1 000", "1 204 000"]
        );
        let times = |language| [999, 4_123, 2_345_400].map(|millis| Texts::new(language).time(millis));
        assert_eq!(times(Language::En), ["999 ms", "4.1 s", "00:39:05"]);
        assert_eq!(times(Language::Ru), ["999 мс", "4.1 с", "00:39:05"]);
    }
}
