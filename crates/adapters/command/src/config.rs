//! Which program answers, and how.

use openclaw_core::{ProviderId, Secret, ValidationError, Violation};
use std::path::PathBuf;

/// How a program writes its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// Text as it stands.
    #[default]
    Text,
    /// One JSON value per line.
    JsonLines,
}

/// A program that answers.
#[derive(Clone, Debug)]
pub struct CommandConfig {
    /// The provider it belongs to.
    pub provider: ProviderId,
    /// The program: a path, or a name looked up in `PATH`. No shell reads it.
    pub program: PathBuf,
    /// Its arguments, each one as it stands. `{model}` becomes the model's name and `{correlationId}` the
    /// correlation id; put them behind an option (`--model={model}`), so that no name can be an option itself.
    pub arguments: Vec<String>,
    /// Where it runs; `None` is where the server runs.
    pub directory: Option<PathBuf>,
    /// Variables of its environment, beside the few it inherits.
    pub environment: Vec<(String, Secret)>,
    /// How it writes its answer.
    pub output: OutputFormat,
    /// The most bytes it may write. Positive. More is [`openclaw_ai_fabric::ModelError::Malformed`].
    pub max_output_bytes: u64,
}

// === impl CommandConfig ===

impl CommandConfig {
    /// A program without arguments that answers in text, of 8 MiB at most.
    pub fn new(provider: ProviderId, program: impl Into<PathBuf>) -> Self {
        Self {
            provider,
            program: program.into(),
            arguments: Vec::new(),
            directory: None,
            environment: Vec::new(),
            output: OutputFormat::default(),
            max_output_bytes: 8 * 1024 * 1024,
        }
    }

    /// Finds every fault without running anything; none shows a variable's value.
    pub fn check(&self) -> Result<(), ValidationError> {
        self.validate()
    }

    pub(crate) fn validate(&self) -> Result<(), ValidationError> {
        let mut faults = Vec::new();
        let program = self.program.as_os_str();
        if program.is_empty() || program.as_encoded_bytes().contains(&0) {
            faults.push(Violation::new(
                "program",
                self.program.display(),
                "must be a path or a name",
            ));
        }
        if self.arguments.iter().any(|argument| argument.contains('\0')) {
            faults.push(Violation::new("args", "…", "must not contain NUL"));
        }
        for (name, value) in &self.environment {
            if name.is_empty() || name.contains(['=', '\0']) || value.expose().contains('\0') {
                faults.push(Violation::new("env", name, "must be a variable and its value"));
            }
        }
        if self.max_output_bytes == 0 {
            faults.push(Violation::new("maxOutputBytes", 0, "must be at least 1"));
        }
        ValidationError::check(faults)
    }
}
