//! What the fuzz targets see of this crate. Compiled for them (`--cfg fuzzing`), and with the tests so that it keeps up.

use crate::config::environment::FixedEnvironment;
use crate::config::{self, Loaded, Override};
use crate::openai_wire::ChatCompletionRequest;
use crate::texts::Texts;
use bytes::BytesMut;

/// A request of `/v1/chat/completions` that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The model asked for.
    pub model: String,
    /// How many messages it has.
    pub messages: usize,
    /// How many tools it offers.
    pub tools: usize,
    /// What is passed on to the model.
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// Reads a request.
///
/// # Errors
/// The status and the body of the refusal.
pub fn chat_completion(body: &[u8]) -> Result<Accepted, (u16, Vec<u8>)> {
    match ChatCompletionRequest::parse(body) {
        Ok(request) => Ok(Accepted {
            model: request.model.to_string(),
            messages: request.messages.len(),
            tools: request.tools.len(),
            parameters: request.parameters,
        }),
        Err(error) => {
            let mut out = BytesMut::new();
            error.write(&mut out);
            Err((error.status.as_u16(), out.to_vec()))
        }
    }
}

/// Reads a configuration: a file, variables and flags. What `config show` says of it.
///
/// # Errors
/// The faults, one a line.
pub fn configuration(file: &str, variables: &[(&str, &str)], flags: &[String]) -> Result<String, String> {
    let mut environment = FixedEnvironment::default();
    for (name, value) in variables {
        environment.vars.insert((*name).to_owned(), (*value).to_owned());
    }
    let set = |setting: &String| Override {
        flag: "--set",
        setting: setting.clone(),
    };
    let flags: Vec<Override> = flags.iter().map(set).collect();
    match config::load(Some(file), &environment, &flags) {
        Ok(Loaded { settings, .. }) => {
            let json = settings.to_json();
            Ok(format!("{}{json}", settings.to_table(Texts::default())))
        }
        Err(error) => Err(error.report(None, Texts::default())),
    }
}
