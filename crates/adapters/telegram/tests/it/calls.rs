//! Every call, and every way it can fail.

use crate::world::{World, http, markdown, plain, world, world_with};
use openclaw_core::{ChatId, IncomingKind, MessageId, Secret, Timestamp};
use openclaw_messenger::{Certainty, DeliveryError, DeliveryErrorKind as Kind, MessengerPort, Parsed};
use openclaw_telegram::{TelegramAdapter, TelegramConfig};
use openclaw_testkit::fake_telegram::{Fault, TOKEN};
use std::time::Duration;

fn refusal(code: u16, description: &str) -> Fault {
    Fault::Refused {
        code,
        description: description.to_owned(),
    }
}

#[tokio::test]
async fn a_message_is_sent_changed_and_taken_away() {
    let World { fake, adapter } = world().await;
    let chat = ChatId::parse("42").unwrap();
    let id = adapter.send_message(&plain("42", "one")).await.unwrap();
    adapter.edit_message(&id, &plain("42", "one two")).await.unwrap();
    adapter
        .edit_message(&id, &plain("42", "one two"))
        .await
        .expect("not modified is fine");
    adapter.send_typing_indicator(&chat).await.unwrap();
    let shown = fake.chat(42);
    assert_eq!(shown.texts(), ["one two"]);
    assert_eq!(shown.last().unwrap().history, ["one"]);
    assert_eq!(shown.typing, 1);
    adapter.delete_message(&chat, &id).await.unwrap();
    adapter
        .delete_message(&chat, &id)
        .await
        .expect("gone already is fine");
    assert!(fake.chat(42).texts().is_empty());
    let gone = DeliveryError::refused(Kind::NothingToEdit);
    assert_eq!(adapter.edit_message(&id, &plain("42", "x")).await, Err(gone));
}

#[tokio::test]
async fn requests_carry_topic_reply_and_no_preview() {
    let World { fake, adapter } = world().await;
    let mut message = plain("-100500.7", "in a topic");
    message.reply_to = Some(MessageId::parse("3").unwrap());
    adapter.send_message(&message).await.unwrap();
    adapter
        .send_message(&plain("-100500.1", "the general topic"))
        .await
        .unwrap();
    let calls = fake.calls_of("sendMessage");
    let first = &calls[0].parameters;
    assert_eq!(first["chat_id"], -100_500);
    assert_eq!(first["message_thread_id"], 7);
    assert_eq!(first["reply_parameters"]["message_id"], 3);
    assert_eq!(first["reply_parameters"]["allow_sending_without_reply"], true);
    assert_eq!(first["link_preview_options"]["is_disabled"], true);
    assert!(calls[1].parameters.get("message_thread_id").is_none());
}

#[tokio::test]
async fn markdown_goes_as_entities_and_plain_text_without() {
    let World { fake, adapter } = world().await;
    adapter
        .send_message(&markdown("42", "**bold** and 😀 `code`"))
        .await
        .unwrap();
    adapter
        .send_message(&plain("42", "**as it stands**"))
        .await
        .unwrap();
    let calls = fake.calls_of("sendMessage");
    assert_eq!(calls[0].parameters["text"], "bold and 😀 code");
    assert_eq!(
        calls[0].parameters["entities"],
        serde_json::json!([
            { "type": "bold", "offset": 0, "length": 4 },
            { "type": "code", "offset": 12, "length": 4 },
        ])
    );
    assert_eq!(calls[1].parameters["text"], "**as it stands**");
    assert!(calls[1].parameters.get("entities").is_none());
}

#[tokio::test]
async fn refused_formatting_goes_once_more_without_it() {
    let World { fake, adapter } = world().await;
    fake.fault("sendMessage", Fault::bad_entities());
    let id = adapter.send_message(&markdown("42", "**bold**")).await.unwrap();
    assert_eq!(fake.chat(42).texts(), ["bold"]);
    fake.fault("editMessageText", Fault::bad_entities());
    adapter
        .edit_message(&id, &markdown("42", "**bolder**"))
        .await
        .unwrap();
    assert_eq!(fake.chat(42).texts(), ["bolder"]);
    fake.fault_times("sendMessage", 2, &Fault::bad_entities());
    let refused = DeliveryError::refused(Kind::FormatRefused);
    assert_eq!(adapter.send_message(&markdown("42", "**b**")).await, Err(refused));
    fake.fault("sendMessage", Fault::RateLimited { retry_after: 3 });
    assert!(adapter.send_message(&markdown("42", "**b**")).await.is_err());
    assert_eq!(
        fake.call_count("sendMessage"),
        5,
        "a 429 is not a reason to drop formatting"
    );
}

#[tokio::test]
async fn nothing_over_the_limit_or_empty_is_sent() {
    let World { fake, adapter } = world().await;
    let exactly = "😀".repeat(2_048);
    adapter.send_message(&plain("42", &exactly)).await.unwrap();
    let over = format!("{exactly}a");
    let too_long = Err(DeliveryError::not_sent(Kind::TooLong));
    assert_eq!(adapter.send_message(&plain("42", &over)).await, too_long);
    let empty = Err(DeliveryError::not_sent(Kind::Empty));
    assert_eq!(adapter.send_message(&plain("42", " \n")).await, empty);
    assert_eq!(fake.call_count("sendMessage"), 1);
    assert_eq!(fake.with_state(|state| state.longest_text), 4_096);
}

