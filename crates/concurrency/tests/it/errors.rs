//! What errors say: a code for programs, whether to try again, words for people in both languages.

use openclaw_concurrency::{
    AcquireError, BackpressureError, Priority, QueueFullError, RecycleReason, Refusal, RefusalReason,
    RequestError, SubmitError, WorkerId, WorkerOutOfMemoryError, WorkerState, WorkerStuckError,
    WorkerTimeoutError,
};
use openclaw_core::{CodedError, Language};
use std::collections::HashSet;
use std::time::Duration;

const WORKER: WorkerId = WorkerId::new(7);
const SECOND: Duration = Duration::from_secs(1);

fn backpressure(reason: RefusalReason) -> BackpressureError {
    BackpressureError {
        level: 0.715_625,
        retry_after: SECOND,
        reason,
    }
}

const FULL: QueueFullError = QueueFullError { size: 32, limit: 32 };

fn ends() -> Vec<RequestError> {
    vec![
        RequestError::Timeout(WorkerTimeoutError {
            worker: WORKER,
            limit: SECOND,
        }),
        RequestError::Stuck(WorkerStuckError {
            worker: WORKER,
            silent_for: SECOND,
        }),
        RequestError::OutOfMemory(WorkerOutOfMemoryError {
            worker: WORKER,
            limit_mb: 512,
        }),
        RequestError::Crashed {
            worker: WORKER,
            reason: "exit status 3".to_owned(),
        },
        RequestError::Killed { worker: WORKER },
        RequestError::Expired { waited: SECOND },
        RequestError::Cancelled,
        RequestError::ShuttingDown,
    ]
}

/// Code, log line, whether to try again, when, and words in both languages that are words.
#[track_caller]
fn check(error: &dyn CodedError, code: &str, log: &str, recoverable: bool, retry_after: Option<Duration>) {
    assert_eq!(error.code(), code);
    assert_eq!(error.to_string(), log);
    assert_eq!(error.recoverable(), recoverable, "{code}");
    assert_eq!(error.retry_after(), retry_after, "{code}");
    let (english, russian) = (error.user_message(Language::En), error.user_message(Language::Ru));
    assert!(
        english.ends_with('.') && english.is_ascii() && english.len() > 5,
        "{english}"
    );
    assert!(
        russian.ends_with('.') && russian.chars().any(|letter| ('а'..='я').contains(&letter)),
        "{russian}"
    );
}

#[test]
fn every_error_has_its_code_and_its_words() {
    let overloaded = backpressure(RefusalReason::Overloaded);
    let down = backpressure(RefusalReason::ShuttingDown);
    let overloaded_log = "the pool refuses new requests (overloaded) at level 0.7156";
    let down_log = "the pool refuses new requests (shutting_down) at level 0.7156";
    check(&overloaded, "BACKPRESSURE", overloaded_log, true, Some(SECOND));
    check(&down, "SHUTTING_DOWN", down_log, true, Some(SECOND));
    check(&FULL, "QUEUE_FULL", "the queue is full: 32 of 32", true, None);
    let (refused, full) = (Refusal::from(overloaded), Refusal::from(FULL));
    check(&refused, "BACKPRESSURE", overloaded_log, true, Some(SECOND));
    check(&full, "QUEUE_FULL", "the queue is full: 32 of 32", true, None);
    let expected = [
        ("WORKER_TIMEOUT", "worker 7 did not finish within 1000 ms", true),
        ("WORKER_STUCK", "worker 7 gave no sign of life for 1000 ms", true),
        ("WORKER_OUT_OF_MEMORY", "worker 7 used more than 512 MB", true),
        ("WORKER_CRASHED", "worker 7 crashed: exit status 3", true),
        ("WORKER_KILLED", "worker 7 was killed", true),
        (
            "REQUEST_EXPIRED",
            "the deadline passed after 1000 ms in the queue",
            true,
        ),
        ("REQUEST_CANCELLED", "the request was cancelled", false),
        (
            "SHUTTING_DOWN",
            "the pool shut down before the request ended",
            true,
        ),
    ];
    for (error, (code, log, recoverable)) in ends().iter().zip(expected) {
        check(error, code, log, recoverable, None);
    }
    let limit = 1024;
    let waits = [
        (
            AcquireError::Timeout { waited: SECOND },
            "SESSION_BUSY",
            "the session stayed locked for 1000 ms",
        ),
        (
            AcquireError::TooManyWaiters { limit },
            "SESSION_QUEUE_FULL",
            "1024 callers wait for the session already",
        ),
        (
            AcquireError::Unavailable,
            "LOCK_UNAVAILABLE",
            "the lock store is not available",
        ),
    ];
    for (error, code, log) in waits {
        check(&error, code, log, true, None);
    }
}

#[test]
fn a_refusal_is_told_in_the_words_of_its_cause() {
    for language in [Language::En, Language::Ru] {
        for reason in [RefusalReason::Overloaded, RefusalReason::ShuttingDown] {
            let cause = backpressure(reason);
            assert_eq!(
                Refusal::from(cause).user_message(language),
                cause.user_message(language)
            );
        }
        assert_eq!(
            Refusal::from(FULL).user_message(language),
            FULL.user_message(language)
        );
        // Who is told that the server restarts is told so whether the request was taken or not.
        assert_eq!(
            RequestError::ShuttingDown.user_message(language),
            backpressure(RefusalReason::ShuttingDown).user_message(language)
        );
        let distinct: HashSet<_> = ends().iter().map(|error| error.user_message(language)).collect();
        assert_eq!(
            distinct.len(),
            5,
            "out of time, lost with its worker, waited too long, stopped, restarting"
        );
    }
}

#[test]
fn a_refused_submission_is_not_printed() {
    let error = SubmitError {
        refusal: Refusal::from(FULL),
        submission: "a secret",
    };
    assert_eq!(
        format!("{error:?}"),
        "SubmitError { refusal: QueueFull(QueueFullError { size: 32, limit: 32 }), .. }"
    );
    assert_eq!(error.to_string(), "the submission was refused");
}

#[test]
fn names_in_events_lists_and_metrics() {
    let json = |value: serde_json::Value| value.as_str().expect("a word").to_owned();
    for (state, name) in WorkerState::ALL
        .into_iter()
        .zip(["idle", "busy", "draining", "stuck", "dead"])
    {
        assert_eq!((state.as_str(), state.to_string().as_str()), (name, name));
        assert_eq!(json(serde_json::to_value(state).expect("a name")), name);
    }
    let reasons = ["request_limit", "memory_limit", "manual", "scaled_down"];
    for (index, (reason, name)) in RecycleReason::ALL.into_iter().zip(reasons).enumerate() {
        assert_eq!((reason.as_str(), reason.index()), (name, index));
        assert_eq!(json(serde_json::to_value(reason).expect("a name")), name);
    }
    for (priority, name) in Priority::ALL
        .into_iter()
        .zip(["critical", "high", "normal", "low"])
    {
        assert_eq!((priority.as_str(), priority.to_string().as_str()), (name, name));
        assert_eq!(json(serde_json::to_value(priority).expect("a name")), name);
    }
    for (reason, name) in [
        (RefusalReason::Overloaded, "overloaded"),
        (RefusalReason::ShuttingDown, "shutting_down"),
    ] {
        assert_eq!((reason.as_str(), reason.to_string().as_str()), (name, name));
        assert_eq!(json(serde_json::to_value(reason).expect("a name")), name);
    }
    assert_eq!((WORKER.get(), WORKER.to_string().as_str()), (7, "7"));
}
