//! One account, and all that are in memory.

use super::{BUDGET_WINDOW, BudgetUsage, WARNING_PERCENT};
use openclaw_core::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Room for so many accounts is kept, however few there are.
const KEPT_ROOM: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) by_name: HashMap<Arc<str>, Account>,
    /// How many there may be before idle ones are looked for again.
    pub(super) sweep_at: usize,
    /// Names that somebody loads and has yet to use, by how many do.
    pub(super) kept: HashMap<Arc<str>, u32>,
}

#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) window_started_at: Option<Timestamp>,
    pub(super) used: u64,
    /// By reservations of this window.
    pub(super) reserved: u64,
    /// Reservations under way, of any window.
    pub(super) outstanding: u32,
    /// When the first of these was made since there was none.
    pub(super) reserved_since: Option<Timestamp>,
    /// Settlements in this window.
    pub(super) settled: u64,
    /// Settlements that are not known to be stored.
    pub(super) unstored: u32,
    /// The next window begins after this time, whatever the clock says: windows are told apart by their beginnings, and
    /// what is charged to one that is over must not count in the next.
    pub(super) over: Option<Timestamp>,
    pub(super) warned: bool,
    pub(super) exhausted: bool,
    /// Looked at since idle accounts were last forgotten.
    pub(super) in_use: bool,
}

// === impl Accounts ===

impl Accounts {
    pub(super) fn get_mut(&mut self, name: &str) -> Option<(Arc<str>, &mut Account)> {
        let (name, _) = self.by_name.get_key_value(name)?;
        let name = Arc::clone(name);
        let account = self.by_name.get_mut(&name)?;
        account.in_use = true;
        Some((name, account))
    }

    pub(super) fn keep(&mut self, name: &Arc<str>) {
        *self.kept.entry(Arc::clone(name)).or_default() += 1;
    }

    pub(super) fn let_go(&mut self, name: &str) {
        if let Some(keepers) = self.kept.get_mut(name) {
            *keepers = keepers.saturating_sub(1);
            if *keepers == 0 {
                self.kept.remove(name);
            }
        }
    }

    pub(super) fn forget_idle(&mut self) {
        let kept = &self.kept;
        self.by_name.retain(|name, account| {
            std::mem::take(&mut account.in_use) || account.is_needed() || kept.contains_key(name)
        });
        self.by_name
            .shrink_to(self.by_name.len().saturating_mul(2).max(KEPT_ROOM));
    }

    pub(super) fn make_room(&mut self, bound: usize) {
        if self.by_name.len() < self.sweep_at {
            return;
        }
        let kept = &self.kept;
        self.by_name
            .retain(|name, account| account.is_needed() || kept.contains_key(name));
        // Where little could be forgotten the next look is not made at once: it costs as much as there is.
        self.sweep_at = bound.max(1).max(self.by_name.len().saturating_add(bound / 4 + 1));
    }
}

// === impl Account ===

impl Account {
    /// Whether the memory knows something of it that the store does not.
    fn is_needed(&self) -> bool {
        self.outstanding > 0 || self.unstored > 0
    }

    pub(super) fn usage(&self, limit: Option<u64>) -> BudgetUsage {
        BudgetUsage {
            used: self.used,
            limit,
            remaining: limit.map(|limit| self.remaining(limit)),
            reserved: self.reserved,
            resets_at: self.window_started_at.map(|started| started + BUDGET_WINDOW),
        }
    }

    /// Sets tokens aside; the window they are taken from, which begins now if none has.
    pub(super) fn take(&mut self, tokens: u64, now: Timestamp) -> Timestamp {
        let earliest = self
            .over
            .map_or(now, |over| now.max(over + Duration::from_millis(1)));
        let window_started_at = *self.window_started_at.get_or_insert(earliest);
        self.reserved = self.reserved.saturating_add(tokens);
        self.outstanding = self.outstanding.saturating_add(1);
        self.reserved_since.get_or_insert(now);
        window_started_at
    }

    /// Replaces what was set aside by what was used; the threshold that this has reached.
    pub(super) fn settle(
        &mut self,
        window_started_at: Timestamp,
        reserved: u64,
        actual: u64,
        limit: Option<u64>,
    ) -> Option<u8> {
        self.release(window_started_at, reserved);
        self.unstored = self.unstored.saturating_add(1);
        let mut crossed = None;
        if self.window_started_at == Some(window_started_at) {
            self.used = self.used.saturating_add(actual);
            self.settled = self.settled.saturating_add(1);
            crossed = self.crossed(limit);
        }
        self.close_if_unused();
        crossed
    }

    pub(super) fn remaining(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.used).saturating_sub(self.reserved)
    }

    /// Ends the window when its time has passed.
    pub(super) fn roll(&mut self, now: Timestamp) {
        if self
            .window_started_at
            .is_some_and(|started| now.saturating_since(started) >= BUDGET_WINDOW)
        {
            self.close_window();
        }
    }

    pub(super) fn close_window(&mut self) {
        self.over = self.over.max(self.window_started_at.take());
        self.used = 0;
        self.settled = 0;
        self.reserved = 0;
        self.warned = false;
        self.exhausted = false;
    }

    /// A window in which nothing came of anything has not begun.
    pub(super) fn close_if_unused(&mut self) {
        if self.used == 0 && self.reserved == 0 && self.unstored == 0 {
            self.window_started_at = None;
        }
    }

    pub(super) fn release(&mut self, window_started_at: Timestamp, tokens: u64) {
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.outstanding == 0 {
            self.reserved_since = None;
        }
        if self.window_started_at == Some(window_started_at) {
            self.reserved = self.reserved.saturating_sub(tokens);
        }
    }

    /// What was used before the account was loaded has been warned of.
    pub(super) fn note_primed(&mut self, limit: Option<u64>) {
        let Some(limit) = limit else { return };
        self.warned |= percent(self.used, limit) >= WARNING_PERCENT;
        self.exhausted |= self.used >= limit;
    }

    /// Which threshold was reached just now, the higher one if both were.
    fn crossed(&mut self, limit: Option<u64>) -> Option<u8> {
        let limit = limit?;
        if self.used >= limit && !self.exhausted {
            self.exhausted = true;
            self.warned = true;
            return Some(100);
        }
        if percent(self.used, limit) >= WARNING_PERCENT && !self.warned {
            self.warned = true;
            return Some(80);
        }
        None
    }
}

pub(super) fn percent(used: u64, limit: u64) -> u64 {
    used.saturating_mul(100) / limit.max(1)
}
