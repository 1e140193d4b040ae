//! The `openclaw` binary.

#![forbid(unsafe_code)]
#![expect(dead_code, reason = "the composition root uses them")]

mod config;
mod telemetry;

fn main() {}
