//! A message comes in, a streamed answer goes out.

use crate::BINARY;
use crate::setup::{LONG, api_world, metrics, without_limits, world};
use openclaw_testkit::fake_telegram::Fault;
use openclaw_testkit::sdk::{Endpoint, Sdk};
use openclaw_testkit::{Answer, Content, Gate, ServerSetup};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn without_a_key_the_demo_model_answers_and_the_server_says_so() {
    let server = ServerSetup::new(BINARY).start().await.unwrap();
    let send = |text: &'static str| {
        let data_dir = server.data_dir().to_owned();
        async move {
            tokio::process::Command::new(BINARY)
                .args(["send", text, "--data-dir"])
                .arg(data_dir)
                .output()
                .await
                .unwrap()
        }
    };
    let sent = send("hello").await;
    assert!(sent.status.success(), "{sent:?}");
    assert!(
        String::from_utf8_lossy(&sent.stdout).contains("hello"),
        "{sent:?}"
    );
    crate::cli::says(&server, "demo").await;
}

#[tokio::test]
async fn the_openai_sdk_for_python_gets_answers_whole_and_streamed() {
    let Some(sdk) = Sdk::python() else { return };
    sdk_gets_answers(sdk).await;
}

#[tokio::test]
async fn the_openai_sdk_for_javascript_gets_answers_whole_and_streamed() {
    let Some(sdk) = Sdk::java_script() else { return };
    sdk_gets_answers(sdk).await;
}

