//! Runs the server: from an empty data directory to the last stored byte.

use crate::accept::{self, AcceptConfig};
use crate::banner::{self, ConfigSource};
use crate::bots::Intake;
use crate::cli::{ServeArgs, ServerArgs};
use crate::client;
use crate::config::{
    self, Loaded,
    environment::ProcessEnvironment,
    fault::{ConfigError, Origin},
};
use crate::data_dir::{self, DataDir, KeySource, OperatorKey};
use crate::failure::Failure;
use crate::housekeeping;
use crate::http;
use crate::intake;
use crate::observer;
use crate::reload::{self, Reloader};
use crate::telemetry::{self, LogFilter, LogHandle};
use crate::texts::Texts;
use crate::wire::{self, Built, Purpose};
use anyhow::Context;
use openclaw_core::{Language, Platform};
use openclaw_sqlite::OpenError;
use openclaw_system::SystemRandom;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
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
/// How long callers may take to hear that the stop has cut their answer short, after running turns have had their time.
/// Part of [`CLOSING_TIME`].
const ANSWERING_TIME: Duration = Duration::from_secs(1);
/// Of the time a stop may take, this is left for storing and closing.
const CLOSING_TIME: Duration = Duration::from_secs(3);

/// Serves until a signal. Returns the exit code.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<u8> {
    let began = Instant::now();
    let loaded = load(args)?;
    let filter = LogFilter::parse(&loaded.sections.logging.directives())?;
    let log = telemetry::init(loaded.sections.logging.format, &filter)?;
    for notice in &loaded.notices {
        tracing::warn!("{notice}");
    }
    if filter.has_trace() {
        tracing::warn!("logging at trace shows texts of people; it is meant for a developer's machine");
    }
    let data_dir = DataDir::open(data_path(&loaded)?)?;
    if data_dir.is_open_to_others() {
        tracing::warn!(path = %data_dir.path().display(), "others can look into the data directory; its mode should be 700");
    }
    let random = SystemRandom;
    let admin = data_dir.admin_token(loaded.secrets.admin_token.clone(), &random)?;
    let api_key = data_dir.api_key(loaded.secrets.api_key.clone(), &random)?;
    // What is done here waits for others nearly all the time. A second thread where there is one processor would only be
    // woken to look for work and find none, twice for every request. Stateless calls are done here altogether, so that
    // every processor is worth a thread.
    let threads = std::thread::available_parallelism().map_or(2, NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("server")
        .enable_all()
        .build()
        .context("the server's threads could not be started")?;
    let code = runtime.block_on(serve(args, &log, &loaded, &data_dir, &admin, &api_key, began));
    // What still runs has been told to stop and was waited for; nothing is worth another second.
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}

/// A configuration that cannot be used: every fault with its place.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.report(Texts::default()))]
pub(crate) struct InvalidConfig {
    file: Option<PathBuf>,
    error: ConfigError,
}

impl InvalidConfig {
    /// The language of whoever runs this server, as far as the configuration could be read.
    pub(crate) fn language(&self) -> Language {
        self.error.language
    }

    /// Every fault and what to do next.
    pub(crate) fn report(&self, texts: Texts) -> String {
        let sorted = self.error.sorted();
        let field = sorted
            .iter()
            .find_map(|fault| config::explain::field_named(&fault.path));
        let variable = sorted.iter().find_map(|fault| match &fault.origin {
            Origin::Environment { name } => Some(name),
            Origin::Default | Origin::File { .. } | Origin::Flag(_) => None,
        });
        let next = match (field, variable) {
            (Some(field), _) => format!("openclaw config explain {}", field.path),
            (None, Some(name)) => texts.mend_variable(name),
            (None, None) => texts.mend_and_check(),
        };
        format!("{}\n  next  {next}", self.faults(texts))
    }

    /// Every fault, without what to do next: who asked a running server for a reload has a next step of their own.
    pub(crate) fn faults(&self, texts: Texts) -> String {
        let faults = self.error.report(self.file.as_deref(), texts);
        let count = u64::try_from(self.error.faults.len()).unwrap_or(u64::MAX);
        texts.invalid_config(&faults, &texts.config_errors(count))
    }
}

