//! What updates become, as a table.

use crate::world::us;
use openclaw_core::{ChatKind, IncomingKind, IncomingMessage, Language, Secret, Timestamp};
use openclaw_messenger::{ParseError, Parsed};
use openclaw_telegram::update::parse_update;
use openclaw_telegram::{GroupMode, TelegramConfig};
use proptest::prelude::*;
use serde_json::{Value, json};

fn config() -> TelegramConfig {
    TelegramConfig::new(Secret::new("1:t"))
}

fn parse(body: &[u8]) -> Result<Parsed, ParseError> {
    parse_update(body, &config(), Some(&us()), Timestamp::from_millis(9))
}

#[track_caller]
fn message(update: &Value) -> IncomingMessage {
    match parse(update.to_string().as_bytes()) {
        Ok(Parsed::Messages(mut messages)) if messages.len() == 1 => messages.remove(0),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn ignored(update: &Value, kind: &str) {
    let expected = Ok(Parsed::Ignored {
        kind: kind.to_owned().into(),
    });
    assert_eq!(parse(update.to_string().as_bytes()), expected);
}

fn from(id: i64) -> Value {
    json!({ "id": id, "is_bot": false, "first_name": "A", "language_code": "ru" })
}

fn private(text: &str) -> Value {
    json!({ "update_id": 5, "message": {
        "message_id": 11, "from": from(42), "chat": { "id": 42, "type": "private" }, "date": 100, "text": text,
    } })
}

/// A message in a group, with more fields.
#[expect(
    clippy::needless_pass_by_value,
    reason = "every caller builds its value for this call"
)]
fn group(more: Value) -> Value {
    let mut update = json!({ "update_id": 5, "message": {
        "message_id": 11, "from": from(42), "chat": { "id": -100_500, "type": "supergroup" }, "date": 100,
    } });
    let fields = more.as_object().unwrap().clone();
    update["message"].as_object_mut().unwrap().extend(fields);
    update
}

#[test]
fn a_private_text() {
    let read = message(&private("hello"));
    assert_eq!(read.tenant_id().to_string(), "telegram:42:42");
    assert_eq!(
        (read.update_key.as_str(), read.kind),
        ("5", IncomingKind::Message)
    );
    assert_eq!(read.chat_kind, ChatKind::Private);
    assert_eq!(read.message_id.unwrap().as_str(), "11");
    assert_eq!(read.language, Some(Language::Ru));
    assert_eq!(read.sent_at, Some(Timestamp::from_millis(100_000)));
}

#[test]
fn an_edited_message_and_a_reply() {
    let mut update = private("changed");
    update["edited_message"] = update["message"].take();
    update.as_object_mut().unwrap().remove("message");
    update["edited_message"]["reply_to_message"] =
        json!({ "message_id": 3, "chat": { "id": 42, "type": "private" } });
    let read = message(&update);
    assert_eq!(read.kind, IncomingKind::Edited);
    assert_eq!(read.reply_to.unwrap().as_str(), "3");
}

#[test]
fn a_photo_with_a_caption() {
    let read = message(&json!({ "update_id": 5, "message": {
        "message_id": 11, "from": from(42), "chat": { "id": 42, "type": "private" }, "date": 100, "caption": "look",
        "photo": [ { "file_id": "small", "width": 1, "height": 1 },
                   { "file_id": "large", "width": 9, "height": 9, "file_size": 77 } ],
    } }));
    assert_eq!(read.text, "look");
    let photo = &read.attachments[0];
    assert_eq!(
        (photo.kind.as_str(), photo.reference.as_str(), photo.size),
        ("photo", "large", Some(77))
    );
    assert_eq!(read.attachments.len(), 1);
}

#[test]
fn a_voice_message_has_no_text() {
    let read = message(&json!({ "update_id": 5, "message": {
        "message_id": 11, "from": from(42), "chat": { "id": 42, "type": "private" }, "date": 100,
        "voice": { "file_id": "v", "duration": 3 },
    } }));
    assert_eq!(
        (read.text.as_str(), read.attachments[0].kind.as_str()),
        ("", "voice")
    );
}

