//! What was acknowledged survives a crash at any moment.

use crate::open;
use openclaw_core::Timestamp;
use openclaw_gateway::contract::{answer, begin, entry_from, said, t};
use openclaw_gateway::ports::{Accepted, CommitTurn, Recovery, TurnStore};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A copy of the database and its log as a crash at one moment would leave them. The log may be cut anywhere at its end.
/// A copy during which the log was being copied back or begun anew would show two moments at once, so it is taken again.
pub(crate) fn image(dir: &Path) -> TempDir {
    let (database, log) = (dir.join("openclaw.db"), dir.join("openclaw.db-wal"));
    let read = |path: &Path| std::fs::read(path).unwrap_or_default();
    let header = |log: &[u8]| log.get(..32).map(<[u8]>::to_vec);
    let copy = tempfile::tempdir().expect("a directory");
    loop {
        let (begun, before) = (header(&read(&log)), read(&database));
        let frames = read(&log);
        if read(&database) == before && header(&read(&log)) == begun && header(&frames) == begun {
            std::fs::write(copy.path().join("openclaw.db"), before).expect("a copy");
            std::fs::write(copy.path().join("openclaw.db-wal"), frames).expect("a copy");
            return copy;
        }
    }
}

#[tokio::test]
async fn dropping_the_store_loses_nothing_that_was_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    for round in 0..5_i64 {
        let store = open(dir.path());
        assert_eq!(store.recovery().open_entries, round.unsigned_abs());
        store
            .accept(vec![entry_from("1", &format!("k{round}"), t(round))])
            .await
            .expect("accepted");
        drop(store);
    }
}

#[tokio::test]
async fn a_clean_end_leaves_no_log_and_nothing_to_recover() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let accepted = store
        .accept(vec![entry_from("1", "a", t(0))])
        .await
        .expect("accepted");
    let Accepted::New(entry) = &accepted[0] else {
        panic!("{accepted:?}");
    };
    let grant = begin(&store, entry.id, t(1)).await;
    let end = CommitTurn {
        history: vec![said("x", 1)],
        ..answer(entry.id, grant.fence, t(2))
    };
    store.commit_turn(end).await.expect("committed");
    store.shut_down().await;
    assert!(!dir.path().join("openclaw.db-wal").exists());
    assert_eq!(open(dir.path()).recovery(), Recovery::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_image_taken_while_writing_holds_every_acknowledged_entry() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Arc::new(open(dir.path()));
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(parking_lot::Mutex::new(BTreeSet::new()));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (store, stop, acknowledged) = (store.clone(), stop.clone(), acknowledged.clone());
            tokio::spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let key = format!("{writer}-{number}");
                    let entry = entry_from(&writer.to_string(), &key, Timestamp::from_millis(number));
                    let accepted = store.accept(vec![entry]).await.expect("accepted");
                    let Accepted::New(entry) = &accepted[0] else {
                        panic!("{accepted:?}");
                    };
                    acknowledged.lock().insert(key);
                    if number % 3 == 0 {
                        let grant = begin(&*store, entry.id, t(number)).await;
                        let end = answer(entry.id, grant.fence, t(number));
                        store.commit_turn(end).await.expect("committed");
                    }
                    number += 1;
                }
            })
        })
        .collect();
    for round in 0..12_usize {
        // Each image is of another moment: after so many more acknowledgements.
        let target = (round + 1) * 60;
        while acknowledged.lock().len() < target {
            tokio::task::yield_now().await;
        }
        let before = acknowledged.lock().clone();
        let copy = image(dir.path());
        let restored = open(copy.path());
        for key in &before {
            let (writer, number) = key.split_once('-').expect("a key");
            let again = entry_from(
                writer,
                key,
                Timestamp::from_millis(number.parse().expect("a number")),
            );
            let again = restored.accept(vec![again]).await.expect("accepted");
            assert!(
                matches!(again[..], [Accepted::Duplicate { same: true, .. }]),
                "{key} was acknowledged before image {round} and is not in it"
            );
        }
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer");
    }
}
