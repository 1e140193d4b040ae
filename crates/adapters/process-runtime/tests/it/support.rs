//! A pool over small Python and shell workers, and bounded waits for what children do.

use futures::StreamExt;
use openclaw_concurrency::{
    ConcurrencyConfig, RequestError, Submission, Ticket, WorkContext, WorkerPool, WorkerRuntime,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{ChatMessage, Clock, EventContext, InProcessEventBus, ModelEvent, Role, TokenUsage};
use openclaw_process_runtime::{
    Answer, ChildWorker, ProcessConfig, ProcessRuntime, WorkerCommand, WorkerRefusal, WorkerRequest,
    WorkerTroubles,
};
use openclaw_system::SystemClock;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// What came of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) tools: Vec<ModelEvent>,
    pub(crate) usage: Option<TokenUsage>,
    pub(crate) ended: bool,
    pub(crate) refusal: Option<WorkerRefusal>,
}

pub(crate) type Pool = Arc<WorkerPool<String, Said>>;
pub(crate) type Reply = Result<Said, RequestError>;

/// A pool over one program. Its directory is the children's own.
pub(crate) struct Bench {
    pub(crate) pool: Pool,
    pub(crate) runtime: Arc<dyn WorkerRuntime<String, Said>>,
    pub(crate) troubles: Arc<WorkerTroubles>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Texts as they arrive.
    pub(crate) texts: mpsc::UnboundedReceiver<String>,
    pub(crate) directory: TempDir,
}

/// What every Python worker begins with.
const PRELUDE: &str = r#"
import json, os, signal, subprocess, sys, time
def say(**frame):
    print(json.dumps(frame), flush=True)
def requests():
    for line in sys.stdin:
        frame = json.loads(line)
        if frame["type"] == "request":
            frame["text"] = "".join(b.get("text", "") for m in frame["messages"] for b in m["content"])
            yield frame
def done(frame, text=""):
    if text:
        say(type="text_delta", id=frame["id"], text=text)
    say(type="done", id=frame["id"])
"#;

/// How long a child may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One that only the test's own waits end.
pub(crate) fn one_worker() -> ConcurrencyConfig {
    ConcurrencyConfig {
        max_workers: 1,
        backpressure_threshold: 1.0,
        ..ConcurrencyConfig::default()
    }
}

/// Whether `python3` is there; says so where it is not.
#[expect(clippy::print_stdout, reason = "what is left out is told")]
pub(crate) fn has_python() -> bool {
    let found = std::process::Command::new(interpreter())
        .arg("--version")
        .output()
        .is_ok();
    if !found {
        println!("left out: python3 is not installed");
    }
    found
}

/// The system's own where there is one: wrappers of version managers take longer to start than the whole test.
fn interpreter() -> &'static str {
    let system = "/usr/bin/python3";
    if Path::new(system).exists() {
        system
    } else {
        "python3"
    }
}

pub(crate) fn python(body: &str) -> WorkerCommand {
    WorkerCommand::new(interpreter(), ["-I", "-S", "-c", &format!("{PRELUDE}{body}")])
}

pub(crate) fn shell(body: &str) -> WorkerCommand {
    WorkerCommand::new("sh", ["-c", body])
}

pub(crate) fn bench(command: WorkerCommand, config: ConcurrencyConfig) -> Bench {
    bench_with(command, config, Arc::new(SystemClock::new()), |_| {})
}

/// A pool whose time the test moves.
pub(crate) fn manual_bench(command: WorkerCommand, config: ConcurrencyConfig) -> (Bench, Arc<ManualClock>) {
    let clock = ManualClock::new();
    let bench = bench_with(command, config, clock.clone(), |_| {});
    (bench, clock)
}

pub(crate) fn bench_with(
    mut command: WorkerCommand,
    config: ConcurrencyConfig,
    clock: Arc<dyn Clock>,
    adjust: impl FnOnce(&mut ProcessConfig),
) -> Bench {
    let directory = tempfile::tempdir().expect("a directory");
    command.directory = Some(directory.path().to_owned());
    let mut process = ProcessConfig::new(command);
    adjust(&mut process);
    let (sender, texts) = mpsc::unbounded_channel();
    let runtime = ProcessRuntime::on(
        tokio::runtime::Handle::current(),
        process,
        clock.clone(),
        move |text: String, context, child| converse(text, context, child, sender.clone()),
    )
    .expect("valid");
    let troubles = runtime.troubles();
    let runtime: Arc<dyn WorkerRuntime<String, Said>> = runtime;
    let events = EventContext::new(InProcessEventBus::new(), clock.clone(), "concurrency");
    let pool = WorkerPool::new(config, runtime.clone(), clock.clone(), events).expect("valid");
    Bench {
        pool,
        runtime,
        troubles,
        clock,
        texts,
        directory,
    }
}

