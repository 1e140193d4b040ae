//! A command that failed: what happened, the next command to try, and the exit code.

use crate::data_dir::DataDirError;
use crate::texts::Texts;
use openclaw_sqlite::OpenError;
use std::fmt;

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: Kind,
    what: String,
    next: String,
}

/// The kinds of failure that programs tell apart by the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failed,
    Usage,
    Unreachable,
    NotAllowed,
    Config,
}

// === impl Failure ===

impl Failure {
    /// The command failed. `next` is a command, or words that say what to do.
    pub(crate) fn failed(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(Kind::Failed, what, next)
    }

    /// The command was not given as it must be.
    pub(crate) fn usage(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(Kind::Usage, what, next)
    }

    /// No server answers.
    pub(crate) fn unreachable(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(Kind::Unreachable, what, next)
    }

    /// The key or token does not allow it.
    pub(crate) fn not_allowed(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(Kind::NotAllowed, what, next)
    }

    /// The configuration cannot be read.
    pub(crate) fn config(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(Kind::Config, what, next)
    }

    /// What an error means that is about the data directory, its keys or the store in it; `None` where it is about
    /// something else.
    pub(crate) fn about_data(error: &anyhow::Error, texts: Texts) -> Option<Self> {
        let of_directory = error.downcast_ref::<DataDirError>();
        let of_store = error.downcast_ref::<OpenError>();
        of_directory
            .map(|error| Self::about_directory(error, texts))
            .or_else(|| of_store.map(|error| Self::about_store(error, texts)))
    }

    fn about_directory(error: &DataDirError, texts: Texts) -> Self {
        match error {
            DataDirError::Unknown => Self::failed(texts.no_data_dir(), texts.set_data_dir()),
            DataDirError::Create { path, source } => Self::failed(
                texts.data_dir_not_made(&Texts::path(path), &texts.no_file(source)),
                texts.mend_data_dir(),
            ),
            DataDirError::Key { path, source } => Self::failed(
                texts.key_file_unusable(&Texts::path(path), &texts.no_file(source)),
                texts.mend_data_dir(),
            ),
            DataDirError::NotAKey { path } => Self::failed(
                texts.key_file_without_key(&Texts::path(path)),
                texts.remove_key_file(),
            ),
        }
    }

    fn about_store(error: &OpenError, texts: Texts) -> Self {
        match error {
            OpenError::InUse { dir } => {
                Self::failed(texts.serve_in_use(&Texts::path(dir)), texts.mend_data_dir())
            }
            OpenError::Directory { dir, source } => Self::failed(
                texts.data_dir_unusable(&Texts::path(dir), &texts.no_file(source)),
                texts.mend_data_dir(),
            ),
            OpenError::Newer { found, known } => {
                Self::failed(texts.store_newer(*found, *known), texts.use_its_version())
            }
            OpenError::Edited { version, name } => {
                Self::failed(texts.store_of_another(*version, name), texts.use_its_version())
            }
            OpenError::Database { source, .. } => {
                Self::failed(texts.store_not_opened(source), texts.put_back_a_copy())
            }
            OpenError::NotDurable { .. } => {
                Self::failed(texts.store_not_opened(error), texts.mend_data_dir())
            }
            OpenError::Recovery { source } => {
                Self::failed(texts.store_not_opened(source), texts.put_back_a_copy())
            }
        }
    }

    fn of(kind: Kind, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            next: next.into(),
        }
    }

    /// What happened, without what to do next.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The exit code, as `sysexits.h` has it where it has one.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Unreachable => 69,
            Kind::NotAllowed => 77,
            Kind::Config => crate::EXIT_CONFIG,
        }
    }

    /// Whether no server answered.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.kind == Kind::Unreachable
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  next  {}", self.what, self.next)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::Language;
    use std::io::ErrorKind;
    use std::path::PathBuf;

    #[test]
    fn what_is_wrong_with_the_data_is_told_in_the_language_with_what_to_do() {
        let path = || PathBuf::from("/d/x");
        let denied = || ErrorKind::PermissionDenied.into();
        let errors: Vec<anyhow::Error> = vec![
            DataDirError::Unknown.into(),
            DataDirError::Create {
                path: path(),
                source: denied(),
            }
            .into(),
            DataDirError::Key {
                path: path(),
                source: denied(),
            }
            .into(),
            DataDirError::NotAKey { path: path() }.into(),
            OpenError::InUse { dir: path() }.into(),
            OpenError::Directory {
                dir: path(),
                source: denied(),
            }
            .into(),
            OpenError::Newer { found: 9, known: 4 }.into(),
            OpenError::Edited {
                version: 2,
                name: "budgets".to_owned(),
            }
            .into(),
            OpenError::NotDurable {
                pragma: "synchronous",
                found: "1".to_owned(),
                wanted: "2",
            }
            .into(),
        ];
        for error in errors {
            // Whoever passed the error on may have said what they were about.
            let error = error.context("starting");
            for language in Language::ALL {
                let said = Failure::about_data(&error, Texts::new(language))
                    .unwrap_or_else(|| panic!("{error:#}"))
                    .to_string();
                let (what, next) = said.split_once("\n  next  ").unwrap();
                for text in [what, next] {
                    let is_russian = text.chars().any(|c| matches!(c, '\u{0400}'..='\u{04FF}'));
                    assert_eq!(is_russian, language == Language::Ru, "{said}");
                }
                assert!(!said.contains("os error"), "{said}");
            }
        }
        let other = anyhow::anyhow!("the threads could not be started");
        assert_eq!(Failure::about_data(&other, Texts::default()), None);
    }
}
