//! What the server's figures are taken with: a mock provider, a bare relay and load generators: for `/v1`, for
//! webhooks and chats, and for what grows with the number of tenants, readers and sessions.
//!
//! Five programs in `src/bin`. `cargo xtask bench` builds them, measures mock, relay and server in one run and writes
//! `docs/benchmarks.md`.
//!
//! Reading the figures: wall times on a shared machine drift, so compare ratios and processor time per
//! finished request, not requests per second. Mock and load generator share processor 0, the
//! target has processor 1; "direct" is what the harness itself can do.
//!
//! [`statistics`] turns measured times into the figures that are printed; [`process`] reads what a program has used;
//! [`world`] is a server between its doubles.

#![forbid(unsafe_code)]

pub mod process;
pub mod statistics;
pub mod world;
