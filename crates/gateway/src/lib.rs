//! The life of one message: the use cases that join the contexts of OpenClaw Platform.

#![forbid(unsafe_code)]

#[cfg(feature = "contract")]
pub mod contract;
pub mod ports;
