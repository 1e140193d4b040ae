//! Long polling, webhooks, and who the bot is.

use crate::world::{World, us, world};
use openclaw_core::{Secret, Timestamp};
use openclaw_messenger::{DeliveryError, DeliveryErrorKind as Kind, MessengerPort, Parsed};
use openclaw_telegram::PolledUpdate;
use openclaw_testkit::fake_telegram::Fault;
use serde_json::json;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_000);

async fn poll(world: &World, offset: Option<i64>) -> Vec<PolledUpdate> {
    world
        .adapter
        .get_updates(offset, 100, Duration::ZERO, NOW)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_bot_learns_who_it_is() {
    let World { fake, adapter } = world().await;
    assert_eq!(adapter.identity(), None);
    assert_eq!(adapter.connect().await, Ok(us()));
    assert_eq!(adapter.identity(), Some(us()));
    fake.fault(
        "getMe",
        Fault::Refused {
            code: 401,
            description: "Unauthorized".to_owned(),
        },
    );
    assert_eq!(
        adapter.connect().await,
        Err(DeliveryError::refused(Kind::BadToken))
    );
}

#[tokio::test]
async fn updates_come_until_they_are_confirmed() {
    let world = world().await;
    world.fake.queue_update(world.fake.private_text(42, "one"));
    world.fake.queue_update(world.fake.private_text(42, "two"));
    let first = poll(&world, None).await;
    let ids: Vec<_> = first.iter().map(|update| update.update_id).collect();
    assert_eq!(ids, [1, 2]);
    assert_eq!(
        poll(&world, Some(1)).await.len(),
        2,
        "nothing is lost before it is confirmed"
    );
    assert_eq!(poll(&world, Some(2)).await.len(), 1);
    assert!(poll(&world, Some(3)).await.is_empty());
    let calls = world.fake.calls_of("getUpdates");
    let kinds = calls[0].parameters["allowed_updates"].as_array().unwrap();
    assert!(kinds.contains(&json!("stopped_message_generation")));
}

#[tokio::test]
async fn one_update_that_cannot_be_understood_spoils_no_other() {
    let world = world().await;
    world.fake.queue_update(
        world
            .fake
            .update("message", json!({ "message_id": "not a number" })),
    );
    world
        .fake
        .queue_update(world.fake.update("hologram", json!([1, 2])));
    world.fake.queue_update(world.fake.private_text(42, "hello"));
    let updates = poll(&world, None).await;
    assert_eq!(updates.len(), 3);
    assert!(updates[0].parsed.is_err());
    assert_eq!(
        updates[1].parsed,
        Ok(Parsed::Ignored {
            kind: "unknown".into()
        })
    );
    assert!(matches!(&updates[2].parsed, Ok(Parsed::Messages(messages)) if messages[0].text == "hello"));
}

#[tokio::test]
async fn a_waiting_poll_ends_with_the_first_update() {
    let world = world().await;
    let poll = world.adapter.get_updates(None, 10, Duration::from_secs(50), NOW);
    let write = async {
        world
            .fake
            .wait_for(
                |state| state.counts.contains_key("getUpdates"),
                Duration::from_secs(60),
            )
            .await
            .unwrap();
        world.fake.queue_update(world.fake.private_text(42, "hello"));
    };
    let (updates, ()) = tokio::join!(poll, write);
    assert_eq!(updates.unwrap().len(), 1);
}

#[tokio::test]
async fn polling_beside_a_webhook_is_a_conflict() {
    let world = world().await;
    let secret = Secret::new("webhook-secret");
    world
        .adapter
        .set_webhook("https://example.org/webhook/telegram", &secret)
        .await
        .unwrap();
    let info = world.adapter.webhook_info().await.unwrap();
    assert_eq!(info.url, "https://example.org/webhook/telegram");
    let set = world.fake.calls_of("setWebhook");
    assert_eq!(set[0].parameters["secret_token"], "webhook-secret");
    let refused = world
        .adapter
        .get_updates(None, 1, Duration::ZERO, NOW)
        .await
        .unwrap_err();
    assert_eq!(refused, DeliveryError::refused(Kind::Conflict));
    world.adapter.delete_webhook().await.unwrap();
    assert!(poll(&world, None).await.is_empty());
    world
        .adapter
        .set_commands(&[("new", "Start over")], Some("en"))
        .await
        .unwrap();
    let commands = world.fake.calls_of("setMyCommands");
    assert_eq!(commands[0].parameters["commands"][0]["command"], "new");
}

#[tokio::test]
async fn webhook_secrets_are_kept_as_every_adapter_must() {
    let World { adapter, .. } = world().await;
    openclaw_messenger::contract::webhook_secrets(&adapter, openclaw_telegram::adapter::SECRET_HEADER);
    assert_eq!(adapter.platform(), openclaw_core::Platform::Telegram);
}

#[tokio::test]
async fn the_fakes_webhook_request_is_one_the_adapter_believes() {
    use openclaw_messenger::WebhookSecrets;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let World { fake, adapter } = world().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook/telegram", listener.local_addr().unwrap());
    fake.set_webhook(&url, Some("webhook-secret"));
    adapter.set_webhook_secrets(WebhookSecrets::one(Secret::new("webhook-secret")));
    let update = fake.private_text(42, "hello");
    let length = update.to_string().len();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            stream.read_buf(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && body.len() == length
            {
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                return (head.to_owned(), body.to_owned());
            }
        }
    };
    let (status, (head, body)) = tokio::join!(fake.deliver_update(&update), serve);
    assert_eq!(status.unwrap(), 204);
    let value = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case(openclaw_telegram::adapter::SECRET_HEADER))
        .map(|(_, value)| value.as_bytes().to_vec())
        .unwrap();
    let headers: [(&str, &[u8]); 1] = [(openclaw_telegram::adapter::SECRET_HEADER, &value)];
    assert_eq!(adapter.validate_webhook_signature(&headers, NOW), Ok(()));
    let parsed = adapter.parse_webhook(body.as_bytes(), NOW);
    assert!(matches!(parsed, Ok(Parsed::Messages(messages)) if messages[0].text == "hello"));
}
