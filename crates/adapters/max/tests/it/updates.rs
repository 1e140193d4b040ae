//! What updates become, as a table.

use crate::world::us;
use openclaw_core::{ChatKind, IncomingKind, IncomingMessage, Language, Secret, TenantId, Timestamp};
use openclaw_max::update::parse_update;
use openclaw_max::{GroupMode, MaxConfig};
use openclaw_messenger::{ParseError, Parsed};
use proptest::prelude::*;
use serde_json::{Value, json};

fn config() -> MaxConfig {
    MaxConfig::new(Secret::new("t"))
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

fn private(text: &str) -> Value {
    json!({
        "update_type": "message_created", "timestamp": 1_700_000_000_500_i64, "user_locale": "ru-RU",
        "message": {
            "sender": { "user_id": 42, "first_name": "A", "is_bot": false },
            "recipient": { "chat_id": 777, "chat_type": "dialog", "user_id": us().id },
            "timestamp": 1_700_000_000_000_i64,
            "body": { "mid": "mid.0a", "seq": 116_000_000_000_000_687_u64, "text": text },
        },
    })
}

/// A message in a group; `change` may do anything to it.
fn group(text: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut update = private(text);
    update["user_locale"] = Value::Null;
    update["message"]["recipient"] = json!({ "chat_id": -100_500, "chat_type": "chat" });
    change(&mut update["message"]);
    update
}

#[test]
fn a_private_text() {
    let read = message(&private("hello"));
    assert_eq!(
        read.tenant_id().to_string(),
        "max:42:777",
        "the dialog has a number of its own"
    );
    assert_eq!(
        (read.update_key.as_str(), read.kind),
        ("created.mid.0a", IncomingKind::Message)
    );
    assert_eq!(read.chat_kind, ChatKind::Private);
    assert_eq!(read.message_id.unwrap().as_str(), "mid.0a");
    assert_eq!(read.language, Some(Language::Ru));
    assert_eq!(read.sent_at, Some(Timestamp::from_millis(1_700_000_000_000)));
}

#[test]
fn a_changed_message_has_a_key_for_every_change() {
    let mut update = private("changed");
    update["update_type"] = "message_edited".into();
    let read = message(&update);
    assert_eq!(read.kind, IncomingKind::Edited);
    assert_eq!(read.update_key, "edited.mid.0a.1700000000500");
    update["timestamp"] = 1_700_000_000_501_i64.into();
    assert_ne!(message(&update).update_key, read.update_key);
}

#[test]
fn a_reply_and_what_is_passed_on() {
    let mut update = private("and this?");
    update["message"]["link"] = json!({ "type": "reply", "message": { "mid": "mid.03", "text": "that" } });
    let read = message(&update);
    assert_eq!(
        (read.reply_to.unwrap().as_str(), read.text.as_str()),
        ("mid.03", "and this?")
    );
    update["message"]["link"]["type"] = "forward".into();
    let read = message(&update);
    assert_eq!((read.reply_to, read.text.as_str()), (None, "and this?\n\nthat"));
    // Of one that is only passed on the body may be missing.
    update["message"]["body"] = Value::Null;
    let read = message(&update);
    assert_eq!(
        (read.text.as_str(), read.update_key.as_str()),
        ("that", "message.777.42.1700000000500")
    );
}

#[test]
fn attachments_of_every_kind_cost_no_message() {
    let mut update = private("look");
    update["message"]["body"]["attachments"] = json!([
        { "type": "image", "payload": { "photo_id": 9_007_199_254_740_993_u64, "token": "t1", "url": "https://x/1" } },
        { "type": "file", "payload": { "url": "https://x/2" }, "filename": "a\u{0}.txt", "size": 77 },
        { "type": "inline_keyboard", "payload": { "buttons": [] } },
        { "type": "share", "payload": { "url": "https://x/3" } },
        { "type": "hologram", "payload": "any shape" },
        { "type": 5 },
        "nonsense",
    ]);
    let read = message(&update);
    let shown: Vec<_> = read
        .attachments
        .iter()
        .map(|one| (one.kind.as_str(), one.reference.as_str(), one.size))
        .collect();
    assert_eq!(
        shown,
        [
            ("image", "t1", None),
            ("file", "https://x/2", Some(77)),
            ("hologram", "", None),
        ]
    );
    assert_eq!(read.attachments[1].name.as_deref(), Some("a.txt"));
    update["message"]["body"]["text"] = Value::Null;
    assert_eq!(message(&update).text, "");
}

#[test]
fn groups_are_answered_when_the_bot_is_addressed() {
    let bot = us();
    let read = message(&group("@OpenClaw_Max_Bot what is up?", |_| {}));
    assert_eq!(
        (read.text.as_str(), read.chat_kind),
        ("what is up?", ChatKind::Group)
    );
    let late = "😀 hey @openclaw_max_bot, hi";
    assert_eq!(message(&group(late, |_| {})).text, late);
    message(&group("you there", |message| {
        message["body"]["markup"] =
            json!([{ "type": "user_mention", "from": 0, "length": 3, "user_id": bot.id }]);
    }));
    message(&group("you there", |message| {
        message["body"]["markup"] =
            json!([{ "type": "user_mention", "from": 0, "length": 3, "user_link": "@openclaw_max_bot" }]);
    }));
    message(&group("and then?", |message| {
        message["link"] = json!({ "type": "reply", "sender": { "user_id": bot.id, "is_bot": true }, "message": { "mid": "m" } });
    }));
    assert_eq!(
        message(&group("/stop@openclaw_MAX_bot now", |_| {})).text,
        "/stop now"
    );
    assert_eq!(message(&group("/new", |_| {})).text, "/new");

    ignored(&group("openclaw_max_bot is nice", |_| {}), "not_addressed");
    ignored(&group("@openclaw_max_bots hi", |_| {}), "not_addressed");
    ignored(&group("/stop@other", |_| {}), "not_addressed");
    ignored(&group("/etc/hosts is empty", |_| {}), "not_addressed");
    ignored(
        &group("hm", |message| {
            message["link"] =
                json!({ "type": "reply", "sender": { "user_id": 1 }, "message": { "mid": "m" } });
        }),
        "not_addressed",
    );
    let all = MaxConfig {
        groups: GroupMode::All,
        ..config()
    };
    let body = group("just talk", |_| {}).to_string();
    let read = parse_update(body.as_bytes(), &all, None, Timestamp::from_millis(9));
    assert!(matches!(read, Ok(Parsed::Messages(_))));
    let off = MaxConfig {
        groups: GroupMode::Off,
        ..config()
    };
    let body = group("/new", |_| {}).to_string();
    let read = parse_update(body.as_bytes(), &off, Some(&bot), Timestamp::from_millis(9));
    assert_eq!(
        read,
        Ok(Parsed::Ignored {
            kind: "groups_off".into()
        })
    );
}

#[test]
fn bots_are_not_listened_to_nor_do_we_hear_ourselves() {
    let mut update = private("hi");
    update["message"]["sender"]["is_bot"] = true.into();
    ignored(&update, "from_bot");
    update["message"]["sender"] = json!({ "user_id": us().id });
    ignored(&update, "from_bot");
}

#[test]
fn a_pressed_button_is_of_the_person_who_pressed() {
    let mut update = json!({
        "update_type": "message_callback", "timestamp": 5, "user_locale": "en",
        "callback": { "timestamp": 5, "callback_id": "f9LH", "payload": "yes", "user": { "user_id": 42 } },
        "message": {
            "sender": { "user_id": us().id, "is_bot": true },
            "recipient": { "chat_id": 777, "chat_type": "dialog", "user_id": 42 },
            "timestamp": 4, "body": { "mid": "mid.08" },
        },
    });
    let read = message(&update);
    assert_eq!((read.kind, read.text.as_str()), (IncomingKind::Callback, "yes"));
    assert_eq!(read.update_key, "callback.f9LH");
    assert_eq!(read.tenant_id().to_string(), "max:42:777");
    assert_eq!(read.message_id.unwrap().as_str(), "mid.08");
    for id in [String::new(), "x".repeat(257), "a\nb".to_owned()] {
        update["callback"]["callback_id"] = id.into();
        assert!(parse(update.to_string().as_bytes()).is_err());
    }
    update["message"] = Value::Null;
    ignored(&update, "callback_without_message");
}

#[test]
fn who_begins_a_dialog_starts_it_with_what_their_link_says() {
    let mut update = json!({
        "update_type": "bot_started", "timestamp": 1_700_000_000_000_i64, "chat_id": 777,
        "user": { "user_id": 42, "first_name": "A" }, "payload": "from\nthe-site", "user_locale": "ru",
    });
    let read = message(&update);
    assert_eq!(
        (read.text.as_str(), read.kind),
        ("/start fromthe-site", IncomingKind::Message)
    );
    assert_eq!(read.update_key, "started.777.42.1700000000000");
    assert_eq!(read.language, Some(Language::Ru));
    update["payload"] = Value::Null;
    assert_eq!(message(&update).text, "/start");
}

#[test]
fn what_is_not_for_us_is_ignored_by_name() {
    ignored(
        &json!({ "update_type": "bot_stopped", "user": "any shape" }),
        "bot_stopped",
    );
    ignored(&json!({ "update_type": "dialog_removed" }), "dialog_removed");
    ignored(
        &json!({ "update_type": "message_removed", "message_id": 5 }),
        "message_removed",
    );
    ignored(&json!({ "update_type": "hologram" }), "unknown");
    // Happens with some voice messages.
    ignored(
        &json!({ "update_type": "message_created", "timestamp": 1 }),
        "no_message",
    );
    ignored(
        &group("x", |message| {
            message["recipient"]["chat_type"] = "channel".into()
        }),
        "channel_post",
    );
    ignored(
        &group("x", |message| message["sender"] = Value::Null),
        "no_author",
    );
    ignored(&private(""), "empty_message");
}

#[test]
fn unknown_values_are_normal() {
    let mut update = private("hello");
    update["user_locale"] = "tlh".into();
    update["message"]["recipient"]["chat_type"] = "hivemind".into();
    update["message"]["constructor"] = json!({ "x": 1 });
    update["message"]["body"]["markup"] = json!([{ "type": "sparkle" }, 5]);
    ignored(&update, "not_addressed");
    update["message"]["recipient"]["chat_type"] = "dialog".into();
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
        "{\"update_type\":5}",
        "{\"update_type\":\"message_created\",\"message\":\"secret\"}",
        "{\"update_type\":\"bot_started\",\"chat_id\":\"secret\"}",
    ] {
        let error = parse(body.as_bytes()).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "reply",
            "forward",
            "dialog",
            "chat",
            "@openclaw_max_bot",
            "/new"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    let names = vec![
        "message",
        "sender",
        "recipient",
        "body",
        "mid",
        "text",
        "link",
        "type",
        "user_id",
        "chat_id",
        "chat_type",
        "callback",
        "callback_id",
        "payload",
        "user",
        "attachments",
        "markup",
        "timestamp",
        "user_locale",
    ];
    prop::sample::select(names).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn any_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&body);
    }

    #[test]
    fn any_json_is_survived_and_what_is_read_can_be_stored(
        which in 0_usize..5,
        fields in prop::collection::btree_map(name(), any_json(), 0..8),
    ) {
        let kind = ["message_created", "message_edited", "message_callback", "bot_started", "other"][which];
        let mut update = Value::Object(fields.into_iter().collect());
        update["update_type"] = kind.into();
        if let Ok(Parsed::Messages(messages)) = parse(update.to_string().as_bytes()) {
            for message in messages {
                let tenant = message.tenant_id();
                prop_assert_eq!(TenantId::parse(&tenant.to_string()), Ok(tenant));
                prop_assert!(!message.update_key.is_empty());
            }
        }
    }

    #[test]
    fn any_text_of_a_group_is_survived(text in "[@/a-z_ 😀]{0,12}(@openclaw_max_bot)?[@/ я]{0,4}") {
        let _ = parse(group(&text, |_| {}).to_string().as_bytes());
    }
}
