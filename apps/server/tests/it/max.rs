//! MAX, from the update to the answer that grows in the chat: polled for, by a webhook the server registers itself, and
//! by one that people registered.

use crate::BINARY;
use crate::setup::LONG;
use openclaw_testkit::fake_max::{FakeMax, MaxFault, MaxState, SECRET_HEADER, dialog_of};
use openclaw_testkit::{Answer, Content, MockProvider, ServerProcess, ServerSetup};
use std::time::Duration;

/// What stands for the address others reach the server by. Nobody calls it: the fake calls the server's own.
const PUBLIC: &str = "http://bot.example";

struct World {
    max: FakeMax,
    provider: MockProvider,
    server: ServerProcess,
}

/// A server that polls MAX, unless `change` says otherwise.
async fn world(change: impl FnOnce(ServerSetup) -> ServerSetup) -> World {
    world_where(change, |_| {}).await
}

async fn world_where(
    change: impl FnOnce(ServerSetup) -> ServerSetup,
    before: impl FnOnce(&FakeMax),
) -> World {
    let max = FakeMax::start().await.unwrap();
    before(&max);
    let provider = MockProvider::start().await.unwrap();
    let setup = ServerSetup::new(BINARY)
        .provider(&provider)
        .env("MAX_BOT_TOKEN", max.token())
        .env("OPENCLAW__MESSENGER__MAX__BASE_URL", max.base_url());
    let server = change(setup).start().await.unwrap();
    World {
        max,
        provider,
        server,
    }
}

/// Lets the messenger's limits be no obstacle.
fn without_limits(setup: ServerSetup) -> ServerSetup {
    setup
        .env("OPENCLAW__MESSENGER__RATE_LIMITS__MAX__RPS", "100000")
        .env("OPENCLAW__MESSENGER__RATE_LIMITS__MAX__BURST_SIZE", "100000")
        .env("OPENCLAW__MESSENGER__MAX__PRIVATE_CHAT__RPS", "100000")
        .env("OPENCLAW__MESSENGER__MAX__PRIVATE_CHAT__BURST_SIZE", "100000")
}

/// With a webhook that the server registers.
fn registered(setup: ServerSetup) -> ServerSetup {
    setup.env("OPENCLAW__SERVER__PUBLIC_URL", PUBLIC)
}

impl World {
    /// A person writes, and the update waits to be polled for.
    fn writes(&self, user: i64, text: &str) {
        self.max.queue_update(self.max.private_text(user, text));
    }

    /// Waits until some message of the person's dialog reads exactly so.
    async fn hears(&self, user: i64, text: &str) {
        let heard = self
            .max
            .wait_for(
                |state| state.chat(dialog_of(user)).texts().contains(&text.to_owned()),
                LONG,
            )
            .await;
        if let Err(error) = heard {
            let shown = self.texts(user);
            panic!(
                "{error}: {user} sees {shown:?}, not {text:?}\n{}",
                self.server.log()
            );
        }
    }

    fn texts(&self, user: i64) -> Vec<String> {
        self.max.chat(dialog_of(user)).texts()
    }

    /// Waits until the server has registered its webhook; the address of it on this machine, and the secret.
    async fn hook(&self) -> (String, String) {
        let waited = self
            .max
            .wait_for(|state| !state.subscriptions.is_empty(), LONG)
            .await;
        assert!(waited.is_ok(), "{}", self.server.log());
        let subscription = self.max.subscriptions().remove(0);
        let path = subscription.url.strip_prefix(PUBLIC).unwrap();
        assert!(path.starts_with("/webhook/max/") && path.len() > 40, "{path}");
        (self.server.url(path), subscription.secret.unwrap())
    }

    /// Posts an update to an address with a secret; the status.
    async fn post(&self, url: &str, secret: &str, update: &serde_json::Value) -> u16 {
        let headers = [(SECRET_HEADER, secret.to_owned())];
        let body = update.to_string().into_bytes();
        self.max.post_to(url, body, &headers).await.unwrap()
    }

    async fn metric(&self, line: &str) -> bool {
        let reply = self.server.http().unwrap().get("/metrics").send().await.unwrap();
        reply.text().lines().any(|one| one == line)
    }
}

