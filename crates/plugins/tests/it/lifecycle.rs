//! From a package to running hooks, to a new version, and back.

use crate::support::{World, answers, appends, ask_pinned, fails, id, manifest, received, texts};
use async_trait::async_trait;
use openclaw_core::{Clock, CodedError, Event, Language};
use openclaw_plugins::{
    Configuration, HookHandler, HookName, HookResult, InProcess, MAX_PLUGINS, NoSandbox, PermissionGuard,
    PluginActivated, PluginDisabled, PluginError, PluginFailed, PluginGrants, PluginInstalled,
    PluginLifecycle, PluginManifest, PluginPackage, PluginPermission, PluginRegistered, PluginSandbox,
    PluginSetup, PluginState, RustPlugin, SandboxError,
};
use semver::Version;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Appends what its configuration says, or `!`.
#[derive(Debug)]
struct Signature;

impl RustPlugin for Signature {
    fn manifest(&self) -> PluginManifest {
        PluginManifest {
            config_schema: Some(json!({
                "type": ["object", "null"],
                "properties": {"text": {"type": "string"}, "apiKey": {"type": "integer"}}
            })),
            ..texts("signature", 1)
        }
    }

    fn start(
        &self,
        configuration: &Value,
        _: &PermissionGuard,
    ) -> Result<Arc<dyn HookHandler>, SandboxError> {
        let suffix = configuration["text"].as_str().unwrap_or("!").to_owned();
        if suffix == "bad" {
            return Err(SandboxError::Invalid {
                message: "that text is bad".into(),
            });
        }
        Ok(answers(move |context| {
            Ok(HookResult::text(format!(
                "{}{suffix}",
                context.text().unwrap_or_default()
            )))
        }))
    }
}

/// A sandbox whose code hangs, panics, fails or appends a digit, as the code says.
#[derive(Debug)]
struct Odd;

#[async_trait]
impl PluginSandbox for Odd {
    async fn instantiate(
        &self,
        package: &PluginPackage,
        _: &Value,
        _: &PermissionGuard,
    ) -> Result<Arc<dyn HookHandler>, SandboxError> {
        match &*package.code {
            b"hang" => std::future::pending().await,
            b"panic" => panic!("while starting"),
            b"two" => Ok(appends("2")),
            b"fail" => Ok(fails()),
            _ => Ok(appends("1")),
        }
    }
}

fn lifecycle(world: &World, sandbox: impl PluginSandbox + 'static) -> PluginLifecycle {
    PluginLifecycle::new(
        Arc::clone(&world.registry),
        Arc::new(sandbox),
        world.clock.clone(),
    )
}

fn setup(manifest: &PluginManifest, configuration: Value) -> PluginSetup {
    PluginSetup {
        configuration: Configuration::new(configuration),
        grants: PluginGrants::all_of(manifest),
    }
}

fn package(version: u64, code: &str) -> PluginPackage {
    let mut manifest = texts("x", 1);
    manifest.version = Version::new(version, 0, 0);
    PluginPackage::new(manifest, code.as_bytes())
}

/// Registers, installs and activates `package(1, "one")`.
async fn running(world: &World) -> PluginLifecycle {
    let lifecycle = lifecycle(world, Odd);
    let package = package(1, "one");
    let setup = setup(&package.manifest, Value::Null);
    lifecycle.register(package).expect("registered");
    lifecycle.install(&id("x"), setup).expect("installed");
    lifecycle.activate(&id("x")).await.expect("active");
    lifecycle
}

fn state(world: &World, plugin: &str) -> PluginState {
    world.registry.get(&id(plugin)).expect("registered").state
}

