//! The server is killed under load, again and again; the ledger must balance.

use crate::setup::{LONG, SECRET, World, without_limits, world};
use openclaw_testkit::{Answer, Content, Ledger};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const CHATS: i64 = 20;

/// What the fake platform shows, into the ledger.
fn read(world: &World, ledger: &Ledger) {
    for chat in 1..=CHATS {
        let state = world.telegram.chat(chat);
        for (number, message) in state.messages().enumerate() {
            ledger.reply(&chat.to_string(), number as u64, &message.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_kills_lose_nothing_that_was_acknowledged() {
    let mut world = world(|setup| {
        without_limits(setup)
            .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "8")
            .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "256")
            .env("OPENCLAW__SESSION__DEFAULT_TIER", "premium")
            .env("OPENCLAW__STREAMING__FLUSH_TIMEOUT_MS", "50")
    })
    .await;
    world.provider.answer_with(|_| {
        Some(
            Answer::new(Content::Echo)
                .with_first_after(Duration::from_millis(60))
                .with_gap(Duration::from_millis(60)),
        )
    });
    let ledger = Arc::new(Ledger::new());
    // Updates whose delivery was not acknowledged are delivered again, as the platform does.
    let mut unacknowledged: Vec<(String, serde_json::Value)> = Vec::new();
    for round in 1..=3_u32 {
        for (nonce, update) in std::mem::take(&mut unacknowledged) {
            if world.telegram.deliver_update(&update).await.unwrap_or(0) == 200 {
                ledger.acknowledged(&nonce);
            } else {
                unacknowledged.push((nonce, update));
            }
        }
        for chat in 1..=CHATS {
            let message = ledger.message(&chat.to_string());
            let update = world.telegram.private_text(chat, &message.text);
            match world.telegram.deliver_update(&update).await {
                Ok(200) => ledger.acknowledged(&message.nonce),
                _ => unacknowledged.push((message.nonce, update)),
            }
        }
        // In the middle of the work, and far enough that what was interrupted before has been answered: an entry whose
        // turns crash three times is set aside, which is another promise. On a machine so busy that answers are quicker than
        // deliveries there is nothing left to be in the middle of.
        let all = u64::from(round) * CHATS.unsigned_abs();
        let begun = world.provider.stats().requests;
        let enough = if round == 1 { 6 } else { begun + 14 };
        world
            .provider
            .wait_until(LONG, |stats| {
                stats.requests >= enough || (stats.requests >= all && stats.in_flight == 0)
            })
            .await
            .unwrap();
        world.server.kill().await.unwrap();
        world.server.start_again().await.unwrap();
        world
            .telegram
            .set_webhook(&world.server.url("/webhook/telegram"), Some(SECRET));
    }
    for (nonce, update) in unacknowledged {
        assert_eq!(world.telegram.deliver_update(&update).await.unwrap(), 200);
        ledger.acknowledged(&nonce);
    }
    let waited = tokio::time::timeout(2 * LONG, async {
        loop {
            // Counted before it is read: what comes in between is waited for no more.
            let count = world.telegram.calls().len();
            read(&world, &ledger);
            if ledger.open() == 0 {
                return;
            }
            world
                .telegram
                .wait_for(|state| state.calls.len() > count, LONG)
                .await
                .ok();
        }
    })
    .await;
    let report = ledger.report();
    assert!(waited.is_ok(), "{report:#?}\n{}", world.server.log());
    assert_eq!(report.lost, Vec::<String>::new());
    assert_eq!(report.wrong_chat, Vec::<String>::new());
    assert_eq!(report.unknown, Vec::<String>::new());
    assert_eq!(report.out_of_order, Vec::<String>::new());
    // Only a send that was under way at a kill can be doubled: at most one per worker and kill.
    assert!(report.doubled.len() <= 3 * 8, "{report:#?}");
    let shown: HashMap<i64, usize> = (1..=CHATS)
        .map(|chat| (chat, world.telegram.chat(chat).texts().len()))
        .collect();
    assert!(shown.values().all(|count| *count >= 3), "{shown:?}");
}
