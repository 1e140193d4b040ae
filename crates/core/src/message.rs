//! Messages: what people write, what they are shown, and what a model is told.

use crate::id::{BotId, ChatId, MessageId, TenantId, UserId};
use crate::language::Language;
use crate::platform::Platform;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A message from a person, the same for all platforms. It is stored in the inbox in this shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncomingMessage {
    /// Where it came from.
    pub platform: Platform,
    /// Which of our bots got it.
    #[serde(default)]
    pub bot: BotId,
    /// The platform's own key of this delivery: unique per platform and bot, the same when it is delivered again.
    pub update_key: String,
    /// Who wrote.
    pub user: UserId,
    /// Where they wrote, and where the answer goes.
    pub chat: ChatId,
    /// What kind of chat that is.
    pub chat_kind: ChatKind,
    /// What happened.
    pub kind: IncomingKind,
    /// The platform's id of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The text, or a caption. May be empty.
    pub text: String,
    /// What came with it, by reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The person's language, where the platform tells it or the text shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// When it was written, by the platform's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

/// What an incoming message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncomingKind {
    /// A new message.
    Message,
    /// A message changed by its author.
    Edited,
    /// A button below one of our messages was pressed; `text` holds its data.
    Callback,
    /// The person asked to stop the answer that is being written.
    Stop,
}

/// Who is in a chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// One person and us.
    #[default]
    Private,
    /// Several people.
    Group,
    /// A broadcast.
    Channel,
}

/// A file, photo or voice message, by the platform's reference to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// What it is, in the platform's words: `photo`, `document`, `voice` ….
    pub kind: String,
    /// The platform's reference.
    pub reference: String,
    /// The sender's name for it; hostile until proven otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its size in bytes, where told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A message to a person. Each platform's adapter turns it into its own form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutgoingMessage {
    /// Where it goes.
    pub chat: ChatId,
    /// What kind of chat that is: limits and streaming differ.
    pub chat_kind: ChatKind,
    /// The message it answers, where the platform can show that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The whole text. Never only the newest piece.
    pub text: String,
    /// How the text is to be read.
    pub format: TextFormat,
}

/// How a text is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextFormat {
    /// As it stands.
    Plain,
    /// Markdown as models write it.
    Markdown,
}

/// Who said something in a conversation with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The operator's instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

/// One message of a conversation with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: Vec<ContentBlock>,
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentBlock {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A model calls a tool.
    ToolUse {
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments as JSON text; an empty object when there are none.
        arguments: String,
    },
    /// What a tool answered.
    ToolResult {
        /// The call's id.
        id: String,
        /// The answer.
        content: String,
        /// Whether the tool failed.
        #[serde(default)]
        is_error: bool,
    },
    /// A part we pass on as it stands, such as an image of a request in OpenAI's form.
    Other {
        /// The part.
        value: serde_json::Value,
    },
}

// === impl IncomingMessage ===

impl IncomingMessage {
    /// The tenant who wrote.
    pub fn tenant_id(&self) -> TenantId {
        TenantId::new(self.platform, self.user.clone(), self.chat.clone())
    }

    /// The language to answer in: the one the person is known to read, else English.
    pub fn language(&self) -> Language {
        self.known_language().unwrap_or_default()
    }

    /// The language the person is known to read: the platform's word, else the text's letters. A command such as
    /// `/start` is in nobody's language, so its letters do not count.
    pub fn known_language(&self) -> Option<Language> {
        let said = match self.text.trim_start().strip_prefix('/') {
            Some(command) => command
                .split_once(char::is_whitespace)
                .map_or("", |(_, rest)| rest),
            None => &self.text,
        };
        self.language.or_else(|| Language::of_text(said))
    }
}

// === impl ChatMessage ===

impl ChatMessage {
    /// A message of one text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            content: vec![ContentBlock::Text { text: text.into() }],
        }
    }

    /// All text of the message, joined.
    pub fn joined_text(&self) -> String {
        self.content
            .iter()
            .filter_map(|block| match block {
                ContentBlock::Text { text } => Some(text.as_str()),
                ContentBlock::ToolUse { .. }
                | ContentBlock::ToolResult { .. }
                | ContentBlock::Other { .. } => None,
            })
            .collect()
    }
}
