//! Who is asked, what is handed on, what stops the chain.

use crate::support::{World, answers, appends, ask, ask_pinned, received, sending, texts};
use openclaw_core::testing::SeededRandom;
use openclaw_core::{AccessTier, Clock, CorrelationId};
use openclaw_plugins::{
    HookContext, HookData, HookExecuted, HookExecution, HookName, HookResult, PluginPermission,
    SessionEndReason,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[tokio::test]
async fn each_plugin_gets_what_the_one_before_it_left() {
    let world = World::new();
    world.run(texts("late", 20), appends("c"));
    world.run(texts("early", 10), appends("a"));
    world.run(texts("late-too", 20), appends("d"));
    world.run(texts("first", -5), appends("0"));
    assert_eq!(world.text(received("_")).await, "_0acd");
}

#[tokio::test]
async fn a_cancellation_stops_the_chain_and_names_its_plugin() {
    let world = World::new();
    world.run(texts("first", 1), appends("a"));
    let closer = world.run(
        texts("closer", 2),
        answers(|_| Ok(HookResult::cancelled(Some(" Closed. ".into())))),
    );
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    world.run(
        texts("last", 3),
        answers(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(HookResult::unchanged())
        }),
    );
    let outcome = world.dispatch(received("_")).await;
    let cancelled = outcome.cancelled.expect("cancelled");
    assert_eq!(
        (cancelled.plugin, cancelled.text.as_deref()),
        (closer, Some("Closed."))
    );
    assert_eq!(
        outcome.context,
        received("_a"),
        "what came before the cancellation stays"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_hook_that_tells_of_what_has_happened_has_nothing_to_cancel() {
    let world = World::new();
    let hook = HookName::OnSessionEnd;
    let stop = || answers(|_| Ok(HookResult::cancelled(None)));
    world.run(texts("one", 1).with_hook(hook, 1), stop());
    world.run(texts("two", 2).with_hook(hook, 2), stop());
    world.published();
    let tenant: openclaw_core::TenantId = "web:anna:1".parse().expect("a tenant");
    let context = HookContext::OnSessionEnd {
        session: openclaw_core::SessionId::of(tenant.clone()),
        tenant,
        generation: 3,
        reason: SessionEndReason::Renewed,
    };
    let outcome = world.dispatch(context.clone()).await;
    assert_eq!((outcome.context, outcome.cancelled), (context, None));
    assert_eq!(
        world.events::<HookExecuted>().len(),
        1,
        "the chain stops all the same"
    );
}

#[tokio::test]
async fn only_tenants_of_the_required_tier_reach_a_plugin() {
    let world = World::new();
    let mut premium = texts("premium", 1);
    premium.required_tier = AccessTier::Premium;
    world.run(premium, appends("!"));
    for (tier, expected) in AccessTier::ALL.into_iter().zip(["_", "_", "_!", "_!"]) {
        let outcome = ask(&world.hooks, HookName::OnBeforeSend, sending("_"), tier, None).await;
        assert_eq!(outcome.context.text(), Some(expected), "{tier}");
    }
}

#[tokio::test]
async fn disabled_and_removed_plugins_do_not_run_and_activated_ones_do_again() {
    let world = World::new();
    let plugin = world.run(texts("x", 1), appends("!"));
    assert_eq!(world.text(received("_")).await, "_!");
    world.registry.disable(&plugin).expect("disabled");
    assert!(!world.hooks.has(HookName::OnMessageReceived));
    assert_eq!(world.text(received("_")).await, "_");
    world.registry.activate(&plugin, appends("?")).expect("active");
    assert!(world.hooks.has(HookName::OnMessageReceived));
    assert!(!world.hooks.has(HookName::OnAfterSend));
    assert_eq!(world.text(received("_")).await, "_?");
    world.registry.unregister(&plugin).expect("removed");
    assert!(!world.hooks.has(HookName::OnMessageReceived));
    assert_eq!(world.text(received("_")).await, "_");
    assert!(world.registry.get(&plugin).is_none());
}

#[tokio::test]
async fn a_plugin_disabled_while_a_turn_has_pinned_it_does_not_run() {
    let world = World::new();
    let (kept, gone) = (
        world.run(texts("kept", 1), appends("a")),
        world.run(texts("gone", 2), appends("b")),
    );
    let pinned = world.hooks.pin();
    world.registry.disable(&gone).expect("disabled");
    let outcome = ask_pinned(&pinned, received("_")).await;
    assert_eq!(outcome.context.text(), Some("_a"));
    world.registry.fail(&kept, "by hand").expect("failed");
    assert!(pinned.has(HookName::OnMessageReceived));
    let outcome = ask_pinned(&pinned, received("_")).await;
    assert_eq!(outcome.context.text(), Some("_"));
}

#[tokio::test]
async fn the_answer_of_a_plugin_that_was_disabled_during_its_call_is_not_used() {
    let world = World::new();
    let registry = Arc::clone(&world.registry);
    world.run(
        texts("x", 1),
        answers(move |_| {
            registry.disable(&crate::support::id("x")).expect("disabled");
            Ok(HookResult::text("changed"))
        }),
    );
    world.published();
    assert_eq!(world.text(received("_")).await, "_");
    let outcomes: Vec<_> = world
        .events::<HookExecuted>()
        .into_iter()
        .map(|event| event.outcome)
        .collect();
    assert_eq!(outcomes, [HookExecution::Discarded]);
}

#[tokio::test]
async fn data_without_modified_changes_nothing() {
    let world = World::new();
    world.run(
        texts("x", 1),
        answers(|_| {
            Ok(HookResult {
                modified: false,
                ..HookResult::text("changed")
            })
        }),
    );
    assert_eq!(world.text(received("_")).await, "_");
}

#[tokio::test]
async fn tool_hooks_change_arguments_and_output_and_can_refuse_a_call() {
    let world = World::new();
    let manifest = texts("tools", 1)
        .with_permission(PluginPermission::ExecuteTools)
        .with_hook(HookName::OnToolInvoked, 1)
        .with_hook(HookName::OnToolCompleted, 1);
    world.run(
        manifest,
        answers(|context| {
            Ok(match context {
                HookContext::OnToolInvoked { tool, .. } if tool == "shell" => HookResult::cancelled(None),
                HookContext::OnToolInvoked { .. } => HookResult::changed(HookData {
                    arguments: Some(serde_json::json!({"safe": true})),
                    ..HookData::default()
                }),
                _ => HookResult::changed(HookData {
                    output: Some("cleaned".into()),
                    ..HookData::default()
                }),
            })
        }),
    );
    let tenant: openclaw_core::TenantId = "web:anna:1".parse().expect("a tenant");
    let invoked = |tool: &str, arguments| HookContext::OnToolInvoked {
        tenant: tenant.clone(),
        call_id: "1".into(),
        tool: tool.into(),
        arguments,
    };
    let outcome = world.dispatch(invoked("read", serde_json::json!({}))).await;
    assert_eq!(
        outcome.context,
        invoked("read", serde_json::json!({"safe": true}))
    );
    assert!(
        world
            .dispatch(invoked("shell", serde_json::json!({})))
            .await
            .cancelled
            .is_some()
    );
    let completed = |output: &str| HookContext::OnToolCompleted {
        tenant: tenant.clone(),
        call_id: "1".into(),
        tool: "read".into(),
        output: output.into(),
        is_error: false,
    };
    assert_eq!(
        world.dispatch(completed("raw")).await.context,
        completed("cleaned")
    );
}

#[tokio::test]
async fn every_call_is_published_with_the_messages_correlation_id_and_without_its_text() {
    let world = World::new();
    world.run(texts("one", 1), appends(" secret"));
    world.run(texts("two", 2), answers(|_| Ok(HookResult::unchanged())));
    world.run(
        texts("three", 3),
        answers(|_| Ok(HookResult::cancelled(Some("secret".into())))),
    );
    world.published();
    let correlation = CorrelationId::new(world.clock.now(), &SeededRandom::new(1));
    let context = received("secret");
    ask(
        &world.hooks,
        context.hook(),
        context,
        AccessTier::Free,
        Some(correlation),
    )
    .await;
    let published = world.published();
    let outcomes: Vec<_> = published
        .iter()
        .map(|envelope| {
            assert_eq!(envelope.correlation_id(), Some(correlation));
            assert_eq!(envelope.name(), "hook.executed");
            assert!(!envelope.to_json().to_string().contains("secret"));
            let executed = envelope.payload::<HookExecuted>().expect("hook.executed");
            (executed.plugin.as_str().to_owned(), executed.outcome)
        })
        .collect();
    let expected = [
        ("one", HookExecution::Changed),
        ("two", HookExecution::Unchanged),
        ("three", HookExecution::Cancelled),
    ];
    assert_eq!(
        outcomes,
        expected.map(|(plugin, outcome)| (plugin.to_owned(), outcome))
    );
}

#[tokio::test]
async fn a_hook_name_that_does_not_fit_the_context_never_spares_a_plugin() {
    let world = World::new();
    world.run(texts("redactor", 1), appends("#"));
    let outcome = ask(
        &world.hooks,
        HookName::OnAfterSend,
        sending("_"),
        AccessTier::Free,
        None,
    )
    .await;
    assert_eq!(outcome.context.text(), Some("_#"));
}

#[test]
fn a_dispatch_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let world = World::new();
    let mut context = sending("_");
    is_send(
        &world
            .hooks
            .dispatch(HookName::OnBeforeSend, &mut context, AccessTier::Free, None),
    );
}
