//! The adapter against a fake MAX, and its updates as a table.

#![expect(clippy::unwrap_used, reason = "what a test prepares must not fail")]

mod calls;
mod markup;
mod receiving;
mod updates;
mod world;