/// Reads file, environment and flags. The error is [`InvalidConfig`] when it is what they say that is wrong.
pub(crate) fn load(args: &ServeArgs) -> anyhow::Result<Loaded> {
    let file = config_file(args);
    let text = match &file {
        Some(path) => {
            let read = std::fs::read_to_string(path);
            Some(read.map_err(|error| {
                // The file would have said which language.
                let texts = Texts::of_terminal();
                let what = texts.serve_unreadable(&Texts::path(path), &texts.no_file(&error));
                Failure::config(what, texts.serve_mend_path())
            })?)
        }
        None => None,
    };
    config::load(text.as_deref(), &ProcessEnvironment, &args.overrides())
        .map_err(|error| InvalidConfig { file, error }.into())
}

/// The name of a configuration file in the data directory.
pub(crate) const CONFIG_FILE: &str = "openclaw.toml";

/// The file that was named, else `openclaw.toml` in the data directory, if there is one.
pub(crate) fn config_file(args: &ServeArgs) -> Option<PathBuf> {
    if let Some(path) = &args.config {
        return Some(path.clone());
    }
    let path = client::data_dir(args.data_dir.as_deref()).ok()?.join(CONFIG_FILE);
    path.is_file().then_some(path)
}

/// Where the configuration came from, for the banner.
fn config_source(args: &ServeArgs) -> ConfigSource {
    match config_file(args) {
        Some(path) => ConfigSource::File(path),
        // A file beside the person who types is easily taken for the one that counts.
        None if Path::new(CONFIG_FILE).is_file() => ConfigSource::NotTheOneHere,
        None => ConfigSource::None,
    }
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
    args: &ServeArgs,
    log: &LogHandle,
    loaded: &Loaded,
    data_dir: &DataDir,
    admin: &OperatorKey,
    api_key: &OperatorKey,
    began: Instant,
) -> anyhow::Result<u8> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let visitor_key = data_dir.visitor_key(&SystemRandom)?;
    let texts = Texts::new(loaded.language);
    let built = wire::build(
        loaded,
        data_dir.path(),
        &admin.secret,
        &api_key.secret,
        visitor_key,
        Purpose::Serve,
    )
    .await
    .map_err(|error| start_failed(args, error, texts))?;
    let observer = observer::start(
        Arc::clone(&built.bus),
        Arc::clone(&built.app.counters),
        Arc::clone(&built.app.facts.model_states),
    );
    let reloader = Arc::new(Reloader::new(
        args.clone(),
        log.clone(),
        observer,
        Arc::clone(&built.fabric),
        built.gateway.clone(),
        Arc::clone(&built.app.counters),
        reload::values(&loaded.settings),
    ));
    // The first to set it is the only one.
    built.app.reloader.set(Arc::clone(&reloader)).ok();
    let resumed = built
        .gateway
        .start()
        .await
        .context("the inbox could not be read")?;
    let listen = loaded.sections.server.listen;
    let listener = match accept::listen(listen) {
        Ok(listener) => listener,
        Err(error) => return Err(cannot_listen(args, listen, &error, texts).await.into()),
    };
    let address = listener.local_addr()?;
    write_address(data_dir.path(), address)?;

    let drain = CancellationToken::new();
    let kill = CancellationToken::new();
    let server = &loaded.sections.server;
    let serving = tokio::spawn(accept::serve(
        listener,
        http::Edge::new(Arc::clone(&built.app)),
        AcceptConfig {
            header_timeout: server.header_timeout,
            max_connections: accept::descriptor_bound(server.max_connections),
            max_connections_per_address: server.max_connections_per_address,
            exempt: server.trusted_proxies.clone(),
            grace: server.shutdown_grace.saturating_add(ANSWERING_TIME),
            ..AcceptConfig::default()
        },
        Arc::clone(&built.app.connections),
        drain.clone(),
        kill.clone(),
    ));
    let intake = intake::start(&built, server.public_url.as_deref());
    let _housekeeping = housekeeping::start(&built.app);
    tracing::info!(%address, storage = built.storage, entries = resumed.entries, expired = resumed.expired, parts = resumed.parts, "ready");
    say_ready(args, loaded, &built, data_dir, admin, api_key, address, began);

    let store_failed = async {
        match &built.sqlite {
            Some(store) => store.failed().await,
            None => std::future::pending().await,
        }
    };
    // SIGHUP reads the configuration again, as `openclaw config reload` does.
    let reloading = async {
        let mut hangup = signal(SignalKind::hangup())?;
        while hangup.recv().await.is_some() {
            // Whatever came of it is in the log.
            reloader.reload_and_log("SIGHUP").await.ok();
        }
        Ok::<(), std::io::Error>(())
    };
    let failed = tokio::select! {
        ended = reloading => {
            ended?;
            None
        }
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
    built.app.native.closing.cancel();
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
#[expect(clippy::too_many_arguments, reason = "each is one line of the banner")]
fn say_ready(
    args: &ServeArgs,
    loaded: &Loaded,
    built: &Built,
    data_dir: &DataDir,
    admin: &OperatorKey,
    api_key: &OperatorKey,
    address: SocketAddr,
    began: Instant,
) {
    let server = &loaded.sections.server;
    let pool = built.app.pool;
    let processes = built
        .app
        .facts
        .worker_command
        .clone()
        .map(|command| banner::WorkerProcesses {
            command,
            min: pool.min_workers,
            max: pool.max_workers,
        });
    let model = built.fabric.choice();
    let facts = banner::Facts {
        address,
        config: &config_source(args),
        data_dir: data_dir.path(),
        is_new: matches!(api_key.source, KeySource::Created(_)),
        storage: built.storage,
        models: &model.models,
        why: model.why,
        processes: processes.as_ref(),
        warnings: loaded.notices.len(),
        unused: &loaded.unused,
        telegram: intake_of(built, Platform::Telegram),
        max: intake_of(built, Platform::Max),
        public_url: server.public_url.as_deref(),
        web: loaded.sections.messenger.web.enabled,
        api_key: file_of(&api_key.source),
        admin_token: file_of(&admin.source),
        there: &there(data_dir.path()),
        flags: &args.typed_again(None),
        took: began.elapsed(),
    };
    let text = banner::text(&facts, loaded.language);
    std::io::stdout().lock().write_all(text.as_bytes()).ok();
}

fn intake_of(built: &Built, platform: Platform) -> Option<Intake> {
    built.app.facts.bot(platform).map(|connected| connected.intake)
}

/// The flag that leads other commands to this data directory, also from another directory; nothing where they look for it
/// by themselves. `OPENCLAW_DATA_DIR` says nothing of that: the next terminal may not know it.
fn there(data_dir: &Path) -> String {
    if default_data_path().is_ok_and(|path| path == data_dir) {
        return String::new();
    }
    let of = ServerArgs {
        data_dir: Some(std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned())),
        ..ServerArgs::default()
    };
    of.typed_again()
}

