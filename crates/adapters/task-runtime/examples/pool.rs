//! A pool with priorities on the task runtime: three tenants ask at once, one worker answers, and the metrics tell.

#![expect(clippy::print_stdout, reason = "it is there to be read")]

use openclaw_concurrency::{ConcurrencyConfig, Priority, Submission, WorkerPool};
use openclaw_core::{Clock, EventContext, InProcessEventBus};
use openclaw_system::SystemClock;
use openclaw_task_runtime::{TaskRuntime, TaskRuntimeConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let events = EventContext::new(InProcessEventBus::new(), Arc::clone(&clock), "concurrency");

    // What a worker does with a request: here it numbers the answers in the order they were given.
    let served = Arc::new(AtomicUsize::new(0));
    let handler = move |question: String, _context| {
        let turn = served.fetch_add(1, Ordering::Relaxed) + 1;
        async move { format!("{turn}. {question}") }
    };
    let runtime = TaskRuntime::new(TaskRuntimeConfig::default(), Arc::clone(&clock), handler)?;
    let config = ConcurrencyConfig {
        max_workers: 1,
        ..ConcurrencyConfig::default()
    };
    let pool = WorkerPool::new(config, runtime, Arc::clone(&clock), events)?;

    // Nothing is handed out until all have asked, so that the order of service can be seen.
    pool.pause();
    let mut tickets = Vec::new();
    for (tenant, priority) in [
        ("ann", Priority::Low),
        ("bob", Priority::Normal),
        ("eve", Priority::Critical),
    ] {
        let mut submission = Submission::new(format!("{tenant}, {priority}"), tenant, clock.monotonic());
        submission.priority = priority;
        tickets.push(pool.submit(submission)?);
    }
    println!("waiting: {}", pool.metrics().queue_depth);
    pool.resume();
    for ticket in tickets {
        println!("{}", ticket.await?);
    }

    let metrics = pool.metrics();
    println!("processed: {}", metrics.total_processed);
    println!("errors: {}", metrics.total_errors);
    println!("level: {:.2}", metrics.backpressure_level);
    let report = pool.shutdown(Duration::from_secs(25)).await;
    println!("returned: {}", report.returned.len());
    Ok(())
}
