//! The `openclaw` binary.

#![forbid(unsafe_code)]
#![expect(dead_code, unused_imports, reason = "the composition root uses them")]

mod accept;
mod config;
mod data_dir;
mod openai_wire;
mod problem;
mod prometheus;
mod telemetry;

fn main() {}
