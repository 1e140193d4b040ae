//! What a worker that keeps to the protocol can do.

use crate::support::*;
use openclaw_concurrency::{ConcurrencyConfig, MemoryInUse, RequestError, WorkerState};
use openclaw_core::{ModelEvent, TokenUsage};
use openclaw_process_runtime::{ProcessConfig, WorkerCommand, WorkerFailures};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ECHO: &str = "
for frame in requests():
    done(frame, frame['text'])
";

#[tokio::test]
async fn the_sample_worker_answers_word_by_word_and_counts() {
    if !has_python() {
        return;
    }
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/examples/worker.py");
    let lines = std::fs::read_to_string(&sample)
        .expect("readable")
        .lines()
        .count();
    assert!(lines < 60, "{lines} lines are more than an evening");
    let command = WorkerCommand::new("python3", [sample.to_str().expect("plain").to_owned()]);
    let mut bench = bench(command, one_worker());
    let said = bench.ask("one two three").await.expect("answered");
    assert_eq!(said.text, "one two three ");
    assert!(said.ended);
    assert_eq!(
        said.usage,
        Some(TokenUsage {
            input_tokens: 3,
            output_tokens: 3,
            estimated: false
        })
    );
    assert_eq!(bench.text().await, "one ", "piece by piece");
    assert_eq!(bench.ask("again").await.expect("answered").text, "again ");
    assert_eq!(bench.pool.totals().spawned, 1, "one process served both");
}

#[tokio::test]
async fn tool_calls_and_refusals_reach_the_handler() {
    if !has_python() {
        return;
    }
    let bench = bench(
        python(
            "
for frame in requests():
    if frame['text'] == 'refuse':
        say(type='error', id=frame['id'], code='busy', message='later', recoverable=True)
    else:
        say(type='tool_use', id=frame['id'], callId='c1', name='search', arguments={'q': 1})
        say(type='done', id=frame['id'], stopReason='tool_use')
",
        ),
        one_worker(),
    );
    let said = bench.ask("call").await.expect("answered");
    assert_eq!(
        said.tools,
        vec![
            ModelEvent::ToolUseStart {
                index: 0,
                id: "c1".to_owned(),
                name: "search".to_owned()
            },
            ModelEvent::ToolArgumentsDelta {
                index: 0,
                delta: "{\"q\": 1}".to_owned()
            },
        ]
    );
    let refusal = bench
        .ask("refuse")
        .await
        .expect("answered")
        .refusal
        .expect("refused");
    assert_eq!((refusal.code.as_str(), refusal.recoverable), ("busy", true));
    assert_eq!(bench.pool.totals().spawned, 1, "a refusal ends no worker");
}

#[tokio::test]
async fn a_handler_may_ask_more_than_once() {
    if !has_python() {
        return;
    }
    let bench = bench(
        python("\nfor frame in requests():\n    done(frame, frame['id'] + ' ')\n"),
        one_worker(),
    );
    assert_eq!(bench.ask("twice").await.expect("answered").text, "1.1 1.2 ");
}

#[tokio::test]
async fn a_program_that_ends_after_each_answer_is_started_for_each() {
    if !has_python() {
        return;
    }
    let bench = bench(
        python("\nfor frame in requests():\n    done(frame, frame['text'])\n    sys.exit(0)\n"),
        one_worker(),
    );
    assert_eq!(bench.ask("good").await.expect("answered").text, "good");
    assert_eq!(
        bench.ask("twice").await.expect("both answered").text,
        "twicetwice"
    );
    bench.serves().await;
}

#[tokio::test]
async fn heartbeats_keep_a_long_answer_alive_and_silence_ends_it() {
    if !has_python() {
        return;
    }
    // Beats each time the test touches a file, so that the pool's time and the child's are one.
    let (mut bench, clock) = manual_bench(
        python(
            "
for frame in requests():
    say(type='text_delta', id=frame['id'], text=str(os.getpid()))
    beats = 0
    while True:
        if os.path.exists(f'beat{beats}'):
            beats += 1
            say(type='heartbeat')
        time.sleep(0.002)
",
        ),
        ConcurrencyConfig {
            worker_timeout: Duration::from_secs(3_600),
            ..one_worker()
        },
    );
    let ticket = bench.submit("work");
    let pid: i32 = bench.text().await.parse().expect("a number");
    for beat in 0..3 {
        pass(&clock, 50).await;
        std::fs::write(bench.directory.path().join(format!("beat{beat}")), "").expect("written");
        loop_until(|| (bench.pool.workers().first()?.silent_ms? == 0).then_some(())).await;
    }
    assert_eq!(
        bench.pool.workers()[0].state,
        WorkerState::Busy,
        "150 s of work, but beating"
    );
    pass(&clock, 59).await;
    assert_eq!(bench.pool.workers()[0].state, WorkerState::Busy);
    pass(&clock, 2).await;
    assert!(matches!(within(ticket).await, Err(RequestError::Stuck(_))));
    gone(pid).await;
}

