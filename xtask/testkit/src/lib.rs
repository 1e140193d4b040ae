//! Test doubles of the outside world.

#![forbid(unsafe_code)]

pub mod fake_telegram;
