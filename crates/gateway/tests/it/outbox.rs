//! What becomes of a message that its platform does not take.

use crate::faults::{Faulty, faulty, until};
use crate::hooks::plug;
use crate::world::World;
use openclaw_core::Clock;
use openclaw_gateway::OutboxCounts;
use openclaw_gateway::ports::TurnStore;
use openclaw_messenger::{Certainty, DeliveryError, DeliveryErrorKind};
use openclaw_plugins::{HookContext, HookName, HookResult};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What `/stop` is answered with, which goes through the outbox only.
const ANSWER: &str = "There is nothing to stop.";

fn fails(certainty: Certainty, kind: DeliveryErrorKind) -> DeliveryError {
    DeliveryError { certainty, kind }
}

/// Says `/stop` to a platform that fails so, and waits until the answer was delivered or given up: how long that took.
async fn told(faulty: &Faulty, failures: Vec<DeliveryError>) -> Duration {
    told_in_steps(faulty, failures, Duration::ZERO).await
}

/// The same where it takes long: at each look so much more time has passed.
async fn told_in_steps(faulty: &Faulty, failures: Vec<DeliveryError>, step: Duration) -> Duration {
    let world = &faulty.world;
    world.messenger.fails.lock().extend(failures);
    let began = faulty.clock.monotonic();
    world.say("1", "/stop").await;
    until("it is over", async || {
        faulty.clock.advance(step);
        let OutboxCounts {
            delivered, failed, ..
        } = world.gateway.outbox();
        let left = faulty.store.pending_outbox(None, 9).await.unwrap();
        delivered + failed == 1 && left.is_empty()
    })
    .await;
    faulty.clock.monotonic().saturating_since(began)
}

#[tokio::test]
async fn what_surely_did_not_arrive_is_sent_again_ever_later_and_arrives_once() {
    let faulty = faulty(|_| {}).await;
    let server = || fails(Certainty::NotSent, DeliveryErrorKind::Server { status: 500 });
    let took = told(&faulty, vec![server(), server(), server()]).await;
    // A second, two and four, each less up to a quarter.
    let expected = Duration::from_millis(5_250)..Duration::from_secs(9);
    assert!(expected.contains(&took), "{took:?}");
    assert_eq!(faulty.world.messenger.texts("1"), [ANSWER]);
    let counts = OutboxCounts {
        delivered: 1,
        retried: 3,
        ..OutboxCounts::default()
    };
    assert_eq!(faulty.world.gateway.outbox(), counts);
}

#[tokio::test]
async fn what_may_have_arrived_is_sent_again_twice_and_no_more() {
    let faulty = faulty(|_| {}).await;
    let lost = || {
        fails(
            Certainty::Ambiguous,
            DeliveryErrorKind::Network { reason: "reset" },
        )
    };
    told(&faulty, vec![lost(), lost(), lost(), lost(), lost()]).await;
    assert_eq!(faulty.world.messenger.sends.load(Ordering::Relaxed), 3);
    let counts = OutboxCounts {
        failed: 1,
        retried: 2,
        ambiguous: 3,
        ..OutboxCounts::default()
    };
    assert_eq!(faulty.world.gateway.outbox(), counts);
}

#[tokio::test]
async fn what_will_never_arrive_is_given_up_at_once_and_what_never_does_in_the_end() {
    let faulty_ = faulty(|_| {}).await;
    told(
        &faulty_,
        vec![fails(Certainty::Refused, DeliveryErrorKind::Blocked)],
    )
    .await;
    assert_eq!(faulty_.world.messenger.sends.load(Ordering::Relaxed), 1);
    assert_eq!(faulty_.world.gateway.outbox().failed, 1);
    let faulty = faulty(|_| {}).await;
    let server = || fails(Certainty::NotSent, DeliveryErrorKind::Server { status: 500 });
    told_in_steps(
        &faulty,
        (0..30).map(|_| server()).collect(),
        Duration::from_secs(5),
    )
    .await;
    assert_eq!(faulty.world.messenger.sends.load(Ordering::Relaxed), 20);
    let OutboxCounts { failed, retried, .. } = faulty.world.gateway.outbox();
    assert_eq!((failed, retried), (1, 19));
}

