//! Messages.

use super::{Head, Piece, Refusal};
use serde_json::json;

pub(super) const ERROR_EVENT: &[u8] =
    b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
pub(super) const MALFORMED_EVENT: &[u8] =
    b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":\n\n";

fn stop_reason(head: &Head) -> &'static str {
    match head.finish_reason {
        "length" => "max_tokens",
        "content_filter" => "refusal",
        _ => "end_turn",
    }
}

/// The field of an event that counts what was said so far, with the comma before it.
fn output_field(head: &Head, running: bool, output_tokens: u64) -> String {
    let usage = head.usage(running, || format!("{{\"output_tokens\":{output_tokens}}}"));
    usage.map_or_else(String::new, |usage| format!(",\"usage\":{usage}"))
}

pub(super) fn prologue(head: &Head) -> String {
    let Head {
        model, prompt_tokens, ..
    } = head;
    // The count of the output is a placeholder.
    let usage = head.usage(false, || {
        format!("{{\"input_tokens\":{prompt_tokens},\"output_tokens\":1}}")
    });
    let usage = usage.map_or_else(String::new, |usage| format!(",\"usage\":{usage}"));
    format!(
        "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":{model},\"content\":[],\"stop_reason\":null,\"stop_sequence\":null{usage}}}}}\n\nevent: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\nevent: ping\ndata: {{\"type\":\"ping\"}}\n\n"
    )
}

pub(super) fn piece(head: &Head, piece: Piece<'_>) -> String {
    let mut event = format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{}}}}}\n\n",
        piece.text
    );
    let usage = output_field(head, true, piece.index + 1);
    if !usage.is_empty() {
        event +=
            &format!("event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{}}{usage}}}\n\n");
    }
    event
}

pub(super) fn epilogue(head: &Head, completion_tokens: u64) -> String {
    format!(
        "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\nevent: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{}\",\"stop_sequence\":null}}{}}}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n",
        stop_reason(head),
        output_field(head, false, completion_tokens),
    )
}

pub(super) fn whole(head: &Head, text: &str, completion_tokens: u64) -> String {
    format!(
        "{{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":{},\"content\":[{{\"type\":\"text\",\"text\":{text}}}],\"stop_reason\":\"{}\",\"stop_sequence\":null,\"usage\":{{\"input_tokens\":{},\"output_tokens\":{completion_tokens}}}}}",
        head.model,
        stop_reason(head),
        head.prompt_tokens,
    )
}

pub(super) fn refusal(status: u16) -> String {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    error(kind, &format!("mock fault {status}"))
}

/// A spent balance is called a bad request.
pub(super) fn out_of_quota() -> Refusal {
    let message = "Your credit balance is too low to access the API.";
    (400, error("invalid_request_error", message))
}

fn error(kind: &str, message: &str) -> String {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_mock"})
        .to_string()
}
