//! The life of one message.

use crate::world::World;
use openclaw_core::{CorrelationId, Language};
use openclaw_gateway::ports::{TenantDirectory, TurnStore};
use openclaw_session::suspend_tenant;
use std::collections::BTreeSet;

#[tokio::test]
async fn every_event_of_a_message_has_one_correlation_id() {
    let world = World::new().await;
    world.say("1", "hello").await;
    world.messenger.shows("1", &["echo: hello"]).await;
    world.gateway.shut_down(std::time::Duration::from_secs(5)).await;
    let events: Vec<_> = std::iter::from_fn(|| world.events.try_next()).collect();
    let ids: BTreeSet<CorrelationId> = events
        .iter()
        .filter_map(openclaw_core::Envelope::correlation_id)
        .collect();
    let names: BTreeSet<&str> = events
        .iter()
        .filter(|event| event.correlation_id().is_some())
        .map(openclaw_core::Envelope::name)
        .collect();
    assert_eq!(ids.len(), 1, "{events:#?}");
    for name in [
        "tenant.created",
        "messenger.message.received",
        "request.queued",
        "request.started",
        "session.created",
        "session.activated",
        "ai-fabric.model.requested",
        "ai-fabric.model.responded",
        "messenger.message.sent",
        "request.completed",
    ] {
        assert!(names.contains(name), "{name} is missing among {names:?}");
    }
}

#[tokio::test]
async fn a_suspended_tenant_reaches_no_model_and_is_told_once() {
    let world = World::new().await;
    world.say("1", "hello").await;
    world.messenger.shows("1", &["echo: hello"]).await;
    let message = world.message("1", "");
    let stored = world
        .store
        .find(&message.bot, &message.tenant_id())
        .await
        .unwrap()
        .unwrap();
    let suspended = suspend_tenant(&stored.tenant);
    world
        .store
        .update(stored.key, stored.version, suspended)
        .await
        .unwrap()
        .unwrap();
    world.say("1", "anybody?").await;
    world.say("1", "hello?").await;
    let words = "Your access has been suspended. Please contact the operator of this service.";
    world.messenger.shows("1", &["echo: hello", words]).await;
    world.gateway.shut_down(std::time::Duration::from_secs(5)).await;
    assert_eq!(
        world.messenger.texts("1").len(),
        2,
        "the second message was not told again"
    );
    assert_eq!(world.model.asked.lock().len(), 1);
}

#[tokio::test]
async fn new_starts_the_conversation_over() {
    let world = World::new().await;
    world.say("1", "first").await;
    world.messenger.shows("1", &["echo: first"]).await;
    world.say("1", "/new").await;
    let over = "A new conversation. I no longer remember the earlier one.";
    world.messenger.shows("1", &["echo: first", over]).await;
    world.say("1", "second").await;
    world
        .messenger
        .shows("1", &["echo: first", over, "echo: second"])
        .await;
    let asked = world.model.asked.lock();
    assert_eq!(
        asked.last().unwrap().messages.len(),
        1,
        "nothing of the first is told"
    );
}

#[tokio::test]
async fn usage_is_told_in_numbers() {
    let world = World::new().await;
    world.say("1", "hello").await;
    world.messenger.shows("1", &["echo: hello"]).await;
    world.say("1", "/usage").await;
    let expected = "Used 15 of 10\u{202f}000 tokens, 9\u{202f}985 left.";
    let told = async {
        loop {
            if world
                .messenger
                .texts("1")
                .iter()
                .any(|text| text.starts_with(expected))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::world::LONG, told)
        .await
        .unwrap_or_else(|_| panic!("{:?}", world.messenger.texts("1")));
}

#[tokio::test]
async fn after_a_shutdown_nothing_is_left_open_that_was_answered() {
    let world = World::new().await;
    for number in 0..20 {
        world.say(&number.to_string(), "hello").await;
    }
    for number in 0..20 {
        world.messenger.shows(&number.to_string(), &["echo: hello"]).await;
    }
    world.gateway.shut_down(std::time::Duration::from_secs(5)).await;
    assert_eq!(world.gateway.open_entries(), 0);
    assert_eq!(
        world.store.recovery(),
        openclaw_gateway::ports::Recovery::default()
    );
}

#[tokio::test]
async fn a_conversation_may_end_with_its_session() {
    for (forget, told) in [(false, 3), (true, 1)] {
        let world = World::with(|config| {
            config.forget_with_session = forget;
            // Every session is past its time when the next message comes.
            config.session_ttl = std::time::Duration::ZERO;
        })
        .await;
        world.say("1", "first").await;
        world.messenger.shows("1", &["echo: first"]).await;
        world.say("1", "second").await;
        world.messenger.shows("1", &["echo: first", "echo: second"]).await;
        let asked = world.model.asked.lock();
        assert_eq!(asked.last().unwrap().messages.len(), told, "forget: {forget}");
    }
}

#[tokio::test]
async fn a_model_that_refuses_is_answered_with_words_and_costs_nothing() {
    let world = World::new().await;
    world
        .model
        .says(|_| Err(openclaw_ai_fabric::ModelError::Unauthorized { status: 401 }));
    world.say("1", "hello").await;
    let words = "Sorry, the answer could not be produced. Please try again in a minute.";
    world.messenger.shows("1", &[words]).await;
    let tenant = world.message("1", "").tenant_id();
    let usage = world
        .gateway
        .usage(&tenant, openclaw_core::AccessTier::Free)
        .await
        .unwrap();
    assert_eq!((usage.used, usage.reserved), (0, 0));
}

#[tokio::test]
async fn who_tells_no_language_is_answered_in_the_servers() {
    let world = World::with(|config| config.default_language = Language::Ru).await;
    let tell = async |user: &str, text: &str, language: Option<Language>| {
        let mut message = world.message(user, text);
        message.language = language;
        world.gateway.receive(vec![message], None).await.unwrap();
    };
    tell("1", "/stop", None).await;
    world
        .messenger
        .shows("1", &["Сейчас останавливать нечего."])
        .await;
    tell("2", "/stop please", None).await;
    world.messenger.shows("2", &["There is nothing to stop."]).await;
    tell("3", "/stop", Some(Language::En)).await;
    world.messenger.shows("3", &["There is nothing to stop."]).await;
}
