//! What bots share, from outside.

#![expect(clippy::unwrap_used, reason = "what a test prepares must not fail")]

mod markdown;
