//! The public face of the crate.

mod dispatch;
mod failures;
mod lifecycle;
mod order;
mod permissions;
mod support;
