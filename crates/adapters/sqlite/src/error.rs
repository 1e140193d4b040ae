//! Why a store could not be opened, and what can go wrong inside one operation.

use openclaw_core::{CodedError, Language};
use openclaw_gateway::ports::{BeginError, StoreError};
use std::borrow::Cow;
use std::path::PathBuf;

/// Why a store could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory.
    #[error("the data directory {} is in use by another server", .dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory or a file in it cannot be made or opened.
    #[error("the data directory {} cannot be used", .dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store was written by a newer release.
    #[error("the store has schema version {found}, this release knows up to {known}")]
    Newer {
        /// The newest version it has.
        found: i64,
        /// The newest version we have.
        known: i64,
    },
    /// The store's history of migrations is not ours.
    #[error("migration {version} ({name}) of the store is not the one of this release")]
    Edited {
        /// Which.
        version: i64,
        /// Its name in the store.
        name: String,
    },
    /// The database does not give the durability that was asked for.
    #[error("the database answers {pragma} = {found}, {wanted} is needed")]
    NotDurable {
        /// What was asked.
        pragma: &'static str,
        /// The answer.
        found: String,
        /// What is needed.
        wanted: &'static str,
    },
    /// The database refused.
    #[error("{step} failed")]
    Database {
        /// What was being done.
        step: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
    /// A stored row cannot be read.
    #[error("the store cannot be recovered")]
    Recovery {
        /// Why.
        source: StoreError,
    },
}

/// What an operation inside the store ends with when it does not succeed.
#[derive(Debug)]
pub(crate) enum OpError {
    Store(StoreError),
    Begin(BeginError),
    Sql(rusqlite::Error),
}

// === impl OpenError ===

impl OpenError {
    pub(crate) fn database(step: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Database { step, source }
    }
}

impl CodedError for OpenError {
    fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "STORE_IN_USE",
            Self::Directory { .. } => "STORE_DIRECTORY",
            Self::Newer { .. } => "STORE_NEWER",
            Self::Edited { .. } => "STORE_EDITED",
            Self::NotDurable { .. } => "STORE_NOT_DURABLE",
            Self::Database { .. } => "STORE_DATABASE",
            Self::Recovery { .. } => "STORE_RECOVERY",
        }
    }

    fn recoverable(&self) -> bool {
        match self {
            Self::InUse { .. } | Self::Directory { .. } | Self::Database { .. } => true,
            Self::Newer { .. } | Self::Edited { .. } | Self::NotDurable { .. } | Self::Recovery { .. } => {
                false
            }
        }
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match (self, language) {
            (Self::InUse { .. }, Language::En) => {
                "Another server is using this data directory. Stop it, or choose another directory."
            }
            (Self::InUse { .. }, Language::Ru) => {
                "Этот каталог данных занят другим сервером. Остановите его или выберите другой каталог."
            }
            (Self::Directory { .. }, Language::En) => {
                "The data directory cannot be used. Check that it exists, belongs to you and is not full."
            }
            (Self::Directory { .. }, Language::Ru) => {
                "Каталог данных недоступен. Проверьте, что он существует, принадлежит вам и на диске есть место."
            }
            (Self::Newer { .. }, Language::En) => {
                "The data was written by a newer release. Install that release, or restore an older backup."
            }
            (Self::Newer { .. }, Language::Ru) => {
                "Данные записаны более новой версией. Установите её или восстановите старую резервную копию."
            }
            (Self::Edited { .. }, Language::En) => {
                "The data was written by another build of this server and cannot be opened safely."
            }
            (Self::Edited { .. }, Language::Ru) => {
                "Данные записаны другой сборкой сервера, открыть их безопасно нельзя."
            }
            (Self::NotDurable { .. }, Language::En) => {
                "The file system of the data directory cannot keep data safe. Choose a local disk."
            }
            (Self::NotDurable { .. }, Language::Ru) => {
                "Файловая система каталога данных не обеспечивает сохранность. Выберите локальный диск."
            }
            (Self::Database { .. } | Self::Recovery { .. }, Language::En) => {
                "The stored data cannot be opened. Details are in the log."
            }
            (Self::Database { .. } | Self::Recovery { .. }, Language::Ru) => {
                "Сохранённые данные не открываются. Подробности в журнале."
            }
        })
    }
}

// === impl OpError ===

impl OpError {
    pub(crate) fn corrupt(what: &'static str, reason: &dyn std::fmt::Display) -> Self {
        Self::Store(StoreError::Corrupt {
            what,
            reason: reason.to_string(),
        })
    }

    /// The database's own error, if it was one.
    pub(crate) fn code(&self) -> Option<rusqlite::ffi::Error> {
        match self {
            Self::Sql(error) => error.sqlite_error().copied(),
            Self::Store(_) | Self::Begin(_) => None,
        }
    }
}

impl From<StoreError> for OpError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BeginError> for OpError {
    fn from(error: BeginError) -> Self {
        Self::Begin(error)
    }
}

impl From<rusqlite::Error> for OpError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<OpError> for StoreError {
    fn from(error: OpError) -> Self {
        match error {
            OpError::Store(error) | OpError::Begin(BeginError::Store(error)) => error,
            // Only the operation that begins turns makes these, and it keeps them.
            OpError::Begin(_) => Self::Stale,
            OpError::Sql(error) if error.sqlite_error().is_some() => Self::Unavailable {
                reason: error.to_string(),
            },
            OpError::Sql(error) => Self::Corrupt {
                what: "row",
                reason: error.to_string(),
            },
        }
    }
}

impl From<OpError> for BeginError {
    fn from(error: OpError) -> Self {
        match error {
            OpError::Begin(error) => error,
            OpError::Store(_) | OpError::Sql(_) => Self::Store(error.into()),
        }
    }
}
