//! A certificate that nobody has vouched for.

use crate::formats::{Around, Endpoint, Format, client};
use futures::StreamExt;
use openclaw_ai_fabric::{ChatRequest, ModelError};
use openclaw_core::testing::{ManualClock, SeededRandom};
use openclaw_core::{ChatMessage, Clock, CorrelationId, ModelEvent, Role};
use openclaw_testkit::{Answer, MockOptions, MockProvider};
use std::sync::Arc;

/// The text of an answer, or why there was none.
async fn ask(format: Format, endpoint: &Endpoint) -> Result<String, ModelError> {
    let clock = ManualClock::new();
    let around = Around {
        clock: Arc::clone(&clock) as _,
        random: Arc::new(SeededRandom::new(1)),
        client: client(),
    };
    let port = format.adapter(&"p".parse().unwrap(), endpoint, &around);
    let request = ChatRequest::new(vec![ChatMessage::text(Role::User, "A question")], 64);
    let id = CorrelationId::new(clock.now(), &SeededRandom::new(2));
    let mut stream = port.stream(&"m".parse().unwrap(), &request, id).await?;
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        if let ModelEvent::TextDelta(piece) = event? {
            text += &piece;
        }
    }
    Ok(text)
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused_unless_it_is_named_as_a_root() {
    let options = MockOptions {
        tls: true,
        ..MockOptions::default()
    };
    let mock = MockProvider::start_with(options).await.unwrap();
    mock.answer_with(|_| Some(Answer::text("hello")));
    for format in Format::HTTP {
        let error = ask(format, &Endpoint::mock(&mock)).await.unwrap_err();
        let ModelError::Connect { message } = &error else {
            panic!("{format:?}: {error}");
        };
        assert!(
            message.starts_with("127.0.0.1:")
                && message.ends_with(": its certificate is signed by nobody this machine trusts"),
            "{message}"
        );
        assert_eq!(
            ask(format, &Endpoint::trusted(&mock)).await.as_deref(),
            Ok("hello"),
            "{format:?}"
        );
    }
    // Nobody asked before the certificate was trusted.
    assert_eq!(mock.stats().requests, 4);
}
