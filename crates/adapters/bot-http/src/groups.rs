//! What a bot answers where several people talk.

/// What is answered in groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupMode {
    /// Mentions, replies to the bot and commands.
    #[default]
    Addressed,
    /// Everything the bot is shown.
    All,
    /// Nothing.
    Off,
}
