//! A turn from its plan to its end: what the model is told, what the person sees, what it counts as.

use crate::faults::{Faulty, faulty, until};
use crate::hooks::plug;
use crate::world::{TOOL_CALL, World};
use openclaw_ai_fabric::ModelError;
use openclaw_concurrency::WorkerState;
use openclaw_core::{AccessTier, ContentBlock, Role, TenantId};
use openclaw_gateway::ports::TurnStore;
use openclaw_plugins::{HookContext, HookName, HookResult, SessionEndReason};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Who said what in the last request to the model.
fn told(world: &World) -> Vec<(Role, String)> {
    let asked = world.model.asked.lock();
    let last = asked.last().unwrap();
    last.messages
        .iter()
        .map(|message| (message.role, message.joined_text()))
        .collect()
}

fn tenant(world: &World) -> TenantId {
    world.message("1", "").tenant_id()
}

async fn at_rest(world: &World) {
    until("every message has its end", async || {
        world.gateway.open_entries() == 0
    })
    .await;
}

pub(crate) fn kill(world: &World) {
    let workers = world.gateway.pool().workers();
    let busy = workers.iter().find(|worker| worker.state == WorkerState::Busy);
    world.gateway.pool().kill(busy.unwrap().id).unwrap();
}

/// The requests that ended and those of them that failed.
fn counted(world: &World) -> (u64, u64) {
    let metrics = world.gateway.pool().metrics();
    (metrics.total_processed, metrics.total_errors)
}

#[tokio::test]
async fn a_turn_without_an_answer_counts_as_failed() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    world.say("1", "answered").await;
    at_rest(world).await;
    assert_eq!(counted(world), (1, 0));
    faulty.store.refuse("commit_turn", 1);
    world.say("1", "not stored").await;
    at_rest(world).await;
    assert_eq!(counted(world), (3, 1), "and answered when it could be");
    world.model.says(|_| {
        Err(ModelError::Server {
            status: 500,
            retry_after: None,
        })
    });
    world.say("1", "no model").await;
    at_rest(world).await;
    assert_eq!(counted(world), (4, 2));
    world.model.says(|_| Ok(String::new()));
    world.model.costs(9_990);
    world.say("1", "an empty answer").await;
    at_rest(world).await;
    assert_eq!(counted(world), (5, 3));
    let asked = world.model.asked.lock().len();
    world.say("1", "no budget").await;
    at_rest(world).await;
    assert_eq!(world.model.asked.lock().len(), asked, "no model is asked");
    assert_eq!(counted(world), (6, 4));
}

