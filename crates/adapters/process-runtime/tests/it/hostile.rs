//! Children that do what they must not. Each costs its own request at most, and the next one is served.

use crate::support::*;
use openclaw_concurrency::{ConcurrencyConfig, RequestError, WorkerInfo, WorkerState};
use openclaw_core::Clock;
use openclaw_process_runtime::WorkerCommand;
use openclaw_system::SystemClock;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

/// A worker that is good on `good` and runs `bad` on everything else.
fn unless_good(bad: &str) -> WorkerCommand {
    python(&format!(
        "
for frame in requests():
    if frame['text'] == 'good':
        done(frame, 'good')
        continue
    {}
",
        bad.trim().replace('\n', "\n    ")
    ))
}

/// Runs one hostile request and a good one after it; gives the words of the crash.
async fn crashes(bad: &str) -> String {
    let bench = bench(unless_good(bad), one_worker());
    let reply = bench.ask("bad").await;
    let reason = crash(&reply).to_owned();
    bench.serves().await;
    assert_eq!(bench.pool.totals().crashed, 1);
    reason
}

#[track_caller]
fn check(reason: &str, expected: &str) {
    assert!(reason.contains(expected), "{reason:?} does not say {expected:?}");
}

#[tokio::test]
async fn garbage_ends_the_worker_and_its_words_stay_out_of_the_log() {
    if has_python() {
        let reason = crashes("print('Traceback: secret', flush=True)\ntime.sleep(600)").await;
        check(&reason, "not of the protocol: not JSON");
        assert!(!reason.contains("secret"), "{reason}");
    }
}

