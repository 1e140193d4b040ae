//! A small HTTP/1.1 client for tests: shows what the server said, interprets nothing, waits a bounded time.
//!
//! No redirects, no TLS, no cookies, no decompression. A request without a header of its own sends none but `host` and
//! what a body needs.

use anyhow::{Context, Result, anyhow, bail};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How long a request may take unless it says otherwise.
const DEFAULT_LIMIT: Duration = Duration::from_secs(120);

/// A client of one server. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
    headers: HeaderMap,
}

/// A request being put together.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    client: Client<HttpConnector, Full<Bytes>>,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    limit: Duration,
    /// The first thing that was wrong with what was asked for; reported when the request is sent.
    fault: Option<anyhow::Error>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event` field; empty when there was none.
    pub event: String,
    /// The `id` field, when there was one.
    pub id: Option<String>,
    /// The `data` lines joined with line feeds.
    pub data: String,
}

/// An answer read event by event.
#[derive(Debug)]
pub struct SseReader {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    buffer: BytesMut,
    limit: Duration,
}

// === impl HttpClient ===

impl HttpClient {
    /// A client whose paths are appended to `base`, e.g. `http://127.0.0.1:3000`.
    ///
    /// # Errors
    /// When `base` is not an `http://` URL.
    pub fn new(base: &str) -> Result<Self> {
        if !base.starts_with("http://") {
            bail!("not an http:// URL: {base}");
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            client,
            headers: HeaderMap::new(),
        })
    }

    /// The same client that sends `Authorization: Bearer` with every request.
    ///
    /// # Errors
    /// When the token cannot stand in a header.
    pub fn with_bearer(mut self, token: &str) -> Result<Self> {
        self.headers
            .insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}"))?);
        Ok(self)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        RequestBuilder {
            client: self.client.clone(),
            method,
            url: format!("{}{path}", self.base),
            headers: self.headers.clone(),
            body: Bytes::new(),
            limit: DEFAULT_LIMIT,
            fault: None,
        }
    }

    /// A `GET`.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A `POST`.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// A `DELETE`.
    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }
}

// === impl RequestBuilder ===

impl RequestBuilder {
    /// Adds a header, replacing one of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.insert(name, value);
            }
            _ => {
                self.fault
                    .get_or_insert_with(|| anyhow!("not a header: {name:?}: {value:?}"));
            }
        }
        self
    }

    /// Sends `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends these bytes.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends this value as JSON, with its content type.
    pub fn json(mut self, value: &Value) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body(value.to_string())
    }

    /// Allows the whole exchange this long (a stream: this long for the headers and for each event) instead of 120 s.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    async fn headers_of(self) -> Result<(hyper::Response<Incoming>, String, Instant)> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let deadline = Instant::now() + self.limit;
        let what = format!("{} {}", self.method, self.url);
        let mut request = Request::builder()
            .method(self.method)
            .uri(&self.url)
            .body(Full::new(self.body))?;
        *request.headers_mut() = self.headers;
        let response = tokio::time::timeout_at(deadline, self.client.request(request))
            .await
            .with_context(|| format!("{what}: no answer within {:?}", self.limit))?
            .with_context(|| what.clone())?;
        Ok((response, what, deadline))
    }

    /// Sends it and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// When no whole answer came in time.
    pub async fn send(self) -> Result<Reply> {
        let (response, what, deadline) = self.headers_of().await?;
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout_at(deadline, body.collect())
            .await
            .with_context(|| format!("{what}: the body did not end in time"))?
            .with_context(|| format!("{what}: the body was cut"))?
            .to_bytes();
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    /// Sends it and returns as soon as the headers are there; the body is read event by event.
    ///
    /// # Errors
    /// When no headers came in time.
    pub async fn stream(self) -> Result<SseReader> {
        let limit = self.limit;
        let (response, _, _) = self.headers_of().await?;
        let (parts, body) = response.into_parts();
        Ok(SseReader {
            status: parts.status,
            headers: parts.headers,
            body,
            buffer: BytesMut::new(),
            limit,
        })
    }
}