#[tokio::test]
async fn a_compiled_in_plugin_goes_through_its_states_and_each_is_published_and_dated() {
    let world = World::new();
    let sandbox = InProcess::new().with(Signature);
    let [package] = sandbox.packages().try_into().expect("one plugin");
    let lifecycle = lifecycle(&world, sandbox);
    let plugin = id("signature");
    let setup = setup(&package.manifest, json!({"text": " — Anna"}));

    lifecycle.register(package).expect("registered");
    world.clock.advance(Duration::from_secs(1));
    lifecycle.install(&plugin, setup).expect("installed");
    world.clock.advance(Duration::from_secs(1));
    lifecycle.activate(&plugin).await.expect("active");
    assert_eq!(world.text(received("Hi")).await, "Hi — Anna");
    let names: Vec<_> = world.published().iter().map(|envelope| envelope.name()).collect();
    assert_eq!(
        names,
        [
            "plugin.registered",
            "plugin.installed",
            "plugin.activated",
            "hook.executed"
        ]
    );
    world.clock.advance(Duration::from_secs(1));
    lifecycle.disable(&plugin).expect("disabled");
    assert_eq!(world.events::<PluginDisabled>().len(), 1);

    let instance = world.registry.get(&plugin).expect("registered");
    let ages = [
        Some(instance.registered_at),
        instance.installed_at,
        instance.activated_at,
        instance.disabled_at,
    ]
    .map(|at| world.clock.now().saturating_since(at.expect("a time")).as_secs());
    assert_eq!(ages, [3, 2, 1, 0]);
    lifecycle.unregister(&plugin).expect("removed");
    assert!(world.registry.list().is_empty());
    assert!(world.published().is_empty(), "it was disabled already");
}

#[tokio::test]
async fn a_refused_configuration_lands_in_error_names_the_field_and_shows_no_value() {
    let world = World::new();
    let lifecycle = lifecycle(&world, InProcess::new().with(Signature));
    let (plugin, manifest) = (id("signature"), Signature.manifest());
    lifecycle
        .register(PluginPackage::compiled_in(manifest.clone()))
        .expect("registered");
    let refused = lifecycle.install(&plugin, setup(&manifest, json!({"apiKey": "sk-secret"})));
    assert!(matches!(refused, Err(PluginError::Refused { .. })), "{refused:?}");
    let instance = world.registry.get(&plugin).expect("registered");
    assert_eq!(instance.state, PluginState::Error);
    let message = instance.error_message.expect("a message");
    assert!(
        message.contains("configuration.apiKey") && !message.contains("sk-secret"),
        "{message}"
    );
    for envelope in world.published() {
        assert!(!envelope.to_json().to_string().contains("sk-secret"));
    }

    lifecycle.disable(&plugin).expect("disabled");
    let again = lifecycle.activate(&plugin).await;
    assert!(
        matches!(again, Err(PluginError::Refused { .. })),
        "the cause was not mended: {again:?}"
    );
    assert_eq!(state(&world, "signature"), PluginState::Error);

    lifecycle
        .configure(&plugin, setup(&manifest, json!({"text": "?"})))
        .expect("mended");
    lifecycle.disable(&plugin).expect("disabled");
    lifecycle.activate(&plugin).await.expect("active");
    assert_eq!(world.text(received("_")).await, "_?");
}

#[tokio::test]
async fn a_permission_or_host_that_was_not_granted_lands_in_error_by_name() {
    let world = World::new();
    let mut manifest = manifest("x").with_permission(PluginPermission::AccessNetwork);
    manifest.network_hosts = ["api.example.org".to_owned()].into();
    world
        .registry
        .register(PluginPackage::compiled_in(manifest))
        .expect("registered");
    world.published();
    let refused = world.registry.install(&id("x"), PluginSetup::default());
    assert!(refused.is_err());
    let message = world
        .registry
        .get(&id("x"))
        .and_then(|x| x.error_message)
        .expect("a message");
    assert!(
        message.contains("access_network") && message.contains("api.example.org"),
        "{message}"
    );
    let failed = world.events::<PluginFailed>();
    assert_eq!(
        failed
            .iter()
            .map(|event| (event.state, event.kind))
            .collect::<Vec<_>>(),
        [(PluginState::Error, "refused")]
    );
}

