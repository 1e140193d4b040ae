//! Lets accepted messages in, those of one tenant in the order they were accepted.
//!
//! Calls that hand messages in run side by side, and the one whose message was accepted first need not be the first to
//! hear so from the store. Letting each message in as its call hears of it would let a person's second message overtake
//! the first. So a message waits until every call of its tenant has ended that was under way when its own heard from the
//! store; those that begin later are accepted later. That is the time of one commit, and nobody waits for a turn.

use crate::ports::{EntryId, OpenEntry};
use openclaw_core::TenantId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The calls under way and what they have brought. Holds only tenants with a call under way: never more than messages
/// that are being handed in.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Guards the lines; never held while a message is let in.
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    by_tenant: HashMap<TenantId, Line>,
    /// The number of the next call.
    next: u64,
}

#[derive(Debug, Default)]
struct Line {
    /// Calls under way, by number.
    under_way: BTreeSet<u64>,
    /// Accepted messages, each to be let in when no call before this number is under way.
    accepted: BTreeMap<EntryId, (OpenEntry, u64)>,
    /// Somebody lets messages in and goes on until none is left to let in.
    letting_in: bool,
}

/// A call with messages of these tenants. Ends when it is dropped, with or without having brought any.
#[derive(Debug)]
pub(crate) struct Arrival<F: Fn(OpenEntry)> {
    arrivals: Arc<Arrivals>,
    tenants: BTreeSet<TenantId>,
    number: u64,
    let_in: F,
}

// === impl Arrivals ===

impl Arrivals {
    /// To be called before the messages are handed to the store. `let_in` is called for its own messages and for others
    /// that wait for it, in the call that ends last.
    pub(crate) fn begin<F: Fn(OpenEntry)>(
        self: &Arc<Self>,
        tenants: impl Iterator<Item = TenantId>,
        let_in: F,
    ) -> Arrival<F> {
        let tenants: BTreeSet<TenantId> = tenants.collect();
        let mut lines = self.lines.lock();
        let number = lines.next;
        lines.next += 1;
        for tenant in &tenants {
            let line = lines.by_tenant.entry(tenant.clone()).or_default();
            line.under_way.insert(number);
        }
        drop(lines);
        Arrival {
            arrivals: Arc::clone(self),
            tenants,
            number,
            let_in,
        }
    }

    /// The next message of the tenant that may be let in. `None` when there is none, or somebody else is at it.
    fn next(&self, tenant: &TenantId, is_mine: &mut bool) -> Option<OpenEntry> {
        let mut lines = self.lines.lock();
        let line = lines.by_tenant.get_mut(tenant)?;
        if line.letting_in && !*is_mine {
            return None;
        }
        let oldest = line.under_way.first().copied();
        let may_enter = |before: u64| oldest.is_none_or(|oldest| oldest >= before);
        if let Some(first) = line.accepted.first_entry()
            && may_enter(first.get().1)
        {
            let (entry, _) = first.remove();
            line.letting_in = true;
            *is_mine = true;
            return Some(entry);
        }
        line.letting_in = false;
        if line.under_way.is_empty() && line.accepted.is_empty() {
            lines.by_tenant.remove(tenant);
        }
        None
    }
}

// === impl Arrival ===

impl<F: Fn(OpenEntry)> Arrival<F> {
    /// These were accepted.
    pub(crate) fn brings(self, entries: Vec<OpenEntry>) {
        let mut lines = self.arrivals.lines.lock();
        let next = lines.next;
        for entry in entries {
            let tenant = entry.message.tenant_id();
            let line = lines.by_tenant.entry(tenant).or_default();
            line.accepted.insert(entry.id, (entry, next));
        }
        drop(lines);
        drop(self);
    }
}

impl<F: Fn(OpenEntry)> Drop for Arrival<F> {
    fn drop(&mut self) {
        {
            let mut lines = self.arrivals.lines.lock();
            for tenant in &self.tenants {
                if let Some(line) = lines.by_tenant.get_mut(tenant) {
                    line.under_way.remove(&self.number);
                }
            }
        }
        for tenant in &self.tenants {
            let mut is_mine = false;
            while let Some(entry) = self.arrivals.next(tenant, &mut is_mine) {
                (self.let_in)(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::open_entry;
    use std::cell::RefCell;

    #[test]
    fn a_message_waits_for_the_calls_that_may_have_come_before_it_and_no_longer() {
        let arrivals = Arc::<Arrivals>::default();
        let seen = RefCell::new(Vec::new());
        let call = |user: &str| {
            let tenants = std::iter::once(open_entry(user, 0, "").message.tenant_id());
            arrivals.begin(tenants, |entry| seen.borrow_mut().push(entry.id.0))
        };
        let (first, second) = (call("1"), call("1"));
        second.brings(vec![open_entry("1", 2, "second")]);
        call("2").brings(vec![open_entry("2", 3, "of another")]);
        assert_eq!(
            *seen.borrow(),
            [3],
            "the first call may have been accepted before"
        );
        let third = call("1");
        first.brings(vec![open_entry("1", 1, "first")]);
        assert_eq!(
            *seen.borrow(),
            [3],
            "the third was under way when the first heard of it"
        );
        drop(third);
        assert_eq!(*seen.borrow(), [3, 1, 2], "a call that fails holds nobody up");
        call("1").brings(vec![open_entry("1", 4, "later"), open_entry("1", 5, "and last")]);
        assert_eq!(*seen.borrow(), [3, 1, 2, 4, 5]);
        assert!(arrivals.lines.lock().by_tenant.is_empty(), "nothing is kept");
    }
}
