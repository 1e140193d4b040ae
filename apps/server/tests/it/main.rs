//! The real binary, driven from outside: fake Telegram, mock provider, real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod attack;
mod cli;
mod commands;
mod described;
mod errors;
mod fabric;
mod faces;
mod faults;
mod first_path;
mod kill;
mod max;
mod memory;
mod native;
mod newcomer;
mod operator;
mod page;
mod polling;
mod printed;
mod process_workers;
mod proven;
mod refusals;
mod sdk;
mod setup;
mod trouble;
mod waiting;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_openclaw");
