//! A server between a fake Telegram and a mock provider, all limits out of the way.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use openclaw_testkit::fake_telegram::{FakeTelegram, SECRET_HEADER};
use openclaw_testkit::{MockOptions, MockProvider, ServerProcess, ServerSetup};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

use crate::process;

/// What the webhook is authenticated with.
const SECRET: &str = "bench-webhook-secret";

/// The server between its doubles.
#[derive(Debug)]
pub struct World {
    /// The messenger.
    pub telegram: FakeTelegram,
    /// The model provider.
    pub provider: MockProvider,
    /// What is measured.
    pub server: ServerProcess,
}

/// A connection that posts updates.
#[derive(Debug)]
pub struct Poster {
    connection: SendRequest<Full<Bytes>>,
    host: String,
}

// === impl World ===

impl World {
    /// Starts all three; the server's program is bound to `processor`, which needs `taskset`. `setup` has the last word
    /// on the server's environment.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start(
        server: &Path,
        processor: Option<usize>,
        setup: impl FnOnce(ServerSetup) -> ServerSetup,
    ) -> Result<Self> {
        let telegram = FakeTelegram::start().await?;
        telegram.set_recording(false);
        let provider = MockProvider::start_with(MockOptions {
            remember: 0,
            ..MockOptions::default()
        })
        .await?;
        let plain = match processor {
            Some(processor) => ServerSetup::new("taskset").args([
                "-c".into(),
                processor.to_string().into(),
                server.as_os_str().to_owned(),
                "serve".into(),
            ]),
            None => ServerSetup::new(server),
        };
        let many = "1000000";
        let open = plain
            .provider(&provider)
            .env("LOG_LEVEL", "warn")
            .env("TELEGRAM_BOT_TOKEN", telegram.token())
            .env("WEBHOOK_SECRET", SECRET)
            .env("OPENCLAW__MESSENGER__TELEGRAM__BASE_URL", telegram.base_url())
            .env("OPENCLAW__MESSENGER__TELEGRAM__MODE", "webhook")
            .env("OPENCLAW__MESSENGER__TELEGRAM__STREAM_MODE", "edit")
            .env("OPENCLAW__MESSENGER__RATE_LIMITS__TELEGRAM__RPS", many)
            .env("OPENCLAW__MESSENGER__RATE_LIMITS__TELEGRAM__BURST_SIZE", many)
            .env("OPENCLAW__MESSENGER__TELEGRAM__PRIVATE_CHAT__RPS", many)
            .env("OPENCLAW__MESSENGER__TELEGRAM__PRIVATE_CHAT__BURST_SIZE", many)
            .env("OPENCLAW__AI_FABRIC__BUDGETS__FREE", "-1")
            .env("OPENCLAW__INBOX__MAX_OPEN", "10000000");
        let server = setup(open).start().await?;
        Ok(Self {
            telegram,
            provider,
            server,
        })
    }

    /// The server's process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<u32> {
        self.server.pid().context("the server does not run")
    }

    /// Processor time the server has used since `before`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn cpu_since(&self, before: Duration) -> Result<Duration> {
        Ok(process::cpu(self.pid()?)?.saturating_sub(before))
    }

    /// Memory of the server in MiB.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resident_mib(&self) -> Result<f64> {
        process::resident_mib(self.pid()?)
    }

    /// A connection to post on.
    ///
    /// # Errors
    /// When the server takes none.
    pub async fn poster(&self) -> Result<Poster> {
        let socket = TcpStream::connect(self.server.address()).await?;
        socket.set_nodelay(true)?;
        let (connection, task) = handshake(TokioIo::new(socket)).await?;
        // How it ends is seen by the request that uses it.
        tokio::spawn(task);
        Ok(Poster {
            connection,
            host: self.server.address().to_string(),
        })
    }

    /// How many messages were sent, and how often the bot sent or changed one.
    #[must_use]
    pub fn shown(&self) -> (u64, u64) {
        let sent = self.telegram.call_count("sendMessage");
        (sent, sent + self.telegram.call_count("editMessageText"))
    }
}

// === impl Poster ===

impl Poster {
    /// Posts an update and waits until it is acknowledged.
    ///
    /// # Errors
    /// When it is not.
    pub async fn post(&mut self, update: Vec<u8>) -> Result<()> {
        self.connection.ready().await?;
        let request = Request::post("/webhook/telegram")
            .header("host", &self.host)
            .header("content-type", "application/json")
            .header(SECRET_HEADER, SECRET)
            .body(Full::new(Bytes::from(update)))?;
        let response = self.connection.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        ensure!(status == 200, "the webhook answered {status}");
        Ok(())
    }
}
