//! The lines server and child write to each other.

use crate::answer::WorkerRefusal;
use openclaw_core::{ChatMessage, CorrelationId, ModelEvent, StopReason, TokenUsage};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;

/// A question to a child.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerRequest {
    /// The conversation, trimmed, oldest first.
    pub messages: Vec<ChatMessage>,
    /// The most tokens the answer may have; 0 leaves it to the child.
    pub max_output_tokens: u64,
}

/// A line from the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Outgoing<'a> {
    #[serde(rename_all = "camelCase")]
    Request {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        correlation_id: Option<CorrelationId>,
        messages: &'a [ChatMessage],
        #[serde(skip_serializing_if = "is_zero")]
        max_output_tokens: u64,
        deadline_ms: u64,
    },
    Cancel {
        id: &'a str,
    },
}

/// A line from a child, understood.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    Heartbeat,
    /// A piece of the answer to the question `id`.
    Piece {
        id: String,
        piece: Piece,
    },
    /// The answer to the question `id` is complete.
    Done {
        id: String,
        usage: Option<TokenUsage>,
        stop: StopReason,
    },
    /// The question `id` cannot be answered.
    Refused {
        id: String,
        refusal: WorkerRefusal,
    },
    /// Of a type this server does not know, perhaps of a later version.
    Unknown,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    ToolUse {
        call_id: String,
        name: String,
        arguments: String,
    },
}