#[tokio::test]
async fn a_hundred_megabytes_of_garbage_are_not_read() {
    if has_python() {
        let reason = crashes("while True:\n    os.write(1, os.urandom(1 << 20))").await;
        assert!(
            reason.contains("not of the protocol") || reason.contains("longer than"),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_garbage() {
    if has_python() {
        let bad = r#"os.write(1, b'{"type":"heartbeat","x":"\xff"}\n')
time.sleep(600)"#;
        check(&crashes(bad).await, "not of the protocol");
    }
}

#[tokio::test]
async fn an_endless_line_is_cut_off() {
    if has_python() {
        let reason = crashes("while True:\n    os.write(1, b'x' * 65536)").await;
        check(&reason, "a line longer than 1048576 bytes");
    }
}

#[tokio::test]
async fn a_flood_of_valid_lines_is_a_fault() {
    if has_python() {
        let bad = r#"beats = b'{"type":"heartbeat"}\n' * 4096
while True:
    os.write(1, beats)"#;
        // In time that stands still, so that a slow machine makes no slow writer of it.
        let (bench, _clock) = manual_bench(unless_good(bad), one_worker());
        check(crash(&bench.ask("bad").await), "bytes a second");
        bench.serves().await;
    }
}

#[tokio::test]
async fn an_answer_without_end_is_a_fault() {
    if has_python() {
        let (mut process, command) = (
            0,
            unless_good("while True:\n    say(type='text_delta', id=frame['id'], text='x' * 900)"),
        );
        let bench = bench_with(command, one_worker(), Arc::new(SystemClock::new()), |config| {
            config.max_answer_bytes = 100_000;
            process = config.max_answer_bytes;
        });
        let reply = bench.ask("bad").await;
        check(crash(&reply), &format!("longer than {process} bytes"));
        bench.serves().await;
    }
}

#[tokio::test]
async fn an_answer_of_empty_pieces_without_end_is_a_fault() {
    if has_python() {
        let command = unless_good("while True:\n    say(type='text_delta', id=frame['id'], text='')");
        let bench = bench_with(command, one_worker(), Arc::new(SystemClock::new()), |config| {
            config.max_answer_bytes = 100_000;
        });
        let reply = bench.ask("bad").await;
        check(crash(&reply), "longer than 100000 bytes");
        bench.serves().await;
    }
}

#[tokio::test]
async fn a_flood_of_tool_calls_is_a_fault() {
    if has_python() {
        let reason =
            crashes("while True:\n    say(type='tool_use', id=frame['id'], callId='', name='')").await;
        check(&reason, "more than 128 tools");
    }
}

#[tokio::test]
async fn an_exit_in_the_middle_of_a_line_is_told_as_such() {
    if has_python() {
        let reason = crashes("os.write(1, b'{\"type\":\"text_')\nos._exit(3)").await;
        check(&reason, "exited with status 3 in the middle of a line");
    }
}

#[tokio::test]
async fn an_exit_without_an_answer_is_told_with_its_status() {
    if has_python() {
        check(&crashes("sys.exit(7)").await, "exited with status 7");
        check(
            &crashes("os.kill(os.getpid(), signal.SIGSEGV)").await,
            "signal 11",
        );
    }
}

#[tokio::test]
async fn one_that_closes_its_output_and_lives_on_is_ended() {
    if has_python() {
        check(
            &crashes("os.close(1)\ntime.sleep(600)").await,
            "closed its standard output",
        );
    }
}

#[tokio::test]
async fn one_that_closes_its_input_is_ended_when_it_is_written_to() {
    if has_python() {
        // The first answer is right; the next question cannot be delivered.
        let bench = bench(
            python("\nframe = next(requests())\nos.close(0)\ndone(frame, 'good')\ntime.sleep(600)\n"),
            one_worker(),
        );
        bench.serves().await;
        check(crash(&bench.ask("x").await), "closed its standard input");
        bench.serves().await;
    }
}

#[tokio::test]
async fn a_question_longer_than_the_pipe_reaches_a_child_that_reads_late() {
    if has_python() {
        let bench = bench(
            python(
                "\ntime.sleep(0.05)\nfor frame in requests():\n    done(frame, str(len(frame['text'])))\n",
            ),
            one_worker(),
        );
        let said = bench.ask(&"y".repeat(700_000)).await.expect("answered");
        assert_eq!(said.text, "700000");
    }
}

#[tokio::test]
async fn a_flood_of_standard_error_is_bounded_and_harms_nobody() {
    if has_python() {
        let bench = bench(
            unless_good("os.write(2, b'e' * 150_000 + b'\\n')\ndone(frame, 'told')"),
            one_worker(),
        );
        assert_eq!(bench.ask("bad").await.expect("answered").text, "told");
        bench.serves().await;
        assert_eq!(bench.pool.totals().spawned, 1);
    }
}

#[tokio::test]
async fn sigterm_is_ignored_in_vain() {
    if has_python() {
        let bench = bench_with(
            python(
                "
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for frame in requests():
    done(frame, str(os.getpid()))
while True:
    time.sleep(600)
",
            ),
            one_worker(),
            Arc::new(SystemClock::new()),
            |config| config.stop_grace = Duration::from_millis(50),
        );
        let pid: i32 = bench
            .ask("who")
            .await
            .expect("answered")
            .text
            .parse()
            .expect("a number");
        bench.pool.recycle(bench.pool.workers()[0].id).expect("idle");
        loop_until(|| (!exists(pid)).then_some(())).await;
    }
}

#[tokio::test]
async fn a_kill_ends_the_whole_group() {
    if has_python() {
        let mut bench = bench(
            python(
                "
for frame in requests():
    others = [subprocess.Popen(['sleep', '600']) for _ in range(3)]
    say(type='text_delta', id=frame['id'], text=' '.join(str(o.pid) for o in others) + f' {os.getpid()}')
    time.sleep(600)
",
            ),
            one_worker(),
        );
        let ticket = bench.submit("fork");
        let pids: Vec<i32> = bench
            .text()
            .await
            .split(' ')
            .map(|pid| pid.parse().expect("a number"))
            .collect();
        assert!(pids.len() == 4 && pids.iter().all(|pid| exists(*pid)));
        bench.pool.kill(bench.pool.workers()[0].id).expect("there");
        assert!(matches!(within(ticket).await, Err(RequestError::Killed { .. })));
        for pid in pids {
            gone(pid).await;
        }
        assert_eq!(bench.runtime.abandoned(), 0);
    }
}

#[tokio::test]
async fn what_a_child_forked_does_not_outlive_it_nor_hold_its_pipe_open() {
    if has_python() {
        let bench = bench(
            unless_good(
                "other = subprocess.Popen(['sleep', '600'])\nopen('other', 'w').write(f'{other.pid}\\n')\nsys.exit(4)",
            ),
            one_worker(),
        );
        check(crash(&bench.ask("bad").await), "exited with status 4");
        gone(bench.number("other").await).await;
        bench.serves().await;
    }
}

#[tokio::test]
async fn a_stopped_child_is_stuck_and_ended_with_its_group() {
    if has_python() {
        let (mut bench, clock) = manual_bench(
            python(
                "
for frame in requests():
    if frame['text'] == 'good':
        done(frame, 'good')
        continue
    other = subprocess.Popen(['sleep', '600'])
    say(type='text_delta', id=frame['id'], text=f'{os.getpid()} {other.pid}')
    os.killpg(0, signal.SIGSTOP)
",
            ),
            one_worker(),
        );
        let ticket = bench.submit("stop");
        let text = bench.text().await;
        let pids: Vec<i32> = text
            .split(' ')
            .map(|pid| pid.parse().expect("a number"))
            .collect();
        pass(&clock, 61).await;
        assert!(matches!(within(ticket).await, Err(RequestError::Stuck(_))));
        for pid in pids {
            gone(pid).await;
        }
        bench.serves().await;
    }
}

#[tokio::test]
async fn a_leak_is_drained_at_the_limit_and_ended_at_the_hard_one() {
    if has_python() && cfg!(target_os = "linux") {
        let config = ConcurrencyConfig {
            memory_limit_mb: 60,
            ..one_worker()
        };
        let bench = bench_with(
            unless_good(
                "leak = []\nwhile True:\n    leak.append(b'x' * (1 << 20))\n    time.sleep(0.005)\n    say(type='heartbeat')",
            ),
            config,
            Arc::new(SystemClock::new()),
            |config| config.memory_interval = Duration::from_millis(20),
        );
        let reply = bench.ask("bad").await;
        assert!(matches!(reply, Err(RequestError::OutOfMemory(_))), "{reply:?}");
        bench.serves().await;
        assert_eq!(bench.pool.totals().out_of_memory, 1);
    }
}

#[tokio::test]
async fn a_leak_that_stays_below_the_hard_limit_ends_with_the_time_of_its_request() {
    if has_python() && cfg!(target_os = "linux") {
        let config = ConcurrencyConfig {
            memory_limit_mb: 60,
            worker_timeout: Duration::from_secs(5),
            ..one_worker()
        };
        let (mut bench, clock) = manual_bench(
            unless_good(
                "leak = b'x' * (70 << 20)\nsay(type='text_delta', id=frame['id'], text='leaked')\ntime.sleep(600)",
            ),
            config,
        );
        let ticket = bench.submit("bad");
        assert_eq!(bench.text().await, "leaked");
        // The next look at its memory is due.
        pass(&clock, 1).await;
        loop_until(|| {
            bench.pool.keep_house();
            let draining = |worker: &WorkerInfo| worker.state == WorkerState::Draining;
            bench.pool.workers().iter().any(draining).then_some(())
        })
        .await;
        pass(&clock, 4).await;
        let reply = within(ticket).await;
        assert!(matches!(reply, Err(RequestError::Timeout(_))), "{reply:?}");
        bench.serves().await;
    }
}

#[tokio::test]
async fn a_leak_between_requests_is_recycled() {
    if has_python() && cfg!(target_os = "linux") {
        let config = ConcurrencyConfig {
            memory_limit_mb: 60,
            ..one_worker()
        };
        let bench = bench_with(
            unless_good("leak = b'x' * (70 << 20)\ndone(frame, 'leaked')"),
            config,
            Arc::new(SystemClock::new()),
            |config| config.memory_interval = Duration::from_millis(20),
        );
        assert_eq!(bench.ask("bad").await.expect("answered").text, "leaked");
        loop_until(|| {
            bench.pool.keep_house();
            (bench.pool.totals().recycled.iter().sum::<u64>() == 1).then_some(())
        })
        .await;
        bench.serves().await;
    }
}

#[tokio::test]
async fn an_allocation_far_beyond_the_limit_is_refused_by_the_kernel() {
    if has_python() && cfg!(target_os = "linux") {
        let config = ConcurrencyConfig {
            memory_limit_mb: 60,
            ..one_worker()
        };
        let bench = bench(
            unless_good("try:\n    x = bytearray(2 << 30)\nexcept MemoryError:\n    done(frame, 'refused')"),
            config,
        );
        assert_eq!(bench.ask("bad").await.expect("answered").text, "refused");
        bench.serves().await;
    }
}

/// Writes its answer for ever, whatever it is told.
const DEAF: &str = "say(type='text_delta', id=frame['id'], text=str(os.getpid()))
while True:
    say(type='heartbeat')
    time.sleep(0.005)";

#[tokio::test]
async fn a_child_that_does_not_leave_an_abandoned_answer_is_replaced_before_the_next_request() {
    if has_python() {
        let mut bench = bench_with(
            unless_good(DEAF),
            one_worker(),
            Arc::new(SystemClock::new()),
            |config| config.cancel_grace = Duration::from_millis(50),
        );
        let left = bench.ask("leave for a moment").await;
        assert!(left.is_ok(), "{left:?}");
        let pid: i32 = bench.text().await.parse().expect("a number");
        bench.serves().await;
        gone(pid).await;
    }
}

#[tokio::test]
async fn a_child_that_does_not_leave_an_abandoned_answer_costs_no_request() {
    if has_python() {
        let mut bench = bench_with(
            unless_good(DEAF),
            one_worker(),
            Arc::new(SystemClock::new()),
            |config| config.cancel_grace = Duration::from_millis(50),
        );
        let ticket = bench.submit("leave for good");
        let canceller = ticket.canceller();
        let pid: i32 = bench.text().await.parse().expect("a number");
        // It is replaced while the handler works on.
        gone(pid).await;
        canceller.cancel();
        let left = within(ticket).await;
        assert!(left.is_ok(), "{left:?}");
        bench.serves().await;
        assert_eq!(bench.pool.totals().crashed, 0);
    }
}

#[tokio::test]
async fn frames_of_other_questions_and_unknown_types_are_passed_over() {
    if has_python() {
        let bench = bench(
            unless_good(
                "done({'id': 'of another'}, 'not mine')\nsay(type='later', x=1)\nprint(flush=True)\ndone(frame, 'mine')",
            ),
            one_worker(),
        );
        assert_eq!(bench.ask("bad").await.expect("answered").text, "mine");
    }
}

#[tokio::test]
async fn others_are_served_while_one_misbehaves() {
    if has_python() {
        let config = ConcurrencyConfig {
            max_workers: 2,
            backpressure_threshold: 1.0,
            ..ConcurrencyConfig::default()
        };
        let mut bench = bench(
            unless_good("say(type='text_delta', id=frame['id'], text='hanging')\ntime.sleep(600)"),
            config,
        );
        let hanging = bench.submit("bad");
        assert_eq!(bench.text().await, "hanging");
        for _ in 0..3 {
            bench.serves().await;
        }
        drop(hanging);
    }
}

#[tokio::test]
async fn a_program_that_cannot_start_costs_one_request_and_no_storm() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // It may be run, but what it is to be run by is not there.
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("not-a-program");
    std::fs::write(&file, "#!/nowhere/interpreter\n").expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).expect("permitted");
    let bench = bench_with(WorkerCommand::new(&file, [""; 0]), one_worker(), clock, |_| {});
    loop_until(|| (bench.pool.totals().spawn_failures > 0).then_some(())).await;
    assert!(bench.pool.totals().spawned <= 2, "the pool backs off");
}
