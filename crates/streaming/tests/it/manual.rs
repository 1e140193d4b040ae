//! Section 2.2 of the operations manual, row by row: what each parameter does to a reply, by default and where a
//! configuration file sets it.

use openclaw_core::{MessageId, Monotonic, Platform};
use openclaw_streaming::{
    Action, LengthUnit, MessageLimit, Outcome, ReplyConfig, ReplyMode, ResponseHandler, StreamConfig,
    StreamingOptions,
};
use std::time::Duration;

/// Characters of one token.
const TOKEN: usize = 4;

fn at(millis: u64) -> Monotonic {
    Monotonic::from_origin(Duration::from_millis(millis))
}

/// What a file says, for a platform.
fn configured(json: &str, platform: Platform) -> StreamConfig {
    let options: StreamingOptions = serde_json::from_str(json).expect("valid options");
    options.resolve(platform).expect("valid values")
}

/// A reply on a platform that has no limit of its own, begun at the clock's beginning.
struct Reply {
    handler: ResponseHandler,
    sent: u32,
}

impl Reply {
    fn new(stream: StreamConfig) -> Self {
        let config = ReplyConfig::new(stream, MessageLimit::UNLIMITED, ReplyMode::Edit);
        Self {
            handler: ResponseHandler::new(config, Vec::new(), at(0)),
            sent: 0,
        }
    }

    /// How often typing is shown when the driver looks at these times.
    fn typing_at(&mut self, times: &[u64]) -> Vec<u64> {
        let shown = times.iter().copied();
        shown
            .filter(|millis| self.handler.next_action(at(*millis)) == Some(Action::Typing))
            .collect()
    }

    /// The texts that are sent or edited at this time; typing does not matter.
    fn shown(&mut self, millis: u64) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(action) = self.handler.next_action(at(millis)) {
            let outcome = match action {
                Action::Typing => continue,
                Action::Send { text, .. } => {
                    texts.push(text);
                    self.sent += 1;
                    let message_id = MessageId::parse(self.sent.to_string()).expect("an id");
                    Outcome::Sent { message_id }
                }
                Action::Edit { text, .. } => {
                    texts.push(text);
                    Outcome::Edited
                }
                Action::Delete { .. } => Outcome::Deleted,
            };
            self.handler.acted(outcome, at(millis));
        }
        texts
    }
}

/// So many tokens are shown at once, and one character less is not, long before the time-out.
#[track_caller]
fn flushes_at(stream: StreamConfig, tokens: usize) {
    let mut reply = Reply::new(stream);
    let almost = "я".repeat(tokens * TOKEN - 1);
    reply.handler.push(&almost, at(1));
    assert_eq!(reply.shown(1), [] as [&str; 0], "shown before {tokens} tokens");
    reply.handler.push("я", at(2));
    assert_eq!(reply.shown(2), [almost + "я"], "not shown at {tokens} tokens");
}

/// A text too short for a flush is shown so much later, and not a millisecond earlier.
#[track_caller]
fn flushes_after(stream: StreamConfig, millis: u64) {
    let mut reply = Reply::new(stream);
    reply.handler.push("a", at(10));
    reply.handler.push("b", at(10 + millis / 2));
    assert_eq!(
        reply.shown(10 + millis - 1),
        [] as [&str; 0],
        "shown before {millis} ms"
    );
    assert_eq!(reply.shown(10 + millis), ["ab"], "not shown after {millis} ms");
}

/// A message holds so much, and one character more makes a second one.
#[track_caller]
fn splits_beyond(stream: StreamConfig, length: usize) {
    for (extra, parts) in [(0, 1), (1, 2)] {
        let mut reply = Reply::new(stream);
        reply.handler.push(&"x".repeat(length + extra), at(0));
        reply.handler.finish(at(0));
        reply.shown(0);
        let lengths: Vec<_> = reply
            .handler
            .final_parts()
            .iter()
            .map(|part| LengthUnit::Utf16.measure(&part.text))
            .collect();
        assert_eq!(lengths.len(), parts, "{lengths:?}");
        assert_eq!(lengths.first(), Some(&length));
    }
}

/// However long, it is one message.
#[track_caller]
fn never_splits(stream: StreamConfig) {
    let mut reply = Reply::new(stream);
    let text = "word ".repeat(100_000);
    reply.handler.push(&text, at(0));
    reply.handler.finish(at(0));
    assert_eq!(reply.handler.final_parts().len(), 1);
}

/// Typing is shown at once and then so often, until there is text to see.
#[track_caller]
fn types_every(stream: StreamConfig, millis: u64) {
    let mut reply = Reply::new(stream);
    let times = [0, 0, 1, millis - 1, millis, millis, 2 * millis - 1, 2 * millis];
    assert_eq!(reply.typing_at(&times), [0, millis, 2 * millis]);
    reply.handler.push(&"x".repeat(50 * TOKEN), at(2 * millis + 1));
    assert_eq!(reply.shown(2 * millis + 1).len(), 1);
    assert_eq!(reply.typing_at(&[3 * millis, 4 * millis]), [] as [u64; 0]);
}

