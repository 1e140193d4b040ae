//! The hooks: where a plugin may look in, what it is shown and what it may answer.

use openclaw_core::{Language, MessageId, PluginId, SessionId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// The longest reason of a cancellation that is shown to a person, in characters; the rest is cut.
pub const MAX_REASON_CHARS: usize = 500;

/// A place in the flow where plugins may look in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookName {
    /// A message was admitted; no model has seen it.
    OnMessageReceived,
    /// A text is about to become visible, cumulative edits included.
    OnBeforeSend,
    /// The final text has been sent.
    OnAfterSend,
    /// A tool is about to be called.
    OnToolInvoked,
    /// A tool has answered; the model has not seen it.
    OnToolCompleted,
    /// A session generation opened.
    OnSessionStart,
    /// A session generation ended.
    OnSessionEnd,
}

/// What happened, as a hook sees it. As JSON it is tagged with `hook` and its fields are camelCase.
///
/// A plugin may change `text` of [`OnMessageReceived`](Self::OnMessageReceived) and
/// [`OnBeforeSend`](Self::OnBeforeSend), `arguments` of [`OnToolInvoked`](Self::OnToolInvoked) and `output` of
/// [`OnToolCompleted`](Self::OnToolCompleted); everything else is for reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "hook", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HookContext {
    /// A message was admitted; no model has seen it. Runs once per attempt.
    OnMessageReceived {
        /// Who wrote.
        tenant: TenantId,
        /// What they wrote. Changeable.
        text: String,
        /// Their language.
        language: Language,
        /// How many attachments came with it.
        attachments: usize,
    },
    /// A text is about to become visible.
    OnBeforeSend {
        /// Who will see it.
        tenant: TenantId,
        /// The whole text so far, never only the newest piece. Changeable.
        text: String,
        /// Whether this is the last word, or an edit that will be followed by another.
        is_final: bool,
    },
    /// The final text has been sent.
    OnAfterSend {
        /// Who sees it.
        tenant: TenantId,
        /// What was sent.
        text: String,
        /// The message as its platform names it.
        message_id: MessageId,
    },
    /// A tool is about to be called.
    OnToolInvoked {
        /// For whom.
        tenant: TenantId,
        /// The model's number of this call; the completion has the same.
        call_id: String,
        /// The tool's name.
        tool: String,
        /// What the model passes. Changeable.
        arguments: Value,
    },
    /// A tool has answered; the model has not seen it.
    OnToolCompleted {
        /// For whom.
        tenant: TenantId,
        /// The model's number of this call.
        call_id: String,
        /// The tool's name.
        tool: String,
        /// What the tool says. Changeable.
        output: String,
        /// Whether the call failed.
        is_error: bool,
    },
    /// A session generation opened.
    OnSessionStart {
        /// Whose.
        tenant: TenantId,
        /// The session.
        session: SessionId,
        /// The number of the generation.
        generation: u64,
    },
    /// A session generation ended.
    OnSessionEnd {
        /// Whose.
        tenant: TenantId,
        /// The session.
        session: SessionId,
        /// The number of the generation.
        generation: u64,
        /// Why it ended.
        reason: SessionEndReason,
    },
}

/// Why a session generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SessionEndReason {
    /// Nobody wrote for too long.
    Expired,
    /// The tenant was suspended.
    Suspended,
    /// The tenant or the session was deleted.
    Deleted,
    /// The person began anew with `/new`.
    Renewed,
}

/// What a hook answers. The default is "go on, nothing changed".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HookResult {
    /// Whether `data` holds changes. Without it `data` is ignored.
    pub modified: bool,
    /// The changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<HookData>,
    /// Stops the chain and the operation; needs no permission. Changes beside it are not taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancel>,
}

/// New values for the changeable fields of a [`HookContext`]. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HookData {
    /// For `onMessageReceived` and `onBeforeSend`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// For `onToolInvoked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// For `onToolCompleted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// A plugin's wish that the operation does not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cancel {
    /// Words for the person, in their language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who stopped an operation, and their words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelReason {
    /// The plugin.
    pub plugin: PluginId,
    /// Its words for the person: not blank, at most [`MAX_REASON_CHARS`] characters.
    pub text: Option<String>,
}

