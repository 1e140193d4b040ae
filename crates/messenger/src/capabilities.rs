//! What a platform can do, as its adapter states it.

use crate::limits::RateLimit;
use openclaw_core::ChatKind;

/// What a platform can do and how fast it likes to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Messages can be changed after they were sent.
    pub edit: bool,
    /// There is a typing indicator.
    pub typing: bool,
    /// A message can be shown while it is being written, without being sent. May turn false while running, when the
    /// platform says that it does not know the call.
    pub drafts: bool,
    /// What formatting the platform shows.
    pub markup: Markup,
    /// The longest text of one message, in `unit`; `None` is unlimited.
    pub max_length: Option<usize>,
    /// What `max_length` counts.
    pub unit: LengthUnit,
    /// A chat can have topics, `{chat}.{topic}`.
    pub threads: bool,
    /// Outgoing calls of all chats together count against one limit of the bot.
    pub bot_limit: bool,
    /// The platform's own limit of a chat with one person, where it is lower than the configured one.
    pub private_limit: Option<RateLimit>,
    /// The platform's own limit of a group or channel, where it is lower than the configured one.
    pub group_limit: Option<RateLimit>,
    /// How often a draft may change in one chat. Drafts do not count as messages of the chat.
    pub draft_limit: Option<RateLimit>,
}

/// What a length limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthUnit {
    /// UTF-16 code units.
    Utf16,
    /// Unicode scalar values.
    Scalars,
}

/// What formatting a platform shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// None: text is shown as it stands.
    None,
    /// Ranges of the text with a meaning.
    Entities,
    /// Markdown, read by the platform or the page.
    Markdown,
}

// === impl Capabilities ===

impl Capabilities {
    /// The platform's own limit for a kind of chat.
    pub fn chat_limit(&self, kind: ChatKind) -> Option<RateLimit> {
        match kind {
            ChatKind::Private => self.private_limit,
            ChatKind::Group | ChatKind::Channel => self.group_limit,
        }
    }
}

// === impl LengthUnit ===

impl LengthUnit {
    /// The length of a text in this unit.
    pub fn measure(self, text: &str) -> usize {
        match self {
            Self::Utf16 => text.encode_utf16().count(),
            Self::Scalars => text.chars().count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_differ_outside_the_basic_plane() {
        assert_eq!(LengthUnit::Utf16.measure("a😀"), 3);
        assert_eq!(LengthUnit::Scalars.measure("a😀"), 2);
    }
}