#[tokio::test]
async fn a_platform_that_asks_to_wait_is_waited_for() {
    let faulty = faulty(|_| {}).await;
    let wait = Duration::from_secs(60);
    let kind = DeliveryErrorKind::RateLimited {
        retry_after: wait,
        whole_bot: false,
    };
    let took = told(&faulty, vec![fails(Certainty::Refused, kind)]).await;
    assert!((wait..wait * 2).contains(&took), "{took:?}");
    assert_eq!(faulty.world.messenger.texts("1"), [ANSWER]);
}

#[tokio::test]
async fn an_answer_whose_beginning_somebody_deleted_is_sent_anew() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_millis(400);
    world.say("1", "one two three four five six").await;
    until("some of it is shown", async || {
        !world.messenger.texts("1").is_empty()
    })
    .await;
    world.messenger.clear("1");
    world
        .messenger
        .shows("1", &["echo: one two three four five six"])
        .await;
    until("nothing is left to deliver", async || {
        faulty.store.pending_outbox(None, 9).await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test]
async fn words_in_the_place_of_a_message_that_somebody_deleted_are_sent_anew() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_millis(400);
    world.model.says(|_| Ok("word ".repeat(1_000)));
    world.say("1", "hello").await;
    until("some of it is shown", async || {
        !world.messenger.texts("1").is_empty()
    })
    .await;
    crate::turn::kill(world);
    world.messenger.clear("1");
    let words = "Something went wrong while your request was being answered. Please try again.";
    world.messenger.shows("1", &[words]).await;
    until("it is recorded", async || {
        faulty.store.pending_outbox(None, 9).await.unwrap().is_empty()
    })
    .await;
    let counts = OutboxCounts {
        delivered: 1,
        ..OutboxCounts::default()
    };
    assert_eq!(world.gateway.outbox(), counts);
}

#[tokio::test]
async fn what_was_put_off_outlives_a_stop_and_is_delivered_after_it() {
    let before = faulty(|_| {}).await;
    let kind = DeliveryErrorKind::RateLimited {
        retry_after: Duration::from_secs(100),
        whole_bot: false,
    };
    before
        .world
        .messenger
        .fails
        .lock()
        .push_back(fails(Certainty::Refused, kind));
    before.world.say("1", "/stop").await;
    until("it is put off", async || {
        before.world.gateway.outbox().retried == 1
    })
    .await;
    // A stop does not wait for it.
    before.world.gateway.shut_down(Duration::ZERO).await;
    let store = Arc::new(before.world.store.reopened());
    assert_eq!(store.pending_outbox(None, 9).await.unwrap().len(), 1);
    let turns = Arc::clone(&store) as Arc<dyn TurnStore>;
    let clock = Arc::clone(&before.clock) as Arc<dyn Clock>;
    let after = World::on(store, turns, clock, |_| {}).await;
    after.messenger.shows("1", &[ANSWER]).await;
    until("it is recorded", async || {
        after.store.pending_outbox(None, 9).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(after.gateway.outbox().delivered, 1);
}

#[tokio::test]
async fn plugins_hear_of_what_was_sent() {
    let world = World::new().await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&seen);
    plug(&world, HookName::OnAfterSend, move |context| {
        if let HookContext::OnAfterSend { text, message_id, .. } = context {
            sink.lock().push(format!("{} {text}", message_id.as_str()));
        }
        HookResult::default()
    });
    world.say("1", "/stop").await;
    until("it is told of", async || !seen.lock().is_empty()).await;
    assert_eq!(*seen.lock(), [format!("0 {ANSWER}")]);
}
