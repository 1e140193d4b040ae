//! Long polling, subscriptions, and who the bot is.

use crate::world::{World, us, world};
use openclaw_core::{Secret, Timestamp};
use openclaw_max::PolledBatch;
use openclaw_messenger::{DeliveryError, DeliveryErrorKind as Kind, MessengerPort, Parsed, WebhookSecrets};
use openclaw_testkit::fake_max::{MaxFault, SECRET_HEADER};
use serde_json::json;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_000);

async fn poll(world: &World, marker: Option<i64>) -> PolledBatch {
    world
        .adapter
        .get_updates(marker, 100, Duration::ZERO, NOW)
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
        "GET /me",
        MaxFault::Refused {
            status: 401,
            code: "verify.token",
            message: "Invalid access_token".to_owned(),
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
    let first = poll(&world, None).await;
    assert_eq!((first.updates.len(), first.marker), (1, Some(1)));
    world.fake.queue_update(world.fake.private_text(42, "two"));
    assert_eq!(
        poll(&world, Some(0)).await.updates.len(),
        2,
        "nothing is lost before it is confirmed"
    );
    assert_eq!(poll(&world, Some(1)).await.updates.len(), 1);
    let last = poll(&world, Some(2)).await;
    assert_eq!((last.updates.len(), last.marker), (0, None), "the marker stays");
    let query = &world.fake.calls_of("GET /updates")[0].query;
    assert_eq!(
        query["types"],
        "message_created,message_edited,message_callback,bot_started"
    );
    assert!(!query.contains_key("marker"));
    assert!(world.fake.with_state(|state| {
        state
            .calls
            .iter()
            .all(|call| !format!("{:?}", call.query).contains("fake-max-token"))
    }));
}

#[tokio::test]
async fn one_update_that_cannot_be_understood_spoils_no_other() {
    let world = world().await;
    let broken = json!({ "message": { "recipient": "nobody" } });
    poll(&world, None).await;
    world
        .fake
        .queue_update(world.fake.update("message_created", broken));
    world
        .fake
        .queue_update(world.fake.update("hologram", json!({ "depth": 3 })));
    world.fake.queue_update(world.fake.private_text(42, "hello"));
    let updates = poll(&world, Some(0)).await.updates;
    assert_eq!(updates.len(), 3);
    assert!(updates[0].is_err());
    let unknown = Ok(Parsed::Ignored {
        kind: "unknown".into(),
    });
    assert_eq!(updates[1], unknown);
    assert!(matches!(&updates[2], Ok(Parsed::Messages(messages)) if messages[0].text == "hello"));
}

#[tokio::test]
async fn a_waiting_poll_ends_with_the_first_update() {
    let world = world().await;
    let poll = world
        .adapter
        .get_updates(Some(0), 1_000, Duration::from_secs(300), NOW);
    let write = async {
        world
            .fake
            .wait_for(|state| state.count("GET /updates") == 1, Duration::from_secs(5))
            .await
            .unwrap();
        world.fake.queue_update(world.fake.private_text(42, "hello"));
    };
    let (batch, ()) = tokio::join!(poll, write);
    assert_eq!(batch.unwrap().updates.len(), 1);
    let query = &world.fake.calls_of("GET /updates")[0].query;
    assert_eq!(
        (query["limit"].as_str(), query["timeout"].as_str()),
        ("100", "30")
    );
}

#[tokio::test]
async fn subscriptions_are_made_listed_and_ended() {
    let World { fake, adapter } = world().await;
    let url = "https://example.org/webhook/max/a?b=c&d";
    adapter
        .subscribe(url, &Secret::new("webhook-secret"))
        .await
        .unwrap();
    let body = &fake.calls_of("POST /subscriptions")[0].body;
    assert_eq!(body["secret"], "webhook-secret");
    assert_eq!(
        body["update_types"],
        json!([
            "message_created",
            "message_edited",
            "message_callback",
            "bot_started"
        ])
    );
    let listed = adapter.subscriptions().await.unwrap();
    assert_eq!((listed.len(), listed[0].url.as_str()), (1, url));
    fake.fault("POST /subscriptions", MaxFault::NotDone { message: "why not" });
    let error = adapter
        .subscribe(url, &Secret::new("webhook-secret"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("why not"), "{error}");
    adapter.unsubscribe(url).await.unwrap();
    assert!(fake.subscriptions().is_empty());
}

#[tokio::test]
async fn webhook_secrets_are_kept_as_every_adapter_must() {
    let World { adapter, .. } = world().await;
    openclaw_messenger::contract::webhook_secrets(&adapter, openclaw_max::adapter::SECRET_HEADER);
    assert_eq!(adapter.platform(), openclaw_core::Platform::Max);
    assert!(SECRET_HEADER.eq_ignore_ascii_case(openclaw_max::adapter::SECRET_HEADER));
    adapter.set_webhook_secrets(WebhookSecrets::none());
}