// === impl Reply ===

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none; the message shows the body's beginning.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| {
            format!(
                "{}: not JSON: {}",
                self.status,
                self.text().chars().take(300).collect::<String>()
            )
        })
    }

    /// The body as text; bytes that are not UTF-8 become replacement characters.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

// === impl SseReader ===

impl SseReader {
    /// The next event; `None` when the body has ended. Comments are passed over; an event without data is one.
    ///
    /// # Errors
    /// When none came in time, when the connection was cut, or when an event is longer than 1 MiB.
    pub async fn next_event(&mut self) -> Result<Option<SseEvent>> {
        let deadline = Instant::now() + self.limit;
        loop {
            while let Some((end, rest)) = block_end(&self.buffer) {
                let block = self.buffer.split_to(rest);
                if let Some(event) =
                    parse_block(&String::from_utf8_lossy(block.get(..end).unwrap_or_default()))
                {
                    return Ok(Some(event));
                }
            }
            if self.buffer.len() > 1 << 20 {
                bail!("an event longer than 1 MiB");
            }
            let frame = tokio::time::timeout_at(deadline, self.body.frame())
                .await
                .with_context(|| format!("no event within {:?}", self.limit))?;
            match frame {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.context("the stream was cut")?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// The rest of the answer as it is, not as events.
    ///
    /// # Errors
    /// When it did not end in time or was cut.
    pub async fn whole(mut self) -> Result<Reply> {
        let rest = tokio::time::timeout(self.limit, self.body.collect())
            .await
            .with_context(|| format!("the body did not end within {:?}", self.limit))?
            .context("the body was cut")?;
        self.buffer.extend_from_slice(&rest.to_bytes());
        Ok(Reply {
            status: self.status,
            headers: self.headers,
            body: self.buffer.freeze(),
        })
    }

    /// All events to the end of the body.
    ///
    /// # Errors
    /// As [`Self::next_event`].
    pub async fn collect(mut self) -> Result<Vec<SseEvent>> {
        let mut events = Vec::new();
        while let Some(event) = self.next_event().await? {
            events.push(event);
        }
        Ok(events)
    }
}

/// Where the first block ends and where the next one starts.
fn block_end(buffer: &[u8]) -> Option<(usize, usize)> {
    let line_feeds = buffer
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .map(|at| (at, at + 2));
    let both = buffer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| (at, at + 4));
    match (line_feeds, both) {
        (Some(first), Some(second)) => Some(if first.0 < second.0 { first } else { second }),
        (found, None) | (None, found) => found,
    }
}

fn parse_block(block: &str) -> Option<SseEvent> {
    let mut event = SseEvent::default();
    let mut data: Option<String> = None;
    let mut any = false;
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.event),
            "id" => event.id = Some(value.to_owned()),
            "data" => match &mut data {
                Some(lines) => {
                    lines.push('\n');
                    lines.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            _ => continue,
        }
        any = true;
    }
    event.data = data.unwrap_or_default();
    any.then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_fields_and_joins_its_data_lines() {
        let event = parse_block("event: delta\nid: 7\n: a comment\ndata: one\ndata:two").unwrap();
        assert_eq!(
            event,
            SseEvent {
                event: "delta".into(),
                id: Some("7".into()),
                data: "one\ntwo".into()
            }
        );
    }

    #[test]
    fn a_comment_alone_is_no_event() {
        assert_eq!(parse_block(": keep-alive"), None);
    }

    #[test]
    fn both_line_endings_end_a_block() {
        assert_eq!(block_end(b"data: 1\n\ndata"), Some((7, 9)));
        assert_eq!(block_end(b"data: 1\r\n\r\ndata: 2\n\n"), Some((7, 11)));
        assert_eq!(block_end(b"data: 1\n"), None);
    }
}
