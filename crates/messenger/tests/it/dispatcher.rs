//! Messages out: the right chat, in order, within the limits, told once.

use crate::platform::{MemoryPlatform, correlation, events, message, tenant};
use futures::FutureExt;
use futures::future::BoxFuture;
use openclaw_core::testing::ManualClock;
use openclaw_core::{ChatId, ChatKind, Clock, Event, InProcessEventBus, MessageId, Platform, Subscription};
use openclaw_messenger::{
    DeliveryError, DeliveryErrorKind, DispatchError, DispatchLimits, MessageDeliveryFailed,
    MessageDispatcher, MessageSent, RateLimit, RateLimits, SecurityError, Urgency,
};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

struct World {
    clock: Arc<ManualClock>,
    platform: Arc<MemoryPlatform>,
    dispatcher: MessageDispatcher,
    bus: Arc<InProcessEventBus>,
}

fn world_with(limits: DispatchLimits) -> World {
    let clock = ManualClock::new();
    let platform = MemoryPlatform::new(&clock);
    let (bus, context) = events(&clock);
    let adapter: Arc<dyn openclaw_messenger::MessengerPort> = platform.clone();
    let dispatcher = MessageDispatcher::new(vec![adapter], limits, clock.clone(), &context);
    World {
        clock,
        platform,
        dispatcher,
        bus,
    }
}

fn world() -> World {
    world_with(DispatchLimits::default())
}

impl World {
    fn send<'a>(
        &'a self,
        chat: &'a str,
        text: &'a str,
        urgency: Urgency,
    ) -> BoxFuture<'a, Result<MessageId, DispatchError>> {
        Box::pin(async move {
            self.dispatcher
                .send(&tenant(chat), &message(chat, text), urgency, correlation())
                .await
        })
    }
}

fn limited(seconds: u64) -> DeliveryError {
    DeliveryError::refused(DeliveryErrorKind::RateLimited {
        retry_after: Duration::from_secs(seconds),
        whole_bot: false,
    })
}

fn names(subscription: &Subscription) -> Vec<&'static str> {
    std::iter::from_fn(|| subscription.try_next())
        .map(|event| event.name())
        .collect()
}

#[test]
fn a_message_goes_only_to_the_chat_its_tenant_names() {
    let world = world();
    let own = tenant("7");
    let foreign = message("8", "secret");
    let expected = DispatchError::Security(SecurityError::ForeignChat {
        tenant: tenant("7"),
        chat: ChatId::parse("8").unwrap(),
    });
    let id = MessageId::parse("1").unwrap();
    let sent = world
        .dispatcher
        .send(&own, &foreign, Urgency::Final, correlation())
        .now_or_never();
    assert_eq!(sent, Some(Err(expected.clone())));
    let edited = world
        .dispatcher
        .edit(&own, &id, &foreign, Urgency::Interim, correlation());
    assert_eq!(edited.now_or_never(), Some(Err(expected.clone())));
    let drafted = world.dispatcher.draft(&own, 1, &foreign);
    assert_eq!(drafted.now_or_never(), Some(Err(expected)));
    assert!(world.platform.texts().is_empty());
}

#[test]
fn what_was_sent_is_told_with_lengths_and_without_texts() {
    let world = world();
    let told = world.bus.subscribe_all(8);
    let id = world
        .send("7", "привет", Urgency::Final)
        .now_or_never()
        .unwrap()
        .unwrap();
    let edit = |urgency| {
        let changed = message("7", "привет!");
        world
            .dispatcher
            .edit(&tenant("7"), &id, &changed, urgency, correlation())
            .now_or_never()
    };
    assert_eq!(edit(Urgency::Interim), Some(Ok(())));
    assert_eq!(edit(Urgency::Final), Some(Ok(())));
    let events: Vec<_> = std::iter::from_fn(|| told.try_next()).collect();
    let sent: Vec<_> = events
        .iter()
        .filter_map(|event| event.payload::<MessageSent>())
        .collect();
    assert_eq!(events.len(), 2, "interim edits are not told");
    assert_eq!(
        (sent[0].length, sent[0].edited, &sent[0].message_id),
        (6, false, &id)
    );
    assert_eq!((sent[1].length, sent[1].edited), (7, true));
    assert_eq!(events[0].correlation_id(), Some(correlation()));
    assert!(!events[0].to_json().to_string().contains("привет"));
}