#[tokio::test]
async fn an_entry_that_was_tried_too_often_is_set_aside_in_words() {
    let faulty = faulty(|config| config.max_attempts = 0).await;
    let world = &faulty.world;
    world.say("1", "hello").await;
    at_rest(world).await;
    let shown = world.messenger.texts("1");
    assert_eq!(shown.len(), 1);
    assert!(world.model.asked.lock().is_empty());
    assert_eq!(counted(world), (1, 1));
    assert!(faulty.store.open_entries(None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn plugins_and_events_hear_of_sessions_that_end_and_begin() {
    // Every session is past its time when the next message comes.
    let world = World::with(|config| config.session_ttl = Duration::ZERO).await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    for hook in [HookName::OnSessionStart, HookName::OnSessionEnd] {
        let sink = Arc::clone(&seen);
        crate::hooks::plug_as(&world, hook.as_str(), hook, move |context| {
            sink.lock().push(match context {
                HookContext::OnSessionStart { generation, .. } => format!("start {generation}"),
                HookContext::OnSessionEnd {
                    generation, reason, ..
                } => {
                    assert_eq!(*reason, SessionEndReason::Expired);
                    format!("end {generation}")
                }
                other => format!("{other:?}"),
            });
            HookResult::default()
        });
    }
    for text in ["first", "second"] {
        world.say("1", text).await;
        at_rest(&world).await;
    }
    assert_eq!(*seen.lock(), ["start 1", "end 1", "start 2"]);
    let events: Vec<_> = std::iter::from_fn(|| world.events.try_next())
        .map(|event| event.name())
        .filter(|name| name.starts_with("session."))
        .collect();
    let opened = ["session.created", "session.activated"];
    assert_eq!(events, [&opened[..], &["session.expired"], &opened].concat());
}

#[tokio::test]
async fn a_model_that_calls_a_tool_is_told_that_there_is_none_and_so_is_the_next_turn() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    world.model.says(|request| {
        let last = request.messages.last().unwrap();
        let answer = match last.role {
            Role::Tool => "as I am",
            _ if last.joined_text() == "look" => TOOL_CALL,
            _ => "yes",
        };
        Ok(answer.to_owned())
    });
    world.say("1", "look").await;
    world.messenger.shows("1", &["as I am"]).await;
    let of_tools = |at: usize| {
        let asked = world.model.asked.lock();
        let messages = &asked[at].messages;
        let call = ContentBlock::ToolUse {
            id: "call".to_owned(),
            name: "look".to_owned(),
            arguments: "{}".to_owned(),
        };
        let result = ContentBlock::ToolResult {
            id: "call".to_owned(),
            content: "there is no tool named \"look\"; answer without tools".to_owned(),
            is_error: true,
        };
        let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
        assert_eq!(messages[1].content, [call]);
        assert_eq!(messages[2].content, [result]);
        roles
    };
    let (user, assistant, tool) = (Role::User, Role::Assistant, Role::Tool);
    assert_eq!(of_tools(1), [user, assistant, tool]);
    at_rest(world).await;
    world.say("1", "and now").await;
    world.messenger.shows("1", &["as I am", "yes"]).await;
    assert_eq!(of_tools(2), [user, assistant, tool, assistant, user]);
    let usage = world
        .gateway
        .usage(&tenant(world), AccessTier::Free)
        .await
        .unwrap();
    assert_eq!((usage.used, usage.reserved), (45, 0), "three calls of a model");
}

#[tokio::test]
async fn an_answer_that_a_plugin_cancels_is_taken_back_and_told_to_no_model() {
    for (reason, words) in [
        (Some("Not this."), "Not this."),
        (None, "This message was not passed on."),
    ] {
        let faulty = faulty(|_| {}).await;
        let world = &faulty.world;
        *world.model.gap.lock() = Duration::from_millis(400);
        world
            .model
            .says(|_| Ok("one two three four five secret".to_owned()));
        let reason = reason.map(str::to_owned);
        let id = plug(world, HookName::OnBeforeSend, move |context| {
            let cancels = context.text().unwrap_or_default().contains("secret");
            if cancels {
                HookResult::cancelled(reason.clone())
            } else {
                HookResult::default()
            }
        });
        world.say("1", "question").await;
        until("some of it is shown", async || {
            world
                .messenger
                .texts("1")
                .iter()
                .any(|text| text.starts_with("one"))
        })
        .await;
        world.messenger.shows("1", &[words]).await;
        at_rest(world).await;
        world.plugins.unregister(&id).unwrap();
        *world.model.gap.lock() = Duration::ZERO;
        world.model.says(|_| Ok("answer".to_owned()));
        world.say("1", "next").await;
        world.messenger.shows("1", &[words, "answer"]).await;
        assert_eq!(told(world), [(Role::User, "next".to_owned())]);
    }
}

#[tokio::test]
async fn a_plugin_that_makes_a_message_longer_makes_its_answer_shorter_or_is_refused() {
    let world = World::new().await;
    let words = Arc::new(Mutex::new(1_usize));
    let count = Arc::clone(&words);
    plug(&world, HookName::OnMessageReceived, move |_| {
        HookResult::text("word ".repeat(*count.lock()))
    });
    // Nearly all of the day's tokens are set aside by each message.
    let mut lengths = Vec::new();
    for count in [1, 500] {
        *words.lock() = count;
        world.say("1", "hello").await;
        at_rest(&world).await;
        lengths.push(world.model.asked.lock().last().unwrap().max_output_tokens);
    }
    assert!(lengths[1] < lengths[0], "{lengths:?}");
    *words.lock() = 40_000;
    let asked = world.model.asked.lock().len();
    world.say("1", "hello").await;
    at_rest(&world).await;
    assert_eq!(world.model.asked.lock().len(), asked, "no model is asked");
    let usage = world
        .gateway
        .usage(&tenant(&world), AccessTier::Free)
        .await
        .unwrap();
    assert_eq!((usage.used, usage.reserved), (30, 0), "and nothing is paid");
}

#[tokio::test]
async fn a_model_is_told_its_role_first_and_of_its_session_what_is_to_be_remembered() {
    let world = World::with(|config| {
        config.system_prompt = "Be brief.".to_owned();
        config.forget_with_session = true;
    })
    .await;
    let system = (Role::System, "Be brief.".to_owned());
    let said = |role, text: &str| (role, text.to_owned());
    world.say("1", "first").await;
    at_rest(&world).await;
    assert_eq!(told(&world), [system.clone(), said(Role::User, "first")]);
    world.say("1", "second").await;
    at_rest(&world).await;
    let expected = [
        system.clone(),
        said(Role::User, "first"),
        said(Role::Assistant, "echo: first"),
        said(Role::User, "second"),
    ];
    assert_eq!(told(&world), expected);

    let world = World::with(|config| {
        config.system_prompt = "Be brief.".to_owned();
        config.forget_with_session = true;
        config.session_ttl = Duration::ZERO;
    })
    .await;
    for text in ["first", "second", "third"] {
        world.say("1", text).await;
        at_rest(&world).await;
        assert_eq!(told(&world), [system.clone(), said(Role::User, text)]);
    }
}

#[tokio::test]
async fn of_a_conversation_larger_than_the_budget_the_newest_part_is_told() {
    let world = World::with(|config| config.max_history_tokens = 50_000).await;
    world.model.says(|_| Ok("word ".repeat(2_000)));
    let mut all = 1;
    loop {
        world.say("1", &format!("question {all}")).await;
        at_rest(&world).await;
        let told = told(&world);
        assert_eq!(
            told.last().unwrap().1,
            format!("question {all}"),
            "nobody is shut out"
        );
        if told.len() < all {
            assert!(told.len() >= 3, "{} of {all} messages", told.len());
            assert_eq!(told[told.len() - 2].0, Role::Assistant);
            break;
        }
        all += 2;
    }
    assert!(all > 5, "there was room for {all} messages");
}

#[tokio::test]
async fn a_question_is_told_however_long_or_refused_but_never_left_out() {
    let long = "word ".repeat(2_000);
    let world = World::with(|config| {
        config.max_history_tokens = 100;
        config.system_prompt = "Be brief. ".repeat(100);
    })
    .await;
    for _ in 0..2 {
        world.say("1", &long).await;
        at_rest(&world).await;
        let told = told(&world);
        assert_eq!(
            told.len(),
            2,
            "the prompt and the question, though each has more than the history may"
        );
        assert_eq!(told[1], (Role::User, long.clone()));
    }
    let world = World::new().await;
    world.say("1", &"word ".repeat(20_000)).await;
    at_rest(&world).await;
    assert!(
        world.model.asked.lock().is_empty(),
        "the budget of a day is too small for it"
    );
    assert_eq!(world.messenger.texts("1").len(), 1);
}

#[tokio::test]
async fn words_take_the_place_of_all_that_a_killed_worker_had_shown() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_millis(400);
    world
        .model
        .says(|_| Ok(format!("{} ", "x".repeat(99)).repeat(100)));
    world.say("1", "question").await;
    until("it takes two messages", async || {
        world.messenger.texts("1").len() == 2
    })
    .await;
    kill(world);
    let words = "Something went wrong while your request was being answered. Please try again.";
    world.messenger.shows("1", &[words]).await;
    at_rest(world).await;
    let usage = world
        .gateway
        .usage(&tenant(world), AccessTier::Free)
        .await
        .unwrap();
    assert!(
        usage.used > 500 && usage.reserved == 0,
        "what it had said is paid: {usage:?}"
    );
    let account = world.gateway.account_of(&tenant(world));
    let stored = faulty.store.usage(&account).await.unwrap().unwrap();
    assert_eq!((stored.used, stored.settled), (usage.used, 1));
    *world.model.gap.lock() = Duration::ZERO;
    world.model.says(|_| Ok("answer".to_owned()));
    world.say("1", "next").await;
    world.messenger.shows("1", &[words, "answer"]).await;
    assert_eq!(told(world), [(Role::User, "next".to_owned())]);
}

#[tokio::test]
async fn a_message_stopped_while_it_waits_in_the_pool_ends_without_an_answer() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_secs(60);
    let mut person = 0;
    while world.gateway.queue().is_empty() {
        person += 1;
        world.say(&person.to_string(), "hello").await;
    }
    let last = person.to_string();
    let open = world.gateway.open_entries();
    world.say(&last, "/stop").await;
    world.messenger.shows(&last, &["Stopped."]).await;
    until("both have their end", async || {
        world.gateway.open_entries() == open - 1
    })
    .await;
    let open = faulty.store.open_entries(None, 100).await.unwrap();
    assert!(open.iter().all(|entry| entry.message.user.as_str() != last));
}

