//! A plugin that fails harms nobody but itself.

use crate::support::{Code, World, answers, appends, fails, received, texts};
use openclaw_core::PluginId;
use openclaw_plugins::{
    HookData, HookError, HookHandler, HookLimits, HookName, HookResult, PluginFailed, PluginState,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Runs a plugin that goes wrong between two that do not.
#[track_caller]
fn between(world: &World, code: Arc<dyn HookHandler>) -> PluginId {
    world.run(texts("before", 1), appends("a"));
    let plugin = world.run(texts("bad", 2), code);
    world.run(texts("after", 3), appends("b"));
    world.published();
    plugin
}

async fn check(code: Arc<dyn HookHandler>, kind: &str) {
    let world = World::new();
    let plugin = between(&world, code);
    assert_eq!(
        world.text(received("_")).await,
        "_ab",
        "the message goes on without it"
    );
    let failed = world.events::<PluginFailed>();
    let [failed] = failed.as_slice() else {
        panic!("one plugin.error, not {failed:?}")
    };
    assert_eq!(
        (&failed.plugin, failed.kind, failed.failures_in_a_row),
        (&plugin, kind, 1)
    );
    assert_eq!(
        (failed.state, failed.hook),
        (PluginState::Active, Some(HookName::OnMessageReceived))
    );
}

#[tokio::test]
async fn a_failing_hook_is_skipped() {
    check(fails(), "failed").await;
}

#[tokio::test]
async fn a_trapping_hook_is_skipped() {
    let trap = |_: &_| {
        Err(HookError::Trapped {
            message: "unreachable".into(),
        })
    };
    check(answers(trap), "trapped").await;
    check(
        answers(|_| Err(HookError::OutOfMemory { limit_bytes: 64 })),
        "out_of_memory",
    )
    .await;
}

#[tokio::test]
async fn a_panicking_hook_is_skipped() {
    check(answers(|_| panic!("at once")), "panicked").await;
    let later = Code(|_| async {
        tokio::task::yield_now().await;
        panic!("after a while: {}", 1)
    });
    check(Arc::new(later), "panicked").await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_used() {
    let text = "x".repeat(HookLimits::default().answer_bytes + 1);
    check(answers(move |_| Ok(HookResult::text(text.clone()))), "too_long").await;
    let nested = serde_json::json!({"a": "x".repeat(HookLimits::default().answer_bytes)});
    let data = HookData {
        arguments: Some(nested),
        ..HookData::default()
    };
    check(
        answers(move |_| Ok(HookResult::changed(data.clone()))),
        "too_long",
    )
    .await;
}

#[tokio::test]
async fn a_hook_that_does_not_answer_within_a_second_is_skipped_and_dropped() {
    let world = World::new();
    let dropped = Arc::new(AtomicBool::new(false));
    struct Notice(Arc<AtomicBool>);
    impl Drop for Notice {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let flag = Arc::clone(&dropped);
    let hangs = Code(move |_| {
        let notice = Notice(Arc::clone(&flag));
        async move {
            let _notice = notice;
            std::future::pending().await
        }
    });
    between(&world, Arc::new(hangs));
    let mut running = Box::pin(world.text(received("_")));
    assert!(futures::poll!(&mut running).is_pending());
    world.clock.advance(Duration::from_millis(999));
    assert!(futures::poll!(&mut running).is_pending());
    assert!(!dropped.load(Ordering::Relaxed));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(running.await, "_ab");
    assert!(dropped.load(Ordering::Relaxed));
    assert_eq!(world.clock.sleepers(), 0);
    let kinds: Vec<_> = world
        .events::<PluginFailed>()
        .into_iter()
        .map(|failed| failed.kind)
        .collect();
    assert_eq!(kinds, ["too_slow"]);
}

#[tokio::test]
async fn a_hook_that_blocked_its_thread_for_too_long_is_skipped_too() {
    let world = World::new();
    let clock = Arc::clone(&world.clock);
    between(
        &world,
        answers(move |_| {
            clock.advance(Duration::from_millis(1_001));
            Ok(HookResult::text("late"))
        }),
    );
    assert_eq!(world.text(received("_")).await, "_ab");
}

#[tokio::test]
async fn a_slow_hook_that_answers_in_time_is_used() {
    let world = World::new();
    let slow = Code(|_| async {
        tokio::task::yield_now().await;
        Ok(HookResult::text("slow"))
    });
    world.run(texts("slow", 1), Arc::new(slow));
    assert_eq!(world.text(received("_")).await, "slow");
    assert_eq!(world.clock.sleepers(), 0, "its timer is gone");
}

#[tokio::test]
async fn five_failures_in_a_row_put_a_plugin_into_error() {
    let world = World::new();
    let plugin = between(&world, fails());
    for count in 1..=7_u32 {
        assert_eq!(world.text(received("_")).await, "_ab");
        let state = world.registry.get(&plugin).expect("registered").state;
        let expected = if count < 5 {
            PluginState::Active
        } else {
            PluginState::Error
        };
        assert_eq!(state, expected, "after {count} messages");
    }
    let counts: Vec<_> = world
        .events::<PluginFailed>()
        .into_iter()
        .map(|failed| (failed.failures_in_a_row, failed.state.as_str()))
        .collect();
    assert_eq!(
        counts,
        [
            (1, "active"),
            (2, "active"),
            (3, "active"),
            (4, "active"),
            (5, "error")
        ]
    );
    let instance = world.registry.get(&plugin).expect("registered");
    let message = instance.error_message.expect("a message");
    assert!(
        message.contains("onMessageReceived") && message.contains("out of ideas"),
        "{message}"
    );
    assert!(instance.failed_at.is_some());
}

#[tokio::test]
async fn a_success_in_between_begins_the_count_anew() {
    let world = World::new();
    let calls = AtomicU32::new(0);
    let plugin = world.run(
        texts("moody", 1),
        answers(move |_| {
            if calls.fetch_add(1, Ordering::Relaxed) % 5 == 4 {
                Ok(HookResult::unchanged())
            } else {
                Err(HookError::Failed { message: "no".into() })
            }
        }),
    );
    for _ in 0..20 {
        world.text(received("_")).await;
    }
    assert_eq!(
        world.registry.get(&plugin).expect("registered").state,
        PluginState::Active
    );
}

#[tokio::test]
async fn a_plugin_comes_back_from_error_through_disabled_with_a_fresh_count() {
    let world = World::new();
    let plugin = world.run(texts("x", 1), fails());
    for _ in 0..5 {
        world.text(received("_")).await;
    }
    assert!(
        world.registry.activate(&plugin, appends("!")).is_err(),
        "not straight from error"
    );
    world.registry.disable(&plugin).expect("disabled");
    assert!(
        world
            .registry
            .get(&plugin)
            .expect("registered")
            .error_message
            .is_some(),
        "still to be read"
    );
    world.registry.activate(&plugin, fails()).expect("active");
    let instance = world.registry.get(&plugin).expect("registered");
    assert_eq!(
        (instance.state, instance.error_message),
        (PluginState::Active, None)
    );
    for _ in 0..4 {
        world.text(received("_")).await;
    }
    assert_eq!(
        world.registry.get(&plugin).expect("registered").state,
        PluginState::Active
    );
}

#[tokio::test]
async fn no_words_of_a_plugin_are_published() {
    let world = World::new();
    world.run(
        texts("chatty", 1),
        answers(|context| {
            Err(HookError::Failed {
                message: format!("cannot parse {:?}", context.text()),
            })
        }),
    );
    for _ in 0..5 {
        world.text(received("my card 4111")).await;
    }
    for envelope in world.published() {
        assert!(!envelope.to_json().to_string().contains("4111"), "{envelope:?}");
    }
}