async fn sdk_gets_answers(sdk: Sdk) {
    let (_provider, server, _) = api_world(|setup| setup).await;
    let endpoint = Endpoint {
        base_url: server.url("/v1"),
        api_key: server.api_key().unwrap(),
        max_retries: 0,
    };
    for stream in [false, true] {
        let body = json!({
            "model": "auto", "stream": stream,
            "messages": [{ "role": "user", "content": "tell me about rivers" }],
        });
        let answer = sdk.chat(&endpoint, &body).await.unwrap();
        assert_eq!(answer["text"], "echo: tell me about rivers", "stream: {stream}");
        assert_eq!(answer["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn a_telegram_message_is_answered_by_messages_and_whole_edits() {
    let world = world(|setup| setup.env("OPENCLAW__STREAMING__FLUSH_TIMEOUT_MS", "50")).await;
    let words: Vec<String> = (0..400).map(|number| format!("word{number} ")).collect();
    let text = words.concat();
    world
        .provider
        .script(Answer::pieces(words).with_gap(Duration::from_millis(10)));
    assert_eq!(world.say(42, "tell me a long story").await, 200);
    world.hears(42, text.trim_end()).await;
    let chat = world.telegram.chat(42);
    assert_eq!(chat.texts().len(), 1, "one reply, edited as it grew");
    let message = chat.last().unwrap();
    assert!(
        message.history.len() >= 2,
        "shown while it was written: {:?}",
        message.history.len()
    );
    for (earlier, later) in message.history.iter().zip(message.history.iter().skip(1)) {
        assert!(
            later.starts_with(earlier.trim_end()),
            "an edit is never less than what stood there"
        );
    }
    assert!(chat.typing >= 1, "typing is shown");
}

#[tokio::test]
async fn nothing_longer_than_a_message_may_be_is_sent() {
    let world = world(without_limits).await;
    let text: String = (0..1_500).map(|number| format!("Слово{number} ")).collect();
    world.provider.script(Answer::text(&text));
    assert_eq!(world.say(7, "напиши много").await, 200);
    let expected: String = text.split_whitespace().collect();
    let whole = |state: &openclaw_testkit::fake_telegram::State| {
        let shown: String = state.chat(7).texts().concat();
        shown.split_whitespace().collect::<String>() == expected
    };
    if world.telegram.wait_for(whole, LONG).await.is_err() {
        panic!("{:?}\n{}", world.telegram.chat(7).texts(), world.server.log());
    }
    for text in world.telegram.chat(7).texts() {
        assert!(text.encode_utf16().count() <= 4_096);
    }
    assert!(world.telegram.chat(7).texts().len() >= 3);
}

#[tokio::test]
async fn a_wrong_or_missing_secret_is_refused_and_nothing_is_stored() {
    let world = world(|setup| setup).await;
    let update = world.telegram.private_text(1, "hello").to_string().into_bytes();
    let name = openclaw_testkit::fake_telegram::SECRET_HEADER;
    let cases: [&[(&str, String)]; 5] = [
        &[],
        &[(name, "wrong".into())],
        &[(name, String::new())],
        &[(name, "webhook-secret_1x".into())],
        &[(name, "webhook-secret_1".into()), (name, "wrong".into())],
    ];
    for headers in cases {
        assert_eq!(
            world
                .telegram
                .post_webhook(update.clone(), headers)
                .await
                .unwrap(),
            401,
            "{headers:?}"
        );
    }
    assert_eq!(world.provider.stats().requests, 0);
    assert_eq!(world.say(1, "hello").await, 200);
    world.hears(1, "echo: hello").await;
}

#[tokio::test]
async fn a_repeated_update_is_acknowledged_and_not_answered_again() {
    let world = world(|setup| setup).await;
    let update = world.telegram.private_text(5, "once");
    for _ in 0..3 {
        assert_eq!(world.telegram.deliver_update(&update).await.unwrap(), 200);
    }
    world.hears(5, "echo: once").await;
    assert_eq!(
        world.telegram.deliver_update(&update).await.unwrap(),
        200,
        "also after it was answered"
    );
    assert_eq!(world.say(5, "twice").await, 200);
    world.hears(5, "echo: twice").await;
    assert_eq!(world.provider.stats().requests, 2);
    assert_eq!(world.telegram.chat(5).texts(), ["echo: once", "echo: twice"]);
}

#[tokio::test]
async fn two_hundred_chats_at_once_are_answered_and_the_metrics_tell_the_truth() {
    let world = world(|setup| without_limits(setup).env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "256")).await;
    // Nobody is answered before all are in: how fast the machine is does not matter.
    let hold = world.provider.hold();
    let delivered = futures::future::join_all((1..=200).map(|user| world.say(user, "hi"))).await;
    assert!(delivered.iter().all(|status| *status == 200));
    world
        .provider
        .wait_until(LONG, |stats| stats.in_flight == 200)
        .await
        .unwrap();
    let metrics = world.metrics().await;
    assert_eq!(metrics["activeWorkers"], 200, "{metrics}");
    drop(hold);
    for user in 1..=200 {
        world.hears(user, "echo: hi").await;
    }
}

#[tokio::test]
async fn with_the_default_limits_the_bot_never_sends_faster_than_they_allow() {
    let world = world(|setup| setup.env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "256")).await;
    let before = world.telegram.elapsed();
    let delivered = futures::future::join_all((1..=90).map(|user| world.say(user, "hi"))).await;
    assert!(delivered.iter().all(|status| *status == 200));
    for user in 1..=90 {
        world.hears(user, "echo: hi").await;
    }
    // 30 at once and 30 more in a second: however late a busy machine sees a call, it sees none before it may be sent.
    let calls = world.telegram.with_state(|state| state.sends.clone());
    for (number, at) in calls.iter().enumerate() {
        let earliest =
            before + Duration::from_secs(1) * u32::try_from(number.saturating_sub(30)).unwrap() / 30;
        assert!(
            *at >= earliest,
            "call {number} came at {at:?}, not after {earliest:?}"
        );
    }
}

#[tokio::test]
async fn the_twenty_fourth_request_is_refused_at_the_manuals_level() {
    let (provider, server, client) = api_world(|setup| setup).await;
    let hold = provider.hold();
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hi" }] });
    let mut admitted = tokio::task::JoinSet::new();
    for number in 1..=23_usize {
        let request = client.post("/v1/chat/completions").json(&body).within(LONG);
        admitted.spawn(async move { request.send().await.unwrap().status });
        // One after the other, so that each is in before the next asks.
        wait_until(|| async { busy_or_waiting(&server).await == number }).await;
    }
    let metrics = metrics(&server).await;
    let level = metrics["backpressureLevel"].as_f64().unwrap();
    assert!((level - 0.7156).abs() < 0.001, "{metrics}");
    let refused = client
        .post("/v1/chat/completions")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.json().unwrap()["error"]["code"], "overloaded");
    drop(hold);
    while let Some(status) = admitted.join_next().await {
        assert_eq!(status.unwrap(), 200, "what was admitted is answered");
    }
}

