//! Long polling: what a bot does where nobody has said how updates arrive and there is no public address.

use crate::setup::{LONG, World, without_limits, world};
use openclaw_testkit::ServerSetup;

/// As the variables of a newcomer have it: a token, and nothing about webhooks.
async fn polled(change: impl FnOnce(ServerSetup) -> ServerSetup) -> World {
    let world = world(|setup| {
        change(without_limits(setup))
            .env("OPENCLAW__MESSENGER__TELEGRAM__MODE", "auto")
            .env("WEBHOOK_SECRET", "")
    })
    .await;
    // One that is set would keep every poll from getting anything.
    world.telegram.set_webhook("", None);
    world
}

#[tokio::test]
async fn without_a_public_address_updates_are_polled_for() {
    let world = polled(|setup| setup).await;
    let update = world.telegram.private_text(1, "hello");
    world.telegram.queue_update(update);
    world.hears(1, "echo: hello").await;
    assert_eq!(world.telegram.call_count("setWebhook"), 0);
}

#[tokio::test]
async fn an_update_is_confirmed_after_it_is_stored_and_not_before() {
    let world = polled(|setup| setup.env("OPENCLAW__INBOX__MAX_OPEN", "1")).await;
    let hold = world.provider.hold();
    world
        .telegram
        .queue_update(world.telegram.private_text(1, "first"));
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    world
        .telegram
        .wait_for(|state| state.queued_updates() == 0, LONG)
        .await
        .expect("what is stored is confirmed");
    // The inbox is full: this one cannot be stored.
    world
        .telegram
        .queue_update(world.telegram.private_text(2, "second"));
    let refused = async {
        while !world.server.log().contains("updates are not taken yet") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, refused).await.expect("it is tried");
    assert_eq!(world.telegram.with_state(|state| state.queued_updates()), 1);
    drop(hold);
    world.hears(1, "echo: first").await;
    world.hears(2, "echo: second").await;
    world
        .telegram
        .wait_for(|state| state.queued_updates() == 0, LONG)
        .await
        .expect("now it is");
}
