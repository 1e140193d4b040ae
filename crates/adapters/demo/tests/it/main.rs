//! The demo model as its callers see it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test they are called from"
)]

use futures::{FutureExt, StreamExt};
use openclaw_ai_fabric::{ChatRequest, ModelPort, ModelStream};
use openclaw_core::testing::{ManualClock, SeededRandom};
use openclaw_core::{ChatMessage, Clock, CorrelationId, ModelEvent, Role, StopReason};
use openclaw_demo::DemoModel;
use std::sync::Arc;
use std::time::Duration;

async fn ask(clock: &Arc<ManualClock>, delay: Duration, max_output_tokens: u64) -> ModelStream {
    let demo = DemoModel::new(Arc::clone(clock) as Arc<dyn Clock>).with_word_delay(delay);
    let request = ChatRequest::new(
        vec![ChatMessage::text(Role::User, "Good morning")],
        max_output_tokens,
    );
    let id = CorrelationId::new(clock.now(), &SeededRandom::new(1));
    demo.stream(&"demo".parse().unwrap(), &request, id).await.unwrap()
}

#[tokio::test]
async fn it_says_a_word_at_a_time_then_stops_and_tells_what_it_cost() {
    let clock = ManualClock::new();
    let events: Vec<_> = ask(&clock, Duration::ZERO, 1_000)
        .await
        .map(Result::unwrap)
        .collect()
        .await;
    let words = events
        .iter()
        .filter(|event| matches!(event, ModelEvent::TextDelta(_)))
        .count();
    assert!(words > 10);
    let [
        ..,
        ModelEvent::Stop(StopReason::EndTurn),
        ModelEvent::Usage(usage),
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert!(usage.input_tokens > 0 && usage.output_tokens > 10 && !usage.estimated);
}

#[tokio::test]
async fn words_wait_for_the_clock() {
    let clock = ManualClock::new();
    let mut stream = ask(&clock, Duration::from_millis(15), 1_000).await;
    assert!(stream.next().now_or_never().is_some());
    assert!(stream.next().now_or_never().is_none());
    clock.advance(Duration::from_millis(14));
    assert!(stream.next().now_or_never().is_none());
    clock.advance(Duration::from_millis(1));
    assert!(stream.next().now_or_never().is_some());
    drop(stream);
    assert_eq!(clock.sleepers(), 0);
}

#[tokio::test]
async fn it_says_no_more_than_is_allowed() {
    let clock = ManualClock::new();
    let events: Vec<_> = ask(&clock, Duration::ZERO, 5)
        .await
        .map(Result::unwrap)
        .collect()
        .await;
    let Some([ModelEvent::Stop(StopReason::MaxTokens), ModelEvent::Usage(usage)]) = events.last_chunk()
    else {
        panic!("{events:?}");
    };
    assert!((1..=5).contains(&usage.output_tokens));
}
