//! The model port, answered by a program.

use crate::config::CommandConfig;
use crate::decode::Decoder;
use crate::process::Running;
use crate::request::Line;
use async_trait::async_trait;
use openclaw_ai_fabric::{ChatRequest, ModelError, ModelPort, ModelStream};
use openclaw_core::{CorrelationId, ModelId, ValidationError};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::process::Command;

/// What a program inherits of the server's environment. The server's keys are not in it.
const INHERITED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TERM",
    "XDG_CONFIG_HOME",
];

/// A program as a model: one run for each answer.
#[derive(Debug)]
pub struct CommandModel {
    config: CommandConfig,
    /// Answers begun; makes the ids of tool calls differ between the steps of one turn.
    answers: AtomicU64,
}

// === impl CommandModel ===

impl CommandModel {
    /// Checks the configuration. Nothing is run; whether the program exists is seen at the first answer.
    ///
    /// # Errors
    ///
    /// Every fault of the configuration; none shows a variable's value.
    pub fn new(config: CommandConfig) -> Result<Self, ValidationError> {
        config.validate()?;
        Ok(Self {
            config,
            answers: AtomicU64::new(0),
        })
    }

    fn command(&self, model: &ModelId, correlation_id: &str) -> Command {
        let config = &self.config;
        let mut command = Command::new(&config.program);
        for argument in &config.arguments {
            // One pass each, the model last: its name is not read for more.
            let argument = argument.replace("{correlationId}", correlation_id);
            command.arg(argument.replace("{model}", model.as_str()));
        }
        command.env_clear();
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        for (name, value) in &config.environment {
            command.env(name, value.expose());
        }
        if let Some(directory) = &config.directory {
            command.current_dir(directory);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

#[async_trait]
impl ModelPort for CommandModel {
    async fn stream(
        &self,
        model: &ModelId,
        request: &ChatRequest,
        correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError> {
        let line = Line::new(model, request, correlation_id);
        let mut line = serde_json::to_vec(&line).map_err(|error| ModelError::BadRequest {
            message: error.to_string(),
        })?;
        line.push(b'\n');
        let correlation_id = correlation_id.to_string();
        let child = self
            .command(model, &correlation_id)
            .spawn()
            .map_err(|error| ModelError::Connect {
                // The kind alone: the error itself may name paths.
                message: format!("the program cannot be started: {}", error.kind()),
            })?;
        let answer = self.answers.fetch_add(1, Ordering::Relaxed);
        let decoder = Decoder::new(
            self.config.output,
            self.config.max_output_bytes,
            format!("call_{correlation_id}_{answer}"),
        );
        Ok(Box::pin(Running::new(child, line, decoder)))
    }

    fn always_streams(&self) -> bool {
        true
    }
}
