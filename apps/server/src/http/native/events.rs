//! A chat's events as server-sent events.
//!
//! The stream opens with the position it starts from, so that also a connection that is lost before the first event is
//! picked up where it was. A stream holds its position and nothing else; a slow reader costs nothing.

use super::super::App;
use super::TurnIds;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use openclaw_core::{Monotonic, Secret, TenantId};
use openclaw_gateway::{FeedEvent, FeedRead, FeedReader};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// How often a silent stream shows that it is alive; as often any is asked whether it may go on.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long a browser waits before it comes back.
const RETRY_MILLIS: u32 = 1_000;
/// Written at once, about at most.
const BYTES_AT_ONCE: usize = 32 << 10;
/// Messages of a snapshot.
const SNAPSHOT_MESSAGES: usize = 50;

/// A stream on its way to its reader.
struct Events {
    app: Arc<App>,
    tenant: TenantId,
    reader: FeedReader,
    /// The key the stream was opened with, if it was one.
    credential: Option<Secret>,
    /// When to ask next whether that is still good.
    ask_at: Monotonic,
    opened: bool,
    over: bool,
}

/// Answers with the chat's events after `last_seen`, or from now on, until the chat is erased, the caller's key ends or
/// the server stops.
pub(super) fn stream(
    app: Arc<App>,
    tenant: TenantId,
    last_seen: Option<u64>,
    credential: Option<Secret>,
) -> Response {
    let reader = app.native.chats.subscribe(&tenant, last_seen);
    let events = Events {
        ask_at: app.clock.monotonic() + PING_INTERVAL,
        app,
        tenant,
        reader,
        credential,
        opened: false,
        over: false,
    };
    let body = stream::unfold(events, |mut events| async move {
        let bytes = events.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), events))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

// === impl Events ===

impl Events {
    /// What is to be written next; everything that already waits goes at once.
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        if !self.opened {
            self.opened = true;
            let _ = write!(
                (&mut out).writer(),
                "retry: {RETRY_MILLIS}\nid: {}\n\n",
                self.reader.position()
            );
        }
        if self.app.clock.monotonic() >= self.ask_at {
            // Where something comes all the time there is no silence in which to ask.
            self.ask();
        }
        let mut ending = false;
        while out.is_empty() && !self.over && !ending {
            let app = Arc::clone(&self.app);
            let ping = app.clock.sleep_until(self.ask_at);
            tokio::select! {
                biased;
                read = self.reader.next() => self.take(read, &mut out).await,
                () = last_word(&app, &self.tenant) => ending = true,
                () = ping => self.ping(&mut out),
            }
        }
        while out.len() < BYTES_AT_ONCE && !self.over {
            let Some(read) = self.reader.try_next() else {
                // Only now: the last word may have come between the two looks.
                self.over = ending;
                break;
            };
            self.take(read, &mut out).await;
        }
        (!out.is_empty()).then(|| out.freeze())
    }

    async fn take(&mut self, read: FeedRead, out: &mut BytesMut) {
        match read {
            FeedRead::Event { id, event } => {
                write_event(out, id, event.name(), &data(&event, &self.app.native.turn_ids));
            }
            FeedRead::Reset { .. } => match self
                .app
                .native
                .chats
                .snapshot(&self.tenant, None, SNAPSHOT_MESSAGES)
                .await
            {
                Ok(snapshot) => {
                    self.reader = self
                        .app
                        .native
                        .chats
                        .subscribe(&self.tenant, Some(snapshot.position));
                    write_event(
                        out,
                        snapshot.position,
                        "reset",
                        &json!({ "snapshot": super::shown(&snapshot, &self.app.native.turn_ids) }),
                    );
                }
                // The reader comes back with the position it had and asks again; a chat that is gone is 404 then.
                Err(error) => {
                    tracing::warn!(%error, "a stream ends, its snapshot could not be read");
                    self.over = true;
                }
            },
            FeedRead::Closed => self.over = true,
        }
    }

    fn ping(&mut self, out: &mut BytesMut) {
        self.ask();
        if !self.over {
            out.extend_from_slice(b": ping\n\n");
        }
    }

    /// Ends the stream where the key it was opened with is no longer good.
    fn ask(&mut self) {
        self.ask_at = self.app.clock.monotonic() + PING_INTERVAL;
        let now = self.app.clock.now();
        let may_go_on = self
            .credential
            .as_ref()
            .is_none_or(|key| self.app.keys.find(key.expose(), now).is_some());
        self.over |= !may_go_on;
    }
}

/// Ends when the server stops and no answer is being written in the chat that could still be finished.
async fn last_word(app: &App, tenant: &TenantId) {
    app.native.closing.cancelled().await;
    if app.native.chats.is_answering(tenant) {
        // Its end comes by the reader, and then this is asked again.
        std::future::pending::<()>().await;
    }
}

/// What an event says beside its name.
fn data(event: &FeedEvent, ids: &TurnIds) -> Value {
    let mut tagged = serde_json::to_value(event).unwrap_or_default();
    let mut data = tagged.get_mut("data").map(Value::take).unwrap_or_default();
    if let Some(turn) = data.get_mut("turnId") {
        *turn = ids.public(turn.as_str().unwrap_or_default()).into();
    }
    if let Some(problem) = data.get_mut("problem").and_then(Value::as_object_mut) {
        crate::problem::complete(problem);
    }
    data
}

/// JSON holds no line feed of its own, so that an event's data is one line.
fn write_event(out: &mut BytesMut, id: u64, name: &str, data: &Value) {
    let _ = write!(out.writer(), "id: {id}\nevent: {name}\ndata: {data}\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_of_a_model_can_end_its_event(text in "\\PC{0,40}(\n|\r|\r\n|\u{2028}){0,3}\\PC{0,10}") {
            let event = FeedEvent::TextDelta { turn_id: "turn_1".into(), text: text.clone() };
            let mut out = BytesMut::new();
            let ids = TurnIds::new(Secret::new("key"));
            write_event(&mut out, 7, event.name(), &data(&event, &ids));
            let written = String::from_utf8(out.to_vec()).unwrap();
            let body = written.strip_prefix("id: 7\nevent: text.delta\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
            prop_assert!(!body.contains(['\n', '\r']));
            let read: Value = serde_json::from_str(body).unwrap();
            prop_assert_eq!(read, json!({ "turnId": ids.public("turn_1"), "text": text }));
        }
    }
}
