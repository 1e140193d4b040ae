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

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::testing::ManualClock;

    /// Makes an item of every letter; `.` ends the answer, `!` breaks it.
    #[derive(Default)]
    struct Letters {
        bytes: Vec<u8>,
        finished: bool,
    }

    impl BodyDecoder for Letters {
        type Item = char;
        type Error = &'static str;

        fn push(&mut self, bytes: Bytes) {
            self.bytes.extend(bytes);
        }

        fn finish(&mut self) {
            self.finished = true;
        }

        fn step(&mut self) -> Step<char, &'static str> {
            if self.bytes.is_empty() {
                return if self.finished {
                    Step::Failed("cut")
                } else {
                    Step::More
                };
            }
            match self.bytes.remove(0) {
                b'.' => {
                    self.bytes.clear();
                    Step::Done
                }
                b'!' => Step::Failed("broken"),
                letter => Step::Item(char::from(letter)),
            }
        }

        fn sign_of_life(&self) -> Option<char> {
            Some('~')
        }
    }

    fn response(body: &'static str) -> Response {
        http::Response::builder()
            .header("content-type", "Application/JSON; charset=utf-8")
            .body(body)
            .map(Response::from)
            .unwrap()
    }

    async fn decode(body: &'static str) -> Vec<Result<char, &'static str>> {
        BodyStream::new(response(body), ManualClock::new(), Letters::default())
            .collect()
            .await
    }

    #[tokio::test]
    async fn an_answer_ends_where_its_decoder_says_and_nothing_follows() {
        assert_eq!(decode("ab.cd").await, [Ok('a'), Ok('b')]);
        assert_eq!(decode("a!cd").await, [Ok('a'), Err("broken")]);
        assert_eq!(decode("ab").await, [Ok('a'), Ok('b'), Err("cut")]);
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_waited_for_no_longer_than_it_is_worth() {
        let clock = ManualClock::new();
        let mut stream = BodyStream::new(response(""), Arc::clone(&clock) as _, Letters::default());
        let first = futures::stream::iter([Ok(Bytes::from_static(b"a."))]);
        stream.body = first.chain(futures::stream::pending()).boxed();
        assert_eq!(stream.next().await, Some(Ok('a')));
        let mut end = stream.next();
        assert!(futures::poll!(&mut end).is_pending());
        clock.advance(DRAIN);
        assert_eq!(end.await, None);
    }

    #[tokio::test]
    async fn bytes_that_say_nothing_are_a_sign_of_life_once() {
        let mut stream = BodyStream::new(response(""), ManualClock::new(), Letters::default());
        let first = futures::stream::iter([Ok(Bytes::new())]);
        stream.body = first.chain(futures::stream::pending()).boxed();
        assert_eq!(stream.next().await, Some(Ok('~')));
        assert!(futures::poll!(stream.next()).is_pending());
    }

    #[tokio::test]
    async fn no_more_of_a_body_is_read_than_was_asked_for() {
        assert!(is_json(&response("")));
        assert_eq!(read_at_most(response("abcdef"), 4).await, b"abcd");
        assert_eq!(read_at_most(response("abc"), 4).await, b"abc");
    }
}