// === impl HookName ===

impl HookName {
    /// All hooks, in the order of a message's life.
    pub const ALL: [Self; 7] = [
        Self::OnMessageReceived,
        Self::OnBeforeSend,
        Self::OnAfterSend,
        Self::OnToolInvoked,
        Self::OnToolCompleted,
        Self::OnSessionStart,
        Self::OnSessionEnd,
    ];

    /// The name in manifests and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnMessageReceived => "onMessageReceived",
            Self::OnBeforeSend => "onBeforeSend",
            Self::OnAfterSend => "onAfterSend",
            Self::OnToolInvoked => "onToolInvoked",
            Self::OnToolCompleted => "onToolCompleted",
            Self::OnSessionStart => "onSessionStart",
            Self::OnSessionEnd => "onSessionEnd",
        }
    }

    /// Whether a cancellation has something to stop: the message, the sending, the tool call. The other hooks tell
    /// of what has happened; cancelling there only spares the plugins further down the chain.
    pub const fn can_cancel(self) -> bool {
        matches!(
            self,
            Self::OnMessageReceived | Self::OnBeforeSend | Self::OnToolInvoked
        )
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl HookContext ===

impl HookContext {
    /// The hook this belongs to.
    pub const fn hook(&self) -> HookName {
        match self {
            Self::OnMessageReceived { .. } => HookName::OnMessageReceived,
            Self::OnBeforeSend { .. } => HookName::OnBeforeSend,
            Self::OnAfterSend { .. } => HookName::OnAfterSend,
            Self::OnToolInvoked { .. } => HookName::OnToolInvoked,
            Self::OnToolCompleted { .. } => HookName::OnToolCompleted,
            Self::OnSessionStart { .. } => HookName::OnSessionStart,
            Self::OnSessionEnd { .. } => HookName::OnSessionEnd,
        }
    }

    /// The tenant at hand.
    pub const fn tenant(&self) -> &TenantId {
        match self {
            Self::OnMessageReceived { tenant, .. }
            | Self::OnBeforeSend { tenant, .. }
            | Self::OnAfterSend { tenant, .. }
            | Self::OnToolInvoked { tenant, .. }
            | Self::OnToolCompleted { tenant, .. }
            | Self::OnSessionStart { tenant, .. }
            | Self::OnSessionEnd { tenant, .. } => tenant,
        }
    }

    /// What was written or is to be sent: the text of a message, the output of a tool.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::OnMessageReceived { text, .. }
            | Self::OnBeforeSend { text, .. }
            | Self::OnAfterSend { text, .. }
            | Self::OnToolCompleted { output: text, .. } => Some(text),
            Self::OnToolInvoked { .. } | Self::OnSessionStart { .. } | Self::OnSessionEnd { .. } => None,
        }
    }

    /// The same without anything that people, models or tools said: texts empty, arguments null.
    pub(crate) fn withheld(&self) -> Self {
        let mut copy = self.clone();
        match &mut copy {
            Self::OnMessageReceived { text, .. }
            | Self::OnBeforeSend { text, .. }
            | Self::OnAfterSend { text, .. }
            | Self::OnToolCompleted { output: text, .. } => text.clear(),
            Self::OnToolInvoked { arguments, .. } => *arguments = Value::Null,
            Self::OnSessionStart { .. } | Self::OnSessionEnd { .. } => {}
        }
        copy
    }

    /// Takes over the changes that belong to this hook. Answers whether anything is different now.
    pub(crate) fn apply(&mut self, data: HookData) -> bool {
        match self {
            Self::OnMessageReceived { text, .. } | Self::OnBeforeSend { text, .. } => {
                replace(text, data.text)
            }
            Self::OnToolInvoked { arguments, .. } => replace(arguments, data.arguments),
            Self::OnToolCompleted { output, .. } => replace(output, data.output),
            Self::OnAfterSend { .. } | Self::OnSessionStart { .. } | Self::OnSessionEnd { .. } => false,
        }
    }
}

fn replace<T: PartialEq>(current: &mut T, new: Option<T>) -> bool {
    match new {
        Some(new) if new != *current => {
            *current = new;
            true
        }
        _ => false,
    }
}

// === impl HookResult ===