#[tokio::test]
async fn each_refusal_becomes_its_error() {
    let World { fake, adapter } = world().await;
    let to = ChatId::parse("-100900").unwrap();
    let rows = [
        (
            Fault::RateLimited { retry_after: 35 },
            DeliveryError::refused(Kind::RateLimited {
                retry_after: Duration::from_secs(35),
                whole_bot: false,
            }),
        ),
        (
            refusal(401, "Unauthorized"),
            DeliveryError::refused(Kind::BadToken),
        ),
        (refusal(404, "Not Found"), DeliveryError::refused(Kind::BadToken)),
        (Fault::blocked(), DeliveryError::refused(Kind::Blocked)),
        (
            refusal(400, "Bad Request: chat not found"),
            DeliveryError::refused(Kind::ChatGone),
        ),
        (
            refusal(400, "Bad Request: TOPIC_CLOSED"),
            DeliveryError::refused(Kind::ChatGone),
        ),
        (
            refusal(400, "Bad Request: message is too long"),
            DeliveryError::refused(Kind::TooLong),
        ),
        (
            Fault::Migrated { to: -100_900 },
            DeliveryError::refused(Kind::Migrated { to }),
        ),
        (
            Fault::server_error(),
            DeliveryError::refused(Kind::Server { status: 500 }),
        ),
        (
            Fault::Page { status: 502 },
            DeliveryError::ambiguous(Kind::Server { status: 502 }),
        ),
        (Fault::Garbage, DeliveryError::ambiguous(Kind::Unreadable)),
        (
            Fault::CutAfter,
            DeliveryError::ambiguous(Kind::Network {
                reason: "the connection was lost",
            }),
        ),
    ];
    for (fault, expected) in rows {
        fake.fault("sendMessage", fault.clone());
        let result = adapter.send_message(&plain("-42", "text")).await;
        assert_eq!(result, Err(expected), "{fault:?}");
    }
    assert_eq!(fake.chat(-42).texts().len(), 2, "the two whose answers were lost");
}

#[tokio::test]
async fn a_hanging_call_ends_at_its_limit_and_is_ambiguous() {
    let World { fake, adapter } = world_with(|config| config.call_timeout = Duration::from_millis(50)).await;
    fake.fault("sendMessage", Fault::Hang);
    let error = adapter.send_message(&plain("42", "x")).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::Ambiguous);
    assert!(!error.may_retry() && !error.is_permanent());
}

#[tokio::test]
async fn no_connection_is_surely_not_sent() {
    // Taken for as long as the test runs, so that nobody else comes to listen there.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let closed = taken.local_addr().unwrap();
    let mut config = TelegramConfig::new(Secret::new(TOKEN));
    config.base_url = format!("http://{closed}");
    let adapter = TelegramAdapter::new(config, http());
    let error = adapter.send_message(&plain("42", "x")).await.unwrap_err();
    assert_eq!(
        error,
        DeliveryError::not_sent(Kind::Network {
            reason: "the connection is refused"
        })
    );
    assert_eq!(error.certainty, Certainty::NotSent);
    assert!(error.may_retry());
    for text in [format!("{error}"), format!("{error:?}"), format!("{adapter:?}")] {
        assert!(
            !text.contains("fake-token") && !text.contains("127.0.0.1"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_server_that_quotes_the_token_is_not_quoted() {
    let World { fake, adapter } = world().await;
    fake.fault(
        "sendMessage",
        refusal(418, &format!("no such path /bot{TOKEN}/sendMessage")),
    );
    let error = adapter.send_message(&plain("42", "x")).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("fake-token"));
}

#[tokio::test]
async fn drafts_are_shown_in_private_chats_until_the_server_knows_none() {
    let World { fake, adapter } = world().await;
    assert!(adapter.capabilities().drafts);
    adapter.send_draft(9, &plain("42", "so f")).await.unwrap();
    adapter.send_draft(9, &plain("42", "so far")).await.unwrap();
    let drafts: Vec<_> = fake
        .chat(42)
        .drafts
        .into_iter()
        .map(|draft| (draft.id, draft.text))
        .collect();
    assert_eq!(drafts, [(9, "so f".to_owned()), (9, "so far".to_owned())]);
    assert!(adapter.send_draft(9, &plain("-42", "in a group")).await.is_err());
    assert!(adapter.send_draft(0, &plain("42", "no id")).await.is_err());
    fake.fault("sendMessageDraft", Fault::RateLimited { retry_after: 1 });
    assert!(adapter.send_draft(9, &plain("42", "x")).await.is_err());
    assert!(adapter.capabilities().drafts, "a pause is not a lack");

    fake.set_drafts(false);
    let unsupported = DeliveryError::refused(Kind::Unsupported { what: "drafts" });
    assert_eq!(adapter.send_draft(9, &plain("42", "x")).await, Err(unsupported));
    assert!(!adapter.capabilities().drafts);
    let calls = fake.call_count("sendMessageDraft");
    assert!(adapter.send_draft(9, &plain("42", "x")).await.is_err());
    assert_eq!(
        fake.call_count("sendMessageDraft"),
        calls,
        "it is not asked again"
    );
}

#[tokio::test]
async fn a_pressed_button_is_answered() {
    let World { fake, adapter } = world().await;
    let update = fake.callback(42, 5, "yes");
    let expected = update["callback_query"]["id"].as_str().unwrap().to_owned();
    let parsed = adapter.parse_webhook(update.to_string().as_bytes(), Timestamp::from_millis(0));
    let Ok(Parsed::Messages(messages)) = parsed else {
        panic!("{parsed:?}");
    };
    assert_eq!(
        (messages[0].kind, messages[0].text.as_str()),
        (IncomingKind::Callback, "yes")
    );
    adapter.acknowledge(&messages[0]).await.unwrap();
    assert_eq!(
        fake.with_state(|state| state.answered_queries.clone()),
        [expected]
    );
    fake.fault(
        "answerCallbackQuery",
        refusal(400, "Bad Request: query is too old and response timeout expired"),
    );
    adapter
        .acknowledge(&messages[0])
        .await
        .expect("nobody waits any more");
}
