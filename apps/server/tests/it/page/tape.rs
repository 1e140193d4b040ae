//! What went over one connection, and what of it was listening to a chat.

/// The bytes of one connection, as they came.
#[derive(Debug, Default)]
pub(super) struct Tape {
    pub(super) asked: Vec<u8>,
    /// Which of all the line's pieces of questions its newest was: a browser opens connections before it needs them.
    pub(super) asked_as: usize,
    /// Only what was let through.
    pub(super) answered: Vec<u8>,
}

/// One `GET …/events` and the ids of the events that came whole in answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listening {
    /// `lastEventId` of the address.
    pub(super) in_address: Option<u64>,
    /// The header `Last-Event-ID`.
    pub(super) in_header: Option<u64>,
    /// Where the stream said that it starts.
    pub(super) opened_at: Option<u64>,
    /// Id and name of each event.
    pub(super) events: Vec<(u64, String)>,
}

impl Tape {
    /// The cookie that was given out on it.
    pub(super) fn cookie(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.answered);
        let (_, rest) = text.split_once("set-cookie: ")?;
        Some(rest.split([';', '\r']).next()?.to_owned())
    }

    /// The bodies of answers that are streams of events, still in chunks.
    fn streams(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        places(&self.answered, b"text/event-stream")
            .into_iter()
            .filter_map(|at| {
                let rest = self.answered.get(at..)?;
                let body = places(rest, b"\r\n\r\n").first()? + 4;
                rest.get(body..)
            })
    }

    /// Every time this connection was used to listen to a chat. A stream of events ends its connection or is ended by
    /// it, so that there is at most one, the last.
    pub(super) fn listened(&self) -> Option<Listening> {
        let asked = String::from_utf8_lossy(&self.asked);
        let head = asked
            .rsplit("GET /api/v1/chats/")
            .next()
            .filter(|_| asked.contains("/events"))?;
        let (first_line, headers) = head.split_once("\r\n")?;
        let address = first_line.strip_suffix(" HTTP/1.1")?;
        let (_, query) = address.split_once("/events")?;
        let header = headers.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("last-event-id").then(|| value.trim())
        });
        let mut listening = Listening {
            in_address: query.strip_prefix("?lastEventId=").and_then(|id| id.parse().ok()),
            in_header: header.and_then(|id| id.parse().ok()),
            ..Listening::default()
        };
        let body = self.streams().next_back().map(unchunked).unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        let (whole, _) = text.rsplit_once("\n\n").unwrap_or_default();
        for block in whole.split("\n\n") {
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            let id = field("id: ").and_then(|id| id.parse().ok());
            match (id, field("event: ")) {
                (Some(id), Some(name)) => listening.events.push((id, name.to_owned())),
                (Some(id), None) => listening.opened_at = Some(id),
                (None, _) => {}
            }
        }
        Some(listening)
    }
}

impl Listening {
    /// The newest event that came whole, or where the stream started.
    pub(super) fn reached(&self) -> Option<u64> {
        self.events.last().map(|(id, _)| *id).or(self.opened_at)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.events.iter().map(|(_, name)| name.as_str()).collect()
    }
}

/// Where `needle` begins.
pub(super) fn places(bytes: &[u8], needle: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(needle.len()).enumerate();
    windows
        .filter(|(_, window)| *window == needle)
        .map(|(at, _)| at)
        .collect()
}

/// A chunked body without its chunks' sizes; the last chunk may be cut.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = body.get(..end).and_then(|size| std::str::from_utf8(size).ok());
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
            break;
        };
        let rest = body.get(end + 2..).unwrap_or_default();
        whole.extend_from_slice(rest.get(..size).unwrap_or(rest));
        body = rest.get(size + 2..).unwrap_or_default();
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_listened_to_is_read_from_the_bytes_also_of_a_cut_chunk() {
        let tape = Tape {
            asked: b"GET /chat HTTP/1.1\r\nhost: a\r\n\r\nGET /api/v1/chats/c/events?lastEventId=5 HTTP/1.1\r\nLast-Event-ID: 6\r\n\r\n"
                .to_vec(),
            answered: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
                d\r\nretry: 1\nid: \r\n3\r\n6\n\n\r\nff\r\nid: 7\nevent: text.delta\ndata: {}\n\nid: 8\nevent: text.d"
                .to_vec(),
            ..Tape::default()
        };
        let listening = tape.listened().unwrap();
        assert_eq!((listening.in_address, listening.in_header), (Some(5), Some(6)));
        assert_eq!(listening.opened_at, Some(6));
        assert_eq!(listening.events, [(7, "text.delta".to_owned())]);
        assert_eq!(listening.reached(), Some(7));
    }

    #[test]
    fn a_connection_that_asked_for_something_else_listened_to_nothing() {
        let tape = Tape {
            asked: b"GET /api/v1/chats/c/messages?limit=50 HTTP/1.1\r\n\r\n".to_vec(),
            ..Tape::default()
        };
        assert_eq!(tape.listened(), None);
    }
}
