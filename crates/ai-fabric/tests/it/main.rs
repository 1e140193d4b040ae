//! The fabric's public face.

mod budget;
mod circuit;
mod limiter;
mod router;
mod selection;
mod support;
