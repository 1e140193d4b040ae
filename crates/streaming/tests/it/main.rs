//! What the crate promises, through its public face.

mod accumulator;
mod config;
mod fixtures;
mod manual;
mod memory;
mod parser;
mod reply;
mod scripts;
mod splitter;