async fn busy_or_waiting(server: &openclaw_testkit::ServerProcess) -> usize {
    let metrics = metrics(server).await;
    let count = |name: &str| usize::try_from(metrics[name].as_u64().unwrap()).unwrap();
    count("activeWorkers") + count("queueDepth")
}

/// Looks again and again; each look is a request to the server, so this does not spin.
async fn wait_until<F: Future<Output = bool>>(mut look: impl FnMut() -> F) {
    let waiting = async {
        while !look().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting)
        .await
        .expect("it came to pass");
}

#[tokio::test]
async fn one_conversation_remembers_and_another_knows_nothing_of_it() {
    let world = world(|setup| setup).await;
    assert_eq!(world.say(1, "my name is Ada").await, 200);
    world.hears(1, "echo: my name is Ada").await;
    assert_eq!(world.say(1, "what is my name?").await, 200);
    world.hears(1, "echo: what is my name?").await;
    assert_eq!(world.say(2, "and mine?").await, 200);
    world.hears(2, "echo: and mine?").await;
    let requests = world.provider.requests();
    let contents = |index: usize| -> Vec<String> {
        let messages = requests[index].body["messages"].as_array().unwrap().clone();
        messages
            .iter()
            .map(|message| message["content"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(
        contents(1),
        ["my name is Ada", "echo: my name is Ada", "what is my name?"]
    );
    assert_eq!(contents(2), ["and mine?"]);
}

#[tokio::test]
async fn four_quick_messages_are_answered_in_order_one_at_a_time_while_others_are_served() {
    let world = world(without_limits).await;
    let gate = Gate::new();
    let before = gate.clone();
    world.provider.answer_with(move |request| {
        let slow = request
            .last_user_text()
            .is_some_and(|text| text.starts_with("quick"));
        slow.then(|| Answer::new(Content::Echo).with_halt(0, &before))
    });
    for number in 1..=4 {
        assert_eq!(world.say(1, &format!("quick {number}")).await, 200);
    }
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    assert_eq!(world.say(2, "other").await, 200);
    world.hears(2, "echo: other").await;
    assert_eq!(
        world.telegram.chat(1).texts(),
        [""; 0],
        "none of the four is done"
    );
    for _ in 0..4 {
        gate.open();
    }
    world.hears(1, "echo: quick 4").await;
    assert_eq!(
        world.telegram.chat(1).texts(),
        ["echo: quick 1", "echo: quick 2", "echo: quick 3", "echo: quick 4"]
    );
    let asked: Vec<String> = world
        .provider
        .requests()
        .iter()
        .filter_map(|request| request.last_user_text())
        .collect();
    let quick: Vec<&String> = asked.iter().filter(|text| text.starts_with("quick")).collect();
    assert_eq!(quick, ["quick 1", "quick 2", "quick 3", "quick 4"]);
    assert!(
        world.provider.stats().in_flight_peak <= 2,
        "never two turns of one person"
    );
}

#[tokio::test]
async fn a_command_does_not_wait_behind_the_turn_it_ends() {
    let world = world(without_limits).await;
    world.provider.script(
        Answer::pieces(
            (0..600)
                .map(|number| format!("word{number} "))
                .collect::<Vec<_>>(),
        )
        .with_gap(Duration::from_millis(50)),
    );
    assert_eq!(world.say(1, "a long one").await, 200);
    world
        .telegram
        .wait_for(|state| !state.chat(1).texts().is_empty(), LONG)
        .await
        .unwrap();
    assert_eq!(world.say(1, "/stop").await, 200);
    world.hears(1, "Stopped.").await;
    world
        .provider
        .wait_until(LONG, |stats| stats.disconnects == 1 && stats.in_flight == 0)
        .await
        .unwrap();
    assert_eq!(world.say(1, "still there?").await, 200);
    world.hears(1, "echo: still there?").await;
}

#[tokio::test]
async fn a_platform_that_asks_to_wait_gets_the_text_once() {
    let world = world(without_limits).await;
    world
        .telegram
        .fault("sendMessage", Fault::RateLimited { retry_after: 1 });
    assert_eq!(world.say(1, "hello").await, 200);
    world.hears(1, "echo: hello").await;
    assert_eq!(world.telegram.chat(1).texts(), ["echo: hello"]);
}

#[tokio::test]
async fn a_failing_model_is_answered_with_words() {
    let world =
        world(|setup| without_limits(setup).env("OPENCLAW__AI_FABRIC__FALLBACK__MAX_RETRIES", "0")).await;
    world.provider.answer_with(|_| Some(Answer::fault(500)));
    assert_eq!(world.say_in("ru", 1, "привет").await, 200);
    world
        .hears(
            1,
            "Простите, ответ получить не удалось. Попробуйте ещё раз через минуту.",
        )
        .await;
}

#[tokio::test]
async fn sigterm_stops_in_time_and_loses_nothing() {
    let mut world = world(without_limits).await;
    world
        .provider
        .answer_with(|_| Some(Answer::new(Content::Echo).with_first_after(Duration::from_millis(500))));
    for user in 1..=12 {
        assert_eq!(world.say(user, "hello").await, 200);
    }
    let status = world.server.terminate(LONG).await.unwrap();
    assert!(status.success(), "{status}");
    world.server.start_again().await.unwrap();
    for user in 1..=12 {
        world.hears(user, "echo: hello").await;
        assert_eq!(world.telegram.chat(user).texts().len(), 1);
    }
}

#[tokio::test]
async fn in_a_private_chat_an_answer_is_shown_as_a_draft_and_sent_once() {
    let world = world(|setup| setup.env("OPENCLAW__MESSENGER__TELEGRAM__STREAM_MODE", "auto")).await;
    let words: Vec<String> = (0..60).map(|number| format!("word{number} ")).collect();
    let text = words.concat();
    world
        .provider
        .script(Answer::pieces(words).with_gap(Duration::from_millis(25)));
    assert_eq!(world.say(42, "tell me").await, 200);
    world.hears(42, text.trim_end()).await;
    let chat = world.telegram.chat(42);
    assert!(chat.drafts.len() >= 2, "{:?}", chat.drafts);
    assert!(
        chat.drafts
            .iter()
            .all(|draft| text.starts_with(draft.text.trim_end())),
        "{:?}",
        chat.drafts
    );
    assert_eq!(chat.texts().len(), 1);
    assert!(chat.last().unwrap().history.is_empty(), "sent once, not edited");
}

#[tokio::test]
async fn a_draft_looks_like_the_message_that_takes_its_place() {
    let world = world(|setup| setup.env("OPENCLAW__MESSENGER__TELEGRAM__STREAM_MODE", "auto")).await;
    let words: Vec<String> = (0..12)
        .flat_map(|number| {
            [
                "**Number",
                " ",
                "one**",
                " runs `cargo",
                " test`",
                ", *never",
                " else*",
                ". ",
            ]
            .map(|piece| piece.replace("one", &number.to_string()))
        })
        .collect();
    world
        .provider
        .script(Answer::pieces(words).with_gap(Duration::from_millis(25)));
    assert_eq!(world.say(42, "tell me").await, 200);
    let sentence = |number: usize| format!("Number {number} runs cargo test, never else. ");
    let text = (0..12).map(sentence).collect::<String>();
    world.hears(42, text.trim_end()).await;
    let drafts = world.telegram.chat(42).drafts;
    assert!(drafts.len() >= 2, "{drafts:?}");
    assert!(
        drafts.iter().all(|draft| text.starts_with(draft.text.trim_end())),
        "{drafts:?}"
    );
}

#[tokio::test]
async fn where_drafts_are_unknown_the_answer_is_edited() {
    let world = world(|setup| setup.env("OPENCLAW__MESSENGER__TELEGRAM__STREAM_MODE", "auto")).await;
    world.telegram.set_drafts(false);
    let words: Vec<String> = (0..120).map(|number| format!("word{number} ")).collect();
    let text = words.concat();
    world
        .provider
        .script(Answer::pieces(words).with_gap(Duration::from_millis(25)));
    assert_eq!(world.say(42, "tell me").await, 200);
    world.hears(42, text.trim_end()).await;
    let chat = world.telegram.chat(42);
    assert_eq!((chat.drafts.len(), chat.texts().len()), (0, 1));
    assert!(!chat.last().unwrap().history.is_empty(), "edited as it grew");
}
