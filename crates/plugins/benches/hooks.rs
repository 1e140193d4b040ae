//! What a hook costs: with no plugin, with a plugin for another hook, with one compiled-in plugin.

use async_trait::async_trait;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures::FutureExt;
use openclaw_core::testing::ManualClock;
use openclaw_core::{AccessTier, Clock, EventBus, EventContext, InProcessEventBus, PluginId};
use openclaw_plugins::{
    HookContext, HookDispatcher, HookError, HookHandler, HookName, HookResult, PluginManifest, PluginPackage,
    PluginPermission, PluginRegistry, PluginSetup,
};
use semver::Version;
use std::hint::black_box;
use std::sync::Arc;

#[derive(Debug)]
struct Nods;

#[async_trait]
impl HookHandler for Nods {
    async fn call(&self, _: &HookContext) -> Result<HookResult, HookError> {
        Ok(HookResult::unchanged())
    }
}

fn context() -> HookContext {
    HookContext::OnBeforeSend {
        tenant: "telegram:42:-100500".parse().expect("a tenant"),
        text: "The quick brown fox".into(),
        is_final: false,
    }
}

fn dispatch(criterion: &mut Criterion) {
    let clock: Arc<dyn Clock> = ManualClock::new();
    let bus: Arc<dyn EventBus> = InProcessEventBus::new();
    let events = EventContext::new(bus, Arc::clone(&clock), "plugins");
    let registry = PluginRegistry::new(Arc::clone(&clock), events.clone());
    let hooks = HookDispatcher::new(Arc::clone(&registry), clock, events);
    let mut group = criterion.benchmark_group("hook dispatch");

    group.bench_function("no plugin, has", |bencher| {
        bencher.iter(|| black_box(&hooks).has(black_box(HookName::OnBeforeSend)));
    });
    let mut measure = |name: &str| {
        let mut context = context();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let stopped = hooks
                    .dispatch(
                        HookName::OnBeforeSend,
                        black_box(&mut context),
                        AccessTier::Free,
                        None,
                    )
                    .now_or_never();
                black_box(stopped)
            });
        });
    };
    measure("no plugin, dispatch");

    let mut installed = 0;
    for wanted in [1, 10, 100] {
        while installed < wanted {
            install(&registry, &format!("nods-{installed}"));
            installed += 1;
        }
        measure(&format!("compiled-in plugins/{wanted}"));
    }
    group.bench_function("pin", |bencher| {
        bencher.iter_batched(|| (), |()| hooks.pin(), BatchSize::SmallInput);
    });
    group.finish();
}

fn install(registry: &PluginRegistry, name: &str) {
    let plugin = PluginId::parse(name).expect("an id");
    let manifest = PluginManifest::new(plugin.clone(), Version::new(1, 0, 0), name)
        .with_permission(PluginPermission::ReadMessages)
        .with_hook(HookName::OnBeforeSend, 1);
    let setup = PluginSetup::granting_all(&manifest);
    registry
        .register(PluginPackage::compiled_in(manifest))
        .expect("registered");
    registry.install(&plugin, setup).expect("installed");
    registry.activate(&plugin, Arc::new(Nods)).expect("active");
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
