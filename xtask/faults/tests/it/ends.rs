//! Streams that are left and streams that are cut: 12 of each format.

use crate::formats::{Around, Endpoint, Format, client};
use futures::StreamExt;
use openclaw_ai_fabric::{ChatRequest, ModelError, ModelPort, ModelStream};
use openclaw_core::testing::ManualClock;
use openclaw_core::testing::SeededRandom;
use openclaw_core::{ChatMessage, Clock, CorrelationId, ModelEvent, Role};
use openclaw_testkit::{Answer, Content, End, Gate, MockProvider};
use std::sync::Arc;
use std::time::Duration;

/// Long enough for a slow machine; nothing waits for it when things go well.
const LIMIT: Duration = Duration::from_secs(60);
const STREAMS: u64 = 12;

struct World {
    mock: MockProvider,
    port: Arc<dyn ModelPort>,
    clock: Arc<ManualClock>,
}

impl World {
    async fn new(format: Format) -> Self {
        let mock = MockProvider::start().await.unwrap();
        let clock = ManualClock::new();
        let around = Around {
            clock: Arc::clone(&clock) as _,
            random: Arc::new(SeededRandom::new(1)),
            client: client(),
        };
        let port = format.adapter(&"p".parse().unwrap(), &Endpoint::mock(&mock), &around);
        Self { mock, port, clock }
    }

    async fn open(&self) -> Result<ModelStream, ModelError> {
        let request = ChatRequest::new(vec![ChatMessage::text(Role::User, "A question")], 64);
        let id = CorrelationId::new(self.clock.now(), &SeededRandom::new(2));
        self.port.stream(&"m".parse().unwrap(), &request, id).await
    }
}

/// The next piece of text; what comes between is passed over.
async fn piece(stream: &mut ModelStream) -> Result<Option<String>, ModelError> {
    while let Some(event) = stream.next().await {
        if let ModelEvent::TextDelta(text) = event? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

#[tokio::test]
async fn twelve_of_twelve_readers_that_leave_close_the_stream_at_its_provider() {
    for format in Format::HTTP {
        let world = World::new(format).await;
        for pieces in 0..STREAMS {
            // Silent once the reader has what it waits for, so that only the reader's leaving can end the stream.
            let answer = Answer::new(Content::Words(STREAMS)).with_end(End::SilentAfter(pieces));
            world.mock.script(answer);
            let mut stream = world.open().await.unwrap();
            for _ in 0..pieces {
                assert!(piece(&mut stream).await.unwrap().is_some());
            }
            drop(stream);
            let left = world.mock.wait_until(LIMIT, |stats| {
                stats.disconnects == pieces + 1 && stats.in_flight == 0
            });
            left.await.unwrap();
        }
        assert_eq!(world.mock.stats().disconnects, STREAMS, "{format:?}");
    }
}

#[tokio::test]
async fn twelve_of_twelve_readers_that_leave_before_the_headers_close_the_request() {
    for format in Format::HTTP {
        let world = World::new(format).await;
        world.mock.answer_with(|_| Some(Answer::mute()));
        for number in 1..=STREAMS {
            let mut asking = std::pin::pin!(world.open());
            let arrived = world
                .mock
                .wait_until(LIMIT, move |stats| stats.requests == number);
            tokio::select! {
                biased;
                stream = &mut asking => panic!("{format:?}: {:?}", stream.map(|_| ())),
                arrived = arrived => drop(arrived.unwrap()),
            }
        }
        world
            .mock
            .wait_until(LIMIT, |stats| stats.in_flight == 0)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn none_of_twelve_cut_streams_ends_as_if_it_were_complete() {
    for format in Format::HTTP {
        let world = World::new(format).await;
        for pieces in 0..STREAMS {
            for breaks in [true, false] {
                let gate = Gate::new();
                let end = if breaks {
                    End::CutAfter(pieces)
                } else {
                    End::MarkMissingAfter(pieces)
                };
                // As many pieces as come before the cut, so that the last one cut lacks nothing but the end mark.
                let answer = Answer::new(Content::Words(STREAMS - 1));
                world.mock.script(answer.with_end(end).with_gate(&gate));
                let mut stream = world.open().await.unwrap();
                for _ in 0..pieces {
                    assert!(piece(&mut stream).await.unwrap().is_some());
                }
                gate.open();
                assert_eq!(
                    piece(&mut stream).await,
                    Err(ModelError::Cut),
                    "{format:?} {end:?}"
                );
                assert!(
                    stream.next().await.is_none(),
                    "{format:?}: something follows a cut"
                );
            }
        }
    }
}

#[tokio::test]
async fn none_of_twelve_killed_programs_ends_as_if_it_were_complete() {
    let clock = ManualClock::new();
    let around = Around {
        clock: Arc::clone(&clock) as _,
        random: Arc::new(SeededRandom::new(1)),
        client: client(),
    };
    for pieces in 0..STREAMS {
        let said = "echo '{\"text\":\"word \"}'\n".repeat(usize::try_from(pieces).unwrap());
        let script = Endpoint::Script(said + "kill -9 $$");
        let port = Format::Command.adapter(&"p".parse().unwrap(), &script, &around);
        let request = ChatRequest::new(vec![ChatMessage::text(Role::User, "A question")], 64);
        let id = CorrelationId::new(clock.now(), &SeededRandom::new(2));
        let mut stream = port.stream(&"m".parse().unwrap(), &request, id).await.unwrap();
        for _ in 0..pieces {
            assert!(piece(&mut stream).await.unwrap().is_some());
        }
        let end = piece(&mut stream).await;
        assert!(matches!(end, Err(ModelError::InStream { .. })), "{end:?}");
    }
}
