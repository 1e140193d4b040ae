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
    fn text_decides_by_its_letters() {
        assert_eq!(Language::of_text("Привет, world"), Some(Language::Ru));
        assert_eq!(Language::of_text("hello"), Some(Language::En));
        assert_eq!(Language::of_text("123 !"), None);
    }
}
