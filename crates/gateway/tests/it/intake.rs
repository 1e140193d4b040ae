//! What becomes of what people do, other than ask: commands, buttons, pictures, and what a host asks of the gateway.

use crate::faults::{faulty, until};
use crate::hooks::plug;
use crate::world::World;
use openclaw_ai_fabric::{FallbackChain, SelectionRequest};
use openclaw_core::{AccessTier, Attachment, IncomingKind, IncomingMessage, ModelId};
use openclaw_gateway::ports::TurnStore;
use openclaw_gateway::{GatewayConfig, Retries};
use openclaw_plugins::{HookContext, HookName, HookResult, SessionEndReason};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

async fn receive(world: &World, message: IncomingMessage) {
    world.gateway.receive(vec![message], None).await.unwrap();
}

async fn at_rest(world: &World) {
    until("every message has its end", async || {
        world.gateway.open_entries() == 0
    })
    .await;
    assert!(world.store.open_entries(None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_button_is_acknowledged_and_nothing_else() {
    let world = World::new().await;
    let pressed = IncomingMessage {
        kind: IncomingKind::Callback,
        ..world.message("1", "data")
    };
    receive(&world, pressed).await;
    at_rest(&world).await;
    until("it is acknowledged", async || {
        world.messenger.acknowledged.load(Ordering::Relaxed) == 1
    })
    .await;
    assert!(world.messenger.texts("1").is_empty() && world.model.asked.lock().is_empty());
}

#[tokio::test]
async fn a_picture_alone_is_answered_in_words_and_nothing_at_all_is_not() {
    let world = World::new().await;
    let mut picture = world.message("1", " ");
    picture.attachments.push(Attachment {
        kind: "photo".to_owned(),
        reference: "1".to_owned(),
        name: None,
        size: None,
    });
    receive(&world, world.message("2", " ")).await;
    receive(&world, picture).await;
    at_rest(&world).await;
    until("it is told", async || world.messenger.texts("1").len() == 1).await;
    assert!(world.messenger.texts("2").is_empty() && world.model.asked.lock().is_empty());
}

#[tokio::test]
async fn a_stop_without_words_ends_what_runs_and_what_waits_and_says_nothing() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_secs(60);
    for text in ["first", "second"] {
        world.say("1", text).await;
    }
    until("it runs", async || world.model.asked.lock().len() == 1).await;
    let stop = IncomingMessage {
        kind: IncomingKind::Stop,
        ..world.message("1", "")
    };
    receive(world, stop).await;
    at_rest(world).await;
    *world.model.gap.lock() = Duration::ZERO;
    world.say("1", "third").await;
    world.messenger.shows("1", &["echo: third"]).await;
    assert_eq!(world.model.asked.lock().len(), 2, "the second was not asked");
}

#[tokio::test]
async fn every_command_is_answered_with_its_own_words() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for (person, command) in ["/start", "/help", "/stop", "/usage", "/new", "/other"]
        .iter()
        .enumerate()
    {
        let person = person.to_string();
        world.say(&person, command).await;
        at_rest(&world).await;
        until("it is answered", async || {
            world.messenger.texts(&person).len() == 1
        })
        .await;
        answers.extend(world.messenger.texts(&person));
    }
    assert!(world.model.asked.lock().is_empty());
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 6, "{answers:?}");
}

#[tokio::test]
async fn new_ends_the_answer_to_the_old_conversation_and_its_session() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    let seen: Arc<Mutex<Vec<SessionEndReason>>> = Arc::default();
    let sink = Arc::clone(&seen);
    plug(world, HookName::OnSessionEnd, move |context| {
        if let HookContext::OnSessionEnd { reason, .. } = context {
            sink.lock().push(*reason);
        }
        HookResult::default()
    });
    *world.model.gap.lock() = Duration::from_secs(60);
    world.say("1", "old").await;
    until("it runs", async || world.model.asked.lock().len() == 1).await;
    world.say("1", "/new").await;
    let over = "A new conversation. I no longer remember the earlier one.";
    world.messenger.shows("1", &[over]).await;
    at_rest(world).await;
    *world.model.gap.lock() = Duration::ZERO;
    world.say("1", "next").await;
    world.messenger.shows("1", &[over, "echo: next"]).await;
    let asked = world.model.asked.lock().last().unwrap().messages.len();
    assert_eq!(asked, 1, "nothing of the old one is told");
    assert_eq!(*seen.lock(), [SessionEndReason::Renewed]);
}

#[tokio::test]
async fn what_waits_outside_the_pool_is_counted_and_has_waited_for_so_long() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    let gateway = &world.gateway;
    assert_eq!((gateway.waiting_entries(), gateway.oldest_waiting()), (0, None));
    gateway.check_admission().unwrap();
    gateway.pause();
    for person in ["1", "2", "3"] {
        world.say(person, "hello").await;
    }
    assert_eq!((gateway.waiting_entries(), gateway.open_entries()), (3, 3));
    faulty.clock.advance(Duration::from_secs(7));
    let waited = gateway.oldest_waiting().unwrap();
    assert!((7..20).contains(&waited.as_secs()), "{waited:?}");
    gateway.resume();
    at_rest(world).await;
    assert_eq!((gateway.waiting_entries(), gateway.oldest_waiting()), (0, None));
    gateway.shut_down(Duration::ZERO).await;
    gateway.check_admission().unwrap_err();
}

#[tokio::test]
async fn another_chain_counts_from_the_next_request_on() {
    let world = World::new().await;
    let gateway = &world.gateway;
    assert_eq!(gateway.default_chain(), None);
    assert_eq!(
        gateway.max_reply_tokens(),
        GatewayConfig::default().max_reply_tokens
    );
    let chain = FallbackChain {
        primary_model: ModelId::parse("nobody").unwrap(),
        fallbacks: vec![ModelId::parse("test").unwrap()],
        max_retries: 0,
        retry_delay: Duration::ZERO,
    };
    let retries = Retries {
        max_retries: 4,
        retry_delay: Duration::from_secs(2),
    };
    gateway.set_routing(Some(chain.clone()), retries);
    assert_eq!(gateway.default_chain(), Some(chain));
    let asked = gateway
        .would_ask(&SelectionRequest {
            model: None,
            capabilities: Vec::new(),
            tier: AccessTier::Free,
            input_tokens: 1,
            output_tokens: 1,
        })
        .unwrap();
    assert_eq!(asked.primary_model.as_str(), "test", "the first that can");
    assert_eq!(
        (asked.max_retries, asked.retry_delay),
        (4, Duration::from_secs(2))
    );
}
