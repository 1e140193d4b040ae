//! One enqueue and one dequeue with the queue kept at a size, ten entries per tenant.
//!
//! The peers know priorities only: no turns of tenants, no keys, no ages, no way to take an entry out.

use crate::{Case, sizes};
use openclaw_concurrency::{Dequeued, PriorityScheduler, Submission};
use openclaw_core::Monotonic;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
const PER_TENANT: usize = 10;
/// A priority as the peers know it: a number.
const NORMAL: u8 = 1;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in sizes(SIZES) {
        cases.push(Case::new(
            format!("scheduler_enqueue_dequeue/{size}"),
            move || scheduler(size, false),
        ));
        // As the gateway uses it: a tenant's work is its own key, and has a deadline.
        cases.push(Case::new(
            format!("scheduler_enqueue_dequeue_release/{size}"),
            move || scheduler(size, true),
        ));
        cases.push(Case::new(
            format!("scheduler_peer_semaphore_heap/{size}"),
            move || heap(size),
        ));
        cases.push(Case::new(
            format!("scheduler_peer_async_priority_channel/{size}"),
            move || channel(size),
        ));
    }
    cases
}

/// Tenants in an order that has nothing to do with where they lie in memory.
struct Tenants(Vec<Arc<str>>);

impl Tenants {
    fn new(size: usize) -> Self {
        let names = (0..size / PER_TENANT).map(|n| Arc::from(format!("telegram:{n}:{n}")));
        Self(names.collect())
    }

    fn of(&self, n: usize) -> Arc<str> {
        Arc::clone(&self.0[n.wrapping_mul(7_919) % self.0.len()])
    }
}

fn scheduler(size: usize, keyed: bool) -> impl FnMut() {
    let tenants = Tenants::new(size);
    let submission = move |n: usize| {
        let tenant = tenants.of(n);
        let accepted = Monotonic::from_origin(Duration::from_micros(n as u64 * 100));
        let mut submission = Submission::new(n, Arc::clone(&tenant), accepted);
        if keyed {
            submission.exclusive = Some(tenant);
            submission.deadline = Some(accepted + Duration::from_secs(600));
        }
        submission
    };
    let mut scheduler = PriorityScheduler::new(2_000_000, Duration::from_secs(30_000));
    for n in 0..size {
        scheduler.enqueue(submission(n)).expect("there is room");
    }
    let mut n = size;
    move || {
        n += 1;
        scheduler.enqueue(submission(n)).expect("there is room");
        let served = scheduler.dequeue(Monotonic::ZERO);
        if keyed && let Some(Dequeued::Ready(entry)) = &served {
            scheduler.release(&entry.submission.tenant);
        }
        black_box(served);
    }
}

fn heap(size: usize) -> impl FnMut() {
    let tenants = Tenants::new(size);
    let queue = Mutex::new(BinaryHeap::new());
    let waiting = Semaphore::new(0);
    let mut n = 0;
    let mut enqueue = move |queue: &Mutex<BinaryHeap<_>>, waiting: &Semaphore| {
        n += 1;
        let entry = (NORMAL, Reverse(n), tenants.of(n));
        queue.lock().push(entry);
        waiting.add_permits(1);
    };
    for _ in 0..size {
        enqueue(&queue, &waiting);
    }
    move || {
        enqueue(&queue, &waiting);
        waiting.try_acquire().expect("one waits").forget();
        black_box(queue.lock().pop());
    }
}

fn channel(size: usize) -> impl FnMut() {
    let tenants = Tenants::new(size);
    let (sender, receiver) = async_priority_channel::bounded(2_000_000);
    let mut n = 0;
    let mut enqueue = move || {
        n += 1;
        let sent = sender.try_send((n, tenants.of(n)), NORMAL);
        sent.expect("there is room");
    };
    for _ in 0..size {
        enqueue();
    }
    move || {
        enqueue();
        black_box(receiver.try_recv().expect("one waits"));
    }
}