#[test]
fn a_bad_manifest_a_second_one_and_one_too_many_are_refused() {
    let world = World::new();
    let mut bad = manifest("x");
    bad.name.clear();
    let refused = world.registry.register(PluginPackage::compiled_in(bad));
    assert!(matches!(refused, Err(PluginError::Manifest(_))));
    for number in 0..MAX_PLUGINS {
        let manifest = manifest(&format!("p{number}"));
        world
            .registry
            .register(PluginPackage::compiled_in(manifest))
            .expect("registered");
    }
    assert_eq!(world.events::<PluginRegistered>().len(), MAX_PLUGINS);
    let again = world
        .registry
        .register(PluginPackage::compiled_in(manifest("p7")));
    assert_eq!(again, Err(PluginError::AlreadyRegistered { plugin: id("p7") }));
    let more = world
        .registry
        .register(PluginPackage::compiled_in(manifest("more")));
    assert_eq!(more, Err(PluginError::TooMany { limit: MAX_PLUGINS }));
    let listed: Vec<_> = world
        .registry
        .list()
        .into_iter()
        .map(|x| x.manifest.id.to_string())
        .collect();
    assert_eq!(listed[..3], ["p0", "p1", "p2"], "in order of registration");
    assert_eq!(listed[10..12], ["p10", "p11"]);
}

#[tokio::test]
async fn an_active_plugin_is_not_configured_under_its_feet() {
    let world = World::new();
    let lifecycle = running(&world).await;
    let refused = lifecycle.configure(&id("x"), PluginSetup::default());
    assert!(matches!(refused, Err(PluginError::State { .. })), "{refused:?}");
    lifecycle.disable(&id("x")).expect("disabled");
    let refused = lifecycle.configure(&id("x"), PluginSetup::default());
    assert!(
        matches!(refused, Err(PluginError::Refused { .. })),
        "its permissions are missing: {refused:?}"
    );
    lifecycle
        .activate(&id("x"))
        .await
        .expect("what was refused changed nothing");
}

#[tokio::test]
async fn no_sandbox_refuses_to_run_code() {
    let world = World::new();
    let lifecycle = lifecycle(&world, NoSandbox);
    let plugin = world.install(texts("x", 1));
    world.published();
    let refused = lifecycle.activate(&plugin).await;
    assert_eq!(
        refused,
        Err(PluginError::Start {
            plugin,
            source: SandboxError::Disabled
        })
    );
    assert_eq!(state(&world, "x"), PluginState::Error);
    assert_eq!(world.events::<PluginFailed>().len(), 1);
    assert!(!world.hooks.has(HookName::OnMessageReceived));
}

#[tokio::test]
async fn in_process_runs_what_is_compiled_in_and_hands_on_what_brings_code() {
    let sandbox = InProcess::new().with(Signature).otherwise(Arc::new(Odd));
    let guard = PermissionGuard::default();
    let start = |package: PluginPackage| {
        let (sandbox, guard) = (sandbox.clone(), guard.clone());
        async move {
            sandbox
                .instantiate(&package, &Value::Null, &guard)
                .await
                .map(|_| ())
        }
    };
    assert_eq!(
        start(PluginPackage::compiled_in(Signature.manifest())).await,
        Ok(())
    );
    let unknown = start(PluginPackage::compiled_in(manifest("other"))).await;
    assert_eq!(
        unknown,
        Err(SandboxError::UnknownEntryPoint {
            entry_point: "other".into()
        })
    );
    assert_eq!(start(package(1, "one")).await, Ok(()));
    let alone = InProcess::new().with(Signature);
    let refused = alone
        .instantiate(&package(1, "one"), &Value::Null, &guard)
        .await
        .map(|_| ());
    assert_eq!(refused, Err(SandboxError::Disabled));
}

