//! What `config show` says: every value and where it came from.

use super::fault::Origin;
use super::schema::{self, FIELDS, Field};
use super::secrets::SecretRef;
use super::tree::Tree;
use super::unused::UnusedVariable;
use crate::texts::{Said, Texts};
use openclaw_core::Language;
use serde::Deserialize;
use std::fmt::Write as _;

/// Every value as text, in the order of the schema; then what lists and free names hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    entries: Vec<Setting>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its path.
    pub(crate) path: String,
    /// The value as TOML, or in brackets what happens without one. A secret is shown as the reference to it.
    pub(crate) value: Said,
    /// Where it came from.
    pub(crate) origin: Origin,
}

// === impl Settings ===

impl Settings {
    pub(super) fn of(tree: &Tree) -> Self {
        let mut entries = Vec::new();
        for field in FIELDS {
            if field.path.contains(['[', '*']) {
                continue;
            }
            let (value, origin) = match tree.get(field.path) {
                Some(value) => (
                    Said::wordless(text(field, value)),
                    tree.origins.get(field.path).cloned().unwrap_or(Origin::Default),
                ),
                None => (Said::new(|texts| unset(field, texts)), Origin::Default),
            };
            entries.push(Setting {
                path: field.path.to_owned(),
                value,
                origin,
            });
        }
        for (path, origin) in &tree.origins {
            if schema::find(path).is_none()
                && let Some(value) = tree.get(path)
            {
                let shown = match SecretRef::deserialize(value.clone()) {
                    Ok(reference) => reference.to_string(),
                    Err(_) => value.to_string(),
                };
                entries.push(Setting {
                    path: path.clone(),
                    value: Said::wordless(shown),
                    origin: origin.clone(),
                });
            }
        }
        Self { entries }
    }

    /// All of them.
    pub(crate) fn entries(&self) -> &[Setting] {
        &self.entries
    }

    /// Replaces what the table documents by what the owner of the field decided, such as a preset's value. What
    /// somebody set stays.
    pub(crate) fn decided(&mut self, path: &str, value: &dyn std::fmt::Display) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.path == path)
            && entry.origin == Origin::Default
        {
            entry.value = Said::wordless(value.to_string());
        }
    }

    /// Adds a value that nobody set and that follows from one that somebody did, such as a preset's address.
    pub(crate) fn derived(&mut self, path: String, value: String) {
        if !self.entries.iter().any(|entry| entry.path == path) {
            self.entries.push(Setting {
                path,
                value: Said::wordless(value),
                origin: Origin::Default,
            });
        }
    }

    /// Adds a variable that is set and does nothing.
    pub(super) fn unused(&mut self, variable: &UnusedVariable, name: &str) {
        self.entries.push(Setting {
            path: variable.name.to_owned(),
            value: Said::new(|texts| texts.explain_off(variable.why(texts.language()))),
            origin: Origin::Environment {
                name: name.to_owned(),
            },
        });
    }

    /// Every path and its value, in English.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|entry| (entry.path.as_str(), entry.value.within(Language::En)))
    }

    /// The table for people: path, value, origin, aligned.
    pub(crate) fn to_table(&self, texts: Texts) -> String {
        let width = |of: &dyn Fn(&Setting) -> usize| self.entries.iter().map(of).max().unwrap_or(0);
        let paths = width(&|entry| entry.path.chars().count());
        let values = width(&|entry| entry.value(texts).chars().count()).min(40);
        self.entries.iter().fold(String::new(), |mut out, entry| {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{:paths$}  {:values$}  {}",
                entry.path,
                entry.value(texts),
                entry.origin.told(texts)
            );
            out
        })
    }

    /// The same for programs: `[{ "path", "value", "origin" }]`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        self.entries
            .iter()
            .map(|entry| {
                serde_json::json!({
                    "path": entry.path,
                    "value": entry.value.within(Language::En),
                    "origin": entry.origin.to_string(),
                })
            })
            .collect()
    }
}

// === impl Setting ===

impl Setting {
    /// The value as it is shown.
    pub(crate) fn value(&self, texts: Texts) -> &str {
        self.value.within(texts.language())
    }
}

fn text(field: &Field, value: &toml::Value) -> String {
    if field.kind == schema::Kind::Secret {
        return SecretRef::deserialize(value.clone())
            .map_or_else(|_| "(secret)".to_owned(), |reference| reference.to_string());
    }
    value.to_string()
}

/// A value as the server tells it, in English: the words for what nobody has set are put into the reader's language.
pub(crate) fn in_language(path: &str, value: &str, texts: Texts) -> String {
    super::explain::field_named(path)
        .filter(|field| unset(field, Texts::default()) == value)
        .map_or_else(|| value.to_owned(), |field| unset(field, texts))
}

/// What a field is when nobody says, as it is shown.
pub(super) fn unset(field: &Field, texts: Texts) -> String {
    match field.default {
        schema::Initial::Value(text) | schema::Initial::Owned(text) => {
            let digits = text.replace('_', "");
            if digits.parse::<i64>().is_ok() {
                digits
            } else {
                text.to_owned()
            }
        }
        schema::Initial::Unset(words) => format!("({})", texts.one_of(words)),
        schema::Initial::Required => texts.explain_required(),
    }
}
