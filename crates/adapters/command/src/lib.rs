//! A program's output behind the model port of the AI fabric: any command-line agent becomes a model.
//!
//! ```
//! use openclaw_command::{CommandConfig, CommandModel};
//!
//! let mut config = CommandConfig::new("agent".parse()?, "/usr/bin/my-agent");
//! config.arguments = vec!["--model={model}".into(), "--stream".into()];
//! let model = CommandModel::new(config)?;
//! # let _ = model;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the program is given
//!
//! One line of JSON on its standard input, which is then closed:
//!
//! ```json
//! {"model": "m", "correlationId": "…", "maxOutputTokens": 2048, "messages": [{"role": "user", "content": "Hi"}],
//!  "tools": [{"name": "weather", "description": "…", "parameters": {}}], "parameters": {"temperature": 0.2}}
//! ```
//!
//! `content` is a string, or a list of blocks (`text`, `tool_use`, `tool_result`, `other`) where there is more than
//! text. Of the server's environment it sees what a program needs to run (`PATH`, `HOME`, `LANG` …) and what the
//! configuration gives it, never the server's keys. It leads a process group of its own.
//!
//! # What it answers
//!
//! Text as it stands, or JSON Lines:
//!
//! | line | meaning |
//! | --- | --- |
//! | `{"type": "text", "text": "…"}`, `{"text": "…"}`, `"…"` | more text |
//! | `{"type": "tool_use", "id": "…", "name": "…", "arguments": {…}}` | a tool call, whole; `id` may be missing |
//! | `{"type": "usage", "inputTokens": 1, "outputTokens": 2}` | token counts; the last ones hold |
//! | `{"type": "stop", "reason": "max_tokens"}` | why it stopped; may be missing |
//! | `{"type": "error", "message": "…"}` | it failed |
//!
//! Other types are passed over. The answer is complete when the output is at its end **and** the program has ended with
//! 0; any other end is an error, whatever was said.
//!
//! Reading order: `config`, `request` (out), `decode` (in), `process`, `model`.
//!
//! Invariants: dropping an answer kills the program and its process group at once; output beyond the bound is an error;
//! what the program writes to standard error reaches the log (its last 2 KiB, at debug level) and nobody else.
//!
//! It does not keep deadlines, restart programs or limit how many run: the provider's `concurrentRequests` does. A
//! program that moves its children to process groups of their own keeps them. It needs Unix and a tokio runtime.

#![forbid(unsafe_code)]

mod config;
mod decode;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod model;
mod process;
mod request;

pub use config::{CommandConfig, OutputFormat};
pub use model::CommandModel;
