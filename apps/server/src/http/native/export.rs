//! A whole conversation as one document, for whoever it belongs to.
//!
//! It is written message by message while it is sent: the text of a message is let go once it is on its way.

use super::{App, message, pending};
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use openclaw_core::TenantId;
use openclaw_gateway::ChatSnapshot;
use openclaw_gateway::SaidMessage;
use openclaw_gateway::ports::StoredTenant;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;

/// Written at once, about at most.
const BYTES_AT_ONCE: usize = 32 << 10;

/// A document on its way to its reader.
struct Export {
    app: Arc<App>,
    /// Each is taken once it is written.
    head: Option<String>,
    messages: VecDeque<SaidMessage>,
    end: Option<String>,
}

/// Answers with everything that is known of the chat.
pub(super) fn document(
    app: Arc<App>,
    tenant: &TenantId,
    stored: &StoredTenant,
    chat: ChatSnapshot,
) -> Response {
    let head = json!({
        "chatId": tenant.chat(),
        "createdAt": stored.tenant.created_at.to_string(),
        "lastActiveAt": stored.tenant.last_active_at.to_string(),
        "exportedAt": app.clock.now().to_string(),
    });
    let head = head.to_string();
    let pending = pending(&chat, &app.native.turn_ids);
    let export = Export {
        head: Some(format!("{},\n\"messages\":[", head.trim_end_matches('}'))),
        messages: chat.messages.into(),
        end: Some(format!("],\n\"pending\":{pending}}}\n")),
        app,
    };
    let body = stream::unfold(export, |mut export| async move {
        let bytes = export.next()?;
        Some((Ok::<_, std::convert::Infallible>(bytes), export))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"openclaw-chat.json\""),
    );
    response
}

// === impl Export ===

impl Export {
    fn next(&mut self) -> Option<Bytes> {
        let mut out = self.head.take().unwrap_or_default();
        while out.len() < BYTES_AT_ONCE {
            let Some(next) = self.messages.pop_front() else {
                out.push_str(&self.end.take().unwrap_or_default());
                break;
            };
            out.push('\n');
            out.push_str(&message(&next, &self.app.native.turn_ids).to_string());
            if !self.messages.is_empty() {
                out.push(',');
            }
        }
        (!out.is_empty()).then(|| out.into())
    }
}
