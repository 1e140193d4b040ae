//! A built-in model that needs no key and no network: deterministic, streams word by word.
//!
//! It is what a first run answers with, and what tests and load runs measure everything else against. It greets, repeats
//! what was said, and tells how many earlier messages of the conversation it was shown — which proves that a memory
//! works — in the language it was asked in.
//!
//! ```
//! use futures::StreamExt;
//! use openclaw_ai_fabric::{ChatRequest, ModelPort};
//! use openclaw_core::testing::{ManualClock, SeededRandom};
//! use openclaw_core::{ChatMessage, Clock, CorrelationId, ModelEvent, Role};
//! use openclaw_demo::DemoModel;
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::new();
//! let id = CorrelationId::new(clock.now(), &SeededRandom::new(1));
//! let demo = DemoModel::new(clock).with_word_delay(Duration::ZERO);
//! let request = ChatRequest::new(vec![ChatMessage::text(Role::User, "Good morning")], 100);
//! let mut stream = demo.stream(&"demo".parse()?, &request, id).await?;
//! let mut answer = String::new();
//! while let Some(event) = stream.next().await {
//!     if let ModelEvent::TextDelta(word) = event? {
//!         answer.push_str(&word);
//!     }
//! }
//! assert!(answer.contains("Good morning"));
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: the same conversation has the same answer; the words joined are the answer; no answer has more tokens
//! than were asked for. It calls no tools and has no opinion.

#![forbid(unsafe_code)]

mod reply;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use openclaw_ai_fabric::estimate::raw_request_tokens;
use openclaw_ai_fabric::{
    ChatRequest, ModelDefinition, ModelError, ModelPort, ModelProvider, ModelStream, ProviderRateLimit,
    TextMeter,
};
use openclaw_core::{Clock, CorrelationId, IdError, ModelEvent, ModelId, ProviderId, StopReason, TokenUsage};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The pause between two words, unless another is set.
pub const WORD_DELAY: Duration = Duration::from_millis(15);

/// The model.
#[derive(Clone, Debug)]
pub struct DemoModel {
    clock: Arc<dyn Clock>,
    word_delay: Duration,
}

/// An answer under way. Owns what it still has to say; dropping it leaves nothing behind.
struct Words {
    clock: Arc<dyn Clock>,
    delay: Duration,
    left: VecDeque<ModelEvent>,
    pause: Option<BoxFuture<'static, ()>>,
}

// === impl DemoModel ===

impl DemoModel {
    /// A model that pauses on this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            word_delay: WORD_DELAY,
        }
    }

    /// The same with another pause between words; none at all when it is zero.
    #[must_use]
    pub fn with_word_delay(mut self, word_delay: Duration) -> Self {
        self.word_delay = word_delay;
        self
    }

    /// How it stands in the registry when nobody configured a provider: provider and model are called `demo`. It answers
    /// for no other name, so that who asks for a real model is told that there is none.
    pub fn provider() -> Result<ModelProvider, IdError> {
        let id = ProviderId::parse("demo")?;
        let mut model = ModelDefinition::unlisted(ModelId::parse("demo")?, id.clone());
        model.name = "Demo".into();
        Ok(ModelProvider {
            models: vec![model],
            id,
            name: "Demo".into(),
            base_url: None,
            rate_limit: ProviderRateLimit::default(),
            priority: 0,
            any_model: false,
        })
    }
}

#[async_trait]
impl ModelPort for DemoModel {
    async fn stream(
        &self,
        _model: &ModelId,
        request: &ChatRequest,
        _correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError> {
        let answer = reply::reply(&request.messages);
        let mut left = VecDeque::new();
        let mut meter = TextMeter::default();
        let mut reason = StopReason::EndTurn;
        let mut said = 0;
        for word in answer.split_inclusive(' ') {
            meter.add(word);
            if request.max_output_tokens > 0 && meter.tokens() > request.max_output_tokens {
                reason = StopReason::MaxTokens;
                break;
            }
            said = meter.tokens();
            left.push_back(ModelEvent::TextDelta(word.to_owned()));
        }
        left.push_back(ModelEvent::Stop(reason));
        left.push_back(ModelEvent::Usage(TokenUsage {
            input_tokens: raw_request_tokens(request),
            output_tokens: said,
            estimated: false,
        }));
        let words = Words {
            clock: Arc::clone(&self.clock),
            delay: self.word_delay,
            left,
            pause: None,
        };
        Ok(words.boxed())
    }

    async fn models(&self) -> Result<Option<Vec<ModelId>>, ModelError> {
        Ok(ModelId::parse("demo").ok().map(|model| vec![model]))
    }
}

// === impl Words ===

impl Stream for Words {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let event = self.left.pop_front();
        let another = matches!(self.left.front(), Some(ModelEvent::TextDelta(_)));
        if another && self.delay > Duration::ZERO {
            self.pause = Some(self.clock.sleep(self.delay));
        }
        Poll::Ready(event.map(Ok))
    }
}
