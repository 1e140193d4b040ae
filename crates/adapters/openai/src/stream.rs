//! The body of an answer as a stream of what the model says.

use crate::chunk::Decoder;
use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openclaw_ai_fabric::ModelError;
use openclaw_core::{Clock, ModelEvent};
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamFormat, StreamParser};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long the end of the body is waited for after the stream's own end mark. A body that is read to its end leaves
/// a connection that can be used again.
const DRAIN: Duration = Duration::from_millis(50);

/// An answer under way. Holds the connection; dropping it closes that.
pub(crate) struct AnswerStream {
    body: BoxStream<'static, Result<Bytes, reqwest::Error>>,
    clock: Arc<dyn Clock>,
    parser: StreamParser,
    decoder: Decoder,
    /// What the last payload said; a few events.
    events: VecDeque<ModelEvent>,
    phase: Phase,
    /// Bytes came and nothing has been said since: a keep-alive, unless events follow.
    quiet: bool,
}

enum Phase {
    Reading,
    /// The body is at its end; frames may be left.
    Ended,
    /// The end mark was seen; only the end of the body is waited for.
    Draining(BoxFuture<'static, ()>),
    /// Said, once the events before it are.
    Failed(ModelError),
    Over,
}

// === impl AnswerStream ===

impl AnswerStream {
    pub(crate) fn new(
        body: BoxStream<'static, Result<Bytes, reqwest::Error>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            body,
            clock,
            parser: StreamParser::new(StreamFormat::Sse, ParserLimits::default()),
            decoder: Decoder::default(),
            events: VecDeque::new(),
            phase: Phase::Reading,
            quiet: false,
        }
    }

    /// Takes the next frame. `false` when there is none.
    fn read_frame(&mut self) -> bool {
        let data = match self.parser.next_frame() {
            Ok(Some(Frame::Sse(event))) => event.data,
            Ok(Some(Frame::JsonLine(_) | Frame::Text(_))) => return true,
            Ok(None) => return false,
            Err(error) => {
                let message = error.to_string();
                self.phase = Phase::Failed(ModelError::Malformed { message });
                return true;
            }
        };
        if data.trim_ascii() == "[DONE]" {
            self.decoder.done(&mut self.events);
            self.phase = match self.phase {
                Phase::Ended => Phase::Over,
                _ => Phase::Draining(self.clock.sleep(DRAIN)),
            };
        } else if !data.is_empty()
            && let Err(error) = self.decoder.decode(data, &mut self.events)
        {
            // Half a chunk at the end of the body was cut, not malformed.
            let cut = matches!(
                (&self.phase, &error),
                (Phase::Ended, ModelError::Malformed { .. })
            );
            self.phase = Phase::Failed(if cut { ModelError::Cut } else { error });
        }
        true
    }

    /// Bytes, or the end of them. A connection that breaks ends the body.
    fn read_body(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.body.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.parser.push(bytes);
                self.quiet = true;
                Poll::Ready(())
            }
            Poll::Ready(Some(Err(_)) | None) => {
                self.parser.finish(LastEvent::Keep);
                self.phase = Phase::Ended;
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Stream for AnswerStream {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.events.pop_front() {
                this.quiet = false;
                return Poll::Ready(Some(Ok(event)));
            }
            match &mut this.phase {
                Phase::Over => return Poll::Ready(None),
                Phase::Failed(_) => {
                    let Phase::Failed(error) = std::mem::replace(&mut this.phase, Phase::Over) else {
                        return Poll::Ready(None);
                    };
                    return Poll::Ready(Some(Err(error)));
                }
                Phase::Draining(timer) => {
                    // Whatever comes after the end mark is not read.
                    match this.body.as_mut().poll_next(context) {
                        Poll::Ready(Some(Ok(_))) => continue,
                        Poll::Ready(Some(Err(_)) | None) => this.phase = Phase::Over,
                        Poll::Pending => std::task::ready!(timer.as_mut().poll(context)),
                    }
                    this.phase = Phase::Over;
                }
                Phase::Ended => {
                    if !this.read_frame() {
                        // Whoever has said why it stopped was not cut off, end mark or not.
                        this.phase = if this.decoder.stopped() {
                            Phase::Over
                        } else {
                            Phase::Failed(ModelError::Cut)
                        };
                    }
                }
                Phase::Reading => {
                    if this.read_frame() {
                        continue;
                    }
                    if this.read_body(context).is_pending() {
                        if std::mem::take(&mut this.quiet) {
                            return Poll::Ready(Some(Ok(ModelEvent::Ping)));
                        }
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}
