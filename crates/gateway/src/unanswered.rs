//! What stays in a conversation of a message that has no answer.
//!
//! What a person wrote is still there when they come back, with the words they were told after it, whoever refused,
//! stopped or dropped it. None of it is told to a model: the words are not the model's, and what was refused once must
//! not reach it with the next message.

use crate::commands::Command;
use crate::ports::{NewHistoryMessage, OpenEntry, Outcome};
use crate::words;
use openclaw_core::{ChatMessage, IncomingKind, Role};

/// What is remembered of an entry that ended so, told with these words; empty for none.
pub(crate) fn remembered(entry: &OpenEntry, outcome: Outcome, told: &str) -> Vec<NewHistoryMessage> {
    let text = &entry.message.text;
    let is_question = entry.message.kind == IncomingKind::Message
        && !text.trim().is_empty()
        && Command::parse(text.trim()).is_none();
    if !is_question {
        return Vec::new();
    }
    remembered_as(entry, ChatMessage::text(Role::User, text.clone()), outcome, told)
}

/// The same of what plugins have made of the message.
pub(crate) fn remembered_as(
    entry: &OpenEntry,
    question: ChatMessage,
    outcome: Outcome,
    told: &str,
) -> Vec<NewHistoryMessage> {
    let told = match outcome {
        // In the chat nothing was said: the person saw it stop.
        Outcome::Stopped if told.is_empty() => words::stopped(entry.message.language(), true),
        Outcome::Stopped
        | Outcome::Refused
        | Outcome::Cancelled
        | Outcome::Failed
        | Outcome::Expired
        | Outcome::DeadLettered => told,
        Outcome::Answered | Outcome::Command | Outcome::Ignored => return Vec::new(),
    };
    let words = (!told.is_empty()).then(|| ChatMessage::text(Role::Assistant, told.to_owned()));
    let question = (question, Some(entry.accepted_at));
    std::iter::once(question)
        .chain(words.map(|words| (words, None)))
        .map(|(message, at)| NewHistoryMessage {
            message,
            // No model is told of it.
            tokens: 0,
            model: None,
            unanswered: Some(outcome),
            at,
            finish_reason: None,
        })
        .collect()
}
