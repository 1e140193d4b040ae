//! Ollama's native chat: one JSON object per line.

use super::{Head, Piece, Refusal};
use serde_json::json;

pub(super) const ERROR_EVENT: &[u8] = b"{\"error\":\"mock mid-stream failure\"}\n";
pub(super) const MALFORMED_EVENT: &[u8] = b"{\"message\":{\"role\":\"assistant\",\"content\":\n";

/// The counts in a line, with the comma before them.
fn counts(head: &Head, running: bool, completion_tokens: u64) -> String {
    let pair = |prompt: &str, completion: &str| {
        format!(",\"prompt_eval_count\":{prompt},\"eval_count\":{completion}")
    };
    match head.usage(running, || completion_tokens.to_string()).as_deref() {
        None => String::new(),
        Some("null") => pair("null", "null"),
        Some(completion) => pair(&head.prompt_tokens.to_string(), completion),
    }
}

fn line(head: &Head, text: &str, rest: &str) -> String {
    format!(
        "{{\"model\":{},\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{{\"role\":\"assistant\",\"content\":{text}}}{rest}}}",
        head.model
    )
}

pub(super) fn piece(head: &Head, piece: Piece<'_>) -> String {
    let counts = counts(head, true, piece.index + 1);
    line(head, piece.text, &format!(",\"done\":false{counts}")) + "\n"
}

pub(super) fn epilogue(head: &Head, completion_tokens: u64) -> String {
    whole(head, "\"\"", completion_tokens) + "\n"
}

pub(super) fn whole(head: &Head, text: &str, completion_tokens: u64) -> String {
    let (stop, counts) = (head.finish_reason, counts(head, false, completion_tokens));
    let rest = format!(
        ",\"done\":true,\"done_reason\":\"{stop}\",\"total_duration\":1,\"load_duration\":1,\"prompt_eval_duration\":1,\"eval_duration\":1{counts}"
    );
    line(head, text, &rest)
}

pub(super) fn refusal(status: u16) -> String {
    json!({"error": format!("mock fault {status}")}).to_string()
}

/// It asks for no money itself; a paid gateway in front of it does.
pub(super) fn out_of_quota() -> Refusal {
    (402, json!({"error": "payment required"}).to_string())
}