/// The last message of a dialog as it grew, the newest text last.
fn grown(state: &MaxState, user: i64) -> Vec<String> {
    let chat = state.chat(dialog_of(user));
    let Some(message) = chat.last() else {
        return Vec::new();
    };
    message
        .history
        .iter()
        .chain(std::iter::once(&message.text))
        .cloned()
        .collect()
}

fn check_growth(texts: &[String]) {
    assert!(texts.len() >= 3, "shown while it was written: {}", texts.len());
    for pair in texts.windows(2) {
        assert!(
            pair[1].starts_with(pair[0].trim_end()),
            "an edit is never less than what stood there"
        );
    }
}

fn story() -> (Vec<String>, String) {
    let words: Vec<String> = (0..400).map(|number| format!("word{number} ")).collect();
    let text = words.concat().trim_end().to_owned();
    (words, text)
}

#[tokio::test]
async fn one_variable_and_a_message_is_polled_for_and_answered_while_it_is_written() {
    let world = world(|setup| setup.env("OPENCLAW__STREAMING__FLUSH_TIMEOUT_MS", "50")).await;
    let (words, text) = story();
    world
        .provider
        .script(Answer::pieces(words).with_gap(Duration::from_millis(10)));
    world.writes(42, "tell me a long story");
    world.hears(42, &text).await;
    assert_eq!(world.texts(42).len(), 1, "one reply, edited as it grew");
    check_growth(&world.max.with_state(|state| grown(state, 42)));
    assert!(
        world.max.chat(dialog_of(42)).typing >= 1,
        "typing is shown in a dialog"
    );
    assert_eq!(world.max.call_count("POST /subscriptions"), 0);
    let status = world
        .server
        .http()
        .unwrap()
        .get("/admin/api/v1/status")
        .bearer(&world.server.admin_token().unwrap())
        .send()
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(status["platforms"]["max"]["username"], "openclaw_max_bot");
    assert_eq!(status["platforms"]["max"]["intake"], "polling");
    let line = "openclaw_polled_updates_total{platform=\"max\",outcome=\"ok\"} 1";
    assert!(world.metric(line).await);
    let log = world.server.log();
    assert!(log.contains("max:         on, long polling"), "{log}");
    assert!(!log.contains(world.max.token()), "the token is nowhere");
}

#[tokio::test]
async fn a_message_of_max_is_answered_by_messages_and_whole_edits() {
    let world = world(|setup| registered(setup).env("OPENCLAW__STREAMING__FLUSH_TIMEOUT_MS", "50")).await;
    let (words, text) = story();
    world
        .provider
        .script(Answer::pieces(words).with_gap(Duration::from_millis(10)));
    let (url, secret) = world.hook().await;
    let update = world.max.private_text(42, "tell me a long story");
    assert_eq!(world.post(&url, &secret, &update).await, 200);
    world.hears(42, &text).await;
    check_growth(&world.max.with_state(|state| grown(state, 42)));
    assert_eq!(world.max.call_count("GET /updates"), 0);
    // A redelivery is acknowledged and changes nothing.
    assert_eq!(world.post(&url, &secret, &update).await, 200);
    let next = world.max.private_text(42, "again");
    assert_eq!(world.post(&url, &secret, &next).await, 200);
    world.hears(42, "echo: again").await;
    assert_eq!(world.texts(42).len(), 2);
    for outcome in ["ok\"} 2", "duplicate\"} 1"] {
        let line = format!("openclaw_webhooks_total{{platform=\"max\",outcome=\"{outcome}");
        assert!(world.metric(&line).await, "{line}");
    }
    let log = world.server.log();
    assert!(
        log.contains("on, webhook http://bot.example/webhook/max/…"),
        "{log}"
    );
    let hook = url.rsplit('/').next().unwrap();
    assert!(
        !log.contains(hook) && !log.contains(&secret),
        "nothing of it is told"
    );
}

#[tokio::test]
async fn another_secret_or_another_path_is_refused_and_nothing_is_stored() {
    let world = world(registered).await;
    let (url, secret) = world.hook().await;
    let update = world.max.private_text(1, "hello");
    let body = update.to_string().into_bytes();
    assert_eq!(world.max.post_to(&url, body.clone(), &[]).await.unwrap(), 401);
    for (url, secret) in [
        (url.clone(), "wrong".to_owned()),
        (url.clone(), format!("{secret}x")),
        (world.server.url("/webhook/max"), secret.clone()),
        (format!("{url}x"), secret.clone()),
        (world.server.url("/webhook/max/x"), secret.clone()),
    ] {
        assert_eq!(world.post(&url, &secret, &update).await, 401, "{url}");
    }
    let twice = [
        (SECRET_HEADER, secret.clone()),
        (SECRET_HEADER, "wrong".to_owned()),
    ];
    assert_eq!(world.max.post_to(&url, body, &twice).await.unwrap(), 401);
    assert_eq!(world.provider.stats().requests, 0);
    assert_eq!(world.post(&url, &secret, &update).await, 200);
    world.hears(1, "echo: hello").await;
}

