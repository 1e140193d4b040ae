//! What happens by the clock: timers, clean-up, usage on its way to the store.

use super::REMEMBER_CLOSED;
use super::{Gateway, Inner};
use crate::housekeeping::{self, Held, Remembered, shrink};
use crate::ports::{StoreError, Sweep};
use crate::services::Services;
use openclaw_core::AccessTier;
use openclaw_plugins::{HookContext, HookName, SessionEndReason};
use openclaw_session::TenantSession;
use openclaw_session::event::{SessionExpired, TenantDeleted};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

const SWEEP_ROWS: usize = 500;

// === impl Gateway ===

impl Gateway {
    /// What is held in memory of people and chats.
    pub fn remembered(&self) -> Remembered {
        self.inner.remembered()
    }

    pub(super) fn start_timers(&self) {
        let inner = &self.inner;
        let admission = Arc::clone(&inner.admission);
        self.run_until_closed(async move { admission.keep_feeding().await });
        let admission = Arc::clone(&inner.admission);
        self.every(Duration::from_secs(1), move || {
            admission.expire();
            futures::future::ready(())
        });
        let admission = Arc::clone(&inner.admission);
        self.every(Duration::from_secs(4), move || {
            admission.show_typing();
            admission.tell_places();
            futures::future::ready(())
        });
        let services = Arc::clone(&inner.services);
        let tasks = inner.tasks.clone();
        self.every(inner.services.config.usage_flush_interval, move || {
            let flushing = flush_in(&tasks, &services);
            async move {
                if let Err(error) = flushing.await {
                    tracing::error!(%error, "usage not stored");
                }
            }
        });
        let gateway = Arc::downgrade(&self.inner);
        self.every(housekeeping::EVERY, move || {
            if let Some(inner) = gateway.upgrade() {
                inner.keep_house();
            }
            futures::future::ready(())
        });
        let gateway = Arc::downgrade(&self.inner);
        self.every(inner.services.config.cleanup_interval, move || {
            let inner = gateway.upgrade();
            async move {
                if let Some(inner) = inner {
                    inner.sweep().await;
                }
            }
        });
    }

    fn run_until_closed(&self, work: impl Future<Output = ()> + Send + 'static) {
        let closing = self.inner.closing.clone();
        self.inner.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = work => {}
                    () = closing.cancelled() => {}
                }
            },
            &self.inner.services.runtime,
        );
    }

    fn every<F: Future<Output = ()> + Send>(
        &self,
        interval: Duration,
        mut act: impl FnMut() -> F + Send + 'static,
    ) {
        let clock = Arc::clone(&self.inner.services.clock);
        self.run_until_closed(async move {
            loop {
                clock.sleep(interval).await;
                act().await;
            }
        });
    }
}

// === impl Inner ===

impl Inner {
    /// Forgets what nobody needs any more. Call it now and then.
    fn keep_house(&self) {
        let services = &self.services;
        services.budget.forget_idle();
        services.dispatcher.forget_idle();
        services.feeds.sweep();
        services.outbox.shrink();
        self.admission.shrink();
        {
            let now = services.clock.monotonic();
            let interval = services.config.suspension_notice_interval;
            let mut notices = self.notices.lock();
            notices.retain(|_, told| now.saturating_since(*told) < interval);
            shrink(&mut notices);
        }
        tracing::debug!(remembered = ?self.remembered().tables(), "forgot what is idle");
    }

    fn remembered(&self) -> Remembered {
        let services = &self.services;
        let (running, waiting) = self.admission.held();
        let (chats, room_for_chats) = services.dispatcher.remembered_chats();
        let held = |entries, room| Held { entries, room };
        Remembered {
            accounts: held(services.budget.loaded_accounts(), services.budget.capacity()),
            paced_chats: held(chats, room_for_chats),
            feeds: held(services.feeds.len(), services.feeds.capacity()),
            outbox_lanes: services.outbox.held(),
            running,
            waiting,
            notices: Held::of(&self.notices.lock()),
        }
    }

    async fn sweep(&self) {
        let history_before = self.services.clock.now() - self.services.config.history_retention;
        self.services.recall.sweep(history_before);
        loop {
            let now = self.services.clock.now();
            let swept = self
                .services
                .store
                .sweep(Sweep {
                    now,
                    closed_before: now - REMEMBER_CLOSED,
                    history_before: now - self.services.config.history_retention,
                    limit: SWEEP_ROWS,
                })
                .await;
            let swept = match swept {
                Ok(swept) => swept,
                Err(error) => {
                    tracing::warn!(%error, "clean-up did not run");
                    return;
                }
            };
            for session in &swept.sessions {
                self.services.session_events.publish(None, || expired(session));
                if self.services.hooks.has(HookName::OnSessionEnd) {
                    let mut context = HookContext::OnSessionEnd {
                        tenant: session.id.tenant().clone(),
                        session: session.id.clone(),
                        generation: session.generation,
                        reason: SessionEndReason::Expired,
                    };
                    // The tier is not at hand here; a hook that asks for more than the lowest does not run.
                    self.services
                        .hooks
                        .dispatch(HookName::OnSessionEnd, &mut context, AccessTier::Free, None)
                        .await;
                }
            }
            for tenant in &swept.chats {
                self.services.feeds.forget(tenant);
                self.services.session_events.publish(None, || TenantDeleted {
                    tenant_id: tenant.clone(),
                    removed: Vec::new(),
                });
            }
            if !swept.more {
                return;
            }
        }
    }
}

/// Stores usage in a task of its own: who asked for it, or the server, may go away meanwhile.
pub(super) fn flush_in(
    tasks: &TaskTracker,
    services: &Arc<Services>,
) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
    let own = Arc::clone(services);
    let flushing = async move { own.purse.flush().await };
    to_its_end(tasks.spawn_on(flushing, &services.runtime))
}

pub(super) async fn to_its_end(work: JoinHandle<Result<(), StoreError>>) -> Result<(), StoreError> {
    work.await.unwrap_or_else(|error| {
        Err(StoreError::Unknown {
            reason: error.to_string(),
        })
    })
}

/// The event of a session that is past its time.
pub(crate) fn expired(session: &TenantSession) -> SessionExpired {
    SessionExpired {
        session_id: session.id.clone(),
        tenant_id: session.id.tenant().clone(),
        generation: session.generation,
        last_activity_at: session.last_activity_at,
    }
}
