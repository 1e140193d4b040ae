//! Tests of the crate's public face.

mod config;
mod edges;
mod errors;
mod events;
mod foreign;
mod lifecycle;
mod manual;
mod pool;
mod pool_model;
mod scheduler;
mod scheduler_model;
mod session_mutex;
mod starvation;
mod support;
