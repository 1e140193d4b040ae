//! Stateless calls: what their caller hears, in which order, and what it costs.

use crate::faults::{faulty, until};
use crate::hooks::plug;
use crate::world::{CUT, World};
use futures::FutureExt;
use openclaw_ai_fabric::{AnswerForm, ChatRequest, ModelError};
use openclaw_concurrency::WorkerState;
use openclaw_core::{
    AccessTier, ChatMessage, CodedError, ContentBlock, Language, ModelEvent, ModelId, Role, StopReason,
    TokenUsage,
};
use openclaw_gateway::ledger::{SpentBy, SpentQuery};
use openclaw_gateway::ports::{TurnStore, UsageLedger};
use openclaw_gateway::{CompletionEvent, CompletionRequest, CompletionStream};
use openclaw_plugins::{Cancel, HookName, HookResult};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const FORMS: [AnswerForm; 2] = [AnswerForm::Streamed, AnswerForm::Whole];
/// Words that a model says at once: far more than may be on their way to a caller.
const MANY: usize = 10_000;

fn request(world: &World, form: AnswerForm) -> CompletionRequest {
    CompletionRequest {
        tenant: "api:alice:default".parse().unwrap(),
        tier: AccessTier::Standard,
        model: None,
        chat: ChatRequest {
            form,
            ..ChatRequest::new(vec![ChatMessage::text(Role::User, "hello there")], 100)
        },
        correlation_id: world.gateway.correlation_id(),
        language: Language::En,
    }
}

fn call(world: &World, form: AnswerForm) -> CompletionStream {
    world.gateway.complete(request(world, form)).unwrap()
}

async fn rest(mut answer: CompletionStream) -> Vec<String> {
    let mut heard = Vec::new();
    while let Some(event) = answer.next().await {
        heard.push(name(&event));
    }
    heard
}

/// An event in a word, so that a whole answer can be read.
fn name(event: &CompletionEvent) -> String {
    match event {
        CompletionEvent::Began { model } => format!("began {model}"),
        CompletionEvent::Event(ModelEvent::TextDelta(text)) => text.clone(),
        CompletionEvent::Event(ModelEvent::Usage(usage)) => format!("usage {}", usage.total()),
        CompletionEvent::Event(ModelEvent::Stop(reason)) => format!("stop {}", reason.as_openai()),
        CompletionEvent::Event(other) => format!("{other:?}"),
        CompletionEvent::Done => "done".to_owned(),
        CompletionEvent::Failed(refusal) => format!("failed {}", refusal.code()),
    }
}

/// Tokens used and set aside by the caller's budget.
async fn spent(world: &World) -> (u64, u64) {
    let tenant = "api:alice:default".parse().unwrap();
    let usage = world.gateway.usage(&tenant, AccessTier::Standard).await.unwrap();
    (usage.used, usage.reserved)
}

#[tokio::test]
async fn an_answer_is_told_in_pieces_or_in_one() {
    let world = World::new().await;
    let pieces = ["echo: ", "hello ", "there"];
    let end = ["stop stop", "usage 15", "done"];
    let streamed = rest(call(&world, AnswerForm::Streamed)).await;
    assert_eq!(streamed, [&["began test"][..], &pieces, &end].concat());
    let whole = rest(call(&world, AnswerForm::Whole)).await;
    assert_eq!(whole, [&["began test", "echo: hello there"][..], &end].concat());
    assert_eq!(spent(&world).await, (30, 0));
    let asked: Vec<_> = world.model.asked.lock().iter().map(|asked| asked.form).collect();
    assert_eq!(asked, FORMS);
}

#[tokio::test]
async fn the_caller_has_its_answer_before_the_books_are_closed() {
    for form in FORMS {
        let world = World::new().await;
        let pool = world.gateway.pool();
        let mut answer = call(&world, form);
        let counts = Arc::clone(pool);
        // A task as the worker is one: whoever was woken first is first.
        let caller = tokio::spawn(async move {
            while !matches!(answer.next().await.unwrap(), CompletionEvent::Done) {}
            // Whoever has heard everything and goes has cancelled nothing.
            let metrics = counts.metrics();
            (metrics.active_workers, metrics.total_processed)
        });
        assert_eq!(caller.await.unwrap(), (1, 0), "{form:?}: the worker went first");
        until("the books are closed", async || {
            pool.metrics().active_workers == 0
        })
        .await;
        let totals = pool.totals();
        assert_eq!(
            (pool.metrics().total_processed, totals.cancelled),
            (1, 0),
            "{form:?}"
        );
    }
}