#[tokio::test]
async fn a_cancelled_answer_is_called_off_and_the_child_lives_on() {
    if !has_python() {
        return;
    }
    let mut bench = bench(
        python(
            "
for line in sys.stdin:
    frame = json.loads(line)
    if frame['type'] == 'cancel':
        say(type='done', id=frame['id'])
    elif 'wait' in line:
        say(type='text_delta', id=frame['id'], text='begun')
    else:
        done(frame, 'good')
",
        ),
        one_worker(),
    );
    let ticket = bench.submit("wait");
    assert_eq!(bench.text().await, "begun");
    ticket.canceller().cancel();
    let said = within(ticket).await.expect("the handler ended it");
    assert_eq!((said.text.as_str(), said.ended), ("begun", false));
    bench.serves().await;
    assert_eq!(bench.pool.totals().spawned, 1);
}

#[tokio::test]
async fn a_child_that_ignores_a_cancellation_is_replaced_and_the_next_request_unharmed() {
    if !has_python() {
        return;
    }
    let mut bench = bench_with(
        python(
            "
for frame in requests():
    if frame['text'] == 'wait':
        say(type='text_delta', id=frame['id'], text=str(os.getpid()))
        time.sleep(600)
    done(frame, frame['text'])
",
        ),
        one_worker(),
        Arc::new(openclaw_system::SystemClock::new()),
        |config| config.cancel_grace = Duration::from_millis(50),
    );
    let ticket = bench.submit("wait");
    let pid: i32 = bench.text().await.parse().expect("a number");
    let next = bench.submit("good");
    ticket.canceller().cancel();
    assert!(within(ticket).await.is_ok());
    assert_eq!(within(next).await.expect("answered").text, "good");
    assert!(!exists(pid), "it was ended and reaped");
    assert_eq!(bench.pool.totals().crashed, 0);
}

#[tokio::test]
async fn a_retired_worker_is_asked_to_end_and_takes_its_time_to_tidy_up() {
    if !has_python() {
        return;
    }
    let bench = bench(
        python(
            "
def tidy(*_):
    open('tidied', 'w').write('1\\n')
    sys.exit(0)
signal.signal(signal.SIGTERM, tidy)
for frame in requests():
    done(frame, str(os.getpid()))
",
        ),
        one_worker(),
    );
    let pid: i32 = bench
        .ask("who")
        .await
        .expect("answered")
        .text
        .parse()
        .expect("a number");
    let worker = bench.pool.workers()[0].id;
    bench.pool.recycle(worker).expect("idle");
    assert_eq!(bench.number("tidied").await, 1);
    loop_until(|| (!exists(pid)).then_some(())).await;
    assert!(bench.ask("who").await.is_ok());
}

#[tokio::test]
async fn memory_is_the_resident_set_of_the_child_and_those_it_forked() {
    if !has_python() || !cfg!(target_os = "linux") {
        return;
    }
    let bench = bench(
        python(
            "
for frame in requests():
    code = 'x = b\"x\" * (80 << 20); print(1, flush=True); import time; time.sleep(600)'
    other = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)
    other.stdout.readline()
    done(frame, frame['text'])
",
        ),
        one_worker(),
    );
    bench.serves().await;
    loop_until(|| match bench.pool.workers().first()?.memory {
        MemoryInUse::Megabytes(used) if used >= 80 => Some(()),
        MemoryInUse::Megabytes(_) | MemoryInUse::Shared | MemoryInUse::Unreadable => None,
    })
    .await;
}

