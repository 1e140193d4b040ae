//! The crate's public face: dispatcher, webhook router and pacer with a clock moved by hand.

#![expect(clippy::unwrap_used, reason = "what a test prepares must not fail")]

mod dispatcher;
mod pacer;
mod platform;
mod webhook;
