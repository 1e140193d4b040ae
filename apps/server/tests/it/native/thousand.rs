//! Very many chats at once.

use super::{Person, shown};
use crate::BINARY;
use openclaw_testkit::{Answer, Content, MockProvider, ServerSetup};
use std::time::Duration;

/// `OPENCLAW_TEST_BINARY` lets it run against another build; the time it takes is printed, not judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_chats_at_once_are_all_answered() {
    const CHATS: usize = 1_000;
    let provider = MockProvider::start().await.unwrap();
    provider.answer_with(|_| {
        Some(Answer::new(Content::Pieces(vec!["done".to_owned()])).with_first_after(Duration::from_secs(2)))
    });
    let binary = std::env::var("OPENCLAW_TEST_BINARY").unwrap_or_else(|_| BINARY.to_owned());
    let server = ServerSetup::new(binary)
        .provider(&provider)
        .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "1024")
        .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "4096")
        .start()
        .await
        .unwrap();
    let client = server
        .http()
        .unwrap()
        .with_bearer(&server.api_key().unwrap())
        .unwrap();
    let person = Person::with_key(&client);
    let mut ready = Vec::new();
    for _ in 0..CHATS {
        let chat = person.open().await;
        let watch = person.watch(&chat).await;
        ready.push((chat, watch));
    }
    let began = std::time::Instant::now();
    let chats: Vec<_> = ready
        .into_iter()
        .map(|(chat, mut watch)| {
            let person = person.clone();
            tokio::spawn(async move {
                person.post(&chat, "hello").await;
                let events = watch.until("turn.finished").await;
                shown(&events)
            })
        })
        .collect();
    for chat in chats {
        assert_eq!(chat.await.unwrap(), "done");
    }
    println!("{CHATS} chats on a model of 2 s: {:?}", began.elapsed());
    assert_eq!(provider.stats().requests, CHATS as u64);
}
