//! Streams as they are written: pieces, pauses, and the ways not to end well.

use super::answer::{Answer, Content, End};
use super::gate::Gate;
use super::serve::Body;
use super::stats::Counters;
use super::wire::{Head, Piece, quoted};
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc;

pub(super) type Frames = mpsc::Sender<Result<Frame<Bytes>, io::Error>>;

/// Text of an answer without a stream: so many bytes for every 16 pieces asked for.
const SENTENCE: &str = "The quick brown fox jumps over the lazy dog and keeps running far away. ";

/// Time for the pieces before a cut to leave the process.
const CUT_AFTER_FLUSH: Duration = Duration::from_millis(2);

/// An answer with everything the request had to say about it.
pub(super) struct Prepared {
    pub(super) answer: Answer,
    pub(super) head: Head,
    /// The pieces, where the content is text of its own; made-up words are not kept.
    pieces: Option<Vec<String>>,
}

impl Prepared {
    pub(super) fn new(answer: Answer, mut head: Head, echo: impl FnOnce() -> String) -> Self {
        head.finish_reason = answer.finish_reason;
        head.usage_form = answer.usage_form;
        if let Some((prompt, _)) = answer.usage {
            head.prompt_tokens = prompt;
        }
        let pieces = match &answer.content {
            Content::Pieces(pieces) => Some(pieces.clone()),
            Content::Echo => Some(echo().split_inclusive(' ').map(str::to_owned).collect()),
            Content::Words(_) | Content::Fault { .. } | Content::OutOfQuota | Content::Raw { .. } => None,
        };
        Self { answer, head, pieces }
    }

    fn piece_count(&self) -> u64 {
        match (&self.pieces, &self.answer.content) {
            (Some(pieces), _) => pieces.len() as u64,
            (None, Content::Words(count)) => *count,
            (None, _) => 0,
        }
    }

    pub(super) fn completion_tokens(&self) -> u64 {
        match self.answer.usage {
            Some((_, completion)) => completion,
            None => self.piece_count(),
        }
    }

    fn piece(&self, index: u64) -> Bytes {
        match &self.pieces {
            Some(pieces) => {
                let text = usize::try_from(index).ok().and_then(|index| pieces.get(index));
                let text = &quoted(text.map_or("", String::as_str));
                self.head.piece(Piece { index, text })
            }
            None => {
                let text = if index.is_multiple_of(2) {
                    "\"lorem \""
                } else {
                    "\"ipsum \""
                };
                self.head.piece(Piece { index, text })
            }
        }
    }

    pub(super) fn whole_text(&self) -> String {
        match &self.pieces {
            Some(pieces) => pieces.concat(),
            None => SENTENCE.repeat(usize::try_from(self.piece_count() / 16).unwrap_or(1).max(1)),
        }
    }

    /// Waits for the gate of the end, unless the reader goes away first.
    async fn pass_gate(&self, to: &Frames) -> Result<(), Gone> {
        match &self.answer.gate {
            Some(gate) => pass(gate, to).await,
            None => Ok(()),
        }
    }

    /// Waits for the gates before this piece, unless the reader goes away first.
    async fn pass_halts(&self, index: u64, to: &Frames) -> Result<(), Gone> {
        for (_, gate) in self.answer.halts.iter().filter(|(before, _)| *before == index) {
            pass(gate, to).await?;
        }
        Ok(())
    }
}

async fn pass(gate: &Gate, to: &Frames) -> Result<(), Gone> {
    tokio::select! {
        () = gate.pass() => Ok(()),
        () = to.closed() => Err(Gone),
    }
}

/// The reader went away.
pub(super) struct Gone;

pub(super) async fn send(to: &Frames, bytes: Bytes) -> Result<(), Gone> {
    to.send(Ok(Frame::data(bytes))).await.map_err(|_closed| Gone)
}

/// Waits, unless the reader goes away first.
pub(super) async fn pause(to: &Frames, time: Duration) -> Result<(), Gone> {
    if time.is_zero() {
        return Ok(());
    }
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = to.closed() => Err(Gone),
    }
}

pub(super) async fn write_stream(counters: &Counters, prepared: &Prepared, to: &Frames) -> Result<(), Gone> {
    pause(to, prepared.answer.first_after).await?;
    if let Some(prologue) = prepared.head.prologue() {
        send(to, prologue).await?;
    }
    let count = prepared.piece_count();
    for index in 0..=count {
        prepared.pass_halts(index, to).await?;
        if prepared.answer.end.is_after(index) {
            counters.faults.fetch_add(1, Relaxed);
            prepared.pass_gate(to).await?;
            match prepared.answer.end {
                End::Complete => {}
                End::CutAfter(_) => {
                    // What was written last is still in the connection's buffer, which an error throws away.
                    pause(to, CUT_AFTER_FLUSH).await?;
                    // An error as the body's next frame makes the server drop the connection in the middle of a chunk.
                    return to
                        .send(Err(io::Error::other("cut")))
                        .await
                        .map_err(|_closed| Gone);
                }
                End::ErrorEventAfter(_) => return send(to, prepared.head.error_event()).await,
                End::SilentAfter(_) => {
                    to.closed().await;
                    return Err(Gone);
                }
                End::MarkMissingAfter(_) => return Ok(()),
                End::MalformedAfter(_) => send(to, prepared.head.malformed_event()).await?,
            }
        }
        if index == count {
            break;
        }
        if index > 0 {
            pause(to, prepared.answer.gap).await?;
        }
        send(to, prepared.piece(index)).await?;
        counters.chunks.fetch_add(1, Relaxed);
    }
    send(to, prepared.head.epilogue(prepared.completion_tokens())).await
}

/// A response whose body is written by a task of its own; the task ends when the reader is gone. At most four frames
/// wait for the reader.
pub(super) fn streaming<F>(content_type: &str, write: impl FnOnce(Frames) -> F) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (to, from) = mpsc::channel(4);
    tokio::spawn(write(to));
    let frames = stream::poll_fn({
        let mut from = from;
        move |context| from.poll_recv(context)
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