#[tokio::test]
async fn a_child_gets_its_own_environment_and_nothing_of_the_servers_secrets() {
    let mut command =
        shell("read line; echo \"$(env | cut -d= -f1 | tr '\\n' ' ')\" > names; echo 1 > written; read line");
    command.environment.push(("GIVEN".to_owned(), "1".to_owned()));
    let bench = bench(command, one_worker());
    let _ticket = bench.submit("go");
    bench.number("written").await;
    let names = std::fs::read_to_string(bench.directory.path().join("names")).expect("written");
    assert!(names.contains("GIVEN") && names.contains("PATH"), "{names}");
    assert!(
        !names.contains("CARGO"),
        "the test's own environment must not pass: {names}"
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_is_refused_at_the_start() {
    let config = ProcessConfig {
        threads: 0,
        ..ProcessConfig::new(WorkerCommand::new("no-such-program-anywhere", [""; 0]))
    };
    let error = config.validate().expect_err("two faults");
    let fields: Vec<_> = error
        .violations
        .iter()
        .map(|fault| fault.field.as_str())
        .collect();
    assert_eq!(fields, ["command", "threads"]);
}

#[tokio::test]
async fn a_panic_of_the_handler_ends_the_worker_not_the_pool() {
    if !has_python() {
        return;
    }
    let bench = bench(python(ECHO), one_worker());
    let reply = bench.ask("panic").await;
    assert!(crash(&reply).contains("as the test wants it"), "{reply:?}");
    bench.serves().await;
}

#[tokio::test]
async fn workers_on_threads_of_their_own_end_with_the_runtime() {
    if !has_python() {
        return;
    }
    let clock: Arc<dyn openclaw_core::Clock> = Arc::new(openclaw_system::SystemClock::new());
    let runtime = openclaw_process_runtime::ProcessRuntime::new(
        ProcessConfig::new(python(
            "\nfor frame in requests():\n    done(frame, str(os.getpid()))\n",
        )),
        clock.clone(),
        |_: (), _, mut child: openclaw_process_runtime::ChildWorker| async move {
            use futures::StreamExt;
            let request = openclaw_process_runtime::WorkerRequest {
                messages: Vec::new(),
                max_output_tokens: 0,
            };
            let events: Vec<_> = child.ask(request).await.collect().await;
            match events.into_iter().next() {
                Some(Ok(ModelEvent::TextDelta(text))) => text.parse::<i32>().unwrap_or(0),
                _ => 0,
            }
        },
    )
    .expect("valid");
    let events = openclaw_core::EventContext::new(
        openclaw_core::InProcessEventBus::new(),
        clock.clone(),
        "concurrency",
    );
    let pool =
        openclaw_concurrency::WorkerPool::new(ConcurrencyConfig::default(), runtime, clock.clone(), events)
            .expect("valid");
    let submission = openclaw_concurrency::Submission::new((), "tenant", clock.monotonic());
    let pid = within(pool.submit(submission).expect("admitted"))
        .await
        .expect("answered");
    assert!(pid > 0 && exists(pid));
    drop(pool);
    gone(pid).await;
}

/// Looks until the failures are as wanted: a process's last words are read a moment after its end.
async fn once(bench: &Bench, wanted: impl Fn(&WorkerFailures) -> bool) -> WorkerFailures {
    let look = async {
        loop {
            let seen = bench.troubles.now();
            if wanted(&seen) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, look).await;
    seen.unwrap_or_else(|_| panic!("{:?}", bench.troubles.now()))
}

#[tokio::test]
async fn a_program_that_ends_at_once_is_counted_with_its_last_words() {
    let program = shell("echo first >&2; printf 'no module\\033[1m named x\\n\\n' >&2; exit 3");
    let bench = bench(program, one_worker());
    let seen = once(&bench, |seen| seen.total >= 2).await;
    assert_eq!(seen.in_a_row, seen.total);
    let last = seen.last.expect("one failed");
    assert_eq!(last.reason, "it exited with status 3");
    assert_eq!(last.last_line.as_deref(), Some("no module\\u{1b}[1m named x"));
    assert!(seen.since <= Some(last.at));
}

#[tokio::test]
async fn an_answer_ends_a_row_of_failures_and_an_end_after_one_is_none() {
    if !has_python() {
        return;
    }
    let program = python(
        "
if not os.path.exists('tried'):
    open('tried', 'w').close()
    sys.exit(1)
for frame in requests():
    done(frame, 'here')
    sys.exit(0)
",
    );
    let bench = bench(program, one_worker());
    once(&bench, |seen| seen.total == 1 && seen.in_a_row == 1).await;
    assert_eq!(bench.ask("a").await.expect("answered").text, "here");
    assert_eq!(bench.ask("b").await.expect("answered").text, "here");
    let seen = bench.troubles.now();
    assert_eq!((seen.total, seen.in_a_row, seen.since), (1, 0, None), "{seen:?}");
}
