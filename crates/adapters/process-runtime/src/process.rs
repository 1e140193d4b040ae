//! One child process: started in a group of its own, read, fed, watched, and ended with everything it has forked.

use crate::config::ProcessConfig;
use crate::fault::{Fault, Status};
use crate::frame::Frame;
use crate::leash::Leash;
use crate::lines::{LineError, Lines};
use crate::memory;
use crate::meter::Meter;
use crate::stderr::{self, Journal, or_never};
use crate::troubles::WorkerTroubles;
use bytes::BytesMut;
use futures::future::BoxFuture;
use openclaw_concurrency::WorkerId;
use openclaw_core::Clock;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::SignalKind;
use tokio::sync::oneshot;

/// What a process needs to know of its worker.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) worker: WorkerId,
    pub(crate) memory_limit_mb: u64,
    pub(crate) config: Arc<ProcessConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) leash: Arc<Leash>,
    pub(crate) troubles: Arc<WorkerTroubles>,
}

/// A running child. Dropping it ends its group; the runtime reaps it then.
#[derive(Debug)]
pub(crate) struct Process {
    /// First, so that the group is ended before the leader can be reaped.
    group: Group,
    child: Child,
    pid: Pid,
    terms: Terms,
    stdin: Option<ChildStdin>,
    /// Bytes the child has not taken yet. Bounded: one question and its cancellation.
    outbox: BytesMut,
    lines: Lines<ChildStdout>,
    written: Meter,
    /// Takes the fault the process ends with, if it is one. Dropped with the process: its log is then read to its end.
    log: Option<oneshot::Sender<String>>,
    ends: Ends,
    timers: Timers,
    /// The most memory it was seen with, in kilobytes.
    peak_kb: u64,
    has_answered: bool,
}

#[derive(Debug)]
struct Group(Arc<Leash>);

/// Learns that a process has ended, without reaping it.
#[derive(Debug)]
struct Ends {
    signals: tokio::signal::unix::Signal,
    pid: Pid,
    status: Option<Status>,
}

struct Timers {
    memory: BoxFuture<'static, ()>,
    /// Runs once the child has ended or closed a pipe: until then, the rest of its output is read.
    last_words: Option<BoxFuture<'static, ()>>,
}

/// How long the output of an ended child is read, if something holds its pipe open.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// What each line costs beside its bytes.
const LINE_COST: u64 = 64;
/// How long a killed process may take to be gone before it counts as abandoned.
pub(crate) const KILL_TAKES: Duration = Duration::from_secs(1);

// === impl Process ===

impl Process {
    /// Starts the program.
    pub(crate) fn start(terms: &Terms) -> Result<Self, Fault> {
        Self::try_start(terms).map_err(Fault::NotStarted)
    }

