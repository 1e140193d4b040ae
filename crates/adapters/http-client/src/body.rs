//! The body of an answer: read to a bound, or decoded piece by piece while it comes.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use openclaw_core::Clock;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long the end of the body is waited for after the decoder has seen the end of the answer. A body that is read to
/// its end leaves a connection that can be used again.
const DRAIN: Duration = Duration::from_millis(50);

/// Makes items of a body's bytes. Implemented by the adapters, one per wire format.
pub trait BodyDecoder {
    /// What it makes.
    type Item;
    /// What can be wrong with an answer.
    type Error;

    /// Takes the next bytes.
    fn push(&mut self, bytes: Bytes);

    /// No more bytes will come: the body is at its end, or the connection broke.
    fn finish(&mut self);

    /// What is next. Called again after every item, and after [`Step::More`] only when there are more bytes or none
    /// will come.
    fn step(&mut self) -> Step<Self::Item, Self::Error>;

    /// What stands for bytes that came and made no item, if that is worth an item of its own.
    fn sign_of_life(&self) -> Option<Self::Item>;
}

/// One step of a [`BodyDecoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T, E> {
    /// An item.
    Item(T),
    /// Bytes are needed. After [`BodyDecoder::finish`] it ends the stream.
    More,
    /// The answer is over, whatever bytes still come.
    Done,
    /// The answer has failed; nothing follows.
    Failed(E),
}

/// A body as a stream of what its decoder makes of it. Holds the connection: dropping it closes that.
///
/// Holds the bytes of one chunk and what the decoder holds.
pub struct BodyStream<D> {
    body: BoxStream<'static, Result<Bytes, reqwest::Error>>,
    clock: Arc<dyn Clock>,
    decoder: D,
    phase: Phase,
    /// Bytes came and nothing has been made of them since.
    quiet: bool,
}

enum Phase {
    Reading,
    /// The body is at its end; the decoder may have items left.
    Ended,
    /// The decoder is done; only the end of the body is waited for.
    Draining(BoxFuture<'static, ()>),
    Over,
}

// === impl BodyStream ===

impl<D> BodyStream<D> {
    /// Decodes the body of this answer.
    pub fn new(response: Response, clock: Arc<dyn Clock>, decoder: D) -> Self {
        Self {
            body: response.bytes_stream().boxed(),
            clock,
            decoder,
            phase: Phase::Reading,
            quiet: false,
        }
    }
}

impl<D> fmt::Debug for BodyStream<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyStream")
    }
}

impl<D: BodyDecoder + Unpin> Stream for BodyStream<D> {
    type Item = Result<D::Item, D::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let ended = match &mut this.phase {
                Phase::Over => return Poll::Ready(None),
                Phase::Draining(timer) => {
                    // Whatever comes after the end is not read.
                    match this.body.as_mut().poll_next(context) {
                        Poll::Ready(Some(Ok(_))) => continue,
                        Poll::Ready(Some(Err(_)) | None) => {}
                        Poll::Pending => ready!(timer.as_mut().poll(context)),
                    }
                    this.phase = Phase::Over;
                    continue;
                }
                Phase::Reading => false,
                Phase::Ended => true,
            };
            match this.decoder.step() {
                Step::Item(item) => {
                    this.quiet = false;
                    return Poll::Ready(Some(Ok(item)));
                }
                Step::Failed(error) => {
                    this.phase = Phase::Over;
                    return Poll::Ready(Some(Err(error)));
                }
                Step::Done if ended => this.phase = Phase::Over,
                Step::Done => this.phase = Phase::Draining(this.clock.sleep(DRAIN)),
                Step::More if ended => this.phase = Phase::Over,
                Step::More => match this.body.as_mut().poll_next(context) {
                    Poll::Ready(Some(Ok(bytes))) => {
                        this.decoder.push(bytes);
                        this.quiet = true;
                    }
                    Poll::Ready(Some(Err(_)) | None) => {
                        this.decoder.finish();
                        this.phase = Phase::Ended;
                    }
                    Poll::Pending => {
                        if std::mem::take(&mut this.quiet)
                            && let Some(sign) = this.decoder.sign_of_life()
                        {
                            return Poll::Ready(Some(Ok(sign)));
                        }
                        return Poll::Pending;
                    }
                },
            }
        }
    }
}

/// The beginning of a body, at most `limit` bytes, as far as it came.
pub async fn read_at_most(response: Response, limit: usize) -> Vec<u8> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        let room = limit.saturating_sub(body.len());
        body.extend(chunk.iter().take(room));
        if body.len() >= limit {
            break;
        }
    }
    body
}

/// Whether an answer says that it is one JSON value.
pub fn is_json(response: &Response) -> bool {
    response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("application/json")
        })
}
