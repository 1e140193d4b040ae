//! Chat completions.

use super::{Head, Piece, Refusal};
use serde_json::{Value, json};

pub(super) const ERROR_EVENT: &[u8] =
    b"data: {\"error\":{\"message\":\"mock mid-stream failure\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";
pub(super) const MALFORMED_EVENT: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\n\n";

/// What every chunk begins with.
fn chunk(head: &Head) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":{},",
        head.model
    )
}

pub(super) fn tokens(head: &Head, completion_tokens: u64) -> String {
    let prompt_tokens = head.prompt_tokens;
    let total = prompt_tokens.saturating_add(completion_tokens);
    format!(
        "{{\"prompt_tokens\":{prompt_tokens},\"completion_tokens\":{completion_tokens},\"total_tokens\":{total}}}"
    )
}

/// The field in a chunk, with the comma before it.
pub(super) fn usage_field(head: &Head, running: bool, completion_tokens: u64) -> String {
    let usage = head.usage(running, || tokens(head, completion_tokens));
    usage.map_or_else(String::new, |usage| format!(",\"usage\":{usage}"))
}

pub(super) fn piece(head: &Head, piece: Piece<'_>) -> String {
    let role = if piece.index == 0 {
        "\"role\":\"assistant\","
    } else {
        ""
    };
    format!(
        "{}\"system_fingerprint\":\"fp_mock\",\"choices\":[{{\"index\":0,\"delta\":{{{role}\"content\":{}}},\"logprobs\":null,\"finish_reason\":null}}]{}}}\n\n",
        chunk(head),
        piece.text,
        usage_field(head, true, piece.index + 1),
    )
}

pub(super) fn epilogue(head: &Head, completion_tokens: u64) -> String {
    let (chunk, stop) = (chunk(head), head.finish_reason);
    let mut end =
        format!("{chunk}\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{stop}\"}}]}}\n\n");
    let usage = usage_field(head, false, completion_tokens);
    if head.usage_wanted && !usage.is_empty() {
        end += &format!("{chunk}\"choices\":[]{usage}}}\n\n");
    }
    end + "data: [DONE]\n\n"
}

pub(super) fn whole(head: &Head, text: &str, completion_tokens: u64) -> String {
    format!(
        "{{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":{},\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":{text},\"refusal\":null}},\"logprobs\":null,\"finish_reason\":\"{}\"}}]{},\"system_fingerprint\":\"fp_mock\"}}",
        head.model,
        head.finish_reason,
        usage_field(head, false, completion_tokens),
    )
}

pub(super) fn refusal(status: u16) -> String {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        429 => "requests",
        _ => "server_error",
    };
    let code = if status == 429 {
        Value::from("rate_limit_exceeded")
    } else {
        Value::Null
    };
    error(&format!("mock fault {status}"), kind, &code)
}

pub(super) fn out_of_quota() -> Refusal {
    let kind = "insufficient_quota";
    let message = "You exceeded your current quota, please check your plan.";
    (429, error(message, kind, &Value::from(kind)))
}

fn error(message: &str, kind: &str, code: &Value) -> String {
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
}