#[test]
fn a_forum_topic_is_part_of_the_chat_and_its_first_message_is_no_reply() {
    let read = message(&group(json!({
        "text": "/new", "entities": [{ "type": "bot_command", "offset": 0, "length": 4 }],
        "message_thread_id": 7, "is_topic_message": true,
        "reply_to_message": { "message_id": 7, "forum_topic_created": { "name": "x", "icon_color": 1 } },
    })));
    assert_eq!(read.chat.as_str(), "-100500.7");
    assert_eq!(read.reply_to, None);
    let chained = message(&group(json!({
        "text": "/new", "entities": [{ "type": "bot_command", "offset": 0, "length": 4 }], "message_thread_id": 7,
    })));
    assert_eq!(
        chained.chat.as_str(),
        "-100500",
        "a chain of replies is not a topic"
    );
}

#[test]
fn groups_are_answered_when_the_bot_is_addressed() {
    let bot = us();
    let mention = "@OpenClaw_Test_Bot what is up?";
    let read = message(&group(json!({
        "text": mention, "entities": [{ "type": "mention", "offset": 0, "length": 18 }],
    })));
    assert_eq!(read.text, "what is up?");
    let late = "😀 hey @openclaw_test_bot";
    let read = message(&group(
        json!({ "text": late, "entities": [{ "type": "mention", "offset": 7, "length": 18 }] }),
    ));
    assert_eq!(read.text, late);
    message(&group(json!({
        "text": "you there", "entities": [{ "type": "text_mention", "offset": 0, "length": 3, "user": { "id": bot.id } }],
    })));
    message(&group(json!({
        "text": "and then?", "reply_to_message": { "message_id": 4, "from": { "id": bot.id, "is_bot": true } },
    })));
    let command = message(&group(json!({
        "text": "/stop@openclaw_TEST_bot now", "entities": [{ "type": "bot_command", "offset": 0, "length": 23 }],
    })));
    assert_eq!(command.text, "/stop now");

    ignored(
        &group(json!({ "text": "openclaw_test_bot is nice" })),
        "not_addressed",
    );
    ignored(
        &group(json!({ "text": "@other hi", "entities": [{ "type": "mention", "offset": 0, "length": 6 }] })),
        "not_addressed",
    );
    ignored(
        &group(
            json!({ "text": "/stop@other", "entities": [{ "type": "bot_command", "offset": 0, "length": 11 }] }),
        ),
        "not_addressed",
    );
    ignored(
        &group(
            json!({ "text": "hm", "reply_to_message": { "message_id": 4, "from": { "id": 1, "is_bot": true } } }),
        ),
        "not_addressed",
    );
    let all = TelegramConfig {
        groups: GroupMode::All,
        ..config()
    };
    let body = group(json!({ "text": "just talk" })).to_string();
    let read = parse_update(body.as_bytes(), &all, Some(&us()), Timestamp::from_millis(9));
    assert!(matches!(read, Ok(Parsed::Messages(_))));
}

#[test]
fn authors_are_people_or_the_chats_they_write_as() {
    let command = json!([{ "type": "bot_command", "offset": 0, "length": 4 }]);
    let anonymous = message(&group(json!({
        "text": "/new", "entities": command, "sender_chat": { "id": -100_500, "type": "supergroup" },
        "from": { "id": 1_087_968_824, "is_bot": true },
    })));
    assert_eq!(anonymous.user.as_str(), "-100500");
    let mut bot = private("hi");
    bot["message"]["from"]["is_bot"] = true.into();
    ignored(&bot, "from_bot");
    ignored(
        &group(json!({ "text": "/new", "is_automatic_forward": true })),
        "automatic_forward",
    );
}

