//! What the crate promises, through its public face.

mod accumulator;
mod config;
mod fixtures;
mod parser;
mod reply;
mod splitter;