/// One question; on cancellation the answer is dropped where it stands.
async fn converse(
    text: String,
    context: WorkContext,
    mut child: ChildWorker,
    texts: mpsc::UnboundedSender<String>,
) -> Said {
    assert!(text != "panic", "as the test wants it");
    if let Some(how) = text.strip_prefix("leave ") {
        return leave(how, &context, &mut child, &texts).await;
    }
    let rounds = if text == "twice" { 2 } else { 1 };
    let mut said = Said::default();
    for _ in 0..rounds {
        let request = WorkerRequest {
            messages: vec![ChatMessage::text(Role::User, text.clone())],
            max_output_tokens: 0,
        };
        let mut answer = child.ask(request).await;
        tokio::select! {
            () = context.cancelled() => {}
            () = collect(&mut answer, &mut said, &texts) => {}
        }
    }
    said
}

/// Takes the first piece, drops the answer, and goes on without the child: for a moment, or until it is cancelled.
async fn leave(
    how: &str,
    context: &WorkContext,
    child: &mut ChildWorker,
    texts: &mpsc::UnboundedSender<String>,
) -> Said {
    let request = WorkerRequest {
        messages: vec![ChatMessage::text(Role::User, how)],
        max_output_tokens: 0,
    };
    let mut answer = child.ask(request).await;
    if let Some(Ok(ModelEvent::TextDelta(text))) = answer.next().await {
        let _ = texts.send(text);
    }
    drop(answer);
    if how == "for good" {
        context.cancelled().await;
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    Said::default()
}

async fn collect(answer: &mut Answer, said: &mut Said, texts: &mpsc::UnboundedSender<String>) {
    while let Some(event) = answer.next().await {
        match event {
            Ok(ModelEvent::TextDelta(text)) => {
                said.text.push_str(&text);
                let _ = texts.send(text);
            }
            Ok(ModelEvent::Usage(usage)) => said.usage = Some(usage),
            Ok(ModelEvent::Stop(_)) => said.ended = true,
            Ok(event) => said.tools.push(event),
            Err(refusal) => said.refusal = Some(refusal),
        }
    }
}

impl Bench {
    pub(crate) fn submit(&self, text: &str) -> Ticket<Said> {
        let submission = Submission::new(text.to_owned(), "tenant", self.clock.monotonic());
        self.pool.submit(submission).expect("admitted")
    }

    /// The reply, or a failed test when none comes.
    pub(crate) async fn ask(&self, text: &str) -> Reply {
        within(self.submit(text)).await
    }

    pub(crate) async fn text(&mut self) -> String {
        within(self.texts.recv()).await.expect("the handler lives")
    }

    /// A number a child has written into a file of its directory.
    pub(crate) async fn number(&self, file: &str) -> i32 {
        let path = self.directory.path().join(file);
        loop_until(|| {
            std::fs::read_to_string(&path)
                .ok()?
                .strip_suffix('\n')?
                .parse()
                .ok()
        })
        .await
    }

    /// Checks that the next request is served.
    pub(crate) async fn serves(&self) {
        assert_eq!(self.ask("good").await.expect("served").text, "good");
    }
}

/// Lets the pool's time pass, in steps its housekeeping can follow.
pub(crate) async fn pass(clock: &ManualClock, seconds: u64) {
    for _ in 0..seconds {
        clock.advance(Duration::from_secs(1));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

/// Fails the test instead of waiting for ever.
pub(crate) async fn within<O>(wait: impl IntoFuture<Output = O>) -> O {
    tokio::time::timeout(PATIENCE, wait.into_future())
        .await
        .expect("in time")
}

/// Looks again and again until there is something.
pub(crate) async fn loop_until<O>(mut look: impl FnMut() -> Option<O>) -> O {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether there is such a process, zombies included.
pub(crate) fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Waits until a process is gone. Those whose parent has ended are reaped by somebody else, in their time.
pub(crate) async fn gone(pid: i32) {
    let stat = format!("/proc/{pid}/stat");
    loop_until(|| {
        let stat = std::fs::read_to_string(&stat).ok();
        let state = stat.as_deref().and_then(|stat| stat.rsplit(')').next());
        state
            .is_none_or(|state| state.trim_start().starts_with('Z'))
            .then_some(())
    })
    .await;
}

pub(crate) fn crash(reply: &Reply) -> &str {
    match reply {
        Err(RequestError::Crashed { reason, .. }) => reason,
        other => panic!("no crash: {other:?}"),
    }
}
