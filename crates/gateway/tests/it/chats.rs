//! Chats that are read from a feed.

use crate::faults::{faulty, until};
use crate::hooks::plug;
use crate::remembered::pass;
use crate::world::{LONG, World};
use openclaw_core::testing::ManualClock;
use openclaw_core::{Clock, CodedError, Platform, Role, TenantId, UserId};
use openclaw_gateway::ports::{FeedbackStore, Opinion, Rating, TenantDirectory, TurnStore};
use openclaw_gateway::{ChatError, Chats, Draft, FeedEvent, FeedRead, FeedReader, QueuePlace};
use openclaw_memory::MemoryStore;
use openclaw_plugins::{HookContext, HookName, HookResult, SessionEndReason};
use openclaw_session::suspend_tenant;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

async fn opened(world: &World) -> (Chats, TenantId) {
    let chats = Chats::new(
        world.gateway.clone(),
        Arc::clone(&world.store) as Arc<dyn TenantDirectory>,
        Arc::clone(&world.store) as Arc<dyn FeedbackStore>,
    );
    let user = UserId::parse("visitor").unwrap();
    let chat = chats.open(Platform::Web, user.clone(), None).await.unwrap();
    (chats, TenantId::new(Platform::Web, user, chat))
}

fn draft(text: &str) -> Draft {
    Draft {
        correlation_id: None,
        text: text.to_owned(),
        idempotency_key: None,
        language: None,
    }
}

