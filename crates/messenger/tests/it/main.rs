//! The crate's public face: dispatcher, webhook router and pacer with a clock moved by hand.

mod dispatcher;
mod pacer;
mod platform;
mod webhook;
