//! The languages people are answered in.

use serde::{Deserialize, Serialize};

/// A language the platform speaks to people. Code, logs, events and API are English.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English, also for everyone whose language we do not speak.
    #[default]
    En,
    /// Russian.
    Ru,
}

impl Language {
    /// All languages of the catalogues.
    pub const ALL: [Self; 2] = [Self::En, Self::Ru];

    /// Reads a BCP 47 tag such as `ru`, `ru-RU` or `en_US`. `None` when it is a language we do not speak.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("ru") {
            Some(Self::Ru)
        } else if primary.eq_ignore_ascii_case("en") {
            Some(Self::En)
        } else {
            None
        }
    }

    /// The best language of an `Accept-Language` header; weights are taken in the order they are written.
    pub fn from_accept_language(header: &str) -> Option<Self> {
        header
            .split(',')
            .find_map(|part| Self::from_tag(part.split(';').next().unwrap_or_default().trim()))
    }

    /// Guesses from the text itself: Russian when most of its letters are Cyrillic.
    pub fn of_text(text: &str) -> Option<Self> {
        let (mut cyrillic, mut latin) = (0_usize, 0_usize);
        for letter in text.chars().take(512).filter(|c| c.is_alphabetic()) {
            match letter {
                '\u{0400}'..='\u{04FF}' => cyrillic += 1,
                'a'..='z' | 'A'..='Z' => latin += 1,
                _ => {}
            }
        }
        match (cyrillic, latin) {
            (0, 0) => None,
            (c, l) if c >= l => Some(Self::Ru),
            _ => Some(Self::En),
        }
    }

    /// The form of a counted word that stands after this number: in English one and many (`key`, `keys`), in Russian one,
    /// few and many (`ключ`, `ключа`, `ключей`).
    pub const fn counted<'a>(self, number: u64, en: [&'a str; 2], ru: [&'a str; 3]) -> &'a str {
        let ([en_one, en_many], [ru_one, ru_few, ru_many]) = (en, ru);
        match (self, number, number % 10, number % 100) {
            (Self::En, 1, _, _) => en_one,
            (Self::En, ..) => en_many,
            (Self::Ru, _, _, 11..=14) => ru_many,
            (Self::Ru, _, 1, _) => ru_one,
            (Self::Ru, _, 2..=4, _) => ru_few,
            (Self::Ru, ..) => ru_many,
        }
    }

    /// The tag, `en` or `ru`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_with_regions_are_read() {
        assert_eq!(Language::from_tag("ru-RU"), Some(Language::Ru));
        assert_eq!(Language::from_tag("EN_us"), Some(Language::En));
        assert_eq!(Language::from_tag("de"), None);
        assert_eq!(
            Language::from_accept_language("de, ru;q=0.8, en;q=0.5"),
            Some(Language::Ru)
        );
    }

    #[test]
    fn a_counted_word_has_the_form_of_its_number() {
        let form = |language: Language, number| {
            language.counted(number, ["key", "keys"], ["ключ", "ключа", "ключей"])
        };
        for (numbers, en, ru) in [
            (&[1][..], "key", "ключ"),
            (&[21, 101, 1_001], "keys", "ключ"),
            (&[2, 3, 4, 22, 104], "keys", "ключа"),
            (&[0, 5, 11, 12, 14, 20, 111, 112, 10_000], "keys", "ключей"),
        ] {
            for &number in numbers {
                assert_eq!(
                    (form(Language::En, number), form(Language::Ru, number)),
                    (en, ru),
                    "{number}"
                );
            }
        }
    }

    #[test]
    fn text_decides_by_its_letters() {
        assert_eq!(Language::of_text("Привет, world"), Some(Language::Ru));
        assert_eq!(Language::of_text("hello"), Some(Language::En));
        assert_eq!(Language::of_text("123 !"), None);
    }
}
