//! Lost, doubled and disordered messages, and the platform's own misbehaviour.

use super::{assert_quiet, metric};
use crate::setup::{LONG, World, without_limits, world};
use openclaw_testkit::fake_telegram::Fault;
use openclaw_testkit::{Answer, Content, End};
use std::time::Duration;

fn refused(description: &str) -> Fault {
    Fault::Refused {
        code: 400,
        description: description.to_owned(),
    }
}

/// An answer of this many words, one by one.
fn words(count: usize, gap: u64) -> Answer {
    Answer::pieces(
        (0..count)
            .map(|number| format!("word{number} "))
            .collect::<Vec<_>>(),
    )
    .with_gap(Duration::from_millis(gap))
}

fn text_of(count: usize) -> String {
    (0..count)
        .map(|number| format!("word{number}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Waits until the chat shows exactly these messages.
async fn shows(world: &World, chat: i64, texts: &[&str]) {
    let wanted: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let shown = world
        .telegram
        .wait_for(|state| state.chat(chat).texts() == wanted, LONG)
        .await;
    assert!(
        shown.is_ok(),
        "chat {chat} shows {:?}, not {wanted:?}\n{}",
        world.telegram.chat(chat).texts(),
        world.server.log()
    );
}

fn fast(setup: openclaw_testkit::ServerSetup) -> openclaw_testkit::ServerSetup {
    without_limits(setup).env("OPENCLAW__STREAMING__FLUSH_TIMEOUT_MS", "40")
}

#[tokio::test]
async fn one_update_delivered_eight_times_at_once_is_answered_once() {
    let world = world(fast).await;
    world
        .provider
        .answer_with(|_| Some(Answer::new(Content::Echo).with_first_after(Duration::from_millis(200))));
    let update = world.telegram.private_text(1, "hello");
    let deliver = || async { assert_eq!(world.telegram.deliver_update(&update).await.unwrap(), 200) };
    tokio::join!(
        deliver(),
        deliver(),
        deliver(),
        deliver(),
        deliver(),
        deliver(),
        deliver(),
        deliver()
    );
    world.hears(1, "echo: hello").await;
    assert_eq!(world.telegram.deliver_update(&update).await.unwrap(), 200);
    assert_eq!(world.say(1, "after").await, 200);
    world.hears(1, "echo: after").await;
    assert_eq!(world.telegram.chat(1).texts(), ["echo: hello", "echo: after"]);
    assert_eq!(world.provider.stats().requests, 2);
}

#[tokio::test]
async fn a_provider_that_cuts_in_the_middle_leaves_no_half_text() {
    let world = world(|setup| fast(setup).env("OPENCLAW__AI_FABRIC__FALLBACK__RETRY_DELAY_MS", "10")).await;
    world.provider.script(words(40, 10).with_end(End::CutAfter(20)));
    world.provider.script(Answer::text("the whole answer"));
    assert_eq!(world.say(1, "tell me").await, 200);
    shows(&world, 1, &["the whole answer"]).await;
}

#[tokio::test]
async fn an_ambiguous_send_is_repeated_at_most_as_often_as_it_was_ambiguous() {
    let world = world(fast).await;
    world.telegram.fault("sendMessage", Fault::CutAfter);
    assert_eq!(world.say(1, "hello").await, 200);
    world.hears(1, "echo: hello").await;
    assert_eq!(world.say(1, "next").await, 200);
    world.hears(1, "echo: next").await;
    let shown = world.telegram.chat(1).texts();
    let copies = shown
        .iter()
        .filter(|text| text.starts_with("echo: hello") || text.starts_with("echo:") && !text.contains("next"))
        .count();
    assert!(copies <= 2, "{shown:?}");
    assert_eq!(shown.last().map(String::as_str), Some("echo: next"), "{shown:?}");
}

#[tokio::test]
async fn a_blocked_bot_gives_up_quickly_and_serves_others() {
    let world = world(fast).await;
    world.telegram.fault_chat(1, Some(Fault::blocked()));
    assert_eq!(world.say(1, "hello").await, 200);
    assert_eq!(world.say(2, "hello").await, 200);
    world.hears(2, "echo: hello").await;
    world.provider.wait_for_requests(2, LONG).await.unwrap();
    // The one who unblocks the bot is answered; what was said meanwhile is given up, not kept for ever.
    let server = &world.server;
    super::comes_to_pass("the worker is free", || async {
        metric(server, "activeWorkers").await == 0
    })
    .await;
    let to_blocked = || {
        world
            .telegram
            .calls_of("sendMessage")
            .iter()
            .filter(|call| call.parameters["chat_id"].as_i64() == Some(1))
            .count()
    };
    assert!(to_blocked() <= 3, "{}", to_blocked());
    world.telegram.fault_chat(1, None);
    assert_eq!(world.say(1, "again").await, 200);
    shows(&world, 1, &["echo: again"]).await;
    assert_quiet(&world.server.log());
}

#[tokio::test]
async fn floods_on_edits_and_on_the_last_word_delay_and_lose_nothing() {
    let world = world(fast).await;
    world
        .telegram
        .fault_times("editMessageText", 2, &Fault::RateLimited { retry_after: 1 });
    world.provider.script(words(60, 10));
    assert_eq!(world.say(1, "tell me").await, 200);
    shows(&world, 1, &[&text_of(60)]).await;
}

#[tokio::test]
async fn a_message_that_vanished_is_sent_anew() {
    let world = world(fast).await;
    world.telegram.fault_times(
        "editMessageText",
        50,
        &refused("Bad Request: message to edit not found"),
    );
    world.provider.script(words(60, 10));
    assert_eq!(world.say(1, "tell me").await, 200);
    let whole = text_of(60);
    let told = world
        .telegram
        .wait_for(
            |state| {
                state
                    .chat(1)
                    .texts()
                    .last()
                    .is_some_and(|text| text.trim() == whole)
            },
            LONG,
        )
        .await;
    assert!(
        told.is_ok(),
        "{:?}\n{}",
        world.telegram.chat(1).texts(),
        world.server.log()
    );
}

#[tokio::test]
async fn edits_presses_and_talk_among_others_ask_no_model() {
    let world = world(fast).await;
    assert_eq!(world.say(1, "hello").await, 200);
    world.hears(1, "echo: hello").await;
    let asked = world.provider.stats().requests;
    for update in [
        world.telegram.private_edit(1, 5, "changed"),
        world.telegram.callback(1, 5, "pressed"),
        world.telegram.group_text(-100, 1, "not for the bot"),
        world.telegram.update("my_chat_member", serde_json::json!({})),
    ] {
        assert_eq!(
            world.telegram.deliver_update(&update).await.unwrap(),
            200,
            "{update}"
        );
    }
    let answered = world
        .telegram
        .wait_for(|state| state.answered_queries.len() == 1, LONG)
        .await;
    assert!(answered.is_ok(), "the button waits\n{}", world.server.log());
    let topic = world
        .telegram
        .topic_text(-200, 7, 3, "@openclaw_test_bot in a topic");
    assert_eq!(world.telegram.deliver_update(&topic).await.unwrap(), 200);
    let heard = world
        .telegram
        .wait_for(
            |state| {
                state
                    .chat(-200)
                    .messages()
                    .any(|message| message.thread == Some(7))
            },
            LONG,
        )
        .await;
    assert!(
        heard.is_ok(),
        "{:?}\n{}",
        world.telegram.chat(-200).texts(),
        world.server.log()
    );
    assert_eq!(world.provider.stats().requests, asked + 1);
    assert!(world.telegram.chat(-100).texts().is_empty());
}

#[tokio::test]
async fn stop_ends_the_running_turn_and_the_three_that_wait() {
    let world = world(fast).await;
    let hold = world.provider.hold();
    for number in 1..=4 {
        assert_eq!(world.say(1, &format!("quick {number}")).await, 200);
    }
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    assert_eq!(world.say(1, "/stop").await, 200);
    world.hears(1, "Stopped.").await;
    drop(hold);
    world
        .provider
        .wait_until(LONG, |stats| stats.in_flight == 0)
        .await
        .unwrap();
    assert_eq!(world.say(1, "again").await, 200);
    world.hears(1, "echo: again").await;
    assert_eq!(world.telegram.chat(1).texts(), ["Stopped.", "echo: again"]);
    assert_eq!(world.provider.stats().requests, 2, "what waited was not asked");
}

#[tokio::test]
async fn a_new_conversation_knows_nothing_of_the_answer_it_interrupted() {
    let world = world(fast).await;
    world.provider.script(words(400, 20));
    assert_eq!(world.say(1, "old secret").await, 200);
    world
        .telegram
        .wait_for(|state| !state.chat(1).texts().is_empty(), LONG)
        .await
        .unwrap();
    assert_eq!(world.say(1, "/new").await, 200);
    world
        .hears(1, "A new conversation. I no longer remember the earlier one.")
        .await;
    assert_eq!(world.say(1, "fresh").await, 200);
    world.hears(1, "echo: fresh").await;
    let last = world.provider.requests().pop().unwrap().body["messages"].to_string();
    assert!(!last.contains("secret") && !last.contains("word1"), "{last}");
}

#[tokio::test]
async fn commands_are_answered_while_every_worker_is_busy() {
    let world = world(|setup| fast(setup).env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "1")).await;
    let _hold = world.provider.hold();
    for user in 1..=5 {
        assert_eq!(world.say(user, "hello").await, 200);
    }
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    assert_eq!(world.say(9, "/usage").await, 200);
    let told = world
        .telegram
        .wait_for(|state| !state.chat(9).texts().is_empty(), LONG)
        .await;
    assert!(told.is_ok(), "{}", world.server.log());
}

#[tokio::test]
async fn a_turn_past_its_time_is_ended_with_words_and_the_server_goes_on() {
    let world = world(|setup| fast(setup).env("OPENCLAW__CONCURRENCY__WORKER_TIMEOUT_MS", "5000")).await;
    world
        .provider
        .script(words(40, 10).with_end(End::SilentAfter(10)));
    assert_eq!(world.say(1, "tell me").await, 200);
    // A message whose sending was under way when the time ran out may stay beside the words.
    world
        .hears(
            1,
            "Sorry, the answer took too long and was stopped. Please try again or ask for less at once.",
        )
        .await;
    world
        .provider
        .wait_until(LONG, |stats| stats.in_flight == 0 && stats.disconnects >= 1)
        .await
        .unwrap();
    let server = &world.server;
    super::comes_to_pass("the failure is counted", || async {
        metric(server, "totalErrors").await >= 1
    })
    .await;
    assert_eq!(world.say(1, "again").await, 200);
    world.hears(1, "echo: again").await;
}

#[tokio::test]
async fn sigterm_with_a_hung_provider_ends_within_its_time_and_the_next_start_answers() {
    let mut world = world(|setup| fast(setup).env("OPENCLAW__SERVER__SHUTDOWN_GRACE_MS", "500")).await;
    let hold = world.provider.hold();
    for user in 1..=8 {
        assert_eq!(world.say(user, "hello").await, 200);
    }
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    let status = world.server.terminate(LONG).await.unwrap();
    assert!(status.success(), "{status}\n{}", world.server.log());
    drop(hold);
    world.server.start_again().await.unwrap();
    for user in 1..=8 {
        world.hears(user, "echo: hello").await;
        assert_eq!(world.telegram.chat(user).texts(), ["echo: hello"]);
    }
}

#[tokio::test]
async fn a_poller_that_is_killed_loses_no_update_and_answers_none_twice() {
    let mut world = world(|setup| {
        fast(setup)
            .env("OPENCLAW__MESSENGER__TELEGRAM__MODE", "polling")
            .env("OPENCLAW__INBOX__MAX_ATTEMPTS", "100")
    })
    .await;
    // A webhook that is set would keep the poller from everything.
    world.telegram.set_webhook("", None);
    world
        .provider
        .answer_with(|_| Some(Answer::new(Content::Echo).with_first_after(Duration::from_millis(50))));
    for round in 0..3 {
        for user in 1..=6 {
            let update = world.telegram.private_text(user, &format!("round {round}"));
            world.telegram.queue_update(update);
        }
        let begun = world.provider.stats().requests;
        world.provider.wait_for_requests(begun + 2, LONG).await.unwrap();
        world.server.kill().await.unwrap();
        world.server.start_again().await.unwrap();
    }
    for user in 1..=6 {
        let expected: Vec<String> = (0..3).map(|round| format!("echo: round {round}")).collect();
        let shown = world
            .telegram
            .wait_for(
                |state| {
                    let mut texts = state.chat(user).texts();
                    // A send that was under way at a kill may stand there twice.
                    texts.dedup();
                    texts == expected
                },
                LONG,
            )
            .await;
        assert!(
            shown.is_ok(),
            "{:?}\n{}",
            world.telegram.chat(user).texts(),
            world.server.log()
        );
    }
}

#[tokio::test]
async fn a_platform_that_never_answers_for_one_chat_delays_no_other() {
    let world = world(fast).await;
    world.telegram.fault_chat(1, Some(Fault::Hang));
    for number in 1..=3 {
        assert_eq!(world.say(1, &format!("hello {number}")).await, 200);
    }
    for user in 2..=9 {
        assert_eq!(world.say(user, "hello").await, 200);
    }
    for user in 2..=9 {
        world.hears(user, "echo: hello").await;
    }
    assert_quiet(&world.server.log());
}

#[tokio::test]
async fn a_webhook_and_everything_it_leads_to_have_one_correlation_id() {
    let world = world(|setup| fast(setup).env("LOG_LEVEL", "debug")).await;
    let update = world.telegram.private_text(1, "hello");
    let reply = world
        .server
        .http()
        .unwrap()
        .post("/webhook/telegram")
        .header(
            openclaw_testkit::fake_telegram::SECRET_HEADER,
            crate::setup::SECRET,
        )
        .json(&update)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    world.hears(1, "echo: hello").await;
    let id = reply.header("x-request-id").unwrap().to_owned();
    let told = |name: &str| {
        let log = world.server.log();
        log.lines().any(|line| line.contains(name) && line.contains(&id))
    };
    for name in [
        "messenger.webhook.received",
        "messenger.message.received",
        "tenant.created",
        "session.created",
        "request.queued",
        "request.started",
        "ai-fabric.model.requested",
        "ai-fabric.model.responded",
        "messenger.message.sent",
        "request.completed",
    ] {
        super::comes_to_pass(name, || async {
            metric(&world.server, "activeWorkers").await;
            told(name)
        })
        .await;
    }
}