#[test]
fn a_pressed_button() {
    let update = json!({ "update_id": 6, "callback_query": {
        "id": "4382bfdwdsb323b2d9", "from": from(42), "data": "yes", "chat_instance": "1",
        "message": { "message_id": 8, "chat": { "id": 42, "type": "private" }, "date": 0 },
    } });
    let read = message(&update);
    assert_eq!((read.kind, read.text.as_str()), (IncomingKind::Callback, "yes"));
    assert_eq!(read.update_key, "6.4382bfdwdsb323b2d9");
    assert_eq!(read.message_id.unwrap().as_str(), "8");
    let inline = json!({ "update_id": 6, "callback_query": { "id": "1", "from": from(42), "inline_message_id": "x" } });
    ignored(&inline, "inline_callback");
}

#[test]
fn a_stopped_draft() {
    let read = message(&json!({ "update_id": 7, "stopped_message_generation": {
        "chat": { "id": 42, "type": "private" }, "draft_id": 3, "message_thread_id": 12,
    } }));
    assert_eq!(
        (read.kind, read.tenant_id().to_string().as_str()),
        (IncomingKind::Stop, "telegram:42:42.12")
    );
}

#[test]
fn a_moved_group_is_told_from_both_sides() {
    let expected = Ok(Parsed::Migrated {
        from: "-42".parse().unwrap(),
        to: "-100500".parse().unwrap(),
    });
    let old = json!({ "update_id": 1, "message": {
        "message_id": 1, "chat": { "id": -42, "type": "group" }, "date": 1, "migrate_to_chat_id": -100_500,
    } });
    assert_eq!(parse(old.to_string().as_bytes()), expected);
    let new = group(json!({ "migrate_from_chat_id": -42 }));
    assert_eq!(parse(new.to_string().as_bytes()), expected);
}

#[test]
fn what_is_not_for_us_is_ignored_by_name() {
    ignored(
        &json!({ "update_id": 1, "poll_answer": { "poll_id": 5 } }),
        "poll_answer",
    );
    ignored(&json!({ "update_id": 1, "hologram": { "depth": 3 } }), "unknown");
    ignored(
        &json!({ "update_id": 1, "message_reaction": "any shape" }),
        "message_reaction",
    );
    ignored(&json!({ "update_id": 1 }), "unknown");
    ignored(
        &json!({ "update_id": 1, "channel_post": { "message_id": 1 } }),
        "channel_post",
    );
    ignored(&group(json!({ "new_chat_members": [] })), "service_message");
}

#[test]
fn unknown_values_are_normal() {
    let mut update = private("hello");
    update["message"]["chat"]["type"] = "hivemind".into();
    update["message"]["from"]["language_code"] = "tlh".into();
    update["message"]["entities"] = json!([{ "type": "sparkle", "offset": 0, "length": 5 }, { "type": "bot_command", "offset": 0, "length": 500 }]);
    ignored(&update, "not_addressed");
    update["message"]["chat"]["type"] = "private".into();
    let read = message(&update);
    assert_eq!((read.text.as_str(), read.language), ("hello", None));
}

#[test]
fn half_a_surrogate_pair_and_a_nul_are_survived() {
    let body = private("MARK").to_string().replace("MARK", r"a\ud83d b\u0000c");
    let Ok(Parsed::Messages(messages)) = parse(body.as_bytes()) else {
        panic!("{body}");
    };
    assert_eq!(messages[0].text, "a\u{fffd} bc");
}

#[test]
fn nonsense_is_an_error_without_its_content() {
    for body in [
        "",
        "[]",
        "{}",
        "{\"update_id\":\"secret\"}",
        "{\"update_id\":1,\"message\":{\"text\":\"secret\"}}",
    ] {
        let error = parse(body.as_bytes()).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&body);
    }

    #[test]
    fn any_entities_are_survived(text in "\\PC{0,20}", offset in 0_usize..40, length in any::<usize>(), which in 0_usize..4) {
        let kind = ["mention", "bot_command", "text_mention", "url"][which];
        let update = group(json!({ "text": text, "entities": [{ "type": kind, "offset": offset, "length": length }] }));
        let _ = parse(update.to_string().as_bytes());
    }
}