#[tokio::test]
async fn after_the_last_event_there_is_none_and_the_call_counts_as_answered() {
    let world = World::new().await;
    let mut answer = call(&world, AnswerForm::Streamed);
    while !matches!(answer.next().await.unwrap(), CompletionEvent::Done) {}
    for _ in 0..2 {
        assert!(answer.next().await.is_none());
    }
    let metrics = world.gateway.pool().metrics();
    assert_eq!((metrics.total_processed, metrics.total_errors), (1, 0));
}

#[tokio::test]
async fn a_model_waits_for_a_caller_that_is_behind_and_nothing_is_lost() {
    let world = World::new().await;
    world.model.says(|_| Ok("word ".repeat(MANY)));
    let mut answer = call(&world, AnswerForm::Streamed);
    let mut heard = vec![answer.next().await.unwrap()];
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    let ahead = world.model.told.load(Ordering::Relaxed);
    assert!(
        (100..3_000).contains(&ahead),
        "{ahead} events ahead of the caller"
    );
    // What waits can be had at once, up to a bound, in order.
    answer.take_ready(&mut heard, 40);
    assert_eq!(heard.len(), 40);
    answer.take_ready(&mut heard, 40);
    assert_eq!(heard.len(), 40);
    answer.take_ready(&mut heard, 41);
    assert_eq!(heard.len(), 41);
    while let Some(event) = answer.next().await {
        heard.push(event);
    }
    let heard: Vec<String> = heard.iter().map(name).collect();
    assert_eq!(heard[0], "began test");
    assert!(heard[1..=MANY].iter().all(|word| word == "word "));
    assert_eq!(heard[MANY + 1..], ["stop stop", "usage 15", "done"]);
}

#[tokio::test]
async fn what_has_come_when_a_model_pauses_is_told_at_once() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_secs(1);
    let mut answer = call(world, AnswerForm::Streamed);
    let mut heard = Vec::new();
    for told in 1..=3 {
        while heard
            .iter()
            .filter(|event| matches!(event, CompletionEvent::Event(_)))
            .count()
            < told
        {
            heard.push(answer.next().await.unwrap());
        }
        let ahead = world.model.told.load(Ordering::Relaxed);
        assert!(
            ahead <= told as u64 + 1,
            "word {told} was told when {ahead} had come"
        );
    }
}

#[tokio::test]
async fn a_call_that_fails_is_told_so_and_one_in_one_piece_is_told_nothing_else() {
    let world = World::new().await;
    world.model.says(|_| Ok(format!("some words {CUT}")));
    let failed = "failed MODEL_INTERRUPTED";
    let streamed = rest(call(&world, AnswerForm::Streamed)).await;
    assert_eq!(streamed, ["began test", "some ", "words ", failed]);
    assert_eq!(rest(call(&world, AnswerForm::Whole)).await, [failed]);
    world
        .model
        .says(|_| Err(ModelError::Unauthorized { status: 401 }));
    for form in FORMS {
        assert_eq!(
            rest(call(&world, form)).await,
            ["failed ALL_MODELS_FAILED"],
            "{form:?}"
        );
    }
    until("the books are closed", async || {
        world.gateway.pool().metrics().total_processed == 4
    })
    .await;
    assert_eq!(world.gateway.pool().metrics().total_errors, 4);
}

