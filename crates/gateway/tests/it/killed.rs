//! A worker that is killed in the moment in which the end of its turn has become durable.

use crate::faults::until;
use crate::faulty_store::FaultyStore;
use crate::world::World;
use openclaw_ai_fabric::TokenBudget;
use openclaw_concurrency::WorkerState;
use openclaw_gateway::ports::TurnStore;
use openclaw_memory::MemoryStore;
use openclaw_system::SystemClock;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Somebody who looks at all budgets and takes their time: meanwhile nobody else comes to them.
struct Onlooker {
    looks: Sender<()>,
    has_seen: Receiver<()>,
}

impl fmt::Write for Onlooker {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The name of a field of what the lock guards.
        if text.contains("by_name") {
            self.looks.send(()).unwrap();
            self.has_seen.recv().unwrap();
        }
        Ok(())
    }
}

/// Stops everybody who wants something of the budgets, until what is returned is sent something.
fn look_at(budget: &Arc<TokenBudget>) -> Sender<()> {
    let (looks, looking) = channel();
    let (enough, has_seen) = channel();
    let budget = Arc::clone(budget);
    std::thread::spawn(move || write!(Onlooker { looks, has_seen }, "{budget:?}").unwrap());
    looking.recv().unwrap();
    enough
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_turn_whose_worker_is_killed_as_it_ends_is_told_to_the_next() {
    let memory = Arc::new(MemoryStore::new());
    let store = FaultyStore::new(Arc::clone(&memory));
    let turns = Arc::clone(&store) as Arc<dyn TurnStore>;
    let world = World::on(memory, turns, Arc::new(SystemClock::new()), |config| {
        config.store_texts = false;
    })
    .await;
    let gateway = &world.gateway;
    store.hold("commit_turn");
    world.say("1", "first").await;
    until("the first turn ends", async || store.is_held("commit_turn")).await;
    world.say("1", "second").await;
    // What follows the end in the store goes no further than to the budgets.
    let enough = look_at(&world.budget);
    store.let_go("commit_turn");
    until("the end is in the store", async || {
        store.open_entries(None, 9).await.unwrap().len() == 1
    })
    .await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let workers = gateway.pool().workers();
    let busy = workers.iter().find(|worker| worker.state == WorkerState::Busy);
    gateway.pool().kill(busy.unwrap().id).unwrap();
    for _ in 0..100_000 {
        if gateway.waiting_entries() == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    // Here the second turn reads the conversation, if it may.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    enough.send(()).unwrap();
    world.messenger.shows("1", &["echo: first", "echo: second"]).await;
    let told = world.model.asked.lock()[1].messages.len();
    assert_eq!(told, 3, "the first question, its answer, and the second");
}
