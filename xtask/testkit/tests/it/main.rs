//! The doubles themselves, seen from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod mock_provider;
mod sdk;
mod server_process;
