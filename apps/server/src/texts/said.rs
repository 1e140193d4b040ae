//! A text in every language, for what is found before anybody knows who will read it.
//!
//! A fault of the configuration goes to a terminal in the reader's language, to the log in English and over the API in the
//! language that was asked for. It is put into words once, where its values are at hand.

use super::Texts;
use openclaw_core::Language;
use std::fmt;

/// A text in every language. It is shown in English where nobody chooses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    en: String,
    ru: String,
}

impl Said {
    /// What the catalogue says, told once in each language.
    pub(crate) fn new(tell: impl Fn(Texts) -> String) -> Self {
        let told = |language| tell(Texts::new(language));
        Self {
            en: told(Language::En),
            ru: told(Language::Ru),
        }
    }

    /// Values and names, which are the same in every language.
    pub(crate) fn wordless(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            en: text.clone(),
            ru: text,
        }
    }

    /// In one language.
    pub(crate) fn within(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ru => &self.ru,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.within(Language::En))
    }
}