#[tokio::test]
async fn a_webhook_that_was_registered_by_hand_is_served_on_the_open_path() {
    let world = world(|setup| {
        setup
            .env("OPENCLAW__MESSENGER__MAX__MODE", "webhook")
            .env("OPENCLAW__MESSENGER__MAX__SECRET", "a-secret_by_hand")
    })
    .await;
    let url = world.server.url("/webhook/max");
    world.max.subscribe(&url, Some("a-secret_by_hand"));
    let update = world.max.private_text(1, "hello");
    assert_eq!(world.max.deliver_update(&update).await.unwrap(), 200);
    world.hears(1, "echo: hello").await;
    assert_eq!(world.max.call_count("POST /subscriptions"), 0);
    assert_eq!(world.max.call_count("DELETE /subscriptions"), 0);
}

#[tokio::test]
async fn an_update_is_confirmed_after_it_is_stored_and_not_before() {
    let world = world(|setup| without_limits(setup).env("OPENCLAW__INBOX__MAX_OPEN", "1")).await;
    let hold = world.provider.hold();
    world.writes(1, "first");
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    world
        .max
        .wait_for(|state| state.queued_updates() == 0, LONG)
        .await
        .expect("what is stored is confirmed");
    // The inbox is full: this one cannot be stored.
    world.writes(2, "second");
    let refused = async {
        while !world.server.log().contains("updates are not taken yet") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, refused).await.expect("it is tried");
    assert_eq!(world.max.with_state(MaxState::queued_updates), 1);
    drop(hold);
    world.hears(1, "echo: first").await;
    world.hears(2, "echo: second").await;
    world
        .max
        .wait_for(|state| state.queued_updates() == 0, LONG)
        .await
        .expect("now it is");
}

