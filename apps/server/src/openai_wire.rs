//! The wire form of `/v1`: what OpenAI's clients send and what they expect back.
//!
//! [`request`] reads a body into the kernel's messages and names the parameter that is wrong, with [`parameters`] for what
//! is passed on to the model as it stands; [`response`] writes answers and stream chunks by hand, because a chunk is written for every token; [`error`] is the error object and the
//! table from our codes. Nothing here decides anything about a turn.

pub(crate) mod error;
mod parameters;
pub(crate) mod request;
pub(crate) mod response;

pub(crate) use error::ApiError;
pub(crate) use request::ChatCompletionRequest;
pub(crate) use response::{ChunkWriter, CompletionWriter, Identity, ModelCard};