    fn try_start(terms: &Terms) -> io::Result<Self> {
        // Before the child is there, so that its end cannot be missed.
        let signals = tokio::signal::unix::signal(SignalKind::child())?;
        let command = &terms.config.command;
        let mut builder = Command::new(&command.program);
        builder
            .args(&command.args)
            .env_clear()
            .envs(
                command
                    .inherit
                    .iter()
                    .filter_map(|name| std::env::var_os(name).map(|value| (name, value))),
            )
            .envs(command.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &command.directory {
            builder.current_dir(directory);
        }
        let mut child = builder.spawn()?;
        let pid = child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
            .ok_or_else(|| io::Error::other("the child has no process id"))?;
        terms.leash.tie(pid);
        let group = Group(Arc::clone(&terms.leash));
        limit(pid, terms);
        let missing = || io::Error::other("the child has no pipes");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let config = &terms.config;
        let (log, ended) = oneshot::channel();
        tokio::spawn(stderr::log(
            stderr,
            Journal {
                worker: terms.worker,
                per_second: config.stderr_bytes_per_second,
                clock: Arc::clone(&terms.clock),
                troubles: Arc::clone(&terms.troubles),
            },
            ended,
        ));
        let mut process = Self {
            group,
            child,
            pid,
            terms: terms.clone(),
            stdin: Some(stdin),
            outbox: BytesMut::new(),
            lines: Lines::new(stdout, config.max_line_bytes),
            written: Meter::new(config.stdout_bytes_per_second, terms.clock.monotonic()),
            log: Some(log),
            ends: Ends {
                signals,
                pid,
                status: None,
            },
            timers: Timers {
                memory: terms.clock.sleep(config.memory_interval),
                last_words: None,
            },
            peak_kb: 0,
            has_answered: false,
        };
        process.look_at_memory();
        Ok(process)
    }

    /// Puts a line on its way. It is written by [`Process::next`].
    pub(crate) fn say(&mut self, line: &[u8]) {
        self.outbox.extend_from_slice(line);
    }

    /// Notes that it has ended an answer.
    pub(crate) fn answered(&mut self) {
        self.has_answered = true;
        self.terms.troubles.answered();
    }

    /// Notes that it ends with a fault; told with its last words once these are read.
    pub(crate) fn failed(&mut self, fault: &Fault) {
        if let Some(log) = self.log.take() {
            // Without a listener the runtime is ending, and nobody is left to be told.
            log.send(fault.to_string()).ok();
        }
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// The next frame. Meanwhile what waits to be written is written, memory is watched, and the end of the process is
    /// noticed; all it wrote before its end is read first. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Frame, Fault> {
        loop {
            let outbox_waits = !self.outbox.is_empty() && self.stdin.is_some();
            let event = tokio::select! {
                biased;
                line = self.lines.next() => Event::Line(line),
                status = self.ends.wait(), if self.ends.status.is_none() => Event::Ended(status),
                written = write(&mut self.stdin, &mut self.outbox), if outbox_waits => Event::Written(written),
                () = &mut self.timers.memory => Event::LookAtMemory,
                () = or_never(&mut self.timers.last_words) => return Err(self.obituary()),
            };
            if let Some(frame) = self.take(event).await? {
                return Ok(frame);
            }
        }
    }

    /// Watches memory and the end of the process without reading it. Ends only with a fault.
    pub(crate) async fn watch(&mut self) -> Fault {
        loop {
            let event = tokio::select! {
                status = self.ends.wait(), if self.ends.status.is_none() => Event::Ended(status),
                () = &mut self.timers.memory => Event::LookAtMemory,
            };
            match self.take(event).await {
                Ok(_) => {}
                Err(fault) => return fault,
            }
        }
    }

    async fn take(&mut self, event: Event) -> Result<Option<Frame>, Fault> {
        match event {
            Event::Line(Ok(Some(line))) => return self.understand(&line),
            Event::Line(Ok(None)) => {
                // A process that is about to end closes its pipes a moment before.
                if self.ends.status.is_none() {
                    let wait = self.terms.clock.sleep(LAST_WORDS);
                    tokio::select! {
                        status = self.ends.wait() => self.ends.status = Some(status),
                        () = wait => {}
                    }
                }
                return Err(self.obituary());
            }
            Event::Line(Err(LineError::TooLong { limit })) => return Err(Fault::LineTooLong { limit }),
            Event::Line(Err(LineError::Io(error))) => return Err(Fault::Pipe(error)),
            Event::Ended(status) => {
                self.ends.status = Some(status);
                // Whatever it forked would hold its pipes open, and has no business living on.
                self.terms.leash.signal(Signal::KILL);
                self.hear_last_words();
            }
            Event::Written(Ok(())) => {}
            Event::Written(Err(_)) => {
                self.stdin = None;
                self.hear_last_words();
            }
            Event::LookAtMemory => {
                self.timers.memory = self.terms.clock.sleep(self.terms.config.memory_interval);
                self.look_at_memory();
                let limit_mb = hard_limit_mb(&self.terms);
                let used_mb = self.peak_kb / 1024;
                if used_mb > limit_mb {
                    return Err(Fault::OutOfMemory { used_mb, limit_mb });
                }
            }
        }
        Ok(None)
    }

    fn understand(&mut self, line: &[u8]) -> Result<Option<Frame>, Fault> {
        let cost = u64::try_from(line.len())
            .unwrap_or(u64::MAX)
            .saturating_add(LINE_COST);
        if !self.written.take(cost, self.terms.clock.monotonic()) {
            let per_second = self.terms.config.stdout_bytes_per_second;
            return Err(Fault::Flood { per_second });
        }
        if line.is_empty() {
            return Ok(None);
        }
        Frame::parse(line).map(Some).map_err(Fault::Garbage)
    }

    fn hear_last_words(&mut self) {
        if self.timers.last_words.is_none() {
            self.timers.last_words = Some(self.terms.clock.sleep(LAST_WORDS));
        }
    }

    /// Why nothing more comes.
    fn obituary(&self) -> Fault {
        let limit_kb = self.terms.memory_limit_mb.saturating_mul(1024);
        match self.ends.status {
            Some(status) if self.lines.remainder() > 0 && self.peak_kb <= limit_kb => Fault::MidLine(status),
            Some(status) => Fault::Exited {
                status,
                over_limit: self.peak_kb > limit_kb,
            },
            None if self.stdin.is_none() => Fault::ClosedInput,
            None => Fault::ClosedOutput,
        }
    }

    fn look_at_memory(&mut self) {
        let used = memory::resident_kb(self.pid);
        self.terms.leash.saw_memory(used);
        self.peak_kb = self.peak_kb.max(used.unwrap_or(0));
    }

    /// Asks the child to end, and ends it when it does not within the grace.
    pub(crate) async fn stop(mut self) {
        // The signal before the end of the input: one that tidies up when it is signalled must not end at the other first.
        self.terms.leash.signal(Signal::TERM);
        // One that is stopped takes the signal only when it goes on.
        self.terms.leash.signal(Signal::CONT);
        self.stdin = None;
        let grace = self.terms.clock.sleep(self.terms.config.stop_grace);
        tokio::select! {
            _ = self.ends.wait() => {}
            () = grace => {}
        }
        self.end().await;
    }

    /// Ends the whole group and waits until the child is gone and reaped.
    pub(crate) async fn end(mut self) {
        self.terms.leash.signal(Signal::KILL);
        self.ends.wait().await;
        drop(self.group);
        if let Err(error) = self.child.wait().await {
            tracing::error!(%error, "a worker that has ended could not be reaped");
        }
    }
}

enum Event {
    Line(Result<Option<BytesMut>, LineError>),
    Ended(Status),
    Written(io::Result<()>),
    LookAtMemory,
}

// === impl Group ===

impl Drop for Group {
    fn drop(&mut self) {
        self.0.untie();
    }
}

// === impl Ends ===

impl Ends {
    async fn wait(&mut self) -> Status {
        loop {
            if let Some(status) = self.status.or_else(|| self.look()) {
                return status;
            }
            self.signals.recv().await;
        }
    }