#[tokio::test]
async fn a_marker_outlives_the_server_and_so_do_the_messages_behind_it() {
    let mut world = world(without_limits).await;
    world.writes(1, "first");
    world.hears(1, "echo: first").await;
    world
        .max
        .wait_for(|state| state.queued_updates() == 0, LONG)
        .await
        .unwrap();
    world.server.kill().await.unwrap();
    // Without the marker only the newest of them would come.
    for number in 0..3 {
        world.writes(1, &format!("while away {number}"));
    }
    world.server.start_again().await.unwrap();
    for number in 0..3 {
        world.hears(1, &format!("echo: while away {number}")).await;
    }
    assert_eq!(
        world.texts(1),
        [
            "echo: first",
            "echo: while away 0",
            "echo: while away 1",
            "echo: while away 2"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_an_answer_it_answers_once_in_the_same_message() {
    let mut world =
        world(|setup| without_limits(setup).env("OPENCLAW__STREAMING__FLUSH_TIMEOUT_MS", "20")).await;
    let (words, text) = story();
    world
        .provider
        .answer_with(move |_| Some(Answer::pieces(words.clone()).with_gap(Duration::from_millis(5))));
    world.writes(42, "tell me");
    let is_begun = |state: &MaxState| grown(state, 42).len() >= 3;
    if world.max.wait_for(is_begun, LONG).await.is_err() {
        panic!("{}", world.server.log());
    }
    world.server.kill().await.unwrap();
    assert_ne!(world.texts(42).concat(), text, "it was in the middle");
    world.server.start_again().await.unwrap();
    world.hears(42, &text).await;
    assert_eq!(
        world.texts(42),
        [text],
        "the message that stood there was finished"
    );
}

#[tokio::test]
async fn faults_of_the_platform_lose_and_double_nothing() {
    let world = world(without_limits).await;
    // From here on there is a marker, and nothing that waits is left out.
    world.writes(9, "first");
    world.hears(9, "echo: first").await;
    world
        .max
        .wait_for(|state| state.queued_updates() == 0, LONG)
        .await
        .unwrap();
    // What is polled for: a page of a proxy, a cut, a 429, and an update that nobody can read.
    for fault in [
        MaxFault::Page { status: 502 },
        MaxFault::CutBefore,
        MaxFault::RateLimited { retry_after: Some(1) },
    ] {
        world.max.fault("GET /updates", fault);
    }
    world.max.queue_update(
        world
            .max
            .update("message_created", serde_json::json!({ "message": 5 })),
    );
    world.writes(1, "hello");
    world.hears(1, "echo: hello").await;
    let malformed = "openclaw_polled_updates_total{platform=\"max\",outcome=\"malformed\"} 1";
    assert!(world.metric(malformed).await);

    // What is sent: 429, 5xx in the platform's form, a 400 for what is formatted.
    world
        .max
        .fault("POST /messages", MaxFault::RateLimited { retry_after: Some(1) });
    world.writes(2, "one");
    world.hears(2, "echo: one").await;
    assert_eq!(world.texts(2), ["echo: one"]);
    world.max.fault(
        "POST /messages",
        MaxFault::Refused {
            status: 503,
            code: "service.unavailable",
            message: "later".to_owned(),
        },
    );
    world.writes(3, "two");
    world.hears(3, "echo: two").await;
    assert_eq!(world.texts(3), ["echo: two"]);
    world
        .max
        .fault("POST /messages", MaxFault::bad_payload("markdown"));
    world.provider.script(Answer::text("**bold** words"));
    world.writes(4, "bold");
    world.hears(4, "bold words").await;
    assert_eq!(world.texts(4).len(), 1);

    // Somebody who has stopped the bot costs nobody else anything.
    world.max.fault_times("POST /messages", 1, &MaxFault::blocked());
    world.writes(5, "gone");
    world
        .max
        .wait_for(|state| state.queued_updates() == 0, LONG)
        .await
        .unwrap();
    world.provider.wait_for_requests(6, LONG).await.unwrap();
    world.writes(6, "still here");
    world.hears(6, "echo: still here").await;
}

#[tokio::test]
async fn updates_that_come_twice_and_out_of_order_are_each_answered_once() {
    let world = world(|setup| registered(without_limits(setup))).await;
    let (url, secret) = world.hook().await;
    let updates: Vec<_> = (0..6)
        .map(|number| world.max.private_text(number % 2 + 1, &format!("m{number}")))
        .collect();
    let order = [3, 0, 3, 5, 1, 0, 4, 2, 5, 1];
    for number in order {
        let update = &updates[number];
        assert_eq!(world.post(&url, &secret, update).await, 200);
    }
    for number in 0..6_i64 {
        world.hears(number % 2 + 1, &format!("echo: m{number}")).await;
    }
    assert_eq!((world.texts(1).len(), world.texts(2).len()), (3, 3));
    assert_eq!(world.provider.stats().requests, 6);
}

#[tokio::test]
async fn nothing_longer_than_a_message_may_be_is_sent_and_marks_count() {
    let world = world(without_limits).await;
    // A heading's own marks are longer than those it was written with.
    let text: String = (0..600)
        .map(|number| format!("# Слово{number}\n\nи ещё\n\n"))
        .collect();
    world.provider.script(Answer::text(&text));
    world.writes(7, "напиши много");
    let bare = |text: &str| {
        text.replace(['#', '*'], "")
            .split_whitespace()
            .collect::<String>()
    };
    let expected = bare(&text);
    let whole = |state: &MaxState| bare(&state.chat(dialog_of(7)).texts().concat()) == expected;
    if world.max.wait_for(whole, LONG).await.is_err() {
        panic!("{:?}\n{}", world.texts(7), world.server.log());
    }
    assert!(world.texts(7).len() >= 3);
    assert!(
        world.texts(7)[0].starts_with("**Слово0**"),
        "{:?}",
        world.texts(7)
    );
    assert!(world.max.with_state(|state| state.longest_text) <= 4_000);
}

#[tokio::test]
async fn commands_and_a_beginning_are_answered_in_the_persons_language() {
    let world = world(without_limits).await;
    let mut started = world.max.bot_started(1, Some("from-the-site"));
    started["user_locale"] = "ru-RU".into();
    world.max.queue_update(started);
    let greeted = |user: i64| move |state: &MaxState| !state.chat(dialog_of(user)).texts().is_empty();
    world.max.wait_for(greeted(1), LONG).await.unwrap();
    let russian = |text: &str| text.chars().any(|c| ('а'..='я').contains(&c));
    assert!(russian(&world.texts(1)[0]), "{:?}", world.texts(1));
    for (user, command) in [
        (2, "/start"),
        (3, "/help"),
        (4, "/new"),
        (5, "/usage"),
        (6, "/stop"),
    ] {
        world.writes(user, command);
        world.max.wait_for(greeted(user), LONG).await.unwrap();
        assert!(!russian(&world.texts(user)[0]), "{:?}", world.texts(user));
    }
    assert_eq!(world.provider.stats().requests, 0, "a command asks no model");
}

#[tokio::test]
async fn a_command_does_not_wait_behind_the_turn_it_ends() {
    let world = world(without_limits).await;
    world
        .provider
        .answer_with(|_| Some(Answer::new(Content::Echo).with_first_after(Duration::from_secs(60))));
    world.writes(1, "a long one");
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    world.writes(1, "/stop");
    world.hears(1, "Stopped.").await;
    world
        .provider
        .wait_until(LONG, |stats| stats.in_flight == 0)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_token_the_platform_does_not_know_is_told_with_what_to_do_and_the_rest_works() {
    let refused = MaxFault::Refused {
        status: 401,
        code: "verify.token",
        message: "Invalid access_token".to_owned(),
    };
    let world = world_where(|setup| setup, |max| max.fault("GET /me", refused)).await;
    let told = async {
        while !world.server.log().contains("set MAX_BOT_TOKEN to the token") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, told).await.expect("it is told");
    // It is asked again, and then all is well.
    world.writes(1, "hello");
    world.hears(1, "echo: hello").await;
    assert!(!world.server.log().contains(world.max.token()));
}

#[tokio::test]
async fn a_root_certificate_of_the_operators_is_trusted_and_without_it_its_name_is_told() {
    let (max, certificate) = FakeMax::start_tls().await.unwrap();
    let provider = MockProvider::start().await.unwrap();
    let setup = || {
        ServerSetup::new(BINARY)
            .provider(&provider)
            .env("MAX_BOT_TOKEN", max.token())
            .env("OPENCLAW__MESSENGER__MAX__BASE_URL", max.base_url())
    };
    let server = setup().start().await.unwrap();
    let told = async {
        while !server.log().contains("its certificate") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, told).await.expect("it is told");
    assert!(
        server.log().contains("messenger.max.rootCertificate"),
        "{}",
        server.log()
    );
    assert_eq!(max.call_count("GET /me"), 0, "nothing is said to a stranger");
    drop(server);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("root.pem");
    std::fs::write(&file, certificate).unwrap();
    let server = setup()
        .env(
            "OPENCLAW__MESSENGER__MAX__ROOT_CERTIFICATE",
            file.display().to_string(),
        )
        .start()
        .await
        .unwrap();
    let world = World {
        max,
        provider,
        server,
    };
    world.writes(1, "hello");
    world.hears(1, "echo: hello").await;
}

#[tokio::test]
async fn subscriptions_that_would_keep_polls_empty_are_ended() {
    let before = |max: &FakeMax| {
        max.subscribe("https://somewhere.example/a", None);
        max.subscribe("https://somewhere.example/b", Some("secret"));
    };
    let world = world_where(|setup| setup, before).await;
    world.writes(1, "hello");
    world.hears(1, "echo: hello").await;
    assert!(world.max.subscriptions().is_empty());
}

#[tokio::test]
async fn with_the_default_limits_the_bot_never_calls_faster_than_they_allow() {
    let world = world(|setup| registered(setup).env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "256")).await;
    let (url, secret) = world.hook().await;
    let updates: Vec<_> = (1..=60).map(|user| world.max.private_text(user, "hi")).collect();
    let posts = updates.iter().map(|update| world.post(&url, &secret, update));
    let statuses = futures::future::join_all(posts).await;
    assert!(statuses.iter().all(|status| *status == 200));
    for user in 1..=60 {
        world.hears(user, "echo: hi").await;
    }
    // Sent, 20 + 20 in any second. Seen from the other side a call may arrive half a second late on a busy machine, so that
    // of 1.5 s of sending all may arrive within one; without a limit it would be all 120 calls.
    let most = world.max.max_calls_within(Duration::from_secs(1));
    assert!(most <= 20 + 30, "{most} calls within a second");
}