#[test]
fn an_interim_message_never_waits() {
    let world = world();
    world.platform.set_private_limit(Duration::from_secs(1), 3);
    for text in ["1", "2"] {
        assert!(
            world
                .send("7", text, Urgency::Interim)
                .now_or_never()
                .unwrap()
                .is_ok()
        );
    }
    let expected = DispatchError::Throttled {
        retry_at: world.clock.monotonic() + Duration::from_secs(1),
        retry_after: Duration::from_secs(1),
    };
    assert_eq!(
        world.send("7", "3", Urgency::Interim).now_or_never(),
        Some(Err(expected))
    );
    assert!(
        world
            .send("7", "final", Urgency::Final)
            .now_or_never()
            .unwrap()
            .is_ok(),
        "room was left"
    );
    world.clock.advance(Duration::from_secs(2));
    assert!(
        world
            .send("7", "4", Urgency::Interim)
            .now_or_never()
            .unwrap()
            .is_ok()
    );
}

#[test]
fn a_final_message_waits_as_long_as_the_platform_asks_and_goes_unchanged() {
    let world = world();
    let failed = world.bus.subscribe::<MessageDeliveryFailed>(8);
    world.platform.fail(limited(5));
    let mut first = world.send("7", "first", Urgency::Final);
    let mut second = world.send("7", "second", Urgency::Final);
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    assert!(matches!(
        world.send("7", "interim", Urgency::Interim).now_or_never(),
        Some(Err(DispatchError::Throttled { .. }))
    ));
    assert!(
        world
            .send("8", "other", Urgency::Final)
            .now_or_never()
            .unwrap()
            .is_ok(),
        "other chats go on"
    );
    world.clock.advance(Duration::from_millis(4_999));
    assert!((&mut first).now_or_never().is_none());
    world.clock.advance(Duration::from_millis(1));
    assert!((&mut first).now_or_never().unwrap().is_ok());
    drop(first);
    let _ = (&mut second).now_or_never();
    world.clock.advance(Duration::from_secs(1));
    assert!(second.now_or_never().unwrap().is_ok());
    assert_eq!(world.platform.texts(), ["first", "other", "first", "second"]);
    assert!(failed.try_next().is_none(), "a pause is not a failure");
}

#[test]
fn a_pause_beyond_the_patience_is_handed_to_the_caller() {
    let world = world();
    let failed = world.bus.subscribe::<MessageDeliveryFailed>(8);
    world.platform.fail(limited(300));
    assert_eq!(
        world.send("7", "x", Urgency::Final).now_or_never(),
        Some(Err(DispatchError::Delivery(limited(300))))
    );
    assert!(failed.try_next().is_some());
    let throttled = world.send("7", "x", Urgency::Final).now_or_never();
    let Some(Err(DispatchError::Throttled { retry_after, .. })) = throttled else {
        panic!("{throttled:?}");
    };
    assert_eq!(retry_after, Duration::from_secs(300));
    assert_eq!(
        world.platform.texts().len(),
        1,
        "the platform was not asked again"
    );
}

#[test]
fn failures_are_told_and_returned() {
    let world = world();
    let all = world.bus.subscribe_all(8);
    world
        .platform
        .fail(DeliveryError::refused(DeliveryErrorKind::Blocked));
    let error = world
        .send("7", "x", Urgency::Final)
        .now_or_never()
        .unwrap()
        .unwrap_err();
    assert!(error.is_permanent());
    world
        .platform
        .fail(DeliveryError::ambiguous(DeliveryErrorKind::Network {
            reason: "cut",
        }));
    let error = world
        .send("7", "x", Urgency::Final)
        .now_or_never()
        .unwrap()
        .unwrap_err();
    let delivery = error.delivery().unwrap();
    assert!(!delivery.is_permanent() && !delivery.may_retry() && delivery.is_ambiguous());
    assert_eq!(names(&all), [MessageDeliveryFailed::NAME; 2]);
    assert_eq!(
        world.platform.texts().len(),
        2,
        "an ambiguous call is not repeated here"
    );
}