    fn look(&self) -> Option<Status> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        match waitid(WaitId::Pid(self.pid), options) {
            Ok(None) => None,
            Ok(Some(status)) => Some(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Status::Code(code),
                (None, Some(signal)) => Status::Signal(signal),
                (None, None) => Status::Unknown,
            }),
            Err(rustix::io::Errno::INTR) => None,
            // It is nobody's child any more: somebody else has reaped it.
            Err(_) => Some(Status::Unknown),
        }
    }
}

// === impl Timers ===

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").finish_non_exhaustive()
    }
}

/// Where a worker is ended at once.
fn hard_limit_mb(terms: &Terms) -> u64 {
    terms
        .memory_limit_mb
        .saturating_mul(u64::from(terms.config.hard_memory_percent))
        / 100
}

/// Has the kernel refuse what would be far beyond the hard limit, and keep no image of a crash on disk.
#[cfg(target_os = "linux")]
fn limit(pid: Pid, terms: &Terms) {
    use rustix::process::{Resource, Rlimit, prlimit};
    let data = hard_limit_mb(terms).saturating_mul(2).saturating_mul(1 << 20);
    for (resource, value) in [(Resource::Data, data), (Resource::Core, 0)] {
        let limit = Rlimit {
            current: Some(value),
            maximum: Some(value),
        };
        if let Err(error) = prlimit(Some(pid), resource, limit) {
            tracing::warn!(%error, worker = %terms.worker, ?resource, "a limit of a worker could not be set");
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn limit(_: Pid, _: &Terms) {}

async fn write(stdin: &mut Option<ChildStdin>, outbox: &mut BytesMut) -> io::Result<()> {
    match stdin {
        Some(stdin) => stdin.write_buf(outbox).await.map(|_| ()),
        None => std::future::pending().await,
    }
}