#[tokio::test]
async fn code_that_refuses_hangs_or_panics_while_starting_lands_in_error() {
    let world = World::new();
    let odd = lifecycle(&world, Odd);
    for (name, code) in [("hangs", "hang"), ("panics", "panic")] {
        let manifest = texts(name, 1);
        let setup = setup(&manifest, Value::Null);
        odd.register(PluginPackage::new(manifest, code.as_bytes()))
            .expect("registered");
        odd.install(&id(name), setup).expect("installed");
    }
    let panicked = odd.activate(&id("panics")).await;
    assert_eq!(
        panicked,
        Err(PluginError::Start {
            plugin: id("panics"),
            source: SandboxError::Panicked
        })
    );
    let plugin = id("hangs");
    let mut starting = Box::pin(odd.activate(&plugin));
    assert!(futures::poll!(&mut starting).is_pending());
    world.clock.advance(Duration::from_secs(10));
    let limit = Duration::from_secs(10);
    let source = SandboxError::TooSlow { limit };
    assert_eq!(
        starting.await,
        Err(PluginError::Start {
            plugin: id("hangs"),
            source
        })
    );

    let signature = lifecycle(&world, InProcess::new().with(Signature));
    let manifest = Signature.manifest();
    signature
        .register(PluginPackage::compiled_in(manifest.clone()))
        .expect("registered");
    signature
        .install(&id("signature"), setup(&manifest, json!({"text": "bad"})))
        .expect("installed");
    assert!(signature.activate(&id("signature")).await.is_err());
    let message = world
        .registry
        .get(&id("signature"))
        .and_then(|x| x.error_message)
        .expect("a message");
    assert!(message.contains("that text is bad"), "{message}");
    for name in ["hangs", "panics", "signature"] {
        assert_eq!(state(&world, name), PluginState::Error, "{name}");
    }
}

#[tokio::test]
async fn an_activation_given_up_half_way_leaves_the_plugin_as_it_was() {
    let world = World::new();
    let odd = lifecycle(&world, Odd);
    let package = package(1, "hang");
    let setup = setup(&package.manifest, Value::Null);
    odd.register(package).expect("registered");
    odd.install(&id("x"), setup).expect("installed");
    let plugin = id("x");
    let mut starting = Box::pin(odd.activate(&plugin));
    assert!(futures::poll!(&mut starting).is_pending());
    drop(starting);
    assert_eq!(state(&world, "x"), PluginState::Installed);
    assert_eq!(world.clock.sleepers(), 0);
}

#[tokio::test]
async fn an_activation_loses_against_a_change_made_meanwhile() {
    let world = World::new();
    let odd = lifecycle(&world, Odd);
    let package = package(1, "hang");
    let setup = setup(&package.manifest, Value::Null);
    odd.register(package).expect("registered");
    odd.install(&id("x"), setup).expect("installed");
    let plugin = id("x");
    let mut starting = Box::pin(odd.activate(&plugin));
    assert!(futures::poll!(&mut starting).is_pending());
    world.registry.activate(&plugin, appends("!")).expect("active");
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(starting.await, Err(PluginError::Changed { plugin: id("x") }));
    assert_eq!(world.text(received("_")).await, "_!", "the one that won goes on");
}

#[tokio::test]
async fn a_new_version_takes_over_between_two_turns_and_can_be_taken_back() {
    let world = World::new();
    let lifecycle = running(&world).await;
    world.run(texts("later", 1), appends("z"));
    let turn = world.hooks.pin();
    world.published();
    lifecycle.update(package(2, "two"), None).await.expect("updated");
    let names: Vec<_> = world.published().iter().map(|envelope| envelope.name()).collect();
    assert_eq!(names, [PluginInstalled::NAME, PluginActivated::NAME]);

    let old = ask_pinned(&turn, received("_")).await;
    assert_eq!(
        old.context.text(),
        Some("_1z"),
        "the turn that had begun keeps its version"
    );
    assert_eq!(
        world.text(received("_")).await,
        "_2z",
        "the plugin keeps its place in the order"
    );
    assert_eq!(
        world.registry.previous_version(&id("x")),
        Some(Version::new(1, 0, 0))
    );
    assert_eq!(
        world.registry.get(&id("x")).expect("registered").manifest.version,
        Version::new(2, 0, 0)
    );

    lifecycle.roll_back(&id("x")).await.expect("rolled back");
    assert_eq!(world.text(received("_")).await, "_1z");
    lifecycle.roll_back(&id("x")).await.expect("forward again");
    assert_eq!(world.text(received("_")).await, "_2z");

    lifecycle.disable(&id("x")).expect("disabled");
    let old = ask_pinned(&turn, received("_")).await;
    assert_eq!(old.context.text(), Some("_z"), "disabling stops every version");
}

