//! The official OpenAI SDKs as clients: what people point at the server, used as people use it.
//!
//! Each call runs a small script in a process of its own. The outcome is the same shape from both:
//! `{"text", "pieces", "finish_reason", "usage": {"prompt_tokens", "completion_tokens"}}`, or
//! `{"error": {"class", "status", "code", "type", "message"}}` when the SDK raised an error of its API.

use crate::optional::Optional;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// No script may run longer.
const LIMIT: Duration = Duration::from_secs(60);

/// An SDK that is installed.
#[derive(Clone, Debug)]
pub struct Sdk {
    language: Language,
    /// The interpreter, or the directory of packages.
    place: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Python,
    JavaScript,
}

/// Where an SDK is to send its requests.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// With `/v1` at its end.
    pub base_url: String,
    /// The key.
    pub api_key: String,
    /// How often the SDK tries again by itself.
    pub max_retries: u32,
}

// === impl Sdk ===

impl Sdk {
    /// The SDK for Python, where it is installed; see [`Optional::find`].
    #[must_use]
    pub fn python() -> Option<Self> {
        Some(Self {
            language: Language::Python,
            place: Optional::Python.find()?,
        })
    }

    /// The SDK for JavaScript, where it is installed; see [`Optional::find`].
    #[must_use]
    pub fn java_script() -> Option<Self> {
        Some(Self {
            language: Language::JavaScript,
            place: Optional::NodeModules.find()?,
        })
    }

    /// Asks for a chat completion; `body` holds the parameters of the SDK's call, `stream` included.
    ///
    /// # Errors
    /// When the script could not be run, failed for another reason than an error of the API, or ran for a minute.
    pub async fn chat(&self, endpoint: &Endpoint, body: &Value) -> Result<Value> {
        let mut command = match self.language {
            Language::Python => {
                let mut python = Command::new(&self.place);
                python.args(["-c", include_str!("../sdk/chat.py")]);
                python
            }
            Language::JavaScript => {
                let mut node = Command::new("node");
                node.args(["--input-type=module", "-e", include_str!("../sdk/chat.mjs")]);
                node.env(Optional::NodeModules.variable(), &self.place);
                node
            }
        };
        without_surroundings(&mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the SDK's interpreter cannot be run")?;
        let asked = json!({
            "base_url": endpoint.base_url, "api_key": endpoint.api_key,
            "max_retries": endpoint.max_retries, "body": body,
        });
        // Dropped after the write, which ends the script's input.
        let mut input = child.stdin.take().context("the script has no input")?;
        input.write_all(asked.to_string().as_bytes()).await?;
        drop(input);
        let output = tokio::time::timeout(LIMIT, child.wait_with_output())
            .await
            .with_context(|| format!("the script ran longer than {LIMIT:?}"))??;
        if !output.status.success() {
            bail!(
                "the script ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Runs lines of a document as they are printed there, in a directory of their own where the SDK can be imported by
    /// its name; what they write to standard output.
    ///
    /// # Errors
    /// When they could not be run, failed, or ran for a minute.
    pub async fn run(&self, lines: &str) -> Result<String> {
        let directory = tempfile::tempdir()?;
        let mut command = match self.language {
            Language::Python => {
                let file = directory.path().join("lines.py");
                std::fs::write(&file, lines)?;
                let mut python = Command::new(&self.place);
                python.env("PYTHONIOENCODING", "utf-8").arg(file);
                python
            }
            Language::JavaScript => {
                let file = directory.path().join("lines.mjs");
                std::fs::write(&file, lines)?;
                std::os::unix::fs::symlink(&self.place, directory.path().join("node_modules"))?;
                let mut node = Command::new("node");
                node.arg(file);
                node
            }
        };
        without_surroundings(&mut command);
        command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, command.output())
            .await
            .with_context(|| format!("the lines ran longer than {LIMIT:?}"))??;
        if !output.status.success() {
            bail!(
                "the lines ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The SDK is told where to call, and nothing of the developer's environment changes that.
fn without_surroundings(command: &mut Command) {
    for name in [
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
}