#[track_caller]
fn never_types(stream: StreamConfig) {
    let mut reply = Reply::new(stream);
    assert_eq!(reply.typing_at(&[0, 1, 4_000, 60_000]), [] as [u64; 0]);
}

#[test]
fn manual_2_2_flush_token_threshold() {
    flushes_at(StreamConfig::default(), 50);
    flushes_at(configured(r#"{"flushTokenThreshold": 7}"#, Platform::Telegram), 7);
    flushes_at(configured(r#"{"flushTokenThreshold": 1}"#, Platform::Telegram), 1);
}

#[test]
fn manual_2_2_flush_timeout_ms() {
    flushes_after(StreamConfig::default(), 500);
    flushes_after(configured(r#"{"flushTimeoutMs": 120}"#, Platform::Telegram), 120);
}

#[test]
fn manual_2_2_max_message_length() {
    splits_beyond(StreamConfig::default(), 4_096);
    splits_beyond(configured(r#"{"maxMessageLength": 64}"#, Platform::Telegram), 64);
    never_splits(configured(r#"{"maxMessageLength": 0}"#, Platform::Telegram));
}

#[test]
fn manual_2_2_max_message_length_is_counted_in_utf_16() {
    let mut reply = Reply::new(StreamConfig::default());
    reply.handler.push(&"🙂".repeat(2_049), at(0));
    reply.handler.finish(at(0));
    let parts = reply.handler.final_parts();
    let lengths: Vec<_> = parts
        .iter()
        .map(|part| part.text.encode_utf16().count())
        .collect();
    assert_eq!(lengths, [4_096, 2]);
}

#[test]
fn manual_2_2_a_platforms_own_limit_counts_where_it_is_smaller() {
    let stream = StreamConfig::for_platform(Platform::Max);
    let config = ReplyConfig::new(
        stream,
        MessageLimit::new(4_000, LengthUnit::Utf16),
        ReplyMode::Edit,
    );
    let mut handler = ResponseHandler::new(config, Vec::new(), at(0));
    handler.push(&"x".repeat(4_001), at(0));
    handler.finish(at(0));
    let parts = handler.final_parts();
    assert_eq!(
        parts.iter().map(|part| part.text.len()).collect::<Vec<_>>(),
        [4_000, 1]
    );
}

#[test]
fn manual_2_2_typing_indicator_interval_ms() {
    types_every(StreamConfig::default(), 4_000);
    let often = configured(r#"{"typingIndicatorIntervalMs": 700}"#, Platform::Telegram);
    types_every(often, 700);
    never_types(configured(
        r#"{"typingIndicatorIntervalMs": 0}"#,
        Platform::Telegram,
    ));
}

#[test]
fn manual_2_2_web_flushes_at_20_tokens_or_200_ms_without_a_limit() {
    let web = StreamConfig::for_platform(Platform::Web);
    flushes_at(web, 20);
    flushes_after(web, 200);
    never_splits(web);
    types_every(web, 4_000);
    // What a file says of all platforms is not meant for the page; what it says of the page is.
    let general = r#"{"flushTokenThreshold": 7, "flushTimeoutMs": 120, "maxMessageLength": 64}"#;
    flushes_at(configured(general, Platform::Web), 20);
    flushes_after(configured(general, Platform::Web), 200);
    never_splits(configured(general, Platform::Web));
    let own = r#"{"web": {"flushTokenThreshold": 7, "flushTimeoutMs": 120, "maxMessageLength": 64}}"#;
    flushes_at(configured(own, Platform::Web), 7);
    flushes_after(configured(own, Platform::Web), 120);
    splits_beyond(configured(own, Platform::Web), 64);
}

#[test]
fn manual_2_2_telegram_is_standard_with_a_limit_of_4096() {
    standard(Platform::Telegram, "telegram");
}

#[test]
fn manual_2_2_max_is_standard_with_a_limit_of_4096() {
    standard(Platform::Max, "max");
}

#[track_caller]
fn standard(platform: Platform, table: &str) {
    let stream = StreamConfig::for_platform(platform);
    flushes_at(stream, 50);
    flushes_after(stream, 500);
    splits_beyond(stream, 4_096);
    types_every(stream, 4_000);
    let own = configured(
        &format!(r#"{{"{table}": {{"maxMessageLength": 100}}}}"#),
        platform,
    );
    splits_beyond(own, 100);
    // The other platform's table is not its own.
    for other in [Platform::Telegram, Platform::Max, Platform::Api, Platform::Web] {
        if other != platform {
            let theirs = configured(&format!(r#"{{"{table}": {{"flushTokenThreshold": 3}}}}"#), other);
            assert_eq!(theirs, StreamConfig::for_platform(other));
        }
    }
}

#[test]
fn manual_2_2_api_has_no_limit_and_no_typing() {
    let api = StreamConfig::for_platform(Platform::Api);
    never_splits(api);
    never_types(api);
    flushes_at(api, 50);
    flushes_after(api, 500);
    let general = r#"{"maxMessageLength": 64, "typingIndicatorIntervalMs": 700}"#;
    never_splits(configured(general, Platform::Api));
    never_types(configured(general, Platform::Api));
}
