//! What of a conversation is told to a model again.
//!
//! The newest of it within a limit of tokens. A tool call and its results stand or fall together, since providers
//! refuse one without the other; what is already incomplete is left out. The system prompt always stays.

use openclaw_core::{ChatMessage, ContentBlock, Role};
use std::collections::HashMap;

/// A message with what it counts against the limit.
#[derive(Clone, Debug, PartialEq)]
pub struct SizedMessage {
    /// What was said and by whom.
    pub message: ChatMessage,
    /// Its tokens.
    pub tokens: u64,
}

/// Messages that are kept or dropped together: `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit {
    start: usize,
    end: usize,
    /// Whether all calls have results and all results calls.
    whole: bool,
}

/// The conversation, oldest first, cut to `max_tokens` together.
///
/// - System messages stay, wherever they stand and whatever they count.
/// - Of the rest the newest stay, without a gap, as far as the limit allows; when several turns stay, the first of them
///   stays from its beginning, the person's message.
/// - A tool call stays only with all its results and a result only with its call. Calls that wait for their results at
///   the very end of the conversation stay.
///
/// What stays counts at most `max_tokens`, unless the system messages alone count more.
pub fn trim_history(history: Vec<SizedMessage>, max_tokens: u64) -> Vec<SizedMessage> {
    let system = |message: &SizedMessage| message.message.role == Role::System;
    let prompt = sum(history.iter().filter(|message| system(message)));
    // A prompt beyond the limit leaves room for nothing, not even for what counts nothing.
    let mut room = max_tokens.checked_sub(prompt);
    let units = units(&history);
    // From the newest back. What is not whole is passed over: it is no reason to forget what came before.
    let mut kept: Vec<Unit> = Vec::new();
    for unit in units.iter().rev().filter(|unit| unit.whole) {
        let tokens = sum(messages(&history, *unit)
            .iter()
            .filter(|message| !system(message)));
        room = room.and_then(|room| room.checked_sub(tokens));
        if room.is_none() {
            break;
        }
        kept.push(*unit);
    }
    kept.reverse();
    let asks = |unit: &Unit| {
        messages(&history, *unit)
            .iter()
            .any(|message| message.message.role == Role::User)
    };
    let begins = kept.iter().position(asks).unwrap_or(0);
    let mut stays = vec![false; history.len()];
    for unit in kept.iter().skip(begins) {
        stays
            .iter_mut()
            .take(unit.end)
            .skip(unit.start)
            .for_each(|stays| *stays = true);
    }
    history
        .into_iter()
        .zip(stays)
        .filter(|(message, stays)| *stays || system(message))
        .map(|(message, _)| message)
        .collect()
}

fn sum<'a>(messages: impl Iterator<Item = &'a SizedMessage>) -> u64 {
    messages.fold(0, |sum, message| sum.saturating_add(message.tokens))
}

fn messages(history: &[SizedMessage], unit: Unit) -> &[SizedMessage] {
    history.get(unit.start..unit.end).unwrap_or_default()
}

fn calls(message: &SizedMessage) -> impl Iterator<Item = &str> {
    message.message.content.iter().filter_map(|block| match block {
        ContentBlock::ToolUse { id, .. } => Some(id.as_str()),
        ContentBlock::Text { .. } | ContentBlock::ToolResult { .. } | ContentBlock::Other { .. } => None,
    })
}

fn results(message: &SizedMessage) -> impl Iterator<Item = &str> {
    message.message.content.iter().filter_map(|block| match block {
        ContentBlock::ToolResult { id, .. } => Some(id.as_str()),
        ContentBlock::Text { .. } | ContentBlock::ToolUse { .. } | ContentBlock::Other { .. } => None,
    })
}

