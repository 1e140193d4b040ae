//! The fabric's public face.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test they are called from"
)]

mod budget;
mod circuit;
mod limiter;
mod manual;
mod router;
mod selection;
mod support;
