//! The `openclaw` binary.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Gives back what is no longer used, which the platform's own does not. SQLite has its memory from here, too. How it is
/// set up stands in `.cargo/config.toml`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    openclaw::main()
}
