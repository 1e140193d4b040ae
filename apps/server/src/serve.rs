//! Runs the server: from an empty data directory to the last stored byte.

use crate::accept::{self, AcceptConfig, ConnectionCounts};
use crate::cli::ServeArgs;
use crate::config::{self, Loaded, environment::ProcessEnvironment};
use crate::data_dir::{self, DataDir, KeySource, OperatorKey};
use crate::http;
use crate::intake;
use crate::observer;
use crate::telemetry::{self, LogFilter};
use crate::wire::{self, Built, Intake};
use anyhow::Context;
use openclaw_system::SystemRandom;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The file that holds the address the server listens on, while it does.
pub(crate) const ADDRESS_FILE: &str = "server.addr";
/// The exit code after the store has failed: what was acknowledged is there, and nothing more was taken.
const EXIT_STORE_FAILED: u8 = 74;
/// Of the time a stop may take, this is left for storing and closing.
const CLOSING_TIME: Duration = Duration::from_secs(3);

/// Serves until a signal. Returns the exit code.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<u8> {
    let began = Instant::now();
    let loaded = load(args)?;
    let filter = LogFilter::parse(&loaded.sections.logging.directives())?;
    telemetry::init(loaded.sections.logging.format, &filter)?;
    for notice in &loaded.notices {
        tracing::warn!("{notice}");
    }
    let data_dir = DataDir::open(data_path(&loaded)?)?;
    let random = SystemRandom;
    let admin = data_dir.admin_token(loaded.secrets.admin_token.clone(), &random)?;
    let api_key = data_dir.api_key(loaded.secrets.api_key.clone(), &random)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("server")
        .enable_all()
        .build()
        .context("the server's threads could not be started")?;
    let code = runtime.block_on(serve(&loaded, &data_dir, &admin, &api_key, began));
    // What still runs has been told to stop and was waited for; nothing is worth another second.
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}

/// Reads file, environment and flags.
pub(crate) fn load(args: &ServeArgs) -> anyhow::Result<Loaded> {
    let text = match config_file(args)? {
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            Some(text)
        }
        None => None,
    };
    Ok(config::load(
        text.as_deref(),
        &ProcessEnvironment,
        &args.overrides(),
    )?)
}

/// The file that was named, else `openclaw.toml` in the data directory, if there is one.
fn config_file(args: &ServeArgs) -> anyhow::Result<Option<PathBuf>> {
    if let Some(path) = &args.config {
        return Ok(Some(path.clone()));
    }
    let Ok(path) = std::env::var("OPENCLAW_DATA_DIR")
        .map(PathBuf::from)
        .or_else(|_| default_data_path())
    else {
        return Ok(None);
    };
    let path = path.join("openclaw.toml");
    Ok(path.is_file().then_some(path))
}

fn default_data_path() -> Result<PathBuf, data_dir::DataDirError> {
    data_dir::default_path(|name| std::env::var_os(name))
}

/// Where the data directory is.
pub(crate) fn data_path(loaded: &Loaded) -> anyhow::Result<PathBuf> {
    match &loaded.sections.storage.data_dir {
        Some(path) => Ok(path.clone()),
        None => Ok(default_data_path()?),
    }
}

