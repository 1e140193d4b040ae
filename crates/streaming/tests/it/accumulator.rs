//! When text is flushed.

use openclaw_core::Monotonic;
use openclaw_streaming::{Flush, FlushReason, TokenAccumulator, TokenEstimator};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

fn at(millis: u64) -> Monotonic {
    Monotonic::from_origin(Duration::from_millis(millis))
}

fn accumulator() -> TokenAccumulator {
    TokenAccumulator::new(50, Duration::from_millis(500))
}

fn reason(flush: Option<Flush>) -> Option<FlushReason> {
    flush.map(|flush| flush.reason)
}

#[test]
fn ten_deltas_of_one_character_are_two_tokens() {
    let mut accumulator = accumulator();
    for _ in 0..10 {
        accumulator.push("ы", at(0));
    }
    assert_eq!(accumulator.tokens(), 2);
}

#[test]
fn the_threshold_flushes_everything_gathered() {
    let mut accumulator = accumulator();
    for _ in 0..199 {
        assert_eq!(accumulator.push("я", at(0)), None);
    }
    let flush = accumulator.push("я", at(1)).unwrap();
    assert_eq!(flush.reason, FlushReason::TokenCount);
    assert_eq!(flush.text, "я".repeat(200));
    assert_eq!(accumulator.next_deadline(), None);
}

#[test]
fn the_oldest_text_waits_no_longer_than_the_timeout() {
    let mut accumulator = accumulator();
    accumulator.push("a", at(100));
    accumulator.push("b", at(500));
    assert_eq!(accumulator.next_deadline(), Some(at(600)));
    assert_eq!(accumulator.poll(at(599)), None);
    let flush = accumulator.poll(at(600)).unwrap();
    assert_eq!((flush.text.as_str(), flush.reason), ("ab", FlushReason::Timeout));
    accumulator.push("c", at(700));
    assert_eq!(accumulator.next_deadline(), Some(at(1_200)));
    assert_eq!(
        reason(accumulator.push("d", at(1_300))),
        Some(FlushReason::Timeout)
    );
}

#[test]
fn flushing_nothing_is_harmless() {
    let mut accumulator = accumulator();
    assert_eq!(accumulator.flush(FlushReason::Done), None);
    assert_eq!(accumulator.push("", at(0)), None);
    assert_eq!(accumulator.next_deadline(), None);
    accumulator.push("x", at(0));
    assert_eq!(
        reason(accumulator.flush(FlushReason::Boundary)),
        Some(FlushReason::Boundary)
    );
    assert_eq!(accumulator.flush(FlushReason::Done), None);
}

#[test]
fn what_is_held_can_be_looked_at_and_forgotten() {
    let mut accumulator = accumulator();
    assert_eq!(accumulator.pending(), "");
    accumulator.push("void", at(0));
    assert_eq!((accumulator.pending(), accumulator.tokens()), ("void", 1));
    accumulator.clear();
    assert_eq!((accumulator.pending(), accumulator.tokens()), ("", 0));
    assert_eq!(accumulator.next_deadline(), None);
    accumulator.push("new", at(400));
    // Its own wait, not that of what was forgotten.
    assert_eq!(accumulator.next_deadline(), Some(at(900)));
    let flush = accumulator.flush(FlushReason::Done);
    assert_eq!(flush.map(|flush| flush.text).as_deref(), Some("new"));
}

#[test]
fn reasons_have_the_names_of_the_specification() {
    let reasons = [
        FlushReason::TokenCount,
        FlushReason::Timeout,
        FlushReason::Boundary,
        FlushReason::Done,
    ];
    assert_eq!(
        reasons.map(FlushReason::as_str),
        ["token_count", "timeout", "boundary", "done"]
    );
}

#[test]
fn an_estimator_sees_the_whole_text_held() {
    #[derive(Debug)]
    struct Words;
    impl TokenEstimator for Words {
        fn estimate(&self, text: &str) -> u64 {
            u64::try_from(text.split_whitespace().count()).unwrap()
        }
    }
    let mut accumulator = TokenAccumulator::new(3, Duration::from_secs(1)).with_estimator(Arc::new(Words));
    assert_eq!(accumulator.push("one tw", at(0)), None);
    assert_eq!(accumulator.push("o ", at(0)), None);
    assert_eq!(accumulator.push("three", at(0)).unwrap().text, "one two three");
}

proptest! {
    /// Nothing is lost, nothing is held back longer than the time-out, nothing more than the threshold is held.
    #[test]
    fn nothing_is_lost_or_held_back(
        deltas in prop::collection::vec(("[a-zа-я ]{0,30}", 0_u64..300), 0..40),
        threshold in 0_u64..20,
    ) {
        let mut accumulator = TokenAccumulator::new(threshold, Duration::from_millis(500));
        let (mut now, mut flushed, mut pushed) = (0, String::new(), String::new());
        let mut oldest: Option<u64> = None;
        for (delta, wait) in deltas {
            now += wait;
            if let Some(flush) = accumulator.poll(at(now)) {
                prop_assert_eq!(flush.reason, FlushReason::Timeout);
                flushed.push_str(&flush.text);
                oldest = None;
            }
            pushed.push_str(&delta);
            if !delta.is_empty() {
                oldest.get_or_insert(now);
            }
            if let Some(flush) = accumulator.push(&delta, at(now)) {
                prop_assert!(!flush.text.is_empty());
                flushed.push_str(&flush.text);
                oldest = None;
            }
            prop_assert_eq!(accumulator.next_deadline(), oldest.map(|oldest| at(oldest + 500)));
            prop_assert!(oldest.is_none_or(|oldest| now < oldest + 500));
            prop_assert!(accumulator.tokens() < threshold.max(1));
        }
        flushed.extend(accumulator.flush(FlushReason::Done).map(|flush| flush.text));
        prop_assert_eq!(flushed, pushed);
    }
}