/// A line that is not of the protocol.
#[derive(Debug, thiserror::Error)]
#[error("not a line of the protocol")]
pub(crate) enum FrameError {
    NotText,
    Json(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct TextDelta {
    id: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    id: String,
    call_id: String,
    name: String,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    id: String,
    usage: Option<TokenUsage>,
    stop_reason: Option<StopReason>,
}

#[derive(Deserialize)]
struct Refused {
    id: String,
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    recoverable: bool,
}

/// What a piece costs beside its bytes.
const PIECE_COST: usize = 16;
/// The longest code and message of a refusal that are kept, in characters.
const MAX_CODE: usize = 64;
const MAX_MESSAGE: usize = 1024;

// === impl WorkerRequest ===

impl WorkerRequest {
    /// The line that asks, with its newline. `left` is the time the child has.
    pub(crate) fn line(&self, id: &str, correlation_id: Option<CorrelationId>, left: Duration) -> Vec<u8> {
        line(&Outgoing::Request {
            id,
            correlation_id,
            messages: &self.messages,
            max_output_tokens: self.max_output_tokens,
            deadline_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

// === impl Frame ===

impl Frame {
    /// Reads a line without its newline.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, FrameError> {
        // Checked as a whole: what is skipped would otherwise not be looked at.
        let line = std::str::from_utf8(line).map_err(|_| FrameError::NotText)?;
        let head: Head<'_> = serde_json::from_str(line)?;
        Ok(match &*head.kind {
            "heartbeat" => Self::Heartbeat,
            "text_delta" => {
                let TextDelta { id, text } = serde_json::from_str(line)?;
                let piece = Piece::Text(text);
                Self::Piece { id, piece }
            }
            "tool_use" => {
                let tool: ToolUse<'_> = serde_json::from_str(line)?;
                Self::Piece {
                    id: tool.id,
                    piece: Piece::ToolUse {
                        call_id: tool.call_id,
                        name: tool.name,
                        arguments: arguments(tool.arguments)?,
                    },
                }
            }
            "done" => {
                let done: Done = serde_json::from_str(line)?;
                Self::Done {
                    id: done.id,
                    usage: done.usage,
                    stop: done.stop_reason.unwrap_or(StopReason::EndTurn),
                }
            }
            "error" => {
                let refused: Refused = serde_json::from_str(line)?;
                Self::Refused {
                    id: refused.id,
                    refusal: WorkerRefusal {
                        code: refused.code.chars().take(MAX_CODE).collect(),
                        message: refused.message.chars().take(MAX_MESSAGE).collect(),
                        recoverable: refused.recoverable,
                    },
                }
            }
            _ => Self::Unknown,
        })
    }
}

// === impl FrameError ===

impl FrameError {
    /// What is wrong and where, without a word of the line itself, which may hold what people write.
    pub(crate) fn reason(&self) -> String {
        let Self::Json(error) = self else {
            return "not UTF-8".to_owned();
        };
        let what = match error.classify() {
            Category::Syntax | Category::Io => "not JSON",
            Category::Eof => "cut off",
            Category::Data => "a field is missing or of the wrong type",
        };
        format!("{what}, column {}", error.column())
    }
}

// === impl Piece ===

impl Piece {
    /// Bytes it counts against the length of an answer. An empty piece counts as well: it is held somewhere, too.
    pub(crate) fn len(&self) -> usize {
        PIECE_COST
            + match self {
                Self::Text(text) => text.len(),
                Self::ToolUse {
                    call_id,
                    name,
                    arguments,
                } => call_id.len() + name.len() + arguments.len(),
            }
    }

    /// As a model would say it; `index` is its place among the tool calls.
    pub(crate) fn events(self, index: u32) -> Vec<ModelEvent> {
        match self {
            Self::Text(text) => vec![ModelEvent::TextDelta(text)],
            Self::ToolUse {
                call_id: id,
                name,
                arguments: delta,
            } => vec![
                ModelEvent::ToolUseStart { index, id, name },
                ModelEvent::ToolArgumentsDelta { index, delta },
            ],
        }
    }
}

/// The line that says an answer is no longer wanted, with its newline.
pub(crate) fn cancel_line(id: &str) -> Vec<u8> {
    line(&Outgoing::Cancel { id })
}

fn line(outgoing: &Outgoing<'_>) -> Vec<u8> {
    // Strings, numbers and JSON values cannot fail to be written; an empty line would be ignored by the child.
    let mut line = serde_json::to_vec(outgoing).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Arguments as JSON text, whether the child wrote them as an object or as text already.
fn arguments(raw: Option<&RawValue>) -> Result<String, FrameError> {
    let Some(raw) = raw.map(RawValue::get) else {
        return Ok("{}".to_owned());
    };
    if raw.starts_with('"') {
        Ok(serde_json::from_str(raw)?)
    } else {
        Ok(raw.to_owned())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::Role;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_one_line_with_the_fields_of_the_page() {
        let request = WorkerRequest {
            messages: vec![ChatMessage::text(Role::User, "two\nlines")],
            max_output_tokens: 9,
        };
        let line = request.line("3.1", None, Duration::from_millis(1500));
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(
            value,
            serde_json::json!({
                "type": "request", "id": "3.1", "maxOutputTokens": 9, "deadlineMs": 1500,
                "messages": [{"role": "user", "content": [{"type": "text", "text": "two\nlines"}]}],
            })
        );
        assert_eq!(cancel_line("3.1"), b"{\"type\":\"cancel\",\"id\":\"3.1\"}\n");
    }

    #[test]
    fn every_line_of_the_page_is_understood() {
        let parse = |line: &str| Frame::parse(line.as_bytes()).expect("of the protocol");
        let id = || "7".to_owned();
        assert_eq!(parse(r#"{"type":"heartbeat"}"#), Frame::Heartbeat);
        assert_eq!(
            parse(r#"{"type":"text_delta","id":"7","text":"hi"}"#),
            Frame::Piece {
                id: id(),
                piece: Piece::Text("hi".to_owned())
            }
        );
        for arguments in [r#"{"q":1}"#, r#""{\"q\":1}""#] {
            let line =
                format!(r#"{{"type":"tool_use","id":"7","callId":"c","name":"n","arguments":{arguments}}}"#);
            assert_eq!(
                parse(&line),
                Frame::Piece {
                    id: id(),
                    piece: Piece::ToolUse {
                        call_id: "c".to_owned(),
                        name: "n".to_owned(),
                        arguments: r#"{"q":1}"#.to_owned(),
                    }
                }
            );
        }
        assert_eq!(
            parse(
                r#"{"type":"done","id":"7","usage":{"inputTokens":1,"outputTokens":2},"stopReason":"max_tokens"}"#
            ),
            Frame::Done {
                id: id(),
                usage: Some(TokenUsage {
                    input_tokens: 1,
                    output_tokens: 2,
                    estimated: false
                }),
                stop: StopReason::MaxTokens,
            }
        );
        assert_eq!(
            parse(r#"{"type":"done","id":"7"}"#),
            Frame::Done {
                id: id(),
                usage: None,
                stop: StopReason::EndTurn
            }
        );
        assert_eq!(
            parse(r#"{"type":"error","id":"7","code":"busy","message":"later","recoverable":true}"#),
            Frame::Refused {
                id: id(),
                refusal: WorkerRefusal {
                    code: "busy".to_owned(),
                    message: "later".to_owned(),
                    recoverable: true
                }
            }
        );
        assert_eq!(parse(r#"{"type":"of_a_later_version","x":[]}"#), Frame::Unknown);
    }

    #[test]
    fn what_is_not_of_the_protocol_is_an_error() {
        for line in [
            "",
            "Traceback (most recent call last):",
            "[]",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"text_delta","text":"no id"}"#,
            r#"{"type":"done","id":"7","stopReason":"bored"}"#,
            r#"{"type":"heartbeat"} trailing"#,
            &"[".repeat(100_000),
        ] {
            let text = line.get(..40).unwrap_or(line);
            assert!(Frame::parse(line.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frame::parse(&line);
        }

        #[test]
        fn text_survives_the_wire(text in "\\PC{0,60}[\\n\\r\\u{2028}]?") {
            let line = serde_json::json!({"type": "text_delta", "id": "1", "text": text}).to_string();
            let piece = Piece::Text(text);
            prop_assert_eq!(Frame::parse(line.as_bytes()).expect("ours"), Frame::Piece { id: "1".to_owned(), piece });
        }
    }
}
