//! The languages people are answered in.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

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

    /// The language an `Accept-Language` header gives the most weight, the first of two that have the same (RFC 9110,
    /// 12.5.4). A weight of 0 refuses a language, and `*` speaks for those that are not named. `None` when the header
    /// prefers neither. What cannot be read in it counts as not written.
    pub fn from_accept_language(header: &str) -> Option<Self> {
        // For each language its weight in thousandths and its place; and that of `*`.
        let mut named = [None::<(u16, usize)>; Self::ALL.len()];
        let mut others = None;
        for (place, range) in header.split(',').enumerate() {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let Some(weight) = parts.find_map(weight).unwrap_or(Some(1_000)) else {
                continue;
            };
            if tag == "*" {
                others = Some(weight);
            } else if let Some(language) = Self::from_tag(tag) {
                let best = &mut named[language as usize];
                if best.is_none_or(|(known, _)| weight > known) {
                    *best = Some((weight, place));
                }
            }
        }
        // A language of which nothing is said is worse than one that is wanted, and better than one that is refused.
        let rank = |language: Self| match (named[language as usize], others) {
            (Some((0, _)), _) | (None, Some(0)) => (-1, 0),
            (Some((weight, place)), _) => (i32::from(weight), -i64::try_from(place).unwrap_or(i64::MAX)),
            (None, Some(weight)) => (i32::from(weight), i64::MIN),
            (None, None) => (0, 0),
        };
        match rank(Self::En).cmp(&rank(Self::Ru)) {
            Ordering::Greater => Some(Self::En),
            Ordering::Less => Some(Self::Ru),
            Ordering::Equal => None,
        }
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

/// The weight in a parameter `q=0.8`, in thousandths: `None` of another parameter, `Some(None)` of one that cannot be read.
fn weight(parameter: &str) -> Option<Option<u16>> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let whole: u16 = match whole {
        "0" => 0,
        "1" => 1_000,
        _ => return Some(None),
    };
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return Some(None);
    }
    let thousandths = [100, 10, 1].into_iter().zip(fraction.bytes());
    let fraction: u16 = thousandths
        .map(|(part, digit)| part * u16::from(digit - b'0'))
        .sum();
    Some(Some((whole + fraction).min(1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_with_regions_are_read() {
        assert_eq!(Language::from_tag("ru-RU"), Some(Language::Ru));
        assert_eq!(Language::from_tag("EN_us"), Some(Language::En));
        assert_eq!(Language::from_tag("de"), None);
    }

    #[test]
    fn the_language_with_the_most_weight_is_chosen() {
        let (en, ru) = (Some(Language::En), Some(Language::Ru));
        for (header, expected) in [
            ("de, ru;q=0.8, en;q=0.5", ru),
            ("en;q=0.1, ru", ru),
            ("en;q=0.1,ru;q=0.9", ru),
            ("en;q=0.91,ru;q=0.9", en),
            ("en-GB, en;q=0.5, ru;q=0.9", en),
            ("ru, en", ru),
            ("en;q=0.5, ru;q=0.5", en),
            ("en ; Q = 0.1 , ru ; q=0.2", ru),
            ("ru;q=0, en", en),
            ("ru;q=0", en),
            ("ru;q=0.000, de", en),
            ("ru;q=0, en;q=0", None),
            ("de", None),
            ("", None),
            ("*", None),
            ("*;q=0", None),
            ("*, ru;q=0.5", en),
            ("en, *;q=0.5", en),
            ("ru, *;q=0", ru),
            ("en;q=junk, ru;q=0.1", ru),
            ("en;q=2, ru;q=0.1", ru),
            ("en;q=0.5;x=1, ru;x=1;q=0.6", ru),
        ] {
            assert_eq!(Language::from_accept_language(header), expected, "{header}");
        }
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
