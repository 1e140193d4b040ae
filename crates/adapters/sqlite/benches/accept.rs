//! How many messages a second are accepted durably, with 64 callers waiting at any time, and how long a large store
//! takes to open.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use openclaw_core::Timestamp;
use openclaw_gateway::contract::entry_from;
use openclaw_gateway::ports::TurnStore;
use openclaw_sqlite::{SqliteOptions, SqliteStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const IN_FLIGHT: u64 = 64;

fn accept(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path(), SqliteOptions::default(), Timestamp::from_millis(0));
    let store = Arc::new(store.expect("a store"));
    let next = Arc::new(AtomicU64::new(0));
    let mut group = criterion.benchmark_group("accept");
    group.throughput(Throughput::Elements(1));
    group.measurement_time(Duration::from_secs(4)).sample_size(10);
    group.bench_function("64 in flight", |bencher| {
        bencher.to_async(&runtime).iter_custom(|count| {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            async move {
                let start = Instant::now();
                let last = next.load(Ordering::Relaxed) + count;
                let callers: Vec<_> = (0..IN_FLIGHT)
                    .map(|_| {
                        let (store, next) = (Arc::clone(&store), Arc::clone(&next));
                        tokio::spawn(async move {
                            loop {
                                let number = next.fetch_add(1, Ordering::Relaxed);
                                if number >= last {
                                    return;
                                }
                                let user = (number % 1_000).to_string();
                                let entry =
                                    entry_from(&user, &format!("b{number}"), Timestamp::from_millis(1));
                                store.accept(vec![entry]).await.expect("accepted");
                            }
                        })
                    })
                    .collect();
                for caller in callers {
                    caller.await.expect("a caller");
                }
                start.elapsed()
            }
        });
    });
    group.finish();
}

/// Every tenant has a message that waits.
fn open(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("open");
    group.sample_size(10);
    for tenants in [1_000_u64, 10_000, 100_000] {
        let dir = tempfile::tempdir().expect("a directory");
        let start = || SqliteStore::open(dir.path(), SqliteOptions::default(), Timestamp::from_millis(0));
        let store = start().expect("a store");
        for first in (0..tenants).step_by(1_000) {
            let entries = (first..first + 1_000)
                .map(|user| entry_from(&user.to_string(), &format!("o{user}"), Timestamp::from_millis(1)));
            runtime
                .block_on(store.accept(entries.collect()))
                .expect("accepted");
        }
        drop(store);
        group.bench_function(format!("{tenants} tenants"), |bencher| {
            bencher.iter_custom(|count| {
                (0..count).fold(Duration::ZERO, |sum, _| {
                    let begun = Instant::now();
                    let store = start().expect("a store");
                    let took = begun.elapsed();
                    assert_eq!(store.recovery().open_entries, tenants);
                    sum + took
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, accept, open);
criterion_main!(benches);