/// Reads to the end of a turn: the pieces of its text, and its whole text.
async fn answer(reader: &mut FeedReader) -> (Vec<String>, String) {
    let reading = async {
        let mut pieces = Vec::new();
        loop {
            let FeedRead::Event { event, .. } = reader.next().await else {
                panic!("not an event")
            };
            match &*event {
                FeedEvent::TextDelta { text, .. } => pieces.push(text.clone()),
                FeedEvent::TurnFinished { text, .. } => return (pieces, text.clone()),
                FeedEvent::TurnFailed { problem, .. } => panic!("{problem}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(LONG, reading).await.unwrap()
}

/// What was told of tenants since the last look.
fn told_of_tenants(world: &World) -> Vec<&'static str> {
    std::iter::from_fn(|| world.events.try_next())
        .map(|event| event.name())
        .filter(|name| name.starts_with("tenant."))
        .collect()
}

#[tokio::test]
async fn a_chat_is_announced_when_it_is_opened_and_when_it_is_erased() {
    let world = World::new().await;
    let (chats, tenant) = opened(&world).await;
    assert_eq!(told_of_tenants(&world), ["tenant.created"]);
    let mut reader = chats.subscribe(&tenant, None);
    chats.post(&tenant, draft("hello"), false).await.unwrap();
    assert_eq!(answer(&mut reader).await.1, "echo: hello");
    chats.erase(&tenant).await.unwrap();
    assert_eq!(told_of_tenants(&world), ["tenant.deleted"], "it is new once");
    assert!(matches!(chats.erase(&tenant).await, Err(ChatError::NoSuchChat)));
}

#[tokio::test]
async fn erasing_ends_the_session_of_the_chat_before_the_eyes_of_plugins() {
    let world = World::new().await;
    let seen: Arc<Mutex<Vec<SessionEndReason>>> = Arc::default();
    let sink = Arc::clone(&seen);
    plug(&world, HookName::OnSessionEnd, move |context| {
        if let HookContext::OnSessionEnd { reason, .. } = context {
            sink.lock().push(*reason);
        }
        HookResult::default()
    });
    let (chats, tenant) = opened(&world).await;
    let mut reader = chats.subscribe(&tenant, None);
    chats.post(&tenant, draft("hello"), false).await.unwrap();
    answer(&mut reader).await;
    chats.erase(&tenant).await.unwrap();
    assert_eq!(*seen.lock(), [SessionEndReason::Deleted]);
}

#[tokio::test]
async fn erasing_ends_the_answer_that_is_being_written() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_secs(60);
    let (chats, tenant) = opened(world).await;
    for text in ["first", "second"] {
        chats.post(&tenant, draft(text), false).await.unwrap();
    }
    until("it runs", async || world.model.asked.lock().len() == 1).await;
    let began = faulty.clock.monotonic();
    chats.erase(&tenant).await.unwrap();
    let took = faulty.clock.monotonic().saturating_since(began);
    assert!(
        took < Duration::from_secs(2),
        "nobody waits for the model: {took:?}"
    );
    let pool = world.gateway.pool();
    until("nothing of it runs or waits", async || {
        world.gateway.open_entries() == 0 && pool.metrics().active_workers == 0
    })
    .await;
    assert_eq!(world.model.asked.lock().len(), 1, "the second was not asked");
    assert_eq!(pool.totals().timed_out, 0);
    assert!(matches!(chats.find(&tenant).await, Err(ChatError::NoSuchChat)));
}

#[tokio::test]
async fn a_suspended_chat_takes_no_message() {
    let world = World::new().await;
    let (chats, tenant) = opened(&world).await;
    let stored = chats.find(&tenant).await.unwrap();
    let suspended = suspend_tenant(&stored.tenant);
    world
        .store
        .update(stored.key, stored.version, suspended)
        .await
        .unwrap()
        .unwrap();
    let refused = chats.post(&tenant, draft("hello"), false).await.unwrap_err();
    assert_eq!(refused.code(), "TENANT_SUSPENDED");
    assert_eq!(world.gateway.open_entries(), 0, "nothing was written");
}

#[tokio::test]
async fn a_text_that_a_plugin_must_see_whole_is_shown_whole() {
    let world = World::new().await;
    plug(&world, HookName::OnBeforeSend, |context| {
        HookResult::text(context.text().unwrap_or_default().replace("secret", "[removed]"))
    });
    let (chats, tenant) = opened(&world).await;
    let mut reader = chats.subscribe(&tenant, None);
    chats.post(&tenant, draft("my secret"), false).await.unwrap();
    assert_eq!(
        answer(&mut reader).await,
        (vec![], "echo: my [removed]".to_owned())
    );
}

/// Whose message is said to wait, and whether answering is paused, in what comes next.
async fn notice(reader: &mut FeedReader) -> (String, usize, bool) {
    let reading = async {
        loop {
            let FeedRead::Event { event, .. } = reader.next().await else {
                panic!("not an event")
            };
            match &*event {
                FeedEvent::Notice {
                    turn_id,
                    place,
                    paused,
                    ..
                } => return (turn_id.clone(), *place, *paused),
                FeedEvent::TurnStarted { .. } | FeedEvent::TextDelta { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(LONG, reading).await.unwrap()
}

#[tokio::test]
async fn who_waits_already_is_told_of_a_pause_and_of_its_end() {
    let world = World::new().await;
    *world.model.gap.lock() = Duration::from_secs(1_000);
    let (chats, tenant) = opened(&world).await;
    let mut reader = chats.subscribe(&tenant, None);
    chats.post(&tenant, draft("runs"), false).await.unwrap();
    let waits = chats.post(&tenant, draft("waits"), false).await.unwrap().turn_id;
    assert_eq!(notice(&mut reader).await, (waits.clone(), 1, false));
    world.gateway.pause();
    assert_eq!(notice(&mut reader).await, (waits.clone(), 1, true));
    world.gateway.resume();
    assert_eq!(notice(&mut reader).await, (waits, 1, false));
    assert!(reader.try_next().is_none(), "of what runs nothing is told");
}

#[tokio::test]
async fn who_waits_in_the_pool_is_told_so_and_of_a_pause_too() {
    let world = World::new().await;
    *world.model.gap.lock() = Duration::from_secs(1_000);
    // All workers are busy for long.
    let mut person = 0;
    while world.gateway.queue().is_empty() {
        person += 1;
        world.say(&person.to_string(), "hello").await;
    }
    let (chats, tenant) = opened(&world).await;
    let mut reader = chats.subscribe(&tenant, None);
    let waits = chats.post(&tenant, draft("hello"), false).await.unwrap().turn_id;
    let places: Vec<QueuePlace> = world.gateway.queue().iter().map(|item| item.place).collect();
    assert_eq!(places, [QueuePlace::Pool, QueuePlace::Pool]);
    assert_eq!(notice(&mut reader).await, (waits.clone(), 2, false));
    world.gateway.pause();
    let (turn, _, paused) = notice(&mut reader).await;
    assert_eq!((turn, paused), (waits, true));
}

#[tokio::test]
async fn who_waits_is_told_how_long_by_what_was_measured_and_how_the_line_moves() {
    let store = Arc::new(MemoryStore::new());
    let clock = ManualClock::new();
    let world = World::on(
        Arc::clone(&store),
        store as Arc<dyn TurnStore>,
        Arc::clone(&clock) as Arc<dyn Clock>,
        |_| {},
    )
    .await;
    // Four events of the model, two words and what follows.
    *world.model.gap.lock() = Duration::from_secs(2);
    let (chats, tenant) = opened(&world).await;
    let mut reader = chats.subscribe(&tenant, None);
    let mut next = async || {
        for _ in 0..1_000 {
            if let Some(FeedRead::Event { event, .. }) = reader.try_next() {
                return event;
            }
            pass(&clock, Duration::from_millis(100), Duration::from_millis(100)).await;
        }
        panic!("nothing happens")
    };
    let known = async || world.gateway.pool().pace();
    assert_eq!(known().await, None, "nothing has been answered yet");
    chats.post(&tenant, draft("first"), false).await.unwrap();
    while next().await.name() != "turn.finished" {}
    let pace = known().await.unwrap();
    let seconds = pace.mean_run.as_secs();
    assert!((8..12).contains(&seconds), "{pace:?}");

    let told = async |event: Arc<FeedEvent>| match &*event {
        FeedEvent::Notice {
            place,
            paused: false,
            expected_wait_ms,
            ..
        } => Some((*place, *expected_wait_ms)),
        _ => None,
    };
    let in_millis = |wait: Duration| u64::try_from(wait.as_millis()).ok();
    // More wait than there are workers.
    let mut person = 0;
    while world.gateway.queue().len() < 6 {
        person += 1;
        world.say(&person.to_string(), "hello").await;
    }
    let pace = known().await.unwrap();
    chats.post(&tenant, draft("in line"), false).await.unwrap();
    assert_eq!(told(next().await).await, Some((7, in_millis(pace.wait(7)))));
    let mut places = Vec::new();
    loop {
        let event = next().await;
        if event.name() == "turn.started" {
            break;
        }
        let (place, wait) = told(event).await.expect("a notice");
        assert!(wait.is_some());
        places.push(place);
    }
    assert!(places.is_sorted_by(|one, next| one >= next), "{places:?}");
    assert!(places.last().is_some_and(|last| *last < 7), "{places:?}");

    while next().await.name() != "turn.finished" {}
    while world.gateway.open_entries() > 0 {
        pass(&clock, Duration::from_secs(1), Duration::from_millis(100)).await;
    }
    // Behind a message of its own conversation it waits for that one, whatever else is free.
    chats.post(&tenant, draft("runs"), false).await.unwrap();
    chats.post(&tenant, draft("waits"), false).await.unwrap();
    let pace = known().await.unwrap();
    assert!(pace.workers > 1, "{pace:?}");
    let (first, second) = (next().await, next().await);
    let notice = if first.name() == "notice" { first } else { second };
    assert_eq!(told(notice).await, Some((1, in_millis(pace.mean_run))));
    world.gateway.shut_down(Duration::ZERO).await;
}

#[tokio::test]
async fn an_opinion_is_kept_of_an_answer_that_can_be_read_and_its_words_where_texts_are() {
    for store_texts in [true, false] {
        let world = World::with(|config| config.store_texts = store_texts).await;
        let (chats, tenant) = opened(&world).await;
        let mut reader = chats.subscribe(&tenant, None);
        let turn = chats.post(&tenant, draft("hello"), false).await.unwrap().turn_id;
        answer(&mut reader).await;
        let opinion = |rating| Opinion {
            rating,
            text: Some("because".to_owned()),
        };
        for rating in [Rating::Up, Rating::Down] {
            let is_meant = |own: &str| own == turn;
            chats.rate(&tenant, is_meant, opinion(rating)).await.unwrap();
        }
        let read = chats.snapshot(&tenant, None, 9).await.unwrap().messages;
        let expected = Opinion {
            rating: Rating::Down,
            text: store_texts.then(|| "because".to_owned()),
        };
        let opinions: Vec<_> = read.iter().map(|message| message.feedback.clone()).collect();
        assert_eq!(
            opinions,
            [None, Some(expected)],
            "of the answer, not of its question"
        );

        let none = chats.rate(&tenant, |_| false, opinion(Rating::Up)).await;
        assert!(matches!(none, Err(ChatError::NoSuchAnswer)), "{none:?}");
        chats.erase(&tenant).await.unwrap();
        let gone = chats.rate(&tenant, |_| true, opinion(Rating::Up)).await;
        assert!(matches!(gone, Err(ChatError::NoSuchChat)), "{gone:?}");
    }
}

#[tokio::test]
async fn a_repeat_is_answered_while_no_place_is_left() {
    let world = World::with(|config| config.max_open_entries = 1).await;
    *world.model.gap.lock() = Duration::from_secs(1_000);
    let (chats, tenant) = opened(&world).await;
    let keyed = |text: &str| Draft {
        idempotency_key: Some("k".to_owned()),
        ..draft(text)
    };
    let first = chats.post(&tenant, keyed("hello"), true).await.unwrap();
    assert!(!first.duplicate);
    let refused = chats.post(&tenant, draft("other"), true).await.unwrap_err();
    assert_eq!(refused.code(), "INBOX_FULL");
    let again = chats.post(&tenant, keyed("hello"), true).await.unwrap();
    assert_eq!((again.turn_id, again.duplicate), (first.turn_id, true));
    let other = chats.post(&tenant, keyed("other"), true).await;
    assert!(matches!(other, Err(ChatError::Mismatch)), "{other:?}");
}

#[tokio::test]
async fn a_chat_that_is_never_written_in_is_forgotten_and_its_readers_end() {
    let faulty = faulty(|config| {
        config.history_retention = Duration::from_secs(10);
        config.cleanup_interval = Duration::from_secs(1);
    })
    .await;
    let world = &faulty.world;
    let (chats, written) = opened(world).await;
    chats.post(&written, draft("hello"), false).await.unwrap();
    let (_, unused) = opened(world).await;
    let mut reader = chats.subscribe(&unused, None);
    assert_eq!(told_of_tenants(world), ["tenant.created", "tenant.created"]);
    until("it is forgotten", async || {
        matches!(chats.find(&unused).await, Err(ChatError::NoSuchChat))
    })
    .await;
    let end = tokio::time::timeout(LONG, reader.next()).await.unwrap();
    assert_eq!(end, FeedRead::Closed);
    assert_eq!(told_of_tenants(world), ["tenant.deleted"]);
    chats.find(&written).await.unwrap();
}

#[tokio::test]
async fn commands_are_answered_on_the_feed_and_end_their_question() {
    let world = World::new().await;
    let (chats, tenant) = opened(&world).await;
    let mut reader = chats.subscribe(&tenant, None);
    chats.post(&tenant, draft("first"), false).await.unwrap();
    answer(&mut reader).await;
    let snapshot = chats.snapshot(&tenant, None, 10).await.unwrap();
    let roles: Vec<Role> = snapshot.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant]);
    chats.post(&tenant, draft("/new"), false).await.unwrap();
    let (_, words) = answer(&mut reader).await;
    assert_eq!(words, "A new conversation. I no longer remember the earlier one.");
    let snapshot = chats.snapshot(&tenant, None, 10).await.unwrap();
    assert!(snapshot.messages.is_empty() && snapshot.asked.is_empty() && snapshot.live.is_none());
    assert_eq!(snapshot.position, reader.position());
}