#[test]
fn a_moved_chat_is_followed_once_and_remembered() {
    let world = world();
    let to = ChatId::parse("-100500").unwrap();
    world
        .platform
        .fail(DeliveryError::refused(DeliveryErrorKind::Migrated {
            to: to.clone(),
        }));
    assert!(
        world
            .send("-9", "a", Urgency::Final)
            .now_or_never()
            .unwrap()
            .is_ok()
    );
    assert!(
        world
            .send("-9", "b", Urgency::Final)
            .now_or_never()
            .unwrap()
            .is_ok()
    );
    assert!(
        world
            .send("-9.5", "c", Urgency::Final)
            .now_or_never()
            .unwrap()
            .is_ok()
    );
    world
        .dispatcher
        .chat_moved(Platform::Telegram, &ChatId::parse("-10").unwrap(), &to);
    assert!(
        world
            .send("-10", "d", Urgency::Interim)
            .now_or_never()
            .unwrap()
            .is_ok()
    );
    let chats: Vec<_> = world
        .platform
        .seen
        .lock()
        .iter()
        .map(|seen| seen.2.clone())
        .collect();
    assert_eq!(chats, ["-9", "-100500", "-100500", "-100500.5", "-100500"]);
}

#[test]
fn typing_and_drafts_step_back() {
    let world = world();
    let typing = || {
        world
            .dispatcher
            .typing(&tenant("7"), ChatKind::Private)
            .now_or_never()
    };
    for _ in 0..15 {
        assert_eq!(typing(), Some(Ok(())));
    }
    assert!(
        matches!(typing(), Some(Err(DispatchError::Throttled { .. }))),
        "half is kept"
    );
    let draft = || {
        world
            .dispatcher
            .draft(&tenant("7"), 1, &message("7", "so far"))
            .now_or_never()
    };
    assert_eq!(draft(), Some(Ok(())));
    world.platform.fail(limited(60));
    world.platform.capabilities.lock().draft_limit = Some(RateLimit::per_second(2, 3));
    assert!(matches!(draft(), Some(Err(DispatchError::Throttled { .. }))));
    assert!(
        world
            .send("7", "final", Urgency::Final)
            .now_or_never()
            .unwrap()
            .is_ok(),
        "not held up by drafts"
    );
    world.platform.capabilities.lock().drafts = false;
    let unsupported = DispatchError::Delivery(DeliveryError::unsupported("drafts"));
    assert_eq!(draft(), Some(Err(unsupported)));
}

#[test]
fn a_dropped_send_leaves_no_place_behind() {
    let world = world();
    *world.platform.latency.lock() = Duration::from_secs(5);
    let mut hanging = world.send("7", "a", Urgency::Final);
    assert!((&mut hanging).now_or_never().is_none());
    let mut next = world.send("7", "b", Urgency::Final);
    assert!((&mut next).now_or_never().is_none());
    assert_eq!(world.dispatcher.waiting(), 2);
    drop(hanging);
    assert_eq!(world.dispatcher.waiting(), 1);
    assert!((&mut next).now_or_never().is_none());
    world.clock.advance(Duration::from_secs(5));
    assert!(next.now_or_never().unwrap().is_ok());
    assert_eq!(world.platform.texts(), ["a", "b"]);
}

#[test]
fn limits_change_while_running() {
    let world = world();
    let limits = DispatchLimits {
        rates: RateLimits {
            telegram: RateLimit::per_second(1, 1),
            ..RateLimits::default()
        },
        ..DispatchLimits::default()
    };
    assert!(
        world
            .send("7", "a", Urgency::Final)
            .now_or_never()
            .unwrap()
            .is_ok()
    );
    world.dispatcher.set_limits(limits);
    assert!(world.send("7", "b", Urgency::Final).now_or_never().is_none());
}

#[test]
fn a_platform_without_an_adapter_is_named() {
    let world = world();
    let max = openclaw_core::TenantId::parse("max:1:2").unwrap();
    let result = world
        .dispatcher
        .send(&max, &message("2", "x"), Urgency::Final, correlation())
        .now_or_never();
    let expected = DispatchError::NoAdapter {
        platform: Platform::Max,
    };
    assert_eq!(result, Some(Err(expected)));
}