#[tokio::test]
async fn a_new_version_that_does_not_start_or_asks_for_more_changes_nothing() {
    let world = World::new();
    let lifecycle = running(&world).await;
    assert_eq!(
        lifecycle.roll_back(&id("x")).await,
        Err(PluginError::NoPrevious { plugin: id("x") })
    );
    assert!(matches!(
        lifecycle.update(package(2, "panic"), None).await,
        Err(PluginError::Start { .. })
    ));
    let greedy = package(2, "two")
        .manifest
        .as_ref()
        .clone()
        .with_permission(PluginPermission::WriteFiles);
    let refused = lifecycle.update(PluginPackage::new(greedy, *b"two"), None).await;
    assert!(matches!(refused, Err(PluginError::Refused { .. })), "{refused:?}");
    assert_eq!(state(&world, "x"), PluginState::Active);
    assert_eq!(world.registry.previous_version(&id("x")), None);
    assert_eq!(world.text(received("_")).await, "_1");
}

#[tokio::test]
async fn the_failures_of_a_replaced_version_do_not_count_against_the_new_one() {
    let world = World::new();
    let lifecycle = running(&world).await;
    lifecycle.update(package(2, "fail"), None).await.expect("updated");
    let turn = world.hooks.pin();
    lifecycle.update(package(3, "two"), None).await.expect("updated");
    world.published();
    for _ in 0..6 {
        ask_pinned(&turn, received("_")).await;
    }
    assert_eq!(world.events::<PluginFailed>().len(), 6, "the old version did run");
    assert_eq!(state(&world, "x"), PluginState::Active);
    assert_eq!(world.text(received("_")).await, "_2");
}

#[tokio::test]
async fn an_update_of_a_disabled_plugin_starts_nothing() {
    let world = World::new();
    let lifecycle = running(&world).await;
    lifecycle.disable(&id("x")).expect("disabled");
    lifecycle
        .update(package(2, "panic"), None)
        .await
        .expect("nothing is started");
    assert_eq!(state(&world, "x"), PluginState::Disabled);
    assert_eq!(world.text(received("_")).await, "_");
}

#[test]
fn every_error_speaks_both_languages_and_has_a_code_of_its_own() {
    let plugin = id("x");
    let source = SandboxError::Disabled;
    let errors: [Box<dyn CodedError>; 6] = [
        Box::new(PluginError::NotFound {
            plugin: plugin.clone(),
        }),
        Box::new(PluginError::Refused {
            plugin: plugin.clone(),
            message: "configuration.a is missing".into(),
        }),
        Box::new(PluginError::Start {
            plugin: plugin.clone(),
            source: source.clone(),
        }),
        Box::new(PluginError::Changed {
            plugin: plugin.clone(),
        }),
        Box::new(PluginError::NoPrevious { plugin }),
        Box::new(source),
    ];
    let mut codes: Vec<_> = errors.iter().map(|error| error.code()).collect();
    for error in &errors {
        let [english, russian] = Language::ALL.map(|language| error.user_message(language));
        assert_ne!(english, russian);
        assert!(russian.chars().any(|c| ('а'..='я').contains(&c)), "{russian}");
    }
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), errors.len());
}
