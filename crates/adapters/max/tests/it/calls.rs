//! Every call, and every way it can fail.

use crate::world::{World, http, markdown, plain, world, world_with};
use openclaw_core::{ChatId, MessageId, Secret, Timestamp};
use openclaw_max::{MaxAdapter, MaxConfig};
use openclaw_messenger::{Certainty, DeliveryError, DeliveryErrorKind as Kind, MessengerPort, Parsed};
use openclaw_testkit::fake_max::{MaxFault, TOKEN};
use serde_json::Value;
use std::time::Duration;

#[tokio::test]
async fn a_message_is_sent_changed_and_taken_away() {
    let World { fake, adapter } = world().await;
    let chat = ChatId::parse("42").unwrap();
    let id = adapter.send_message(&plain(42, "one")).await.unwrap();
    adapter.edit_message(&id, &plain(42, "one two")).await.unwrap();
    adapter.send_typing_indicator(&chat).await.unwrap();
    let shown = fake.chat(42);
    assert_eq!(shown.texts(), ["one two"]);
    assert_eq!(shown.last().unwrap().history, ["one"]);
    assert_eq!(shown.last().unwrap().mid, id.as_str());
    assert_eq!(shown.typing, 1);
    adapter.delete_message(&chat, &id).await.unwrap();
    adapter
        .delete_message(&chat, &id)
        .await
        .expect("gone already is fine");
    assert!(fake.chat(42).texts().is_empty());
    let gone = Err(DeliveryError::refused(Kind::NothingToEdit));
    assert_eq!(adapter.edit_message(&id, &plain(42, "x")).await, gone);
}

#[tokio::test]
async fn requests_carry_chat_reply_and_no_preview_and_leave_attachments_alone() {
    let World { fake, adapter } = world().await;
    let mut message = plain(-100_500, "in a group");
    message.reply_to = Some(MessageId::parse("mid.7").unwrap());
    let id = adapter.send_message(&message).await.unwrap();
    adapter.edit_message(&id, &message).await.unwrap();
    let sent = &fake.calls_of("POST /messages")[0];
    assert_eq!(sent.query["chat_id"], "-100500");
    assert_eq!(sent.query["disable_link_preview"], "true");
    assert_eq!(
        sent.body["link"],
        serde_json::json!({ "type": "reply", "mid": "mid.7" })
    );
    assert!(sent.body.get("format").is_none());
    let edited = &fake.calls_of("PUT /messages")[0];
    assert_eq!(edited.query["message_id"], id.as_str());
    // An empty list would take them away.
    assert_eq!(edited.body.get("attachments"), None::<&Value>);
}

#[tokio::test]
async fn markdown_goes_in_the_platforms_marks_and_plain_text_without_a_format() {
    let World { fake, adapter } = world().await;
    adapter
        .send_message(&markdown(42, "# Head\n\n- **bold** and 😀 `code`"))
        .await
        .unwrap();
    adapter
        .send_message(&plain(42, "**as it stands**"))
        .await
        .unwrap();
    adapter
        .send_message(&markdown(42, "2 * 3 * 4 is 24"))
        .await
        .unwrap();
    let chat = fake.chat(42);
    let shown: Vec<_> = chat
        .messages
        .iter()
        .map(|message| (message.text.as_str(), message.format.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("**Head**\n\n• **bold** and 😀 `code`", Some("markdown")),
            ("**as it stands**", None),
            ("2 * 3 * 4 is 24", None),
        ]
    );
}