/// Splits the conversation into the smallest pieces that no call crosses.
fn units(history: &[SizedMessage]) -> Vec<Unit> {
    let answered_at = answers(history);
    let mut units = Vec::new();
    let mut start = 0;
    while start < history.len() {
        let mut end = start + 1;
        let mut whole = true;
        let mut waiting = false;
        // How many calls of each id are open. Some providers number calls anew in every turn.
        let mut open: HashMap<&str, usize> = HashMap::new();
        let mut at = start;
        while let Some(message) = history.get(at).filter(|_| at < end) {
            for id in results(message) {
                match open.get_mut(id) {
                    Some(count) if *count > 0 => *count -= 1,
                    Some(_) | None => whole = false,
                }
            }
            for (id, answer) in calls(message).zip(answered_at.get(at).into_iter().flatten()) {
                *open.entry(id).or_default() += 1;
                match answer {
                    Some(answer) => end = end.max(answer + 1),
                    None => waiting = true,
                }
            }
            at += 1;
        }
        let answered = open.values().all(|count| *count == 0);
        let is_last = end == history.len()
            && waiting
            && history
                .get(start)
                .is_some_and(|first| calls(first).next().is_some());
        units.push(Unit {
            start,
            end,
            whole: whole && (answered || is_last),
        });
        start = end;
    }
    units
}

