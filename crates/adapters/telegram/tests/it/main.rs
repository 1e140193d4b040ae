//! The adapter against a fake Bot API, and its updates as a table.

#![expect(clippy::unwrap_used, reason = "what a test prepares must not fail")]

mod calls;
mod markdown;
mod receiving;
mod updates;
mod world;
