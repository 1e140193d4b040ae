//! What can go wrong, and what people are told about it.

use crate::permission::PluginPermission;
use crate::state::PluginState;
use openclaw_core::{CodedError, Language, PluginId, ValidationError};
use std::borrow::Cow;
use std::time::Duration;

/// One state does not follow the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a plugin cannot go from {from} to {to}")]
pub struct TransitionError {
    /// Where it stands.
    pub from: PluginState,
    /// Where it was to go.
    pub to: PluginState,
}

/// An operator's request about a plugin was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The manifest is not sound. Nothing was registered.
    #[error("the manifest is not valid")]
    Manifest(#[source] ValidationError),
    /// The configuration or a permission is not accepted; the message names the field or the permission. When an
    /// installation or an activation was refused, the plugin is in `error` now; otherwise nothing changed.
    #[error("plugin `{plugin}` is refused: {message}")]
    Refused {
        /// The plugin.
        plugin: PluginId,
        /// Every fault, one per line; never shows a configured value.
        message: String,
    },
    /// The plugin's code did not start. When an activation failed, the plugin is in `error` now.
    #[error("plugin `{plugin}` did not start")]
    Start {
        /// The plugin.
        plugin: PluginId,
        /// Why.
        source: SandboxError,
    },
    /// No plugin of this name is registered.
    #[error("no plugin `{plugin}` is registered")]
    NotFound {
        /// The name.
        plugin: PluginId,
    },
    /// A plugin of this name is registered already; a new version is taken in with an update.
    #[error("plugin `{plugin}` is registered already")]
    AlreadyRegistered {
        /// The name.
        plugin: PluginId,
    },
    /// The registry is full.
    #[error("{limit} plugins are registered, which is the most there may be")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// The plugin's state does not allow this.
    #[error("plugin `{plugin}` does not allow this in its state")]
    State {
        /// The plugin.
        plugin: PluginId,
        /// What was asked for.
        source: TransitionError,
    },
    /// The plugin was changed by somebody else meanwhile. Nothing was done; ask again.
    #[error("plugin `{plugin}` was changed meanwhile")]
    Changed {
        /// The plugin.
        plugin: PluginId,
    },
    /// There is no earlier version to go back to.
    #[error("plugin `{plugin}` has no earlier version")]
    NoPrevious {
        /// The plugin.
        plugin: PluginId,
    },
}

/// A plugin reached for something it was not given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// The permission is missing.
    #[error("permission `{permission}` is not granted")]
    Missing {
        /// Which.
        permission: PluginPermission,
    },
    /// The host is not on the list.
    #[error("host `{host}` is not on the plugin's list")]
    Host {
        /// Which, cut to 128 characters.
        host: String,
    },
    /// The files are another tenant's.
    #[error("the files belong to another tenant")]
    OtherTenant,
}

/// Why a sandbox did not start a plugin's code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// This server runs no plugin code.
    #[error("this server is configured to run no plugin code")]
    Disabled,
    /// No code of this name is compiled in.
    #[error("no plugin `{entry_point}` is compiled in")]
    UnknownEntryPoint {
        /// The manifest's entry point.
        entry_point: String,
    },
    /// The code could not be read, or refused to start.
    #[error("the code does not start: {message}")]
    Invalid {
        /// Why, in the sandbox's or the plugin's words, for the operator.
        message: String,
    },
    /// The code panicked while starting.
    #[error("the code panicked while starting")]
    Panicked,
    /// Starting took too long and was given up.
    #[error("the code did not start within {} ms", .limit.as_millis())]
    TooSlow {
        /// How long it might have taken.
        limit: Duration,
    },
}

/// Why a hook's answer was not used. The message went on unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// The plugin says it failed.
    #[error("the hook failed: {message}")]
    Failed {
        /// The plugin's words, for the operator.
        message: String,
    },
    /// The sandbox stopped the code.
    #[error("the code was stopped: {message}")]
    Trapped {
        /// The sandbox's words, for the operator.
        message: String,
    },
    /// The code panicked.
    #[error("the hook panicked: {message}")]
    Panicked {
        /// The panic's words, for the operator.
        message: String,
    },
    /// It took longer than it may.
    #[error("the hook took longer than {} ms", .limit.as_millis())]
    TooSlow {
        /// How long it may take.
        limit: Duration,
    },
    /// It needed more memory than it may.
    #[error("the hook needed more than {limit_bytes} bytes of memory")]
    OutOfMemory {
        /// How much it may have, in bytes.
        limit_bytes: u64,
    },
    /// Its answer is longer than it may be.
    #[error("the hook answered with {bytes} bytes, {limit_bytes} are allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit_bytes: usize,
    },
}

// === impl HookError ===