#[tokio::test]
async fn what_is_refused_goes_once_more_as_plain_text_that_answers_none() {
    let World { fake, adapter } = world().await;
    let refused = MaxFault::bad_payload("cannot parse markdown");
    fake.fault("POST /messages", refused.clone());
    let mut message = markdown(42, "**bold**");
    message.reply_to = Some(MessageId::parse("mid.7").unwrap());
    let id = adapter.send_message(&message).await.unwrap();
    let sent = fake.chat(42).last().unwrap().clone();
    assert_eq!(
        (sent.text.as_str(), sent.format, sent.reply_to),
        ("bold", None, None)
    );
    fake.fault("PUT /messages", refused.clone());
    adapter
        .edit_message(&id, &markdown(42, "**bolder**"))
        .await
        .unwrap();
    assert_eq!(fake.chat(42).texts(), ["bolder"]);

    fake.fault_times("POST /messages", 2, &refused);
    let error = adapter.send_message(&markdown(42, "**b**")).await.unwrap_err();
    assert!(
        matches!(error.kind, Kind::Rejected { code: 400, .. }),
        "{error:?}"
    );
    fake.fault("POST /messages", MaxFault::RateLimited { retry_after: Some(3) });
    assert!(adapter.send_message(&markdown(42, "**b**")).await.is_err());
    fake.fault("POST /messages", refused);
    assert!(adapter.send_message(&plain(42, "b")).await.is_err());
    assert_eq!(
        fake.call_count("POST /messages"),
        6,
        "neither a 429 nor a plain text is tried in another form"
    );
}

#[tokio::test]
async fn nothing_over_the_limit_or_empty_is_sent() {
    let World { fake, adapter } = world().await;
    let exactly = "😀".repeat(2_000);
    adapter.send_message(&plain(42, &exactly)).await.unwrap();
    let marked = format!("**{}**", "a".repeat(3_996));
    adapter.send_message(&markdown(42, &marked)).await.unwrap();
    let heading = format!("# {}", "a".repeat(3_998));
    adapter.send_message(&markdown(42, &heading)).await.unwrap();
    let over = format!("{exactly}a");
    let too_long = Err(DeliveryError::not_sent(Kind::TooLong));
    assert_eq!(adapter.send_message(&plain(42, &over)).await, too_long);
    let empty = Err(DeliveryError::not_sent(Kind::Empty));
    assert_eq!(adapter.send_message(&plain(42, " \n")).await, empty);
    assert_eq!(fake.call_count("POST /messages"), 3);
    assert_eq!(fake.with_state(|state| state.longest_text), 4_000);
}

#[tokio::test]
async fn each_refusal_becomes_its_error() {
    let World { fake, adapter } = world().await;
    let refused = |status, code, message: &str| MaxFault::Refused {
        status,
        code,
        message: message.to_owned(),
    };
    let limited = |seconds| {
        DeliveryError::refused(Kind::RateLimited {
            retry_after: Duration::from_secs(seconds),
            whole_bot: true,
        })
    };
    let rows = [
        (
            MaxFault::RateLimited {
                retry_after: Some(35),
            },
            limited(35),
        ),
        (MaxFault::RateLimited { retry_after: None }, limited(5)),
        (
            refused(401, "verify.token", "Invalid access_token"),
            DeliveryError::refused(Kind::BadToken),
        ),
        (MaxFault::blocked(), DeliveryError::refused(Kind::Blocked)),
        (
            refused(404, "chat.not.found", "not found"),
            DeliveryError::refused(Kind::ChatGone),
        ),
        (
            refused(503, "service.unavailable", "later"),
            DeliveryError::refused(Kind::Server { status: 503 }),
        ),
        (
            MaxFault::Page { status: 502 },
            DeliveryError::ambiguous(Kind::Server { status: 502 }),
        ),
        (MaxFault::Garbage, DeliveryError::ambiguous(Kind::Unreadable)),
        (
            MaxFault::CutAfter,
            DeliveryError::ambiguous(Kind::Network {
                reason: "the connection was lost",
            }),
        ),
    ];
    for (fault, expected) in rows {
        fake.fault("POST /messages", fault.clone());
        let result = adapter.send_message(&plain(-42, "text")).await;
        assert_eq!(result, Err(expected), "{fault:?}");
    }
    assert_eq!(fake.chat(-42).texts().len(), 2, "the two whose answers were lost");
}

