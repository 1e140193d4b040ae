//! Lines of bounded length, read so that dropping a read loses nothing.

use bytes::{Buf, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads lines.
#[derive(Debug)]
pub(crate) struct Lines<S> {
    source: S,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no newline.
    searched: usize,
    limit: usize,
}

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("a line is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("the pipe cannot be read")]
    Io(#[from] io::Error),
}

/// Read at once, and what a reader of short lines keeps.
const CHUNK: usize = 8 * 1024;

impl<S: AsyncRead + Unpin> Lines<S> {
    pub(crate) fn new(source: S, limit: usize) -> Self {
        Self {
            source,
            buffer: BytesMut::new(),
            searched: 0,
            limit,
        }
    }

    /// The next line without its end; `None` when the other side has closed. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<BytesMut>, LineError> {
        loop {
            if let Some(line) = self.take()? {
                return Ok(Some(line));
            }
            self.buffer.reserve(CHUNK);
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Bytes after the last newline.
    pub(crate) fn remainder(&self) -> usize {
        self.buffer.len()
    }

    fn take(&mut self) -> Result<Option<BytesMut>, LineError> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let end = memchr::memchr(b'\n', unsearched).map(|at| self.searched + at);
        if end.unwrap_or(self.buffer.len()) > self.limit {
            return Err(LineError::TooLong { limit: self.limit });
        }
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        let mut line = self.buffer.split_to(end);
        self.buffer.advance(1);
        self.searched = 0;
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if self.buffer.is_empty() {
            // What one long line needed is not kept for the short ones after it.
            self.buffer = BytesMut::new();
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug)]
    struct Pieces(Vec<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            while self.0.first().is_some_and(Vec::is_empty) {
                self.0.remove(0);
            }
            if let Some(piece) = self.0.first_mut() {
                let length = piece.len().min(into.remaining());
                into.put_slice(&piece[..length]);
                piece.drain(..length);
            }
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn read(pieces: Vec<Vec<u8>>, limit: usize) -> (Vec<Vec<u8>>, usize, bool) {
        let mut lines = Lines::new(Pieces(pieces), limit);
        let mut read = Vec::new();
        loop {
            match futures::FutureExt::now_or_never(lines.next()).expect("never waits") {
                Ok(Some(line)) => read.push(line.to_vec()),
                Ok(None) => return (read, lines.remainder(), false),
                Err(LineError::TooLong { .. }) => return (read, lines.remainder(), true),
                Err(LineError::Io(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_line_of_the_limit_passes_and_one_byte_more_does_not() {
        let line = |length: usize| vec![vec![b'x'; length], b"\n".to_vec()];
        assert_eq!(read(line(10), 10).0.len(), 1);
        assert!(read(line(11), 10).2);
    }

    #[test]
    fn an_endless_line_is_given_up_near_the_limit() {
        let (_, held, too_long) = read(vec![vec![b'x'; 1 << 20]; 64], 4096);
        assert!(too_long);
        assert!(held <= 4096 + 2 * CHUNK, "{held} bytes were kept");
    }

    proptest! {
        #[test]
        fn however_the_bytes_arrive_the_lines_are_the_same(
            pieces in proptest::collection::vec(proptest::collection::vec(prop_oneof![3 => Just(b'a'), 1 => Just(b'\n')], 0..9), 0..12)
        ) {
            let all = pieces.concat();
            let mut expected: Vec<Vec<u8>> = all.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let rest = expected.pop().unwrap_or_default();
            let (lines, remainder, _) = read(pieces, 1_000);
            prop_assert_eq!(lines, expected);
            prop_assert_eq!(remainder, rest.len());
        }
    }
}