async fn serve(
    loaded: &Loaded,
    data_dir: &DataDir,
    admin: &OperatorKey,
    api_key: &OperatorKey,
    began: Instant,
) -> anyhow::Result<u8> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let built = wire::build(loaded, data_dir.path(), &admin.secret, &api_key.secret).await?;
    observer::start(&built.bus, Arc::clone(&built.app.counters));
    let resumed = built
        .gateway
        .start()
        .await
        .context("the inbox could not be read")?;
    let listener = TcpListener::bind(loaded.sections.server.listen)
        .await
        .with_context(|| {
            format!(
                "{} cannot be listened on; set PORT to another port",
                loaded.sections.server.listen
            )
        })?;
    let address = listener.local_addr()?;
    write_address(data_dir.path(), address)?;

    let drain = CancellationToken::new();
    let kill = CancellationToken::new();
    let server = &loaded.sections.server;
    let serving = tokio::spawn(accept::serve(
        listener,
        http::router(Arc::clone(&built.app)),
        AcceptConfig {
            header_timeout: server.header_timeout,
            max_connections: accept::descriptor_bound(server.max_connections),
            max_connections_per_address: server.max_connections_per_address,
            exempt: server.trusted_proxies.clone(),
            grace: server.shutdown_grace,
            ..AcceptConfig::default()
        },
        Arc::new(ConnectionCounts::default()),
        drain.clone(),
        kill.clone(),
    ));
    let intake = intake::start(&built, server.public_url.as_deref());
    tracing::info!(%address, storage = built.storage, entries = resumed.entries, expired = resumed.expired, parts = resumed.parts, "ready");
    banner(loaded, &built, data_dir, admin, api_key, address, began);

    let store_failed = async {
        match &built.sqlite {
            Some(store) => store.failed().await,
            None => std::future::pending().await,
        }
    };
    let failed = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        reason = store_failed => Some(reason),
    };
    if let Some(reason) = failed {
        tracing::error!(
            fatal = true,
            reason,
            "the store has failed; what was acknowledged is there, nothing more is taken"
        );
        kill.cancel();
        return Ok(EXIT_STORE_FAILED);
    }

    tracing::info!("stopping: running turns may finish");
    built.app.draining.store(true, Ordering::Release);
    drain.cancel();
    intake.stop().await;
    let grace = server.shutdown_grace;
    let stopped = async {
        let report = built.gateway.shut_down(grace).await;
        serving.await.ok();
        report
    };
    let report = tokio::select! {
        report = tokio::time::timeout(grace + CLOSING_TIME, stopped) => report.ok(),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    std::fs::remove_file(data_dir.path().join(ADDRESS_FILE)).ok();
    match report {
        Some(report) => {
            tracing::info!(
                finished = report.finished,
                returned = report.returned.len(),
                "stopped"
            );
            Ok(0)
        }
        None => {
            kill.cancel();
            tracing::warn!(
                "stopped before everything had ended; what has no answer is answered at the next start"
            );
            Ok(0)
        }
    }
}

/// Written beside and renamed, so that a reader never sees half an address.
fn write_address(data_dir: &Path, address: SocketAddr) -> anyhow::Result<()> {
    let (temporary, path) = (data_dir.join("server.addr.new"), data_dir.join(ADDRESS_FILE));
    std::fs::write(&temporary, address.to_string())
        .and_then(|()| std::fs::rename(&temporary, &path))
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// What is on, what is off and why, and where to go next.
fn banner(
    loaded: &Loaded,
    built: &Built,
    data_dir: &DataDir,
    admin: &OperatorKey,
    api_key: &OperatorKey,
    address: SocketAddr,
    began: Instant,
) {
    let mut text = format!("OpenClaw Platform {}\n", env!("CARGO_PKG_VERSION"));
    let new = if matches!(api_key.source, KeySource::Created(_)) {
        " (new)"
    } else {
        ""
    };
    let mut line = |name: &str, value: String| {
        text.push_str(&format!("  {name:<11}{value}\n"));
    };
    line("listening", format!("http://{address}"));
    line(
        "data",
        format!("{}{new}   storage {}", data_dir.path().display(), built.storage),
    );
    line(
        "model",
        format!("{}: {}", built.model.models.join(", "), built.model.why),
    );
    line(
        "telegram",
        match &built.telegram {
            None => "off: TELEGRAM_BOT_TOKEN is not set".to_owned(),
            Some(telegram) => match (telegram.intake, &loaded.sections.server.public_url) {
                (Intake::Polling, _) => "on, long polling".to_owned(),
                (Intake::Webhook, Some(url)) => format!("on, webhook {url}/webhook/telegram"),
                (Intake::Webhook, None) => {
                    "on, webhook path /webhook/telegram; nothing is registered, since server.publicUrl is not set".to_owned()
                }
            },
        },
    );
    line(
        "API",
        format!(
            "http://{address}/v1   key: {}",
            where_from(&api_key.source, "OPENCLAW_API_KEY")
        ),
    );
    line(
        "admin",
        format!(
            "http://{address}/admin/api/v1   token: {}",
            where_from(&admin.source, "OPENCLAW_ADMIN_TOKEN")
        ),
    );
    line("try", "openclaw send \"hello\"".to_owned());
    text.push_str(&format!(
        "ready in {:.2} s · Ctrl-C stops after running turns\n",
        began.elapsed().as_secs_f64()
    ));
    std::io::stdout().lock().write_all(text.as_bytes()).ok();
}

fn where_from(source: &KeySource, variable: &str) -> String {
    match source {
        KeySource::Operator => format!("from {variable}"),
        KeySource::File(path) | KeySource::Created(path) => format!("in {}", path.display()),
    }
}
