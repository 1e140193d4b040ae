//! The server is killed at random moments while people write and the platform delivers twice.

use super::Seeded;
use crate::setup::{LONG, SECRET, World, without_limits, world};
use openclaw_testkit::fake_telegram::FakeTelegram;
use openclaw_testkit::{Answer, Content, Ledger};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CHATS: i64 = 12;

/// What the fake platform shows, into the ledger.
fn read(telegram: &FakeTelegram, ledger: &Ledger) {
    for chat in 1..=CHATS {
        for (number, message) in telegram.chat(chat).messages().enumerate() {
            ledger.reply(&chat.to_string(), number as u64, &message.text);
        }
    }
}

/// Every chat sends a message, and sends it again until it is acknowledged, as the platform does; now and then twice
/// at once. Between the kills everything goes on.
async fn storm(seed: u64, kills: u32) {
    let World {
        telegram,
        provider,
        mut server,
    } = world(|setup| {
        without_limits(setup)
            .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "8")
            .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "256")
            .env("OPENCLAW__SESSION__DEFAULT_TIER", "premium")
            .env("OPENCLAW__STREAMING__FLUSH_TIMEOUT_MS", "40")
            .env("OPENCLAW__SERVER__SHUTDOWN_GRACE_MS", "100")
            // What is set aside after three crashes is another promise.
            .env("OPENCLAW__INBOX__MAX_ATTEMPTS", "100")
    })
    .await;
    provider.answer_with(|_| {
        Some(
            Answer::new(Content::Echo)
                .with_first_after(Duration::from_millis(30))
                .with_gap(Duration::from_millis(30)),
        )
    });
    let mut chance = Seeded(seed);
    let ledger = Arc::new(Ledger::new());
    let over = Arc::new(AtomicBool::new(false));
    let telegram = Arc::new(telegram);
    let senders: Vec<_> = (1..=CHATS)
        .map(|chat| {
            let (ledger, over, telegram) = (Arc::clone(&ledger), Arc::clone(&over), Arc::clone(&telegram));
            let mut chance = Seeded(seed ^ ((chat as u64) << 32));
            tokio::spawn(async move {
                while !over.load(Ordering::Acquire) {
                    let message = ledger.message(&chat.to_string());
                    let update = telegram.private_text(chat, &message.text);
                    loop {
                        let twice = chance.below(3) == 0;
                        let (first, ()) = tokio::join!(telegram.deliver_update(&update), async {
                            if twice {
                                telegram.deliver_update(&update).await.ok();
                            }
                        });
                        if first.is_ok_and(|status| status == 200) {
                            ledger.acknowledged(&message.nonce);
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    tokio::time::sleep(Duration::from_millis(200 + chance.below(600))).await;
                }
            })
        })
        .collect();
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(200 + chance.below(1_300))).await;
        // Now and then the operator is polite; what does not end within the grace goes back to the inbox.
        if chance.below(4) == 0 {
            let status = server.terminate(LONG).await.unwrap();
            assert!(status.success(), "seed {seed}: {status}\n{}", server.log());
        } else {
            server.kill().await.unwrap();
        }
        server.start_again().await.unwrap();
        telegram.set_webhook(&server.url("/webhook/telegram"), Some(SECRET));
    }
    over.store(true, Ordering::Release);
    for sender in senders {
        sender.await.unwrap();
    }
    let waited = tokio::time::timeout(2 * LONG, async {
        loop {
            read(&telegram, &ledger);
            if ledger.open() == 0 {
                return;
            }
            let count = telegram.calls().len();
            let more = telegram.wait_for(|state| state.calls.len() > count, LONG);
            more.await.ok();
        }
    })
    .await;
    let report = ledger.report();
    assert!(waited.is_ok(), "seed {seed}: {report:#?}\n{}", server.log());
    assert!(report.is_clean_but_for_doubles(), "seed {seed}: {report:#?}");
    for chat in 1..=CHATS {
        let told = telegram.chat(chat).texts();
        // Nobody was told of a failure.
        assert!(
            told.iter().all(|text| text.starts_with("echo:")),
            "seed {seed}: {told:#?}"
        );
    }
    // Only a send under way at a kill can leave a second message, or the beginning of one: at most one per worker and
    // kill.
    assert!(
        report.doubled.len() + report.without_nonce <= kills as usize * 8,
        "seed {seed}: {report:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_random_kills_with_redelivery_lose_nothing() {
    storm(1, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute; run it by hand and at night"]
async fn ten_random_kills_with_redelivery_lose_nothing() {
    storm(2, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute; run it by hand and at night"]
async fn ten_other_random_kills_lose_nothing() {
    storm(3, 10).await;
}
