//! The doubles themselves, seen from outside.

mod mock_provider;
mod server_process;
