//! Many children, one after the other: nothing of them stays.

use crate::support::*;
use openclaw_concurrency::ConcurrencyConfig;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A worker in a few lines of shell: a process costs about a millisecond.
const ECHO: &str = r#"
while read -r line; do
    case $line in
        *exit*) exit 3 ;;
        *garbage*) echo garbage; sleep 600 ;;
        *hang*) sleep 600 ;;
    esac
    id=${line#*\"id\":\"}
    printf '{"type":"text_delta","id":"%s","text":"good"}\n{"type":"done","id":"%s"}\n' "${id%%\"*}" "${id%%\"*}"
done
"#;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// What this process has resident.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kb.expect("Linux says")
}

/// Children of this process, zombies included.
fn children() -> usize {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .expect("Linux")
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)? == own;
            parent.then_some(())
        })
        .count()
}

#[tokio::test]
async fn a_thousand_recycled_workers_leave_no_zombie_no_descriptor_and_no_memory() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let config = ConcurrencyConfig {
        max_requests_per_worker: 1,
        max_workers: 2,
        backpressure_threshold: 1.0,
        ..ConcurrencyConfig::default()
    };
    let bench = bench_with(
        shell(ECHO),
        config,
        Arc::new(openclaw_system::SystemClock::new()),
        |config| {
            config.stop_grace = Duration::from_secs(30);
        },
    );
    bench.serves().await;
    let settled = || (children() <= 1).then_some(());
    loop_until(settled).await;
    let before = descriptors();
    let mut warm_kb = 0;
    for round in 0..1_000 {
        if round == 200 {
            warm_kb = resident_kb();
        }
        match round % 10 {
            7 => drop(bench.ask("exit").await.expect_err("it exits")),
            8 => drop(bench.ask("garbage").await.expect_err("garbage")),
            9 => {
                let ticket = bench.submit("hang");
                let busy = loop_until(|| {
                    let workers = bench.pool.workers();
                    workers
                        .iter()
                        .find(|worker| worker.running_ms.is_some())
                        .map(|worker| worker.id)
                })
                .await;
                bench.pool.kill(busy).expect("busy");
                drop(within(ticket).await.expect_err("killed"));
            }
            _ => bench.serves().await,
        }
    }
    assert!(bench.pool.totals().spawned >= 1_000);
    loop_until(settled).await;
    loop_until(|| (descriptors() <= before + 4).then_some(())).await;
    let grown_kb = resident_kb().saturating_sub(warm_kb);
    assert!(grown_kb < 8 * 1024, "800 workers left {grown_kb} kB");
    let pool = bench.pool.clone();
    drop(pool.shutdown(Duration::ZERO).await);
    loop_until(|| (children() == 0).then_some(())).await;
    assert_eq!(bench.runtime.abandoned(), 0);
}