fn file_of(source: &KeySource) -> Option<&Path> {
    match source {
        KeySource::Operator => None,
        KeySource::File(path) | KeySource::Created(path) => Some(path),
    }
}

/// Says what to do about a start that failed.
fn start_failed(args: &ServeArgs, error: anyhow::Error, texts: Texts) -> anyhow::Error {
    match error.downcast_ref::<OpenError>() {
        Some(OpenError::InUse { dir }) => {
            let of = ServerArgs {
                data_dir: args.data_dir.clone(),
                ..ServerArgs::default()
            };
            let next = texts.serve_in_use_next(&of.typed_again());
            Failure::failed(texts.serve_in_use(&Texts::path(dir)), next).into()
        }
        Some(_) | None => error,
    }
}

/// How many ports after a taken one are looked at.
const PORTS_TRIED: u16 = 20;

/// Says why nothing can be listened on, and the command that can.
async fn cannot_listen(
    args: &ServeArgs,
    listen: SocketAddr,
    error: &std::io::Error,
    texts: Texts,
) -> Failure {
    let other = match error.kind() {
        ErrorKind::PermissionDenied => SocketAddr::new(listen.ip(), 8080),
        // Nobody has that address here.
        ErrorKind::AddrNotAvailable => SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port())),
        _ => free_port_after(listen).await,
    };
    let next = if args.says_where_to_listen() || other.ip() != listen.ip() {
        format!("openclaw serve{}", args.typed_again(Some(other)))
    } else {
        format!("PORT={} openclaw serve{}", other.port(), args.typed_again(None))
    };
    Failure::failed(texts.serve_cannot_listen(listen, error), next)
}

/// The next port that nobody has now; the very next one when all that are looked at are taken.
async fn free_port_after(taken: SocketAddr) -> SocketAddr {
    let at = |port: u16| SocketAddr::new(taken.ip(), port);
    for port in (1..=PORTS_TRIED).filter_map(|step| taken.port().checked_add(step)) {
        if TcpListener::bind(at(port)).await.is_ok() {
            return at(port);
        }
    }
    at(taken.port().checked_add(1).unwrap_or(3000))
}