impl HookResult {
    /// Go on, nothing changed.
    pub fn unchanged() -> Self {
        Self::default()
    }

    /// Go on with another text, for `onMessageReceived` and `onBeforeSend`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::changed(HookData {
            text: Some(text.into()),
            ..HookData::default()
        })
    }

    /// Go on with these changes.
    pub fn changed(data: HookData) -> Self {
        Self {
            modified: true,
            data: Some(data),
            cancel: None,
        }
    }

    /// Stop here, with words for the person if there are any.
    pub fn cancelled(reason: Option<String>) -> Self {
        Self {
            cancel: Some(Cancel { reason }),
            ..Self::default()
        }
    }
}

// === impl Cancel ===

impl Cancel {
    /// The reason fit for showing: trimmed, cut, `None` when blank.
    pub(crate) fn into_text(self) -> Option<String> {
        let reason = self.reason?;
        let text: String = reason.trim().chars().take(MAX_REASON_CHARS).collect();
        (!text.is_empty()).then_some(text)
    }
}

// === impl CancelReason ===

impl CancelReason {
    /// What the person is told: the plugin's words, or that something in the way of the message stopped it.
    pub fn user_message(&self, language: Language) -> Cow<'_, str> {
        match (&self.text, language) {
            (Some(text), _) => Cow::Borrowed(text),
            (None, Language::En) => Cow::Borrowed("This message was stopped by a rule of this server."),
            (None, Language::Ru) => Cow::Borrowed("Сообщение остановлено правилом этого сервера."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::Language;

    #[test]
    fn each_hook_has_a_bit_and_a_place_of_its_own() {
        let mut bits = 0;
        for (place, hook) in HookName::ALL.into_iter().enumerate() {
            assert_eq!(hook.index(), place);
            assert_eq!(bits & hook.bit(), 0, "{hook} shares its bit");
            bits |= hook.bit();
            assert_eq!(serde_json::to_value(hook).expect("a name"), hook.as_str());
        }
    }

    #[test]
    fn a_context_reads_as_the_documented_json() {
        let context = HookContext::OnBeforeSend {
            tenant: "web:anna:1".parse().expect("a tenant"),
            text: "Hello".into(),
            is_final: true,
        };
        let json = serde_json::json!({"hook": "onBeforeSend", "tenant": "web:anna:1", "text": "Hello", "isFinal": true});
        assert_eq!(serde_json::to_value(&context).expect("json"), json);
        assert_eq!(
            serde_json::from_value::<HookContext>(json).expect("a context"),
            context
        );
    }

    #[test]
    fn an_answer_may_leave_out_what_it_does_not_need_and_may_not_invent_fields() {
        let read = |json: &str| serde_json::from_str::<HookResult>(json);
        assert_eq!(read("{}").expect("empty"), HookResult::unchanged());
        assert_eq!(
            read(r#"{"modified":true,"data":{"text":"x"}}"#).expect("a change"),
            HookResult::text("x")
        );
        assert_eq!(
            read(r#"{"cancel":{}}"#).expect("a stop"),
            HookResult::cancelled(None)
        );
        assert!(read(r#"{"data":{"tenant":"web:eve:1"}}"#).is_err());
        assert!(read(r#"{"canceled":true}"#).is_err());
    }

    #[test]
    fn a_reason_is_trimmed_cut_and_never_blank() {
        let text = |reason: &str| {
            Cancel {
                reason: Some(reason.into()),
            }
            .into_text()
        };
        assert_eq!(text("  no \n"), Some("no".into()));
        assert_eq!(text(" \t"), None);
        assert_eq!(
            text(&"ж".repeat(900)).map(|text| text.chars().count()),
            Some(MAX_REASON_CHARS)
        );
    }

    #[test]
    fn the_person_reads_the_plugins_words_or_ours_in_their_language() {
        let mut reason = CancelReason {
            plugin: PluginId::parse("x").expect("an id"),
            text: None,
        };
        let ours = Language::ALL.map(|language| reason.user_message(language).into_owned());
        assert_ne!(ours[0], ours[1]);
        reason.text = Some("Office hours only".into());
        assert_eq!(reason.user_message(Language::Ru), "Office hours only");
    }
}
