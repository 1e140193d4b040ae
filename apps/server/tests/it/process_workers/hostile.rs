//! Workers that do what they must not, behind the real server. Each costs the requests it works on and nobody else's, is
//! replaced, and leaves no process.

use super::{admin, complete, data, native, worker_world};
use crate::setup::LONG;
use openclaw_testkit::ServerSetup;
use std::path::Path;
use std::time::Duration;

const BROKEN: &str = "Something went wrong while your request was being answered. Please try again.";
const TOO_LONG: &str =
    "Sorry, the answer took too long and was stopped. Please try again or ask for less at once.";

/// What one misdeed is answered with.
struct Expected {
    /// The error's own code, as the native API has it.
    code: &'static str,
    /// The status on `/v1`, and the code there.
    status: u16,
    openai: &'static str,
    /// The words in a chat.
    words: &'static str,
    /// Processes one misdeed has.
    processes: usize,
}

/// The processes the worker has noted, once there are so many of them.
pub(super) async fn noted(directory: &Path, count: usize) -> Vec<i32> {
    let path = directory.join("hostile");
    let look = async {
        loop {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let pids: Vec<i32> = text
                .split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n')?.parse().ok())
                .collect();
            if pids.len() >= count {
                return pids;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, look).await.expect("the worker began")
}

/// Waits until the processes are gone. One whose parent has ended is reaped by somebody else, in their time.
pub(super) async fn gone(pids: &[i32]) {
    let look = async {
        for pid in pids {
            let stat = format!("/proc/{pid}/stat");
            while std::fs::read_to_string(&stat).is_ok_and(|stat| {
                !stat
                    .rsplit(')')
                    .next()
                    .unwrap_or_default()
                    .trim_start()
                    .starts_with('Z')
            }) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    if tokio::time::timeout(LONG, look).await.is_err() {
        let alive: Vec<_> = pids
            .iter()
            .filter(|pid| Path::new(&format!("/proc/{pid}")).exists())
            .collect();
        panic!("still there: {alive:?}");
    }
}

/// Three people are answered by a misbehaving worker each, on three surfaces at once, while a fourth is served.
async fn misbehaves(command: &str, change: impl FnOnce(ServerSetup) -> ServerSetup, expected: Expected) {
    let Some((world, directory)) = worker_world(|setup| {
        change(
            setup
                .env("OPENCLAW__CONCURRENCY__MIN_WORKERS", "4")
                .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "4")
                .env("OPENCLAW__CONCURRENCY__BACKPRESSURE_THRESHOLD", "1"),
        )
    })
    .await
    else {
        return;
    };
    assert_eq!(world.say(1, command).await, 200);
    let others = async {
        noted(directory.path(), 1).await;
        for _ in 0..3 {
            assert_eq!(world.say(2, "good").await, 200);
        }
        world
            .telegram
            .wait_for(|state| state.chat(2).texts().len() == 3, LONG)
            .await
            .expect("others are served");
    };
    let (on_v1, events, ()) = tokio::join!(
        complete(&world.server, command),
        native(&world.server, command),
        others
    );
    assert_eq!(on_v1.status, expected.status, "{}", on_v1.text());
    assert_eq!(
        on_v1.json().unwrap()["error"]["code"],
        expected.openai,
        "{}",
        on_v1.text()
    );
    let end = events.last().unwrap();
    let problem = data(end)["problem"].clone();
    assert_eq!(
        (end.event.as_str(), &problem["code"]),
        ("turn.failed", &expected.code.into())
    );
    assert_eq!(problem["recoverable"], true, "{problem}");
    world.hears(1, expected.words).await;
    assert_eq!(
        world.telegram.chat(1).texts(),
        [expected.words],
        "the words stand in the place of half an answer"
    );

    let log = world.server.log();
    let lost: Vec<&str> = log
        .lines()
        .filter(|line| {
            ["a worker is gone", "its worker is killed", "it is killed"]
                .iter()
                .any(|words| line.contains(words))
        })
        .collect();
    assert!(lost.len() >= 3, "{log}");
    for line in lost {
        assert!(line.contains("\"correlationId\":\""), "{line}");
    }

    let pids = noted(directory.path(), 3 * expected.processes).await;
    gone(&pids).await;
    assert_eq!(world.say(1, "good").await, 200);
    world.hears(1, "worker: good").await;
    // The three are replaced, and nothing of them is left.
    let whole = async {
        loop {
            let list = admin(&world.server, "workers?state=idle").await;
            if list["workers"].as_array().unwrap().len() == 4 {
                return list;
            }
        }
    };
    let list = tokio::time::timeout(LONG, whole)
        .await
        .expect("the pool is whole again");
    assert_eq!(list["abandoned"], 0, "{list}");
}

#[tokio::test]
async fn one_that_leaks_is_ended_at_the_hard_limit() {
    misbehaves(
        "leak",
        |setup| setup.env("OPENCLAW__CONCURRENCY__MEMORY_LIMIT_MB", "40"),
        Expected {
            code: "WORKER_OUT_OF_MEMORY",
            status: 500,
            openai: "internal_error",
            words: BROKEN,
            processes: 1,
        },
    )
    .await;
}

#[tokio::test]
async fn one_that_ignores_sigterm_ends_when_its_time_is_over() {
    misbehaves(
        "deaf",
        |setup| setup.env("OPENCLAW__CONCURRENCY__WORKER_TIMEOUT_MS", "5000"),
        Expected {
            code: "WORKER_TIMEOUT",
            status: 504,
            openai: "timeout",
            words: TOO_LONG,
            processes: 1,
        },
    )
    .await;
}

#[tokio::test]
async fn one_that_writes_garbage_is_not_listened_to() {
    misbehaves("garbage", |setup| setup, crashed(1)).await;
}

#[tokio::test]
async fn one_that_exits_in_the_middle_costs_its_answer() {
    misbehaves("exit", |setup| setup, crashed(1)).await;
}

#[tokio::test]
async fn what_one_has_forked_ends_with_it() {
    misbehaves("fork", |setup| setup, crashed(4)).await;
}

fn crashed(processes: usize) -> Expected {
    Expected {
        code: "WORKER_CRASHED",
        status: 500,
        openai: "internal_error",
        words: BROKEN,
        processes,
    }
}

#[tokio::test]
async fn one_that_falls_silent_is_stuck() {
    misbehaves(
        "stop",
        |setup| {
            setup
                .env("OPENCLAW__CONCURRENCY__HEARTBEAT_INTERVAL_MS", "500")
                .env("OPENCLAW__CONCURRENCY__STUCK_THRESHOLD_MS", "4000")
        },
        Expected {
            code: "WORKER_STUCK",
            status: 500,
            openai: "internal_error",
            words: BROKEN,
            processes: 2,
        },
    )
    .await;
}