#[tokio::test]
async fn a_change_that_was_not_made_is_said_anew_and_a_deletion_that_was_not_made_is_done() {
    let World { fake, adapter } = world().await;
    let id = adapter.send_message(&plain(42, "one")).await.unwrap();
    let too_old = MaxFault::NotDone {
        message: "message is too old to be edited",
    };
    fake.fault("PUT /messages", too_old.clone());
    let gone = Err(DeliveryError::refused(Kind::NothingToEdit));
    assert_eq!(adapter.edit_message(&id, &plain(42, "two")).await, gone);
    fake.fault("DELETE /messages", too_old);
    let chat = ChatId::parse("42").unwrap();
    assert_eq!(adapter.delete_message(&chat, &id).await, Ok(()));
}

#[tokio::test]
async fn a_hanging_call_ends_at_its_limit_and_is_ambiguous() {
    let World { fake, adapter } = world_with(|config| config.call_timeout = Duration::from_millis(50)).await;
    fake.fault("POST /messages", MaxFault::Hang);
    let error = adapter.send_message(&plain(42, "x")).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::Ambiguous);
    assert!(!error.may_retry() && !error.is_permanent());
}

#[tokio::test]
async fn no_connection_is_surely_not_sent_and_nothing_tells_the_token() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let mut config = MaxConfig::new(Secret::new(TOKEN));
    config.base_url = format!("http://{closed}");
    let told_of_config = format!("{config:?}");
    let adapter = MaxAdapter::new(config, http());
    let error = adapter.send_message(&plain(42, "x")).await.unwrap_err();
    assert_eq!(
        error,
        DeliveryError::not_sent(Kind::Network {
            reason: "the connection is refused"
        })
    );
    assert!(error.may_retry());
    for text in [
        format!("{error}"),
        format!("{error:?}"),
        format!("{adapter:?}"),
        told_of_config,
    ] {
        assert!(!text.contains("fake-max-token"), "{text}");
    }
    assert!(!format!("{error:?}").contains("127.0.0.1"));
}

#[tokio::test]
async fn a_server_that_quotes_the_token_is_not_quoted() {
    let World { fake, adapter } = world().await;
    fake.fault(
        "POST /messages",
        MaxFault::bad_payload(&format!("no such token {TOKEN}")),
    );
    let error = adapter.send_message(&plain(42, "x")).await.unwrap_err();
    assert!(error.to_string().contains("no such token …"), "{error}");
    assert!(!format!("{error} {error:?}").contains("fake-max-token"));
}

#[tokio::test]
async fn a_chat_that_is_no_number_is_never_part_of_an_address() {
    let World { fake, adapter } = world().await;
    let mut message = plain(1, "x");
    message.chat = ChatId::parse("../me").unwrap();
    let gone = DeliveryError::not_sent(Kind::ChatGone);
    assert_eq!(adapter.send_message(&message).await, Err(gone.clone()));
    assert_eq!(adapter.send_typing_indicator(&message.chat).await, Err(gone));
    assert_eq!(fake.with_state(|state| state.calls.len()), 0);
}

#[tokio::test]
async fn a_pressed_button_is_answered() {
    let World { fake, adapter } = world().await;
    let update = fake.callback(42, "mid.5", "yes");
    let expected = update["callback"]["callback_id"].as_str().unwrap().to_owned();
    let parsed = adapter.parse_webhook(update.to_string().as_bytes(), Timestamp::from_millis(0));
    let Ok(Parsed::Messages(messages)) = parsed else {
        panic!("{parsed:?}");
    };
    adapter.acknowledge(&messages[0]).await.unwrap();
    assert_eq!(
        fake.with_state(|state| state.answered_callbacks.clone()),
        [expected]
    );
    fake.fault("POST /answers", MaxFault::bad_payload("callback is too old"));
    adapter
        .acknowledge(&messages[0])
        .await
        .expect("nobody waits any more");
}
