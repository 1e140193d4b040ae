//! Reads a request's body within a bound.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use openclaw_core::Clock;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Of a body that is too large, so much more is read and thrown away, so that the caller gets to see the answer.
const DISCARDED: usize = 8 << 20;

/// A body that breaks off when it has not arrived in time. Most bodies come with their head and never need the timer.
struct InTime {
    body: Body,
    clock: Arc<dyn Clock>,
    limit: Duration,
    timer: Option<BoxFuture<'static, ()>>,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Larger than the limit.
    TooLarge,
    /// It stopped coming, or was not what its headers said.
    Broken,
    /// It was not whole in time.
    Slow,
}

/// The same body, broken off when it is not whole this long after it was first waited for.
pub(crate) fn in_time(body: Body, clock: &Arc<dyn Clock>, limit: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(InTime {
        body,
        clock: Arc::clone(clock),
        limit,
        timer: None,
    })
}

impl http_body::Body for InTime {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let timer = this.timer.get_or_insert_with(|| this.clock.sleep(this.limit));
        timer.as_mut().poll(context).map(|()| {
            Some(Err(axum::Error::new(std::io::Error::from(
                std::io::ErrorKind::TimedOut,
            ))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The whole body, if it has at most `limit` bytes.
pub(crate) async fn read(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let mut first: Option<Bytes> = None;
    let mut gathered = BytesMut::new();
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| BodyError::of(&error))?.into_data() else {
            continue;
        };
        seen = seen.saturating_add(data.len());
        if seen > limit {
            discard(body, limit.saturating_add(DISCARDED).saturating_sub(seen)).await;
            return Err(BodyError::TooLarge);
        }
        // Most bodies come in one piece, which is handed on as it is.
        match (&first, gathered.is_empty()) {
            (None, true) => first = Some(data),
            (Some(_), true) => {
                gathered.extend_from_slice(&first.take().unwrap_or_default());
                gathered.extend_from_slice(&data);
            }
            (_, false) => gathered.extend_from_slice(&data),
        }
    }
    Ok(first.unwrap_or_else(|| gathered.freeze()))
}

impl BodyError {
    fn of(error: &axum::Error) -> Self {
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let io = cause.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
                return Self::Slow;
            }
            source = cause.source();
        }
        Self::Broken
    }
}

async fn discard(mut body: Body, mut left: usize) {
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    fn pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<Result<Bytes, std::io::Error>> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_slow_and_one_that_breaks_off_is_broken() {
        let clock = openclaw_core::testing::ManualClock::new();
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let limit = Duration::from_secs(30);
        let waiting = in_time(never, &(Arc::clone(&clock) as Arc<dyn Clock>), limit);
        let reading = tokio::spawn(read(waiting, 10));
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(limit);
        assert_eq!(reading.await.unwrap(), Err(BodyError::Slow));
        let cut = stream::iter([Err::<Bytes, _>(std::io::Error::from(
            std::io::ErrorKind::UnexpectedEof,
        ))]);
        assert_eq!(read(Body::from_stream(cut), 10).await, Err(BodyError::Broken));
    }

    #[tokio::test]
    async fn pieces_are_joined_and_the_limit_is_inclusive() {
        assert_eq!(
            read(pieces(&["ab", "cd", "e"]), 5).await,
            Ok(Bytes::from_static(b"abcde"))
        );
        assert_eq!(
            read(pieces(&["ab", "cd", "e"]), 4).await,
            Err(BodyError::TooLarge)
        );
        assert_eq!(read(pieces(&[]), 4).await, Ok(Bytes::new()));
    }
}
