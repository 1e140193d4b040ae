//! Runs the hooks of a message: who is asked, in which order, and what becomes of the answers.

use crate::error::HookError;
use crate::event::{HookExecuted, HookExecution};
use crate::guarded::{Interrupted, guarded};
use crate::hook::{CancelReason, HookContext, HookData, HookName, HookResult};
use crate::limits::HookLimits;
use crate::registry::PluginRegistry;
use crate::table::{Activation, HookTable};
use openclaw_core::{AccessTier, Clock, CorrelationId, EventContext};
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Runs hooks. Cheap to clone.
///
/// Lower priorities first, equal ones in order of registration; each plugin gets the context that the one before it
/// left. Asked are the plugins that are active at that moment and whose `requiredTier` the tenant has. A plugin that
/// fails, panics or is too slow is skipped: the context goes on as it was, `plugin.error` is published, and after
/// [`HookLimits::failures_in_a_row`] the plugin goes to `error`.
#[derive(Clone, Debug)]
pub struct HookDispatcher {
    registry: Arc<PluginRegistry>,
    clock: Arc<dyn Clock>,
    events: EventContext,
    limits: HookLimits,
}

/// The hooks as they were when a turn began: an update takes over between two turns, never within one. Plugins that
/// are disabled, removed or in error meanwhile do not run all the same.
#[derive(Clone, Debug)]
pub struct PinnedHooks {
    dispatcher: HookDispatcher,
    table: Arc<HookTable>,
}

// === impl HookDispatcher ===

impl HookDispatcher {
    /// Runs the hooks of `registry` with the default limits.
    pub fn new(registry: Arc<PluginRegistry>, clock: Arc<dyn Clock>, events: EventContext) -> Self {
        Self {
            registry,
            clock,
            events,
            limits: HookLimits::default(),
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: HookLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether any active plugin has the hook. One atomic load.
    pub fn has(&self, hook: HookName) -> bool {
        self.registry.has(hook)
    }

    /// The hooks as they are now, for one turn.
    pub fn pin(&self) -> PinnedHooks {
        PinnedHooks {
            dispatcher: self.clone(),
            table: self.registry.table(),
        }
    }

    /// Runs the hooks of `hook`, which must be `context.hook()`; should they differ, the context decides, because a
    /// plugin that was not asked could be one that hides what must not be seen.
    ///
    /// The context is left as the plugins made it. `Some` when one of them stopped the operation; never for hooks after
    /// which there is nothing left to stop (see [`HookName::can_cancel`]).
    ///
    /// When nobody has the hook this costs one atomic load. Dropping the future drops the call that is running; what
    /// the plugins before it changed stands in the context, which is then half done and of no use.
    pub async fn dispatch(
        &self,
        hook: HookName,
        context: &mut HookContext,
        tenant_tier: AccessTier,
        correlation_id: Option<CorrelationId>,
    ) -> Option<CancelReason> {
        if hook != context.hook() {
            tracing::error!(asked = %hook, context = %context.hook(), "hook and context do not belong together");
        }
        if !self.has(context.hook()) {
            return None;
        }
        let table = self.registry.table();
        // Boxed, so that the future of a dispatch that asks nobody is small.
        Box::pin(self.run(&table, context, tenant_tier, correlation_id)).await
    }

    async fn run(
        &self,
        table: &HookTable,
        context: &mut HookContext,
        tenant_tier: AccessTier,
        correlation_id: Option<CorrelationId>,
    ) -> Option<CancelReason> {
        let hook = context.hook();
        for bound in table.of(hook) {
            let activation = &bound.activation;
            if !tenant_tier.is_at_least(activation.required_tier) || !activation.is_enabled() {
                continue;
            }
            let started = self.clock.monotonic();
            let answer = self.ask(activation, context).await;
            let took = self.clock.monotonic().saturating_since(started);
            let executed = |outcome, ignored| {
                self.publish(activation, hook, took, outcome, ignored, correlation_id);
            };
            if !activation.is_enabled() {
                executed(HookExecution::Discarded, Vec::new());
                continue;
            }
            match answer {
                Err(error) => {
                    tracing::warn!(plugin = %activation.plugin, %hook, kind = error.kind(), "hook skipped");
                    executed(HookExecution::Failed, Vec::new());
                    let limit = self.limits.failures_in_a_row;
                    self.registry
                        .hook_failed(activation, hook, &error, limit, correlation_id);
                }
                Ok(HookResult {
                    cancel: Some(cancel), ..
                }) => {
                    activation.note_success();
                    executed(HookExecution::Cancelled, Vec::new());
                    return hook.can_cancel().then(|| CancelReason {
                        plugin: activation.plugin.clone(),
                        text: cancel.into_text(),
                    });
                }
                Ok(HookResult {
                    modified,
                    data,
                    cancel: None,
                }) => {
                    activation.note_success();
                    let data = data.filter(|_| modified).unwrap_or_default();
                    let (data, ignored) = activation.guard.admit(hook, data);
                    let changed = context.apply(data);
                    let outcome = if changed {
                        HookExecution::Changed
                    } else {
                        HookExecution::Unchanged
                    };
                    executed(outcome, ignored);
                }
            }
        }
        None
    }

    /// Calls one plugin and turns every way of not answering into an error.
    async fn ask(&self, activation: &Activation, context: &HookContext) -> Result<HookResult, HookError> {
        let view = activation.guard.view(context);
        let limit = self.limits.time;
        match guarded(self.clock.as_ref(), limit, || activation.handler.call(&view)).await {
            Ok(answer) => self.check_length(answer?),
            Err(Interrupted::Panicked(message)) => Err(HookError::Panicked { message }),
            Err(Interrupted::TooSlow) => Err(HookError::TooSlow { limit }),
        }
    }

    fn check_length(&self, result: HookResult) -> Result<HookResult, HookError> {
        let limit_bytes = self.limits.answer_bytes;
        let bytes = result.data.as_ref().map_or(0, bytes_of);
        if bytes > limit_bytes {
            Err(HookError::TooLong { bytes, limit_bytes })
        } else {
            Ok(result)
        }
    }

    fn publish(
        &self,
        activation: &Activation,
        hook: HookName,
        took: Duration,
        outcome: HookExecution,
        ignored: Vec<&'static str>,
        correlation_id: Option<CorrelationId>,
    ) {
        self.events.publish(correlation_id, || HookExecuted {
            plugin: activation.plugin.clone(),
            hook,
            duration_micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            outcome,
            ignored,
        });
    }
}

// === impl PinnedHooks ===

impl PinnedHooks {
    /// Whether any plugin had the hook when the turn began.
    pub fn has(&self, hook: HookName) -> bool {
        !self.table.of(hook).is_empty()
    }

    /// Runs the hooks as [`HookDispatcher::dispatch`] does, of the versions that were active when the turn began.
    pub async fn dispatch(
        &self,
        context: &mut HookContext,
        tenant_tier: AccessTier,
        correlation_id: Option<CorrelationId>,
    ) -> Option<CancelReason> {
        self.dispatcher
            .run(&self.table, context, tenant_tier, correlation_id)
            .await
    }
}

/// How long the changes are, in bytes; arguments as JSON.
fn bytes_of(data: &HookData) -> usize {
    let text = data.text.as_ref().map_or(0, String::len);
    let output = data.output.as_ref().map_or(0, String::len);
    let arguments = data.arguments.as_ref().map_or(0, json_bytes);
    text.saturating_add(output).saturating_add(arguments)
}

fn json_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        // What cannot be written down cannot be passed on.
        Err(_) => usize::MAX,
    }
}
