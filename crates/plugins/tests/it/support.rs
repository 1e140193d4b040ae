//! A registry, a dispatcher and plugins made of closures.

use async_trait::async_trait;
use openclaw_core::testing::ManualClock;
use openclaw_core::{
    AccessTier, Clock, CorrelationId, Envelope, Event, EventBus, EventContext, InProcessEventBus, PluginId,
};
use openclaw_core::{Language, Subscription};
use openclaw_plugins::{
    CancelReason, HookContext, HookDispatcher, HookError, HookHandler, HookName, HookResult, PinnedHooks,
    PluginGrants, PluginManifest, PluginPackage, PluginPermission, PluginRegistry, PluginSetup,
};
use semver::Version;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) registry: Arc<PluginRegistry>,
    pub(crate) hooks: HookDispatcher,
    all: Subscription,
}

/// A plugin's code as an async closure.
pub(crate) struct Code<F>(pub(crate) F);

impl<F> fmt::Debug for Code<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

#[async_trait]
impl<F, R> HookHandler for Code<F>
where
    F: Fn(HookContext) -> R + Send + Sync,
    R: Future<Output = Result<HookResult, HookError>> + Send,
{
    async fn call(&self, context: &HookContext) -> Result<HookResult, HookError> {
        (self.0)(context.clone()).await
    }
}

/// Code that answers at once.
pub(crate) fn answers(
    answer: impl Fn(&HookContext) -> Result<HookResult, HookError> + Send + Sync + 'static,
) -> Arc<dyn HookHandler> {
    Arc::new(Code(move |context| std::future::ready(answer(&context))))
}

/// Code that appends to the text.
pub(crate) fn appends(suffix: &'static str) -> Arc<dyn HookHandler> {
    answers(move |context| {
        Ok(HookResult::text(format!(
            "{}{suffix}",
            context.text().unwrap_or_default()
        )))
    })
}

pub(crate) fn fails() -> Arc<dyn HookHandler> {
    answers(|_| {
        Err(HookError::Failed {
            message: "out of ideas".into(),
        })
    })
}

pub(crate) fn id(text: &str) -> PluginId {
    PluginId::parse(text).expect("a plugin id")
}

pub(crate) fn manifest(name: &str) -> PluginManifest {
    PluginManifest::new(id(name), Version::new(1, 0, 0), name)
}

/// May read and send, and looks in at both message hooks.
pub(crate) fn texts(name: &str, priority: i32) -> PluginManifest {
    manifest(name)
        .with_permission(PluginPermission::ReadMessages)
        .with_permission(PluginPermission::SendMessages)
        .with_hook(HookName::OnMessageReceived, priority)
        .with_hook(HookName::OnBeforeSend, priority)
}

pub(crate) fn received(text: &str) -> HookContext {
    HookContext::OnMessageReceived {
        tenant: "telegram:1:2".parse().expect("a tenant"),
        text: text.into(),
        language: Language::En,
        attachments: 0,
    }
}

pub(crate) fn sending(text: &str) -> HookContext {
    HookContext::OnBeforeSend {
        tenant: "telegram:1:2".parse().expect("a tenant"),
        text: text.into(),
        is_final: false,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        let bus = InProcessEventBus::new();
        let all = bus.subscribe_all(10_000);
        let shared: Arc<dyn Clock> = clock.clone();
        let events = EventContext::new(
            Arc::clone(&bus) as Arc<dyn EventBus>,
            Arc::clone(&shared),
            "plugins",
        );
        let registry = PluginRegistry::new(Arc::clone(&shared), events.clone());
        let hooks = HookDispatcher::new(Arc::clone(&registry), shared, events);
        Self {
            clock,
            registry,
            hooks,
            all,
        }
    }

    pub(crate) fn install(&self, manifest: PluginManifest) -> PluginId {
        let plugin = manifest.id.clone();
        let setup = PluginSetup {
            grants: PluginGrants::all_of(&manifest),
            ..PluginSetup::default()
        };
        self.registry
            .register(PluginPackage::compiled_in(manifest))
            .expect("registered");
        self.registry.install(&plugin, setup).expect("installed");
        plugin
    }

    pub(crate) fn run(&self, manifest: PluginManifest, code: Arc<dyn HookHandler>) -> PluginId {
        let plugin = self.install(manifest);
        self.registry.activate(&plugin, code).expect("active");
        plugin
    }

    pub(crate) async fn dispatch(&self, context: HookContext) -> Left {
        ask(&self.hooks, context.hook(), context, AccessTier::Free, None).await
    }

    /// The text that is left of a message.
    pub(crate) async fn text(&self, context: HookContext) -> String {
        let outcome = self.dispatch(context).await;
        outcome.context.text().expect("a text").to_owned()
    }

    /// What was published since the last look.
    pub(crate) fn published(&self) -> Vec<Envelope> {
        std::iter::from_fn(|| self.all.try_next()).collect()
    }

    /// The events of one kind since the last look; the others are forgotten.
    pub(crate) fn events<E: Event + Clone>(&self) -> Vec<E> {
        self.published()
            .iter()
            .filter_map(|envelope| envelope.payload::<E>().cloned())
            .collect()
    }
}

/// What a dispatch leaves.
#[derive(Debug, PartialEq)]
pub(crate) struct Left {
    pub(crate) context: HookContext,
    pub(crate) cancelled: Option<CancelReason>,
}

pub(crate) async fn ask(
    hooks: &HookDispatcher,
    hook: HookName,
    mut context: HookContext,
    tier: AccessTier,
    correlation_id: Option<CorrelationId>,
) -> Left {
    let cancelled = hooks.dispatch(hook, &mut context, tier, correlation_id).await;
    Left { context, cancelled }
}

pub(crate) async fn ask_pinned(hooks: &PinnedHooks, mut context: HookContext) -> Left {
    let cancelled = hooks.dispatch(&mut context, AccessTier::Free, None).await;
    Left { context, cancelled }
}