#[tokio::test]
async fn a_call_that_reaches_no_model_costs_nothing() {
    let world = World::new().await;
    for form in FORMS {
        let model = Some(ModelId::parse("nobody").unwrap());
        let asked = CompletionRequest {
            model,
            ..request(&world, form)
        };
        let answer = world.gateway.complete(asked).unwrap();
        assert_eq!(rest(answer).await, ["failed MODEL_UNKNOWN"]);
    }
    world
        .model
        .says(|_| Err(ModelError::Unauthorized { status: 401 }));
    rest(call(&world, AnswerForm::Whole)).await;
    assert_eq!(spent(&world).await, (0, 0));
    world.gateway.flush_usage().await.unwrap();
    assert!(ledger(&world).await.is_empty());
    let tenant = "api:alice:default".parse().unwrap();
    let stored = world
        .store
        .usage(&world.gateway.account_of(&tenant))
        .await
        .unwrap();
    assert_eq!(stored, None, "no call is counted either");
}

async fn ledger(world: &World) -> Vec<(String, u64, u64)> {
    let query = SpentQuery {
        by: SpentBy::Model,
        since_day: 0,
        payer: None,
        limit: 9,
    };
    let rows = world.store.spent(query).await.unwrap();
    rows.into_iter()
        .map(|row| (row.key, row.sums.calls, row.sums.tokens()))
        .collect()
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_call_and_pays_for_what_was_asked_until_then() {
    for form in FORMS {
        let faulty = faulty(|_| {}).await;
        let world = &faulty.world;
        *world.model.gap.lock() = Duration::from_secs(1);
        let mut answer = call(world, form);
        if form == AnswerForm::Streamed {
            while !matches!(answer.next().await.unwrap(), CompletionEvent::Event(_)) {}
        } else {
            assert!(answer.next().now_or_never().is_none());
            until("it is told something", async || {
                world.model.told.load(Ordering::Relaxed) > 1
            })
            .await;
            assert!(answer.next().now_or_never().is_none(), "it is not complete");
        }
        drop(answer);
        let pool = world.gateway.pool();
        until("its worker is free", async || pool.metrics().active_workers == 0).await;
        let told = world.model.told.load(Ordering::Relaxed);
        assert!(told < 4, "{form:?}: the model was heard to its end");
        assert_eq!(pool.totals().cancelled, 1, "{form:?}");
        let (used, reserved) = spent(world).await;
        assert!(
            used > 0 && reserved == 0,
            "{form:?}: {used} used, {reserved} set aside"
        );
        world.gateway.flush_usage().await.unwrap();
        assert_eq!(
            ledger(world).await,
            [("test/test".to_owned(), 1, used)],
            "{form:?}"
        );
    }
}

#[tokio::test]
async fn whose_worker_is_killed_hears_why_and_then_nothing() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_secs(1_000);
    let mut answer = call(world, AnswerForm::Whole);
    until("it runs", async || world.model.asked.lock().len() == 1).await;
    let workers = world.gateway.pool().workers();
    let busy = workers.iter().find(|worker| worker.state == WorkerState::Busy);
    world.gateway.pool().kill(busy.unwrap().id).unwrap();
    // Whoever gives up waiting and comes back hears it all the same.
    for _ in 0..10 {
        if let Some(event) = answer.next().now_or_never() {
            panic!("nothing can have been said yet: {event:?}");
        }
    }
    let event = answer.next().await.unwrap();
    assert!(name(&event).starts_with("failed "), "{event:?}");
    assert!(answer.next().await.is_none());
}

#[tokio::test]
async fn a_length_is_asked_for_where_the_caller_or_the_budget_wants_one() {
    let world = World::new().await;
    for (tier, wanted, asked) in [
        (AccessTier::Admin, 0, 0..=0),
        (AccessTier::Admin, 100, 100..=100),
        (AccessTier::Standard, 0, 0..=0),
        // More than a day of it.
        (AccessTier::Free, 20_000, 9_000..=10_000),
        (AccessTier::Free, 0, 9_000..=10_000),
        // More than the model can give.
        (AccessTier::Admin, 20_000, 16_384..=16_384),
    ] {
        let mut request = request(&world, AnswerForm::Whole);
        request.tier = tier;
        request.chat.max_output_tokens = wanted;
        rest(world.gateway.complete(request).unwrap()).await;
        let last = world.model.asked.lock().pop().unwrap();
        assert!(
            asked.contains(&last.max_output_tokens),
            "{tier}: {}",
            last.max_output_tokens
        );
    }
}

