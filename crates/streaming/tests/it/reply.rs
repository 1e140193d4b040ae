//! The response handler: what is sent, edited and deleted, and when.

use openclaw_core::{MessageId, Monotonic};
use openclaw_streaming::{
    Action, LengthUnit, MessageLimit, Outcome, ReplyConfig, ReplyMode, ResponseHandler, StreamConfig,
    split_message,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn at(millis: u64) -> Monotonic {
    Monotonic::from_origin(Duration::from_millis(millis))
}

fn id(number: u64) -> MessageId {
    MessageId::parse(number.to_string()).expect("digits are an id")
}

fn config(max: usize, mode: ReplyMode) -> ReplyConfig {
    let limit = MessageLimit::new(max, LengthUnit::Utf16);
    ReplyConfig::new(StreamConfig::default(), limit, mode)
}

/// 200 characters: as much as is flushed at once.
fn flushed(letter: &str) -> String {
    letter.repeat(200)
}

fn send(part: u32, text: &str, last: bool) -> Option<Action> {
    let text = text.to_owned();
    Some(Action::Send { part, text, last })
}

fn edit(part: u32, message: u64, text: &str, last: bool) -> Option<Action> {
    Some(Action::Edit {
        part,
        message_id: id(message),
        text: text.to_owned(),
        last,
    })
}

fn sent(message: u64) -> Outcome {
    Outcome::Sent {
        message_id: id(message),
    }
}

fn handler(max: usize, mode: ReplyMode) -> ResponseHandler {
    ResponseHandler::new(config(max, mode), Vec::new(), at(0))
}

/// A handler that has shown `text` as message 1 and waits.
fn showing(text: &str) -> ResponseHandler {
    let mut reply = handler(4_096, ReplyMode::Edit);
    reply.push(text, at(0));
    assert_eq!(reply.next_action(at(500)), send(0, text, false));
    reply.acted(sent(1), at(500));
    reply
}

#[test]
fn typing_is_shown_at_once_and_again_until_the_first_text() {
    let mut reply = handler(4_096, ReplyMode::Edit);
    assert_eq!(reply.next_wakeup(), Some(at(0)));
    assert_eq!(reply.next_action(at(0)), Some(Action::Typing));
    assert_eq!(reply.next_action(at(0)), None);
    assert_eq!(reply.next_wakeup(), Some(at(4_000)));
    assert_eq!(reply.next_action(at(3_999)), None);
    assert_eq!(reply.next_action(at(4_000)), Some(Action::Typing));
    assert_eq!(reply.next_action(at(8_100)), Some(Action::Typing));
    reply.push("Hello", at(8_200));
    assert_eq!(reply.next_wakeup(), Some(at(8_700)));
    assert_eq!(reply.next_action(at(8_700)), send(0, "Hello", false));
    reply.acted(sent(1), at(8_800));
    assert_eq!(reply.next_wakeup(), None);
    assert_eq!(reply.next_action(at(20_000)), None);
}

#[test]
fn the_api_shows_no_typing() {
    let stream = StreamConfig {
        typing_indicator_interval: None,
        ..StreamConfig::default()
    };
    let config = ReplyConfig::new(stream, MessageLimit::UNLIMITED, ReplyMode::Edit);
    let mut reply = ResponseHandler::new(config, Vec::new(), at(0));
    assert_eq!((reply.next_action(at(0)), reply.next_wakeup()), (None, None));
}

#[test]
fn the_first_flush_sends_and_later_ones_edit_with_the_whole_text() {
    let mut reply = showing("One");
    reply.push(" two", at(600));
    assert_eq!(reply.next_action(at(1_099)), None);
    assert_eq!(reply.next_action(at(1_100)), edit(0, 1, "One two", false));
    reply.acted(Outcome::Edited, at(1_100));
    reply.push(" three", at(1_200));
    reply.finish(at(1_250));
    assert_eq!(reply.next_action(at(1_250)), edit(0, 1, "One two three", true));
    reply.acted(Outcome::Edited, at(1_300));
    assert!(reply.is_settled());
    assert!(reply.final_parts()[0].delivered);
}

#[test]
fn one_message_action_is_outstanding_and_what_comes_meanwhile_is_merged() {
    let mut reply = handler(4_096, ReplyMode::Edit);
    reply.push(&flushed("a"), at(0));
    assert_eq!(reply.next_action(at(0)), send(0, &flushed("a"), false));
    for letter in ["b", "c", "d"] {
        reply.push(&flushed(letter), at(10));
        assert_eq!((reply.next_action(at(10)), reply.next_wakeup()), (None, None));
    }
    reply.acted(sent(1), at(20));
    assert_eq!(
        reply.next_action(at(20)),
        edit(0, 1, reply.text().to_owned().as_str(), false)
    );
    reply.acted(Outcome::Edited, at(30));
    assert_eq!(reply.next_action(at(30)), None);
}

#[test]
fn after_a_throttle_only_the_newest_text_goes() {
    let mut reply = showing("One");
    reply.push(&flushed("a"), at(600));
    assert!(reply.next_action(at(600)).is_some());
    reply.acted(Outcome::Throttled { until: at(3_000) }, at(600));
    assert_eq!(reply.next_wakeup(), Some(at(3_000)));
    reply.push(&flushed("b"), at(1_000));
    reply.push("!", at(1_100));
    assert_eq!(reply.next_action(at(2_999)), None);
    assert_eq!(
        reply.next_action(at(3_000)),
        edit(0, 1, reply.text().to_owned().as_str(), false)
    );
    assert!(reply.text().ends_with('!'));
}

#[test]
fn an_edit_that_changes_nothing_is_skipped_but_the_final_one_is_formatted() {
    let mut reply = showing("Done.");
    reply.boundary();
    assert_eq!(reply.next_action(at(5_000)), None);
    reply.finish(at(6_000));
    assert_eq!(reply.next_action(at(6_000)), edit(0, 1, "Done.", true));
    reply.acted(Outcome::Unchanged, at(6_000));
    assert_eq!(reply.next_action(at(6_000)), None);
    assert!(reply.is_settled());
}

#[test]
fn a_full_part_gets_its_final_text_before_the_next_is_sent() {
    let mut reply = handler(100, ReplyMode::Edit);
    reply.push("First sentence here, it is long enough.", at(0));
    assert!(reply.next_action(at(500)).is_some());
    reply.acted(sent(1), at(500));
    reply.push(&format!(" Second one. {}", "word ".repeat(40)), at(600));
    let text = reply.text().to_owned();
    let parts = split_message(&text, MessageLimit::new(100, LengthUnit::Utf16));
    assert_eq!(reply.next_action(at(600)), edit(0, 1, &parts[0], true));
    reply.acted(Outcome::Edited, at(600));
    assert_eq!(reply.next_action(at(600)), send(1, &parts[1], true));
    reply.acted(sent(2), at(600));
    assert_eq!(reply.next_action(at(600)), send(2, &parts[2], false));
    reply.acted(sent(3), at(600));
    assert_eq!(reply.next_action(at(600)), None);
}

#[test]
fn a_platform_that_cannot_edit_gets_the_whole_text_at_the_end() {
    let mut reply = handler(4_096, ReplyMode::Batch);
    assert_eq!(reply.next_action(at(0)), Some(Action::Typing));
    reply.push(&flushed("a"), at(0));
    assert_eq!(reply.next_action(at(1_000)), None);
    assert_eq!(reply.next_wakeup(), Some(at(4_000)));
    assert_eq!(reply.next_action(at(4_000)), Some(Action::Typing));
    reply.finish(at(4_100));
    assert_eq!(reply.next_action(at(4_100)), send(0, &flushed("a"), true));
    reply.acted(sent(1), at(4_200));
    assert!(reply.is_settled());
}

#[test]
fn a_fallback_replaces_what_is_shown_and_deletes_what_is_left_over() {
    let mut reply = handler(100, ReplyMode::Edit);
    reply.push(&"word ".repeat(41), at(0));
    for message in 1..=3 {
        assert!(matches!(reply.next_action(at(0)), Some(Action::Send { .. })));
        reply.acted(sent(message), at(0));
    }
    reply.replace(at(10));
    assert_eq!(reply.text(), "");
    assert_eq!(reply.next_action(at(10)), None);
    reply.push("Anew", at(20));
    assert_eq!(reply.next_action(at(520)), edit(0, 1, "Anew", false));
    reply.acted(Outcome::Edited, at(530));
    assert_eq!(reply.next_action(at(530)), None);
    reply.finish(at(600));
    assert_eq!(reply.surplus(), [(1, id(2)), (2, id(3))]);
    assert_eq!(reply.next_action(at(600)), edit(0, 1, "Anew", true));
    reply.acted(Outcome::Edited, at(600));
    for (part, message) in [(2, 3), (1, 2)] {
        let message_id = id(message);
        assert_eq!(
            reply.next_action(at(600)),
            Some(Action::Delete { part, message_id })
        );
        assert!(!reply.is_settled());
        reply.acted(Outcome::Deleted, at(600));
    }
    assert!(reply.is_settled());
}

#[test]
fn parts_a_crashed_turn_left_are_edited_and_not_sent_again() {
    let shown = vec![(0, id(7)), (u32::MAX, id(8))];
    let mut reply = ResponseHandler::new(config(4_096, ReplyMode::Edit), shown, at(0));
    assert_eq!(reply.next_action(at(0)), Some(Action::Typing));
    reply.push("Again", at(0));
    reply.finish(at(0));
    assert_eq!(reply.next_action(at(0)), edit(0, 7, "Again", true));
    reply.acted(Outcome::Edited, at(0));
    let message_id = id(8);
    assert_eq!(
        reply.next_action(at(0)),
        Some(Action::Delete {
            part: u32::MAX,
            message_id
        })
    );
}

#[test]
fn a_message_that_vanished_is_sent_anew_but_not_for_ever() {
    let mut reply = showing("One");
    let mut sends = 0;
    for round in 1..20 {
        reply.push(&flushed("a"), at(1_000 * round));
        match reply.next_action(at(1_000 * round)) {
            Some(Action::Edit { .. }) => reply.acted(Outcome::Gone, at(1_000 * round)),
            Some(Action::Send { .. }) => {
                sends += 1;
                reply.acted(sent(100 + round), at(1_000 * round));
            }
            other => assert_eq!((other, reply.is_stopped()), (None, true)),
        }
    }
    assert_eq!(sends, 3);
}

#[test]
fn a_failure_is_tried_again_after_a_growing_wait_with_an_end() {
    let mut reply = showing("One");
    reply.finish(at(1_000));
    let (mut now, mut waits) = (at(1_000), Vec::new());
    while let Some(Action::Edit { .. }) = reply.next_action(now) {
        reply.acted(Outcome::Failed { permanent: false }, now);
        if let Some(next) = reply.next_wakeup() {
            waits.push(next.saturating_since(now).as_millis());
            now = next;
        }
    }
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
    assert!(reply.is_stopped() && reply.is_settled());
    assert!(!reply.final_parts()[0].delivered);
}

#[test]
fn after_a_permanent_failure_nothing_more_is_shown_and_the_parts_are_undelivered() {
    let mut reply = handler(4_096, ReplyMode::Edit);
    reply.push(&flushed("a"), at(0));
    assert!(reply.next_action(at(0)).is_some());
    reply.acted(Outcome::Failed { permanent: true }, at(0));
    reply.push(&flushed("b"), at(0));
    reply.finish(at(10));
    assert_eq!((reply.next_action(at(9_000)), reply.next_wakeup()), (None, None));
    let parts = reply.final_parts();
    assert_eq!(
        (parts.len(), parts[0].delivered, &parts[0].message_id),
        (1, false, &None)
    );
}

#[test]
fn an_empty_reply_is_settled_at_once() {
    let mut reply = handler(4_096, ReplyMode::Edit);
    reply.push("\n ", at(0));
    assert_ne!(reply.next_action(at(600)), send(0, "\n ", false));
    reply.finish(at(700));
    assert!(reply.is_settled());
    assert_eq!(
        (reply.next_action(at(700)), reply.final_parts()),
        (None, Vec::new())
    );
}

#[test]
fn text_beyond_the_bound_is_not_taken() {
    let config = ReplyConfig {
        max_text_bytes: 5,
        ..config(4_096, ReplyMode::Edit)
    };
    let mut reply = ResponseHandler::new(config, Vec::new(), at(0));
    reply.push("abcd", at(0));
    assert!(!reply.is_truncated());
    reply.push("жж", at(0));
    assert_eq!((reply.text(), reply.is_truncated()), ("abcd", true));
}

#[test]
fn the_smaller_of_the_two_limits_counts() {
    let reply = |own: usize, platform: usize| {
        let stream = StreamConfig {
            max_message_length: Some(own),
            ..StreamConfig::default()
        };
        let limit = MessageLimit::new(platform, LengthUnit::Utf16);
        let mut reply = ResponseHandler::new(
            ReplyConfig::new(stream, limit, ReplyMode::Edit),
            Vec::new(),
            at(0),
        );
        reply.push(&"a".repeat(100), at(0));
        reply.finish(at(0));
        reply.final_parts()[0].text.len()
    };
    assert_eq!((reply(64, 80), reply(80, 64)), (64, 64));
}

#[derive(Clone, Debug)]
enum Step {
    Push(String),
    Wait(u64),
    Act(u8),
    Replace,
}

fn step() -> impl Strategy<Value = Step> {
    let text = prop::sample::select(vec![
        "word ",
        "Sentence ends. ",
        "\n\n",
        "\n",
        "```rust\n",
        "let x = 1;\n",
        "```\n",
        "`",
        "**bold** ",
        "[link](https://a.b/c) ",
        "🌍",
        "e",
        "\u{301}",
        "👨‍👩‍👧‍👦",
        " ",
        "    ",
        "аааааааааааааааааааааааааааааа",
        "今日は。",
        "~~~\n",
        "- ",
    ]);
    prop_oneof![
        20 => prop::collection::vec(text, 1..8).prop_map(|pieces| Step::Push(pieces.concat())),
        6 => (0_u64..900).prop_map(Step::Wait),
        10 => any::<u8>().prop_map(Step::Act),
        1 => Just(Step::Replace),
    ]
}

/// A chat that does what it is told, and checks that it is told nothing wrong.
#[derive(Default)]
struct Chat {
    messages: BTreeMap<MessageId, String>,
    sent: u64,
    /// Final texts of parts that were full before the end, since the last replacement.
    full: BTreeMap<u32, String>,
}

impl Chat {
    fn carry_out(
        &mut self,
        action: Action,
        kind: u8,
        now: Monotonic,
        limit: MessageLimit,
    ) -> Option<Outcome> {
        let until = now + Duration::from_millis(700);
        if let Action::Send { part, text, last } | Action::Edit { part, text, last, .. } = &action {
            assert!(limit.allows(text) && !text.trim().is_empty());
            if *last {
                self.full.insert(*part, text.clone());
            }
        }
        match action {
            Action::Typing => None,
            _ if kind.is_multiple_of(5) => Some(Outcome::Throttled { until }),
            _ if kind % 31 == 1 => Some(Outcome::Failed { permanent: false }),
            Action::Send { text, .. } => {
                self.sent += 1;
                self.messages.insert(id(self.sent), text);
                Some(sent(self.sent))
            }
            Action::Edit { message_id, text, .. } => {
                let before = self.messages.insert(message_id, text.clone());
                assert!(before.is_some(), "edited a message that was never sent");
                Some(if before.as_ref() == Some(&text) {
                    Outcome::Unchanged
                } else {
                    Outcome::Edited
                })
            }
            Action::Delete { message_id, .. } => {
                assert!(self.messages.remove(&message_id).is_some());
                Some(Outcome::Deleted)
            }
        }
    }
}

#[test]
fn at_a_place_where_the_text_pauses_it_is_shown_before_its_time() {
    let mut reply = handler(4_096, ReplyMode::Edit);
    assert_eq!(reply.next_action(at(0)), Some(Action::Typing));
    reply.push("I look it up.", at(10));
    assert_eq!(reply.next_action(at(20)), None, "500 ms are not over");
    reply.boundary();
    assert_eq!(reply.next_action(at(20)), send(0, "I look it up.", false));
}

#[test]
fn a_limit_of_the_platform_holds_past_the_end_of_the_text() {
    let mut reply = handler(4_096, ReplyMode::Edit);
    reply.push("Hello", at(0));
    assert_eq!(reply.next_action(at(500)), send(0, "Hello", false));
    reply.acted(Outcome::Throttled { until: at(3_000) }, at(500));
    reply.finish(at(1_000));
    assert_eq!(reply.next_action(at(2_999)), None);
    assert_eq!(reply.next_wakeup(), Some(at(3_000)));
    assert_eq!(reply.next_action(at(3_000)), send(0, "Hello", true));
}

#[test]
fn a_reply_that_is_finished_or_cannot_be_shown_is_typed_no_longer() {
    let mut empty = handler(4_096, ReplyMode::Edit);
    assert!(!empty.is_stopped() && !empty.is_settled(), "nothing was said yet");
    empty.finish(at(0));
    assert_eq!(empty.next_action(at(9_000)), None);
    assert!(!empty.is_stopped() && empty.is_settled());
    let mut refused = handler(4_096, ReplyMode::Edit);
    refused.push("Hello", at(0));
    assert_eq!(refused.next_action(at(500)), send(0, "Hello", false));
    refused.acted(Outcome::Failed { permanent: true }, at(500));
    assert_eq!(refused.next_action(at(9_000)), None);
    assert!(refused.is_stopped() && !refused.is_settled(), "it goes on unseen");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// However a text is cut into pushes and whatever the platform delays, the chat ends up with the parts that the
    /// splitter makes of the whole text, in order and nothing else; a part that was full early never changed again.
    #[test]
    fn the_chat_ends_with_the_parts_of_the_whole_text(
        steps in prop::collection::vec(step(), 0..80),
        max in prop_oneof![20_usize..64, 64_usize..200],
        batch in any::<bool>(),
    ) {
        let limit = MessageLimit::new(max, LengthUnit::Utf16);
        let mode = if batch { ReplyMode::Batch } else { ReplyMode::Edit };
        let mut reply = handler(max, mode);
        let (mut chat, mut now, mut awaited) = (Chat::default(), at(0), None);
        for step in steps {
            match step {
                Step::Push(text) => reply.push(&text, now),
                Step::Wait(millis) => now = now + Duration::from_millis(millis),
                Step::Replace => {
                    reply.replace(now);
                    // An action given before the replacement may still be under way.
                    chat.full.clear();
                }
                Step::Act(kind) => {
                    if let Some((action, kind)) = awaited.take() {
                        // What is under way may belong to the text before a replacement.
                        let full = chat.full.clone();
                        if let Some(outcome) = chat.carry_out(action, kind, now, limit) {
                            reply.acted(outcome, now);
                        }
                        chat.full = full;
                    } else if let Some(action) = reply.next_action(now) {
                        if let Action::Send { part, text, last: true } | Action::Edit { part, text, last: true, .. } = &action {
                            chat.full.insert(*part, text.clone());
                        }
                        if action != Action::Typing {
                            prop_assert_eq!(reply.next_action(now), None, "a second action while one is under way");
                            awaited = Some((action, kind));
                        }
                    }
                }
            }
        }
        let full = std::mem::take(&mut chat.full);
        reply.finish(now);
        let mut parts: Vec<_> = split_message(reply.text(), limit).into_iter().map(String::from).collect();
        if parts.len() == 1 && parts[0].trim().is_empty() {
            parts.clear();
        }
        for (part, text) in full {
            prop_assert_eq!(Some(&text), parts.get(part as usize), "part {} was full too early", part);
        }
        let wanted: Vec<_> = reply.final_parts().into_iter().map(|part| part.text).collect();
        prop_assert_eq!(&wanted, &parts);
        if let Some((action, _)) = awaited {
            let outcome = chat.carry_out(action, 2, now, limit);
            reply.acted(outcome.unwrap(), now);
        }
        for _ in 0..1_000 {
            if reply.is_settled() {
                break;
            }
            match reply.next_action(now) {
                Some(action) => {
                    if let Some(outcome) = chat.carry_out(action, 2, now, limit) {
                        reply.acted(outcome, now);
                    }
                }
                None => now = reply.next_wakeup().unwrap(),
            }
        }
        prop_assert!(reply.is_settled());
        prop_assert!(reply.final_parts().iter().all(|part| part.delivered));
        prop_assert_eq!(chat.messages.len(), parts.len());
        let in_order: Vec<_> = reply
            .final_parts()
            .iter()
            .map(|part| chat.messages[part.message_id.as_ref().unwrap()].clone())
            .collect();
        prop_assert_eq!(in_order, parts);
    }
}
