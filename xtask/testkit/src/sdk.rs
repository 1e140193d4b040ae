//! The official OpenAI SDKs as clients: what people point at the server, used as people use it.
//!
//! Each call runs a small script in a process of its own. The outcome is the same shape from both:
//! `{"text", "pieces", "finish_reason", "usage": {"prompt_tokens", "completion_tokens"}}`, or
//! `{"error": {"class", "status", "code", "type", "message"}}` when the SDK raised an error of its API.
//!
//! [`Sdk::scenarios`] runs whole scenarios, written in the SDK's own language below `sdk/`, which check what they see
//! themselves and report by name.

use crate::optional::Optional;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// No single call may take longer.
const LIMIT: Duration = Duration::from_secs(60);
/// No run of scenarios may.
const LIMIT_OF_SCENARIOS: Duration = Duration::from_secs(300);

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

/// What became of one scenario.
#[derive(Clone, Debug, Deserialize)]
pub struct ScenarioReport {
    /// Its name.
    pub scenario: String,
    /// What was not as it should be, with the place; `None` when all was.
    pub failure: Option<String>,
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
        let command = match self.language {
            Language::Python => self.program(&["-c", include_str!("../sdk/chat.py")]),
            Language::JavaScript => {
                self.program(&["--input-type=module", "-e", include_str!("../sdk/chat.mjs")])
            }
        };
        let asked = json!({
            "base_url": endpoint.base_url, "api_key": endpoint.api_key,
            "max_retries": endpoint.max_retries, "body": body,
        });
        let output = told(command, &asked, LIMIT).await?;
        Ok(serde_json::from_slice(&output)?)
    }

    /// Runs scenarios, one after another in one process. `asked` is what they need to know: `base_url`, `key`, and more
    /// where a scenario names it. The reports come in the order of the names.
    ///
    /// # Errors
    /// When the program could not be run, ended badly, left a scenario out, or ran for five minutes.
    pub async fn scenarios(&self, names: &[&str], asked: &Value) -> Result<Vec<ScenarioReport>> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
        let script = match self.language {
            Language::Python => scripts.join("python/run.py"),
            Language::JavaScript => scripts.join("javascript/run.mjs"),
        };
        let mut command = self.program(&[]);
        command.arg(script);
        let mut asked = asked.clone();
        asked["scenarios"] = names.into();
        let output = told(command, &asked, LIMIT_OF_SCENARIOS).await?;
        let reports = serde_json::Deserializer::from_slice(&output)
            .into_iter::<ScenarioReport>()
            .collect::<Result<Vec<_>, _>>()
            .context("a report of a scenario cannot be read")?;
        let reported = reports.iter().map(|report| report.scenario.as_str());
        if !reported.eq(names.iter().copied()) {
            bail!("the scenarios reported are not those asked for: {reports:?}");
        }
        Ok(reports)
    }

    /// The interpreter with these arguments, without the variables that would change what the SDK does.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = match self.language {
            Language::Python => Command::new(&self.place),
            Language::JavaScript => Command::new("node"),
        };
        command.args(arguments);
        match self.language {
            // The scripts lie among the sources, where nothing is to be written.
            Language::Python => command.env("PYTHONDONTWRITEBYTECODE", "1"),
            Language::JavaScript => command.env(Optional::NodeModules.variable(), &self.place),
        };
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
        command
    }

    /// Runs lines of a document as they are printed there, in a directory of their own where the SDK can be imported by
    /// its name; what they write to standard output.
    ///
    /// # Errors
    /// When they could not be run, failed, or ran for a minute.
    pub async fn run(&self, lines: &str) -> Result<String> {
        let directory = tempfile::tempdir()?;
        let mut command = self.program(&[]);
        let file = match self.language {
            Language::Python => {
                command.env("PYTHONIOENCODING", "utf-8");
                directory.path().join("lines.py")
            }
            Language::JavaScript => {
                std::os::unix::fs::symlink(&self.place, directory.path().join("node_modules"))?;
                directory.path().join("lines.mjs")
            }
        };
        std::fs::write(&file, lines)?;
        command.arg(file);
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

/// What the program prints when it is told this on its standard input.
async fn told(mut command: Command, asked: &Value, limit: Duration) -> Result<Vec<u8>> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the SDK's interpreter cannot be run")?;
    // Dropped after the write, which ends the script's input.
    let mut input = child.stdin.take().context("the script has no input")?;
    input.write_all(asked.to_string().as_bytes()).await?;
    drop(input);
    let output = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .with_context(|| format!("the script ran longer than {limit:?}"))??;
    if !output.status.success() {
        bail!(
            "the script ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}
