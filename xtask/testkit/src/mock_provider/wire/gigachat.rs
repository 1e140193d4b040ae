//! GigaChat: near chat completions, with errors of its own and the usage in the last chunk.

use super::openai::usage_field;
use super::{Head, Piece, Refusal};
use serde_json::json;

pub(super) const ERROR_EVENT: &[u8] = b"data: {\"status\":500,\"message\":\"mock mid-stream failure\"}\n\n";

/// A chunk with this choice and what was used.
fn chunk(head: &Head, choice: &str, usage: &str) -> String {
    format!(
        "data: {{\"choices\":[{{{choice},\"index\":0}}],\"created\":1700000000,\"model\":{},\"object\":\"chat.completion\"{usage}}}\n\n",
        head.model
    )
}

pub(super) fn piece(head: &Head, piece: Piece<'_>) -> String {
    let choice = format!("\"delta\":{{\"content\":{},\"role\":\"assistant\"}}", piece.text);
    chunk(head, &choice, &usage_field(head, true, piece.index + 1))
}

pub(super) fn epilogue(head: &Head, completion_tokens: u64) -> String {
    let reason = match head.finish_reason {
        "content_filter" => "blacklist",
        reason => reason,
    };
    let choice = format!("\"delta\":{{\"content\":\"\"}},\"finish_reason\":\"{reason}\"");
    chunk(head, &choice, &usage_field(head, false, completion_tokens)) + "data: [DONE]\n\n"
}

pub(super) fn refusal(status: u16) -> String {
    json!({"status": status, "message": format!("mock fault {status}")}).to_string()
}

pub(super) fn out_of_quota() -> Refusal {
    (
        402,
        json!({"status": 402, "message": "Payment Required"}).to_string(),
    )
}

/// A token for whoever asks; good for half an hour by the caller's clock, since no clock is right about zero.
pub(in crate::mock_provider) fn token(number: u64) -> String {
    json!({"access_token": format!("mock-token-{number}"), "expires_at": 0}).to_string()
}