/// Tokens and calls that a restart finds charged, and the attempts it counts of the only open entry.
async fn after_a_restart(faulty: &Faulty) -> (u64, u64, u32) {
    let after = faulty.world.store.reopened();
    let account = faulty.world.gateway.account_of(&tenant(&faulty.world));
    let usage = after.usage(&account).await.unwrap();
    let (used, settled) = usage.map_or((0, 0), |usage| (usage.used, usage.settled));
    let open = after.open_entries(None, 9).await.unwrap();
    assert_eq!(open.len(), 1, "it is answered after the next start");
    (used, settled, open[0].attempts)
}

#[tokio::test]
async fn a_turn_whose_worker_is_gone_and_whose_end_the_stop_overtakes_is_charged_once() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_millis(400);
    world.model.says(|_| Ok("word ".repeat(1_000)));
    world.say("1", "hello").await;
    until("some of it is shown", async || {
        !world.messenger.texts("1").is_empty()
    })
    .await;
    faulty.store.refuse("commit_turn", 1_000);
    kill(world);
    until("its end is refused", async || {
        faulty.store.left("commit_turn") < 1_000
    })
    .await;
    let used = world
        .gateway
        .usage(&tenant(world), AccessTier::Free)
        .await
        .unwrap()
        .used;
    assert!(used > 0);
    world.gateway.shut_down(Duration::from_secs(1)).await;
    assert_eq!(after_a_restart(&faulty).await, (used, 1, 0));
}

#[tokio::test]
async fn a_turn_that_the_stop_interrupts_while_the_disk_refuses_its_end_is_charged_once() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    faulty.store.hold("commit_turn");
    faulty.store.refuse("commit_turn", 1);
    world.say("1", "hello").await;
    until("it ends", async || faulty.store.is_held("commit_turn")).await;
    let stopping = world.gateway.shut_down(Duration::ZERO);
    let letting_go = async {
        until("its worker is gone", async || {
            world.gateway.pool().metrics().active_workers == 0
        })
        .await;
        faulty.store.let_go("commit_turn");
    };
    tokio::join!(stopping, letting_go);
    assert_eq!(after_a_restart(&faulty).await, (15, 1, 0));
}