#[tokio::test]
async fn a_plugin_changes_what_is_asked_and_what_is_said() {
    let world = World::new().await;
    let id = plug(&world, HookName::OnMessageReceived, |_| {
        HookResult::text("changed")
    });
    let mut asked = request(&world, AnswerForm::Streamed);
    asked
        .chat
        .messages
        .push(ChatMessage::text(Role::Assistant, "yes?"));
    rest(world.gateway.complete(asked).unwrap()).await;
    let told = world.model.asked.lock().pop().unwrap().messages;
    let told: Vec<_> = told
        .iter()
        .map(|message| (message.role, message.joined_text()))
        .collect();
    let expected = [
        (Role::User, "changed".to_owned()),
        (Role::Assistant, "yes?".to_owned()),
    ];
    assert_eq!(told, expected, "the person's last word, and nobody else's");
    let image = ContentBlock::Other {
        value: serde_json::json!({"type": "image_url"}),
    };
    let mut asked = request(&world, AnswerForm::Streamed);
    asked.chat.messages[0].content.push(image.clone());
    rest(world.gateway.complete(asked).unwrap()).await;
    let told = world.model.asked.lock().pop().unwrap().messages;
    let changed = ContentBlock::Text {
        text: "changed".to_owned(),
    };
    assert_eq!(told[0].content, [changed, image], "what is no text stays");
    world.plugins.unregister(&id).unwrap();

    plug(&world, HookName::OnBeforeSend, |context| {
        HookResult::text(context.text().unwrap_or_default().replace("there", "[removed]"))
    });
    for form in FORMS {
        let heard = rest(call(&world, form)).await;
        let said = [
            "began test",
            "echo: hello [removed]",
            "stop stop",
            "usage 15",
            "done",
        ];
        assert_eq!(
            heard, said,
            "{form:?}: nothing of it is told before all of it is known"
        );
    }
}

#[tokio::test]
async fn a_plugin_cancels_before_a_model_is_asked_or_before_the_answer_is_told() {
    let world = World::new().await;
    let cancels = |_: &_| HookResult {
        cancel: Some(Cancel { reason: None }),
        ..HookResult::default()
    };
    let id = plug(&world, HookName::OnMessageReceived, cancels);
    for form in FORMS {
        assert_eq!(rest(call(&world, form)).await, ["failed MESSAGE_BLOCKED"]);
    }
    assert!(world.model.asked.lock().is_empty());
    assert_eq!(spent(&world).await, (0, 0));
    world.plugins.unregister(&id).unwrap();
    plug(&world, HookName::OnBeforeSend, cancels);
    for (form, said) in FORMS.into_iter().zip([
        &["began test", "failed MESSAGE_BLOCKED"][..],
        &["failed MESSAGE_BLOCKED"],
    ]) {
        assert_eq!(rest(call(&world, form)).await, said);
    }
    assert_eq!(spent(&world).await, (30, 0), "the model has answered");
}

#[tokio::test]
async fn without_room_in_the_budget_a_call_is_refused_before_a_model_is_asked() {
    let world = World::new().await;
    world.model.costs(99_990);
    rest(call(&world, AnswerForm::Whole)).await;
    world.model.asked.lock().clear();
    let heard = rest(call(&world, AnswerForm::Whole)).await;
    assert_eq!(heard, ["failed TOKEN_BUDGET_EXCEEDED"]);
    assert!(world.model.asked.lock().is_empty());
    assert_eq!(spent(&world).await, (99_995, 0));
}

#[tokio::test]
async fn usage_is_told_once_whatever_the_provider_says() {
    let world = World::new().await;
    let mut answer = call(&world, AnswerForm::Streamed);
    let mut told = Vec::new();
    while let Some(event) = answer.next().await {
        if let CompletionEvent::Event(ModelEvent::Usage(usage)) = event {
            told.push(usage);
        }
    }
    let expected = TokenUsage {
        input_tokens: 10,
        output_tokens: 5,
        estimated: false,
    };
    assert_eq!(told, [expected]);
    assert_eq!(StopReason::EndTurn.as_openai(), "stop");
}
