//! The server's own language: that of the terminal, and of people of whom nobody knows what they read.

use super::environment::Environment;
use super::sections::Locale;
use openclaw_core::Language;

/// The server's own language: the configured one, else what `LC_ALL`, `LC_MESSAGES` or `LANG` says, else English.
pub(crate) fn language(locale: Locale, environment: &dyn Environment) -> Language {
    match locale {
        Locale::Ru => Language::Ru,
        Locale::En => Language::En,
        // The first that is set decides, also when it names a language we do not speak.
        Locale::Auto => ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| environment.var(name).filter(|tag| !tag.is_empty()))
            .and_then(|tag| Language::from_tag(&tag))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::FixedEnvironment;

    #[test]
    fn the_first_variable_that_is_set_names_the_language() {
        let speak = |vars: &[(&str, &str)]| {
            let environment = FixedEnvironment {
                vars: vars
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                ..FixedEnvironment::default()
            };
            language(Locale::Auto, &environment)
        };
        assert_eq!(speak(&[]), Language::En);
        assert_eq!(speak(&[("LANG", "ru_RU.UTF-8")]), Language::Ru);
        assert_eq!(speak(&[("LANG", "ru_RU.UTF-8"), ("LC_ALL", "C")]), Language::En);
        assert_eq!(
            speak(&[("LANG", "en_US.UTF-8"), ("LC_MESSAGES", "ru_RU")]),
            Language::Ru
        );
        assert_eq!(
            language(Locale::En, &FixedEnvironment::of([("LANG", "ru")])),
            Language::En
        );
    }
}
