//! What is left in memory of people who were served and have gone.

use crate::world::World;
use openclaw_core::Clock;
use openclaw_core::testing::ManualClock;
use openclaw_gateway::ports::TurnStore;
use openclaw_memory::MemoryStore;
use std::sync::Arc;
use std::time::Duration;

const PEOPLE: usize = 1_500;
/// Less than a table that has held all of them would keep.
const LITTLE: usize = 1_000;

/// Moves the clock on in small steps, and lets everything that is due happen after each.
pub(crate) async fn pass(clock: &ManualClock, time: Duration, step: Duration) {
    let mut passed = Duration::ZERO;
    while passed < time {
        clock.advance(step);
        passed += step;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn sessions_that_have_ended_leave_no_entry_and_no_room_in_any_table() {
    let store = Arc::new(MemoryStore::new());
    let clock = ManualClock::new();
    let world = World::on(
        Arc::clone(&store),
        Arc::clone(&store) as Arc<dyn TurnStore>,
        Arc::clone(&clock) as Arc<dyn Clock>,
        |_| {},
    )
    .await;
    let mut most = [0; 2];
    for person in 0..PEOPLE {
        world.say(&person.to_string(), "hello").await;
        if person % 3 == 0 {
            // The bot may say thirty things a second.
            pass(&clock, Duration::from_millis(100), Duration::from_millis(100)).await;
        }
        let held = world.gateway.remembered();
        most = [
            most[0].max(held.accounts.room),
            most[1].max(held.paced_chats.room),
        ];
    }
    while world.gateway.open_entries() > 0 {
        pass(&clock, Duration::from_secs(1), Duration::from_millis(100)).await;
    }
    assert!(most[0] > LITTLE, "{most:?}: more than is kept was needed");

    // Sessions end after an hour; what is idle is looked for twice a minute.
    pass(&clock, Duration::from_secs(3_600 + 180), Duration::from_secs(5)).await;
    for (table, held) in world.gateway.remembered().tables() {
        assert_eq!(held.entries, 0, "{table}");
        assert!(held.room < LITTLE, "{table} has room for {}", held.room);
    }
    assert_eq!(
        world.model.asked.lock().len(),
        PEOPLE,
        "everybody was answered, once"
    );
    world.gateway.shut_down(Duration::ZERO).await;
}
