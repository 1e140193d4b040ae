//! The real `openclaw` binary on a data directory of its own.
//!
//! The caller hands in the binary, from `env!("CARGO_BIN_EXE_openclaw")`. The process gets none of the developer's
//! environment but `PATH` and what coverage and back-traces need, listens on a port the system chooses and is found
//! through `server.addr` in its data directory. Dropping the value kills the process; the directory goes with it
//! unless it was given.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use openclaw_testkit::{MockProvider, ServerSetup};
//!
//! let provider = MockProvider::start().await?;
//! let mut server = ServerSetup::new("target/debug/openclaw").provider(&provider).start().await?;
//! let client = server.http()?.with_bearer(&server.api_key()?)?;
//! assert_eq!(client.get("/readyz").send().await?.status, 200);
//! server.kill().await?;
//! server.start_again().await?;
//! # Ok(())
//! # }
//! ```

use crate::http_client::HttpClient;
use crate::mock_provider::MockProvider;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// Time between two looks at a process that is starting.
const POLL: Duration = Duration::from_millis(5);

/// How a server is to be started.
#[derive(Debug)]
#[must_use = "a setup does nothing until it is started"]
pub struct ServerSetup {
    binary: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    data_dir: Option<PathBuf>,
    ready_within: Duration,
}

/// A server started from a [`ServerSetup`]; it may be running or not.
#[derive(Debug)]
pub struct ServerProcess {
    setup: ServerSetup,
    data_dir: PathBuf,
    /// Holds the data directory that was made for this server, and the log.
    scratch: TempDir,
    child: Option<Child>,
    address: SocketAddr,
}

// === impl ServerSetup ===

impl ServerSetup {
    /// Runs `binary serve` with a new data directory.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            arguments: vec!["serve".into()],
            environment: Vec::new(),
            data_dir: None,
            ready_within: Duration::from_secs(120),
        }
    }

    /// Adds an argument after `serve`.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Replaces all arguments, `serve` included.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a variable; the last value set for a name is used.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Uses this directory instead of a new one; it stays when the server is dropped.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Points the server at this mock: base URL, a key, and a model that answers what it was asked.
    pub fn provider(self, provider: &MockProvider) -> Self {
        self.env("OPENAI_BASE_URL", provider.base_url())
            .env("OPENAI_API_KEY", "sk-mock-provider-key")
            .env("OPENAI_MODEL", "mock-echo")
    }

    /// Allows the start this long instead of 120 s.
    pub fn ready_within(mut self, limit: Duration) -> Self {
        self.ready_within = limit;
        self
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// When it did not start, ended, or was not ready in time; the message holds the end of its log.
    pub async fn start(self) -> Result<ServerProcess> {
        let mut server = self.prepare()?;
        server.start_again().await?;
        Ok(server)
    }

    /// Starts the server and waits until it ends by itself: for starts that must fail.
    ///
    /// # Errors
    /// When it could not be run, or had not ended in time.
    pub async fn run_to_end(self) -> Result<(ExitStatus, String)> {
        let limit = self.ready_within;
        let mut server = self.prepare()?;
        server.spawn()?;
        let status = server.wait(limit).await?;
        Ok((status, server.log()))
    }

    fn prepare(self) -> Result<ServerProcess> {
        let scratch = tempfile::Builder::new().prefix("openclaw-test-").tempdir()?;
        let data_dir = self
            .data_dir
            .clone()
            .unwrap_or_else(|| scratch.path().join("data"));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(ServerProcess {
            setup: self,
            data_dir,
            scratch,
            child: None,
            address,
        })
    }
}

// === impl ServerProcess ===

impl ServerProcess {
    /// Where the server listens; changes with every start.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path that starts with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A client of this server, without a key.
    ///
    /// # Errors
    /// Never with an address this type made; the client checks all the same.
    pub fn http(&self) -> Result<HttpClient> {
        HttpClient::new(&self.url(""))
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The process's id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref()?.id()
    }

    /// Changes a variable for the next start.
    pub fn set_env(&mut self, name: &str, value: impl Into<String>) {
        self.setup.environment.push((name.to_owned(), value.into()));
    }

    /// The administrator's token the server wrote at its first start.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn admin_token(&self) -> Result<String> {
        self.secret("admin.token")
    }

    /// The API key the server wrote at its first start.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn api_key(&self) -> Result<String> {
        self.secret("api.key")
    }

    fn secret(&self, name: &str) -> Result<String> {
        let path = self.data_dir.join(name);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.trim().to_owned())
    }

    /// What all starts of this server wrote to standard output and standard error, in order; the last 256 KiB.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        let from = bytes.len().saturating_sub(256 * 1024);
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.path().join("server.log")
    }

    fn log_file(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(self.log_path())
    }

    fn spawn(&mut self) -> Result<()> {
        std::fs::create_dir_all(&self.data_dir)?;
        let address_file = self.address_file();
        match std::fs::remove_file(&address_file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("the address of an earlier start cannot be removed"),
        }
        let mut command = Command::new(&self.setup.binary);
        command.args(&self.setup.arguments).env_clear();
        for name in ["PATH", "LLVM_PROFILE_FILE", "RUST_BACKTRACE", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.scratch.path())
            .env("PORT", "0")
            // Nothing listens there: a developer's own Ollama is not to be found.
            .env("OPENCLAW__AI_FABRIC__LOCAL_OLLAMA", "http://127.0.0.1:1")
            .env("OPENCLAW_DATA_DIR", &self.data_dir)
            .envs(self.setup.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.scratch.path())
            .stdin(Stdio::null())
            .stdout(self.log_file()?)
            .stderr(self.log_file()?)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be run", self.setup.binary.display()))?;
        self.child = Some(child);
        Ok(())
    }

    fn address_file(&self) -> PathBuf {
        self.data_dir.join("server.addr")
    }

    /// Starts on the same data directory; a server still running is killed first.
    ///
    /// # Errors
    /// When it ended or was not ready in time; the message holds the end of its log.
    pub async fn start_again(&mut self) -> Result<()> {
        self.kill().await?;
        self.spawn()?;
        let deadline = Instant::now() + self.setup.ready_within;
        loop {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                bail!(
                    "the server ended with {status} before it was ready:\n{}",
                    self.log()
                );
            }
            if let Some(address) = self.published_address() {
                self.address = address;
                let asked = self
                    .http()?
                    .get("/readyz")
                    .within(Duration::from_secs(2))
                    .send()
                    .await;
                if asked.is_ok_and(|reply| reply.status.is_success()) {
                    return Ok(());
                }
            }
            if Instant::now() >= deadline {
                bail!(
                    "the server was not ready within {:?}:\n{}",
                    self.setup.ready_within,
                    self.log()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// `None` while the file is not there or not whole.
    fn published_address(&self) -> Option<SocketAddr> {
        std::fs::read_to_string(self.address_file())
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// `kill -9`, and waits until the process is gone. Nothing happens when none runs.
    ///
    /// # Errors
    /// When the system does not let it be killed.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When no server runs.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self
            .pid()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        kill_process(pid.context("the server does not run")?, signal)?;
        Ok(())
    }

    /// `SIGTERM`, and waits for the end.
    ///
    /// # Errors
    /// When no server runs, or it had not ended in time; it is still running then.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(limit).await
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When no server runs, or it had not ended in time; it is still running then.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the server does not run")?;
        let Ok(status) = tokio::time::timeout(limit, child.wait()).await else {
            bail!("the server did not end within {limit:?}:\n{}", self.log());
        };
        self.child = None;
        Ok(status?)
    }
}