#[derive(Clone, Debug)]
enum Act {
    Final(u8),
    Interim(u8),
    Typing(u8),
    Draft(u8),
    Wait(u16),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is asked for and when: the bot makes at most `rps + burst` calls in any second, a chat no more than
    /// its own limit, every final message of a chat goes in order, and none is lost.
    #[test]
    fn no_second_sees_more_calls_than_the_limits_allow(
        rps in 1_u32..40,
        burst in 1_u32..40,
        acts in prop::collection::vec(
            prop_oneof![
                4 => (0_u8..5).prop_map(Act::Final),
                3 => (0_u8..5).prop_map(Act::Interim),
                1 => (0_u8..5).prop_map(Act::Typing),
                1 => (0_u8..5).prop_map(Act::Draft),
                4 => (0_u16..700).prop_map(Act::Wait),
            ],
            1..120,
        ),
    ) {
        let world = world_with(DispatchLimits {
            rates: RateLimits { telegram: RateLimit::per_second(rps, burst), ..RateLimits::default() },
            final_patience: Duration::from_secs(3_600),
            max_waiting_per_chat: 1_000,
            ..DispatchLimits::default()
        });
        world.platform.set_private_limit(Duration::from_millis(500), 4);
        let texts: Vec<String> = (0..acts.len()).map(|index| format!("f{index:04}")).collect();
        let chats: Vec<String> = (0..5).map(|chat| format!("{chat}1")).collect();
        let mut finals = 0;
        let mut waiting = Vec::new();
        let poll = |waiting: &mut Vec<BoxFuture<'_, Result<MessageId, DispatchError>>>| {
            loop {
                let before = waiting.len();
                waiting.retain_mut(|future| match future.now_or_never() {
                    Some(result) => { assert!(result.is_ok(), "{result:?}"); false }
                    None => true,
                });
                if waiting.len() == before { break; }
            }
        };
        for (index, act) in acts.iter().enumerate() {
            match act {
                Act::Final(chat) => {
                    finals += 1;
                    waiting.push(world.send(&chats[usize::from(*chat)], &texts[index], Urgency::Final));
                }
                Act::Interim(chat) => {
                    let _ = world.send(&chats[usize::from(*chat)], "i", Urgency::Interim).now_or_never();
                }
                Act::Typing(chat) => {
                    let tenant = tenant(&chats[usize::from(*chat)]);
                    let _ = world.dispatcher.typing(&tenant, ChatKind::Private).now_or_never();
                }
                Act::Draft(chat) => {
                    let chat = &chats[usize::from(*chat)];
                    let _ = world.dispatcher.draft(&tenant(chat), 1, &message(chat, "d")).now_or_never();
                }
                Act::Wait(millis) => world.clock.advance(Duration::from_millis(u64::from(*millis))),
            }
            poll(&mut waiting);
        }
        for _ in 0..3_000 {
            if waiting.is_empty() { break; }
            world.clock.advance(Duration::from_millis(250));
            poll(&mut waiting);
        }
        prop_assert!(waiting.is_empty(), "a final message never got its turn");

        let seen = world.platform.seen.lock().clone();
        let most = |times: &[Duration], window: Duration| {
            times.iter().enumerate().map(|(index, start)| {
                times[index..].iter().take_while(|time| **time <= *start + window).count()
            }).max().unwrap_or(0)
        };
        let all: Vec<_> = seen.iter().map(|seen| seen.0.since_origin()).collect();
        prop_assert!(most(&all, Duration::from_secs(1)) <= (rps + burst) as usize);
        for chat in &chats {
            let messages: Vec<_> = seen.iter()
                .filter(|seen| seen.2 == *chat && matches!(seen.1, "send" | "edit"))
                .collect();
            let times: Vec<_> = messages.iter().map(|seen| seen.0.since_origin()).collect();
            prop_assert!(most(&times, Duration::from_secs(1)) <= 6);
            let order: Vec<_> = messages.iter().filter(|seen| seen.3 != "i").map(|seen| &seen.3).collect();
            prop_assert!(order.is_sorted(), "{:?}", order);
        }
        let sent = seen.iter().filter(|seen| seen.3.starts_with('f')).count();
        prop_assert_eq!(sent, finals);
    }
}