impl HookError {
    /// The kind, as events and metrics name it. Holds no words of the plugin.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "failed",
            Self::Trapped { .. } => "trapped",
            Self::Panicked { .. } => "panicked",
            Self::TooSlow { .. } => "too_slow",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::TooLong { .. } => "too_long",
        }
    }
}

// === impl CodedError ===

fn in_language(language: Language, en: &'static str, ru: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(match language {
        Language::En => en,
        Language::Ru => ru,
    })
}

impl CodedError for TransitionError {
    fn code(&self) -> &'static str {
        "PLUGIN_TRANSITION"
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Owned(match language {
            Language::En => format!("A plugin cannot go from {} to {}.", self.from, self.to),
            Language::Ru => format!(
                "Плагин не может перейти из состояния {} в {}.",
                self.from, self.to
            ),
        })
    }
}

impl CodedError for PluginError {
    fn code(&self) -> &'static str {
        match self {
            Self::Manifest(_) => "PLUGIN_MANIFEST",
            Self::Refused { .. } => "PLUGIN_REFUSED",
            Self::Start { .. } => "PLUGIN_START",
            Self::NotFound { .. } => "PLUGIN_NOT_FOUND",
            Self::AlreadyRegistered { .. } => "PLUGIN_ALREADY_REGISTERED",
            Self::TooMany { .. } => "PLUGIN_TOO_MANY",
            Self::State { .. } => "PLUGIN_STATE",
            Self::Changed { .. } => "PLUGIN_CHANGED",
            Self::NoPrevious { .. } => "PLUGIN_NO_PREVIOUS",
        }
    }

    fn recoverable(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        match self {
            Self::Manifest(_) => in_language(
                language,
                "The plugin's manifest is not valid.",
                "Манифест плагина составлен неверно.",
            ),
            Self::Refused { .. } => in_language(
                language,
                "The plugin's configuration or permissions are not accepted.",
                "Настройки или разрешения плагина не приняты.",
            ),
            Self::Start { .. } => in_language(language, "The plugin did not start.", "Плагин не запустился."),
            Self::NotFound { .. } => in_language(language, "There is no such plugin.", "Такого плагина нет."),
            Self::AlreadyRegistered { .. } => in_language(
                language,
                "A plugin of this name is registered already.",
                "Плагин с таким именем уже зарегистрирован.",
            ),
            Self::TooMany { .. } => {
                in_language(language, "There are too many plugins.", "Плагинов слишком много.")
            }
            Self::State { source, .. } => source.user_message(language),
            Self::Changed { .. } => in_language(
                language,
                "The plugin was changed meanwhile. Please try again.",
                "Плагин тем временем изменился. Попробуйте ещё раз.",
            ),
            Self::NoPrevious { .. } => in_language(
                language,
                "There is no earlier version of this plugin.",
                "Предыдущей версии этого плагина нет.",
            ),
        }
    }
}

impl CodedError for PermissionError {
    fn code(&self) -> &'static str {
        "PLUGIN_PERMISSION"
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        in_language(
            language,
            "The plugin is not allowed to do this.",
            "Плагину это не разрешено.",
        )
    }
}

impl CodedError for SandboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::Disabled => "PLUGIN_CODE_DISABLED",
            Self::UnknownEntryPoint { .. } => "PLUGIN_UNKNOWN_ENTRY_POINT",
            Self::Invalid { .. } => "PLUGIN_CODE_INVALID",
            Self::Panicked => "PLUGIN_CODE_PANICKED",
            Self::TooSlow { .. } => "PLUGIN_CODE_TOO_SLOW",
        }
    }

    fn recoverable(&self) -> bool {
        matches!(self, Self::TooSlow { .. })
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        match self {
            Self::Disabled => in_language(
                language,
                "This server runs no plugin code.",
                "Этот сервер не исполняет код плагинов.",
            ),
            Self::UnknownEntryPoint { .. } | Self::Invalid { .. } | Self::Panicked | Self::TooSlow { .. } => {
                in_language(
                    language,
                    "The plugin's code did not start.",
                    "Код плагина не запустился.",
                )
            }
        }
    }
}

impl CodedError for HookError {
    fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "HOOK_FAILED",
            Self::Trapped { .. } => "HOOK_TRAPPED",
            Self::Panicked { .. } => "HOOK_PANICKED",
            Self::TooSlow { .. } => "HOOK_TOO_SLOW",
            Self::OutOfMemory { .. } => "HOOK_OUT_OF_MEMORY",
            Self::TooLong { .. } => "HOOK_TOO_LONG",
        }
    }

    fn recoverable(&self) -> bool {
        true
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        in_language(
            language,
            "A plugin failed; the message went on without it.",
            "Плагин дал сбой; сообщение обработано без него.",
        )
    }
}
