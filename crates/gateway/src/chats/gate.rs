//! Posts and erasures of one chat exclude each other.

use openclaw_core::TenantId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// Lets either posts or an erasure into a chat.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Holds only chats with something under way: never larger than the number of requests being served.
    traffic: Mutex<HashMap<TenantId, Traffic>>,
    /// Told when a post has ended.
    left: Notify,
}

#[derive(Debug, Default)]
struct Traffic {
    posts: usize,
    erasing: bool,
}

/// A post's or an erasure's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Passage {
    gate: Arc<Gate>,
    tenant: TenantId,
    erasing: bool,
}

// === impl Gate ===

impl Gate {
    /// A place for a post; `None` while the chat is being erased.
    pub(super) fn post(self: &Arc<Self>, tenant: &TenantId) -> Option<Passage> {
        let mut chats = self.traffic.lock();
        let traffic = chats.entry(tenant.clone()).or_default();
        if traffic.erasing {
            return None;
        }
        traffic.posts += 1;
        Some(Passage {
            gate: Arc::clone(self),
            tenant: tenant.clone(),
            erasing: false,
        })
    }

    /// The place for an erasure, once the posts under way have ended; new ones are refused from now on. `None` when
    /// another erasure has it. Dropping the future lets posts in again.
    pub(super) async fn erase(self: &Arc<Self>, tenant: &TenantId) -> Option<Passage> {
        {
            let mut chats = self.traffic.lock();
            let traffic = chats.entry(tenant.clone()).or_default();
            if traffic.erasing {
                return None;
            }
            traffic.erasing = true;
        }
        let passage = Passage {
            gate: Arc::clone(self),
            tenant: tenant.clone(),
            erasing: true,
        };
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // Registered before looking, so that a post that ends in between is not slept through.
            left.as_mut().enable();
            if self
                .traffic
                .lock()
                .get(tenant)
                .is_none_or(|traffic| traffic.posts == 0)
            {
                return Some(passage);
            }
            left.await;
        }
    }
}

// === impl Passage ===

impl Drop for Passage {
    fn drop(&mut self) {
        {
            let mut chats = self.gate.traffic.lock();
            if let Some(traffic) = chats.get_mut(&self.tenant) {
                if self.erasing {
                    traffic.erasing = false;
                } else {
                    traffic.posts = traffic.posts.saturating_sub(1);
                }
                if traffic.posts == 0 && !traffic.erasing {
                    chats.remove(&self.tenant);
                }
            }
        }
        self.gate.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn chat(text: &str) -> TenantId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn an_erasure_waits_for_posts_and_keeps_new_ones_out() {
        let gate = Arc::new(Gate::default());
        let (own, other) = (chat("web:1:1"), chat("web:1:2"));
        let post = gate.post(&own).unwrap();
        let mut erasing = Box::pin(gate.erase(&own));
        assert!((&mut erasing).now_or_never().is_none(), "a post is under way");
        assert!(gate.post(&own).is_none());
        assert!(gate.post(&other).is_some(), "another chat is not concerned");
        drop(post);
        let passage = erasing.await.unwrap();
        assert!(gate.post(&own).is_none());
        assert!(gate.erase(&own).await.is_none(), "one erasure at a time");
        drop(passage);
        assert!(
            gate.traffic.lock().is_empty(),
            "nothing is remembered of chats without traffic"
        );
        assert!(gate.post(&own).is_some());
    }

    #[tokio::test]
    async fn an_erasure_that_is_given_up_lets_posts_in_again() {
        let gate = Arc::new(Gate::default());
        let own = chat("web:1:1");
        let post = gate.post(&own).unwrap();
        assert!(gate.erase(&own).now_or_never().is_none());
        assert!(gate.post(&own).is_some());
        drop(post);
        assert!(gate.traffic.lock().is_empty());
    }
}
