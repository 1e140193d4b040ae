//! A WebSocket client that is enough for one peer on loopback which is trusted: text messages, fragments, pings.
//!
//! It masks with a key of zero, which the protocol allows and which leaves the bytes as they are.

use anyhow::{Result, bail};
use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The longest message that is read: pictures are the largest there are.
const MAX_MESSAGE: usize = 64 << 20;

/// The half that is read.
#[derive(Debug)]
pub(super) struct Reader {
    from: OwnedReadHalf,
    buffer: BytesMut,
}

/// The half that is written.
#[derive(Debug)]
pub(super) struct Writer {
    to: OwnedWriteHalf,
}

/// Asks the server on the other end for a WebSocket.
pub(super) async fn open(mut stream: TcpStream, port: u16, path: &str) -> Result<(Reader, Writer)> {
    stream.set_nodelay(true)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = BytesMut::new();
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            bail!("the connection was closed before the WebSocket was open");
        }
    };
    let head = buffer.split_to(end);
    if !head.starts_with(b"HTTP/1.1 101") {
        bail!("no WebSocket: {}", String::from_utf8_lossy(&head));
    }
    let (from, to) = stream.into_split();
    Ok((Reader { from, buffer }, Writer { to }))
}

// === impl Writer ===

impl Writer {
    /// Sends one text message.
    pub(super) async fn text(&mut self, text: &str) -> Result<()> {
        self.to.write_all(&frame(text.as_bytes())).await?;
        Ok(())
    }
}

// === impl Reader ===

impl Reader {
    /// The next text message; `None` when the peer has closed. A peer that is not answered its pings does not mind.
    pub(super) async fn text(&mut self) -> Result<Option<BytesMut>> {
        let mut message = BytesMut::new();
        loop {
            let Some((is_last, kind, payload)) = self.frame().await? else {
                return Ok(None);
            };
            match kind {
                0 | 1 => message.unsplit(payload),
                8 => return Ok(None),
                _ => continue,
            }
            if message.len() > MAX_MESSAGE {
                bail!("a message longer than {MAX_MESSAGE} bytes");
            }
            if is_last {
                return Ok(Some(message));
            }
        }
    }

    async fn frame(&mut self) -> Result<Option<(bool, u8, BytesMut)>> {
        loop {
            if let Some((head, length)) = head(&self.buffer) {
                if length > MAX_MESSAGE {
                    bail!("a frame longer than {MAX_MESSAGE} bytes");
                }
                if self.buffer.len() >= head + length {
                    let first = self.buffer.first().copied().unwrap_or_default();
                    self.buffer.advance(head);
                    let payload = self.buffer.split_to(length);
                    return Ok(Some((first & 0x80 != 0, first & 0x0f, payload)));
                }
            }
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// One masked text frame.
fn frame(payload: &[u8]) -> BytesMut {
    let mut frame = BytesMut::with_capacity(payload.len() + 14);
    frame.put_u8(0x81);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => frame.put_u8(0x80 | short),
        (_, Ok(middle)) => {
            frame.put_u8(0x80 | 126);
            frame.put_u16(middle);
        }
        _ => {
            frame.put_u8(0x80 | 127);
            frame.put_u64(payload.len() as u64);
        }
    }
    frame.put_u32(0);
    frame.extend_from_slice(payload);
    frame
}

/// How long a frame's head is and how long its payload, once the head is there. A server does not mask.
fn head(buffer: &[u8]) -> Option<(usize, usize)> {
    let short = usize::from(buffer.get(1)? & 0x7f);
    let number = |bytes: &[u8]| {
        bytes.iter().fold(0_usize, |sum, byte| {
            sum.saturating_mul(256).saturating_add(usize::from(*byte))
        })
    };
    match short {
        126 => Some((4, number(buffer.get(2..4)?))),
        127 => Some((10, number(buffer.get(2..10)?))),
        _ => Some((2, short)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_and_read_in_all_three_forms() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let written = frame(&vec![7; length]);
            let (before_mask, read) = head(&written).unwrap();
            assert_eq!(read, length);
            assert_eq!(written.len(), before_mask + 4 + length);
        }
    }

    #[test]
    fn a_head_cut_anywhere_is_waited_for() {
        let written = frame(&[7; 70_000]);
        assert!((0..10).all(|cut| head(&written[..cut]).is_none()));
    }
}
