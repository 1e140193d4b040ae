//! Turns: order, fairness, bounds, and that a dropped wait leaves nothing behind.

use futures::FutureExt;
use futures::future::BoxFuture;
use openclaw_core::testing::ManualClock;
use openclaw_core::{Clock, Monotonic};
use openclaw_messenger::RateLimit;
use openclaw_messenger::pacer::{NoTurn, Pacer, PacerLimits, Passing};
use std::time::Duration;

fn limits(chat: RateLimit, bot: Option<RateLimit>) -> PacerLimits {
    PacerLimits {
        chat,
        bot,
        draft: None,
        max_waiting_per_chat: 8,
        max_waiting: 100,
        max_chats: 100,
    }
}

fn far() -> Monotonic {
    Monotonic::from_origin(Duration::from_secs(1_000_000))
}

/// One message that takes no time once it has its turn.
fn one<'a>(pacer: &'a Pacer, chat: &'a str) -> BoxFuture<'a, Result<(), NoTurn>> {
    Box::pin(async move {
        let place = pacer.enter(chat, None)?;
        place.turn(far()).await
    })
}

/// Polls all until none moves; returns the indexes that ended, in the order they ended.
fn settle(waiting: &mut [Option<BoxFuture<'_, Result<(), NoTurn>>>]) -> Vec<usize> {
    let mut ended = Vec::new();
    loop {
        let before = ended.len();
        for (index, slot) in waiting.iter_mut().enumerate() {
            if let Some(Some(result)) = slot.as_mut().map(|future| future.now_or_never()) {
                result.unwrap();
                *slot = None;
                ended.push(index);
            }
        }
        if ended.len() == before {
            return ended;
        }
    }
}

#[test]
fn a_chat_with_many_messages_delays_another_by_one() {
    let clock = ManualClock::new();
    let slow = RateLimit::per_second(1, 1);
    let pacer = Pacer::new(
        limits(RateLimit::per_second(1_000, 1_000), Some(slow)),
        clock.clone(),
    );
    let mut all: Vec<_> = ["a", "a", "a", "a", "b", "c"]
        .iter()
        .map(|chat| Some(one(&pacer, chat)))
        .collect();
    let mut order = settle(&mut all);
    for _ in 0..5 {
        clock.advance(Duration::from_secs(1));
        order.extend(settle(&mut all));
    }
    assert_eq!(
        order,
        [0, 1, 4, 5, 2, 3],
        "a's second stood in line before b came; its third waits for b and c"
    );
    assert_eq!(pacer.waiting(), 0);
}

#[test]
fn a_chat_gets_its_messages_in_order_one_in_flight() {
    let clock = ManualClock::new();
    let pacer = Pacer::new(limits(RateLimit::per_second(10, 10), None), clock);
    let first = pacer.enter("a", None).unwrap();
    assert_eq!(first.turn(far()).now_or_never(), Some(Ok(())));
    let second = pacer.enter("a", None).unwrap();
    let mut turn = Box::pin(second.turn(far()));
    assert!(
        (&mut turn).now_or_never().is_none(),
        "the first is still on its way"
    );
    drop(first);
    assert_eq!(turn.now_or_never(), Some(Ok(())));
}

#[test]
fn a_dropped_wait_takes_nothing_and_lets_the_next_go() {
    let clock = ManualClock::new();
    let pacer = Pacer::new(
        limits(RateLimit::per_second(100, 100), Some(RateLimit::per_second(1, 1))),
        clock.clone(),
    );
    assert!(one(&pacer, "z").now_or_never().is_some());
    let mut all = vec![
        Some(one(&pacer, "a")),
        Some(one(&pacer, "b")),
        Some(one(&pacer, "c")),
    ];
    assert!(settle(&mut all).is_empty());
    all[0] = None;
    clock.advance(Duration::from_secs(1));
    assert_eq!(settle(&mut all), [1]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(settle(&mut all), [2]);
    assert_eq!(pacer.waiting(), 0);
}

#[test]
fn what_passes_leaves_room_and_gives_way() {
    let clock = ManualClock::new();
    let pacer = Pacer::new(
        limits(RateLimit::per_second(1, 3), Some(RateLimit::per_second(10, 10))),
        clock.clone(),
    );
    assert_eq!(pacer.pass("a", None, Passing::Interim), Ok(()));
    assert_eq!(pacer.pass("a", None, Passing::Interim), Ok(()));
    let NoTurn::Until(at) = pacer.pass("a", None, Passing::Interim).unwrap_err() else {
        panic!("not full");
    };
    assert_eq!(
        at,
        clock.monotonic() + Duration::from_secs(1),
        "one token is kept"
    );
    assert!(one(&pacer, "a").now_or_never().is_some(), "for the final message");
    // Seven of the bot's ten are left; half of them are kept from typing, a fifth from edits.
    assert_eq!(pacer.pass("b", None, Passing::Typing), Ok(()));
    assert_eq!(pacer.pass("c", None, Passing::Typing), Ok(()));
    assert!(pacer.pass("d", None, Passing::Typing).is_err());
    for chat in ["e", "f", "g"] {
        assert_eq!(pacer.pass(chat, None, Passing::Interim), Ok(()));
    }
    assert!(pacer.pass("h", None, Passing::Interim).is_err());
    for chat in ["i", "j"] {
        assert!(one(&pacer, chat).now_or_never().is_some());
    }
    assert!(one(&pacer, "k").now_or_never().is_none());
}

#[test]
fn nothing_passes_while_a_final_message_of_the_chat_is_on_its_way() {
    let pacer = Pacer::new(limits(RateLimit::per_second(10, 10), None), ManualClock::new());
    let place = pacer.enter("a", None).unwrap();
    assert!(place.turn(far()).now_or_never().is_some());
    assert!(pacer.pass("a", None, Passing::Interim).is_err());
    drop(place);
    assert_eq!(pacer.pass("a", None, Passing::Interim), Ok(()));
}

#[test]
fn three_chats_told_to_wait_mean_the_whole_bot() {
    let clock = ManualClock::new();
    let rate = RateLimit::per_second(100, 100);
    let pacer = Pacer::new(limits(rate, Some(rate)), clock.clone());
    for chat in ["a", "b", "c", "d"] {
        assert_eq!(pacer.pass(chat, None, Passing::Interim), Ok(()));
    }
    let wait = Duration::from_secs(30);
    pacer.penalise("a", wait, false);
    pacer.penalise("a", wait, false);
    pacer.penalise("b", wait, false);
    assert_eq!(
        pacer.pass("d", None, Passing::Interim),
        Ok(()),
        "two chats are two chats"
    );
    pacer.penalise("c", wait, false);
    let mut later = one(&pacer, "d");
    assert!((&mut later).now_or_never().is_none());
    clock.advance(Duration::from_millis(29_999));
    assert!((&mut later).now_or_never().is_none());
    clock.advance(Duration::from_millis(1));
    assert!(later.now_or_never().is_some());
}

#[test]
fn lines_and_chats_are_bounded_and_idle_chats_forgotten() {
    let clock = ManualClock::new();
    let rate = RateLimit::per_second(1, 1);
    let pacer = Pacer::new(
        PacerLimits {
            max_waiting_per_chat: 2,
            max_waiting: 3,
            max_chats: 2,
            ..limits(rate, None)
        },
        clock.clone(),
    );
    let places = [pacer.enter("a", None).unwrap(), pacer.enter("a", None).unwrap()];
    assert_eq!(pacer.enter("a", None).map(|_| ()), Err(NoTurn::Full(2)));
    let third = pacer.enter("b", None).unwrap();
    assert_eq!(pacer.enter("b", None).map(|_| ()), Err(NoTurn::Full(3)));
    assert!(third.turn(far()).now_or_never().is_some());
    drop((places, third));
    clock.advance(Duration::from_millis(999));
    assert_eq!(pacer.chats(), 2);
    clock.advance(Duration::from_secs(2));
    assert_eq!(pacer.pass("c", None, Passing::Interim), Ok(()));
    assert_eq!(pacer.chats(), 1, "both others were idle");
}

#[test]
fn patience_ends_with_the_time_to_come_back() {
    let clock = ManualClock::new();
    let pacer = Pacer::new(limits(RateLimit::per_second(1, 1), None), clock.clone());
    assert!(one(&pacer, "a").now_or_never().is_some());
    pacer.penalise("a", Duration::from_secs(60), false);
    let place = pacer.enter("a", None).unwrap();
    let deadline = clock.monotonic() + Duration::from_secs(30);
    let expected = clock.monotonic() + Duration::from_secs(60);
    assert_eq!(
        place.turn(deadline).now_or_never(),
        Some(Err(NoTurn::Until(expected)))
    );
}

#[test]
fn chats_at_rest_leave_neither_buckets_nor_room() {
    let clock = ManualClock::new();
    let pacer = Pacer::new(
        PacerLimits {
            max_chats: 50_000,
            ..limits(RateLimit::per_second(1, 2), None)
        },
        clock.clone(),
    );
    for chat in 0..20_000 {
        pacer.pass(&chat.to_string(), None, Passing::Interim).unwrap();
    }
    let waiting = pacer.enter("waits", None).unwrap();
    clock.advance(Duration::from_secs(1));
    pacer.pass("speaks", None, Passing::Interim).unwrap();
    pacer.forget_idle();
    assert_eq!(pacer.chats(), 2, "one waits, one has just spoken");
    assert!(pacer.capacity() < 2_000, "{}", pacer.capacity());
    drop(waiting);
    clock.advance(Duration::from_secs(1));
    pacer.forget_idle();
    assert_eq!(pacer.chats(), 0);
}

#[test]
fn a_chat_that_was_forgotten_while_its_call_was_under_way_keeps_the_silence_it_is_asked_for() {
    let clock = ManualClock::new();
    let rate = RateLimit::per_second(10, 10);
    let pacer = Pacer::new(
        PacerLimits {
            draft: Some(rate),
            ..limits(rate, Some(rate))
        },
        clock.clone(),
    );
    let wait = Duration::from_secs(30);
    let ready = |what| match pacer.pass("a", None, what) {
        Err(NoTurn::Until(at)) => at.saturating_since(clock.monotonic()),
        other => panic!("{other:?}"),
    };
    let forgotten = |what| {
        pacer.pass("a", None, what).unwrap();
        clock.advance(Duration::from_secs(40));
        pacer.forget_idle();
        assert_eq!(pacer.chats(), 0);
    };
    forgotten(Passing::Draft);
    pacer.penalise_drafts("a", wait);
    assert!(ready(Passing::Draft) >= wait);
    clock.advance(2 * wait);
    forgotten(Passing::Interim);
    pacer.penalise("a", wait, false);
    assert!(ready(Passing::Interim) >= wait);
    assert!(pacer.pass("b", None, Passing::Interim).is_ok(), "it alone");
    clock.advance(2 * wait);
    forgotten(Passing::Interim);
    pacer.penalise("a", wait, true);
    assert!(pacer.pass("b", None, Passing::Interim).is_err(), "the whole bot");
}
