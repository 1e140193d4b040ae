//! The real binary, driven from outside: fake Telegram, mock provider, real HTTP.

mod first_path;
mod native;
mod page;
mod cli;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_openclaw");
