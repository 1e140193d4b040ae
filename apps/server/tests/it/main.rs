//! The real binary, driven from outside: fake Telegram, mock provider, real HTTP.

mod cli;
mod first_path;
mod native;
mod page;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_openclaw");