/// For each call of each message the message that holds its result: the nearest one that no later call has taken.
fn answers(history: &[SizedMessage]) -> Vec<Vec<Option<usize>>> {
    let mut free: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut answers = Vec::with_capacity(history.len());
    for (at, message) in history.iter().enumerate().rev() {
        let mut take = |id| free.get_mut(id).and_then(Vec::pop);
        answers.push(calls(message).map(&mut take).collect());
        for id in results(message) {
            free.entry(id).or_default().push(at);
        }
    }
    answers.reverse();
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `s` system, `u` user, `a` assistant, `c1` a call, `r1` its result; each with its tokens after `:`.
    fn conversation(text: &str) -> Vec<SizedMessage> {
        text.split_whitespace()
            .map(|word| {
                let (what, tokens) = word.split_once(':').expect("tokens");
                let (kind, ids) = what.split_at(1);
                let content =
                    |block: fn(String) -> ContentBlock| ids.chars().map(|id| block(id.to_string())).collect();
                let message = match kind {
                    "s" => ChatMessage::text(Role::System, ids),
                    "u" => ChatMessage::text(Role::User, ids),
                    "a" => ChatMessage::text(Role::Assistant, ids),
                    "c" => ChatMessage {
                        role: Role::Assistant,
                        content: content(|id| ContentBlock::ToolUse {
                            id,
                            name: "Read".into(),
                            arguments: "{}".into(),
                        }),
                    },
                    "r" => ChatMessage {
                        role: Role::Tool,
                        content: content(|id| ContentBlock::ToolResult {
                            id,
                            content: String::new(),
                            is_error: false,
                        }),
                    },
                    other => panic!("{other}"),
                };
                SizedMessage {
                    message,
                    tokens: tokens.parse().expect("a number"),
                }
            })
            .collect()
    }

    #[track_caller]
    fn check(history: &str, max_tokens: u64, expected: &str) {
        assert_eq!(
            trim_history(conversation(history), max_tokens),
            conversation(expected),
            "{history} within {max_tokens}"
        );
    }

    #[test]
    fn everything_stays_within_the_limit() {
        check("s:5 u:1 a:2 u:3 a:4", 15, "s:5 u:1 a:2 u:3 a:4");
        check("", 10, "");
    }

    #[test]
    fn the_newest_turns_stay_and_begin_with_the_persons_message() {
        check("s:5 u:1 a:2 u:3 a:4", 14, "s:5 u:3 a:4");
        check("u1:1 a:9 u2:1 a:1", 11, "u2:1 a:1");
        check("u1:1 a:9 u2:1 a:1", 12, "u1:1 a:9 u2:1 a:1");
    }

    #[test]
    fn the_system_prompt_stays_and_counts() {
        check("s:5 u:1 a:2", 5, "s:5");
        check("s:50 u:1 a:2", 5, "s:50");
        check("s:5 u:1 a:2", 0, "s:5");
        check("u:1 s:2 a:1 u:9", 11, "s:2 u:9");
    }

    #[test]
    fn a_call_and_its_result_stand_or_fall_together() {
        check("u1:1 c1:1 r1:5 a:1 u2:1 a:1", 9, "u2:1 a:1");
        check("u1:1 c1:1 r1:5 a:1 u2:1 a:1", 10, "u1:1 c1:1 r1:5 a:1 u2:1 a:1");
        // One long turn alone: what follows the pair stays, the pair would not fit.
        check("u1:50 c1:1 r1:5 c2:1 r2:5 a:1", 8, "c2:1 r2:5 a:1");
        check("u1:50 c12:1 r1:5 r2:5 a:1", 11, "a:1");
    }

    #[test]
    fn what_is_already_incomplete_is_left_out() {
        check("r1:1 a:1 u:1 a:1", 99, "u:1 a:1");
        check("u1:1 c1:1 u2:1 a:1", 99, "u1:1 u2:1 a:1");
        check("u1:1 c12:1 r1:1 u2:1 a:1", 99, "u1:1 u2:1 a:1");
        check("u1:1 c1:1 r1:1 r1:1 a:1", 99, "u1:1 c1:1 r1:1 a:1");
    }

    #[test]
    fn calls_at_the_end_wait_for_their_results() {
        check("u1:1 c1:1", 99, "u1:1 c1:1");
        check("u1:1 c12:1 r1:1", 99, "u1:1 c12:1 r1:1");
    }

    #[test]
    fn ids_that_come_again_belong_to_the_nearest_call() {
        check("u1:1 c1:1 r1:1 u2:1 c1:1 r1:1 a:1", 4, "u2:1 c1:1 r1:1 a:1");
        check("u1:1 c1:1 u2:1 c1:1 r1:1 a:1", 99, "u1:1 u2:1 c1:1 r1:1 a:1");
    }

    fn words() -> impl Strategy<Value = String> {
        proptest::collection::vec("(s|u|a|c1|c2|c12|r1|r2|r12):[0-9]", 0..14)
            .prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn what_stays_is_in_order_within_the_limit_and_whole(history in words(), max_tokens in 0_u64..40) {
            let history = conversation(&history);
            let trimmed = trim_history(history.clone(), max_tokens);
            // In order, nothing invented.
            let mut rest = history.iter();
            prop_assert!(trimmed.iter().all(|kept| rest.any(|message| message == kept)));
            // Within the limit, or the system prompt alone.
            let system = |messages: &[SizedMessage]| -> Vec<SizedMessage> {
                messages.iter().filter(|m| m.message.role == Role::System).cloned().collect()
            };
            let prompt = system(&history);
            prop_assert_eq!(&system(&trimmed), &prompt);
            prop_assert!(sum(trimmed.iter()) <= max_tokens || trimmed == prompt);
            // No result without a call before it, no call without a result after it but at the end.
            let mut open: HashMap<String, i32> = HashMap::new();
            for message in &trimmed {
                for id in results(message) {
                    let count = open.entry(id.to_owned()).or_default();
                    *count -= 1;
                    prop_assert!(*count >= 0, "a result without its call: {:?}", trimmed);
                }
                for id in calls(message) {
                    *open.entry(id.to_owned()).or_default() += 1;
                }
            }
            // Trimming again changes nothing.
            prop_assert_eq!(trim_history(trimmed.clone(), max_tokens), trimmed);
        }

        #[test]
        fn a_conversation_that_fits_and_is_whole_is_left_alone(turns in 0_usize..6, calls in 0_usize..3) {
            let turn = format!("u:1 {} a:1 ", "c1:1 r1:1 ".repeat(calls));
            let history = conversation(&turn.repeat(turns));
            prop_assert_eq!(trim_history(history.clone(), 1_000), history);
        }
    }
}
