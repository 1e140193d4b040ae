//! Properties of the order and of changes while running.

use crate::support::{World, answers, appends, received, texts};
use openclaw_core::AccessTier;
use openclaw_plugins::{
    HookName, HookResult, PluginState, can_transition, transition_plugin, valid_transitions,
};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::sync::Arc;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

#[derive(Clone, Debug)]
enum Change {
    Activate(usize),
    Disable(usize),
    Fail(usize),
    Remove(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let plugin = 0..6_usize;
    prop_oneof![
        3 => plugin.clone().prop_map(Change::Activate),
        2 => plugin.clone().prop_map(Change::Disable),
        1 => plugin.clone().prop_map(Change::Fail),
        1 => plugin.prop_map(Change::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Hooks run by priority, then by registration, whatever the order of activation.
    #[test]
    fn hooks_run_by_priority_and_then_by_registration(
        plugins in prop::collection::vec((-3..3_i32, any::<u64>()), 1..12),
    ) {
        let world = World::new();
        let called = Arc::new(Mutex::new(Vec::new()));
        let mut activations = Vec::new();
        for (number, (priority, when)) in plugins.iter().enumerate() {
            let plugin = world.install(texts(&format!("p{number}"), *priority));
            activations.push((*when, number, plugin));
        }
        activations.sort();
        for (_, number, plugin) in activations {
            let called = Arc::clone(&called);
            let notes = answers(move |_| {
                called.lock().push(number);
                Ok(HookResult::unchanged())
            });
            world.registry.activate(&plugin, notes).expect("active");
        }
        run(world.dispatch(received("_")));
        let mut expected: Vec<usize> = (0..plugins.len()).collect();
        expected.sort_by_key(|number| (plugins[*number].0, *number));
        prop_assert_eq!(&*called.lock(), &expected);
    }

    /// After any changes exactly the active plugins run, `has` agrees, and no state was entered against the table.
    #[test]
    fn exactly_the_active_plugins_run(changes in prop::collection::vec(change(), 0..40)) {
        const MARKS: [&str; 6] = ["0", "1", "2", "3", "4", "5"];
        let world = World::new();
        let plugins: Vec<_> = MARKS.iter().map(|mark| world.install(texts(&format!("p{mark}"), 1))).collect();
        let mut states = [Some(PluginState::Installed); 6];
        for change in changes {
            let (number, to, done) = match change {
                Change::Activate(number) => {
                    let done = world.registry.activate(&plugins[number], appends(MARKS[number]));
                    (number, PluginState::Active, done)
                }
                Change::Disable(number) => {
                    (number, PluginState::Disabled, world.registry.disable(&plugins[number]))
                }
                Change::Fail(number) => {
                    (number, PluginState::Error, world.registry.fail(&plugins[number], "by hand"))
                }
                Change::Remove(number) => {
                    prop_assert_eq!(
                        world.registry.unregister(&plugins[number]).is_ok(),
                        states[number].take().is_some()
                    );
                    continue;
                }
            };
            let allowed = states[number].is_some_and(|from| can_transition(from, to));
            prop_assert_eq!(done.is_ok(), allowed);
            if allowed {
                states[number] = Some(to);
            }
            prop_assert_eq!(world.registry.get(&plugins[number]).map(|instance| instance.state), states[number]);
        }
        let active: String = MARKS
            .iter()
            .zip(states)
            .filter(|(_, state)| *state == Some(PluginState::Active))
            .map(|(mark, _)| *mark)
            .collect();
        prop_assert_eq!(world.hooks.has(HookName::OnMessageReceived), !active.is_empty());
        prop_assert_eq!(run(world.text(received(""))), active);
    }

    /// The three functions of the state table say the same.
    #[test]
    fn the_table_agrees_with_itself(from in 0..5_usize, to in 0..5_usize) {
        let (from, to) = (PluginState::ALL[from], PluginState::ALL[to]);
        prop_assert_eq!(can_transition(from, to), valid_transitions(from).contains(&to));
        prop_assert_eq!(can_transition(from, to), transition_plugin(from, to) == Ok(to));
        prop_assert!(!can_transition(from, from));
    }
}

/// Plugins come and go on one thread while messages pass on another: each message meets a whole chain.
#[test]
fn plugins_change_while_messages_pass() {
    let world = World::new();
    let plugin = world.install(texts("x", 1));
    std::thread::scope(|scope| {
        let hooks = world.hooks.clone();
        let messages = scope.spawn(move || {
            for _ in 0..2_000 {
                let mut context = received("_");
                run(hooks.dispatch(context.hook(), &mut context, AccessTier::Free, None));
                let text = context.text().expect("a text").to_owned();
                assert!(text == "_" || text == "_!", "{text}");
            }
        });
        for _ in 0..500 {
            world.registry.activate(&plugin, appends("!")).expect("active");
            world.registry.disable(&plugin).expect("disabled");
        }
        messages.join().expect("no message failed");
    });
    assert!(!world.hooks.has(HookName::OnMessageReceived));
}
