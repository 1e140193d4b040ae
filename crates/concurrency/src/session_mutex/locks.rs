//! Who holds which session and who waits for it, as a plain value: no lock, no clock, nobody is woken here.
//!
//! A session that is held has a slot, found by its name once, when it is asked for. Whoever holds it, or waits, names
//! the slot from then on: giving a lock back hashes nothing and compares no text. Waiters are slots as well, linked in
//! the order they came. Nothing is allocated for an acquisition once there are slots enough.

use super::SessionMutex;
use super::name::SessionName;
use crate::error::AcquireError;
use crate::list::{End, Link, Linked, List, NONE};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use openclaw_core::Monotonic;
use std::task::Waker;
use std::time::Duration;

/// The locks of all sessions that are held or waited for.
pub(super) struct Locks {
    time_to_live: Duration,
    /// Numbers of locks by their session.
    by_session: HashTable<u32>,
    locks: Vec<Lock>,
    /// The first free slot; each names the next where the head of its line would be.
    free: u32,
    waiters: Waiters,
    /// Grows with every acquisition and every wait, over all sessions, so that idle ones need no state and no token
    /// is given twice.
    last_token: u64,
}

/// An acquisition. It is over when the lock's slot, which may belong to another session by then, has another holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) lock: u32,
    pub(super) token: u64,
}

/// A place in the line of a session. To be given up with [`Locks::leave`], unless [`Locks::look`] has ended the wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

/// What asking for a lock gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    Granted(Held),
    /// Since then.
    InLine(Place, Monotonic),
}

/// What a waiter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The lock is its own, and its time to live begins. The place is gone.
    Granted(Held),
    /// The lock was granted to it, and lost again before it came to look. The place is gone.
    Lost,
    /// Somebody else has it until then.
    Held { expires_at: Monotonic },
}

/// What is left for after the lock that guards the locks: wakers are foreign code, their end as well.
#[derive(Debug, Default)]
#[must_use = "somebody waits for it"]
pub(super) struct Wakers {
    to_wake: Option<Waker>,
    to_drop: Option<Waker>,
}

struct Lock {
    hash: u64,
    holder: u64,
    expires_at: Monotonic,
    line: List,
    waiting: u32,
    session: SessionName,
}

#[derive(Default)]
struct Waiters {
    slots: Vec<Waiter>,
    free: Vec<u32>,
}

struct Waiter {
    lock: u32,
    link: Link,
    /// The token of the acquisition, once there is one; then the waiter is out of the line.
    granted: Option<u64>,
    waker: Option<Waker>,
}

/// Slots that are kept when no session is held.
const KEPT: usize = 1024;
/// No token is zero, so that nobody holds a slot that is free.
const NOBODY: u64 = 0;

// === impl Locks ===

// Slots come from the index, from guards and from places, and are in use as long as these: in range by construction.
impl Locks {
    /// Locks whose holder loses them after `time_to_live`.
    pub(super) fn new(time_to_live: Duration) -> Self {
        Self {
            time_to_live,
            by_session: HashTable::new(),
            locks: Vec::new(),
            free: NONE,
            waiters: Waiters::default(),
            last_token: NOBODY,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_session.len()
    }

    /// When the session's holder loses it; `None` when nobody has it.
    pub(super) fn expires_at(&self, session: &str, hash: u64) -> Option<Monotonic> {
        let number = self
            .by_session
            .find(hash, |number| self.locks[*number as usize].is_of(session, hash))?;
        Some(self.locks[*number as usize].expires_at)
    }

    /// Takes the lock when it is free and nobody waits, otherwise a place in line: one step.
    pub(super) fn enter(
        &mut self,
        session: &str,
        hash: u64,
        now: Monotonic,
    ) -> Result<Entered, AcquireError> {
        let expires_at = now + self.time_to_live;
        let token = self.next_token();
        let locks = &self.locks;
        let entry = self.by_session.entry(
            hash,
            |number| locks[*number as usize].is_of(session, hash),
            |number| locks[*number as usize].hash,
        );
        let number = match entry {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                if self.free == NONE {
                    self.free = self.locks.len() as u32;
                    self.locks.push(Lock::free());
                }
                let number = self.free;
                place.insert(number);
                let lock = &mut self.locks[number as usize];
                self.free = std::mem::replace(&mut lock.line.head, NONE);
                lock.hash = hash;
                lock.holder = token;
                lock.expires_at = expires_at;
                lock.session.set(session);
                return Ok(Entered::Granted(Held { lock: number, token }));
            }
        };
        let lock = &mut self.locks[number as usize];
        if now >= lock.expires_at && lock.line.is_empty() {
            lock.holder = token;
            lock.expires_at = expires_at;
            return Ok(Entered::Granted(Held { lock: number, token }));
        }
        if lock.waiting as usize >= SessionMutex::MAX_WAITERS {
            return Err(AcquireError::TooManyWaiters {
                limit: SessionMutex::MAX_WAITERS,
            });
        }
        lock.waiting += 1;
        let waiter = self.waiters.insert(number);
        lock.line.push(&mut self.waiters, waiter, End::Back);
        Ok(Entered::InLine(Place(waiter), now))
    }

    /// Gives the lock back if it is still held, and passes it on. `now` is asked only when somebody waits.
    pub(super) fn release(&mut self, held: Held, now: impl FnOnce() -> Monotonic) -> (bool, Wakers) {
        let mut wakers = Wakers::default();
        let Some(lock) = self.held(held) else {
            return (false, wakers);
        };
        if lock.line.is_empty() {
            self.remove(held.lock);
        } else {
            wakers.to_wake = self.pass_on(held.lock, now());
        }
        (true, wakers)
    }

    /// What the waiter in `place` waits for: its own turn, or the end of the present holder's time, which it brings
    /// about. Somebody may have to be woken for that. While it waits, it is woken by `waker` when it has the lock.
    pub(super) fn look(&mut self, place: &Place, now: Monotonic, waker: &Waker) -> (Seen, Wakers) {
        let waiter = self.waiters.get(place.0);
        let (lock, mut granted) = (waiter.lock, waiter.granted);
        let mut wakers = Wakers::default();
        if granted.is_none() {
            let mut expires_at = self.locks[lock as usize].expires_at;
            if now >= expires_at {
                wakers.to_wake = self.pass_on(lock, now);
                granted = self.waiters.get(place.0).granted;
                expires_at = self.locks[lock as usize].expires_at;
            }
            if granted.is_none() {
                let known = &mut self.waiters.get_mut(place.0).waker;
                if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    wakers.to_drop = known.replace(waker.clone());
                }
                return (Seen::Held { expires_at }, wakers);
            }
        }
        self.waiters.remove(place.0);
        let seen = granted.map_or(Seen::Lost, |token| self.confirm(Held { lock, token }, now));
        (seen, wakers)
    }

    /// Begins the time to live of a lock that was granted to a waiter anew, since only now the waiter knows.
    fn confirm(&mut self, held: Held, now: Monotonic) -> Seen {
        let expires_at = now + self.time_to_live;
        match self.locks.get_mut(held.lock as usize) {
            Some(lock) if lock.holder == held.token => {
                lock.expires_at = expires_at;
                Seen::Granted(held)
            }
            Some(_) | None => Seen::Lost,
        }
    }

    /// Gives a place up. A lock that was granted to it in this moment is passed on.
    pub(super) fn leave(&mut self, place: &Place, now: impl FnOnce() -> Monotonic) -> Wakers {
        let waiter = self.waiters.get_mut(place.0);
        let (lock, granted) = (waiter.lock, waiter.granted);
        let to_drop = waiter.waker.take();
        let to_wake = match granted {
            Some(token) => self.release(Held { lock, token }, now).1.to_wake,
            None => {
                let own = &mut self.locks[lock as usize];
                own.line.unlink(&mut self.waiters, place.0);
                own.waiting -= 1;
                None
            }
        };
        self.waiters.remove(place.0);
        Wakers { to_wake, to_drop }
    }

    /// Gives the lock to the first in line; there must be one.
    fn pass_on(&mut self, number: u32, now: Monotonic) -> Option<Waker> {
        let token = self.next_token();
        let lock = &mut self.locks[number as usize];
        let first = lock.line.head;
        lock.line.unlink(&mut self.waiters, first);
        lock.waiting -= 1;
        lock.holder = token;
        lock.expires_at = now + self.time_to_live;
        let waiter = self.waiters.get_mut(first);
        waiter.granted = Some(token);
        waiter.waker.take()
    }

    /// The lock, if it is held under this token still. Its slot may be another session's by now, or gone.
    fn held(&self, held: Held) -> Option<&Lock> {
        let lock = self.locks.get(held.lock as usize)?;
        (lock.holder == held.token).then_some(lock)
    }

    fn next_token(&mut self) -> u64 {
        self.last_token = self.last_token.saturating_add(1);
        self.last_token
    }

    fn remove(&mut self, number: u32) {
        let lock = &mut self.locks[number as usize];
        lock.holder = NOBODY;
        lock.session.clear();
        lock.line.head = self.free;
        self.free = number;
        if let Ok(entry) = self.by_session.find_entry(lock.hash, |other| *other == number) {
            entry.remove();
        }
        if self.by_session.is_empty() && self.locks.len() > KEPT {
            self.let_go_of_memory();
        }
    }

    /// After a flood. What still names a slot by then, a guard past its time or a waiter whose lock was lost, finds it
    /// gone or another's.
    #[cold]
    fn let_go_of_memory(&mut self) {
        self.by_session = HashTable::new();
        self.locks = Vec::new();
        self.free = NONE;
        self.waiters.let_go_of_memory();
    }
}

// === impl Lock ===

impl Lock {
    /// A slot for any session.
    fn free() -> Self {
        Self {
            hash: 0,
            holder: NOBODY,
            expires_at: Monotonic::ZERO,
            line: List::EMPTY,
            waiting: 0,
            session: SessionName::default(),
        }
    }

    fn is_of(&self, session: &str, hash: u64) -> bool {
        self.hash == hash && self.session.is(session)
    }
}

// === impl Wakers ===

impl Wakers {
    /// Wakes who is to be woken.
    pub(super) fn go(self) {
        if let Some(waker) = self.to_wake {
            waker.wake();
        }
    }
}

// === impl Waiters ===

impl Waiters {
    fn get(&self, slot: u32) -> &Waiter {
        &self.slots[slot as usize]
    }

    fn get_mut(&mut self, slot: u32) -> &mut Waiter {
        &mut self.slots[slot as usize]
    }

    fn insert(&mut self, lock: u32) -> u32 {
        let waiter = Waiter {
            lock,
            link: Link::NONE,
            granted: None,
            waker: None,
        };
        match self.free.pop() {
            Some(slot) => {
                *self.get_mut(slot) = waiter;
                slot
            }
            None => {
                self.slots.push(waiter);
                (self.slots.len() - 1) as u32
            }
        }
    }

    fn remove(&mut self, slot: u32) {
        self.free.push(slot);
    }

    fn let_go_of_memory(&mut self) {
        if self.free.len() == self.slots.len() {
            *self = Self::default();
        }
    }
}

impl Linked for Waiters {
    fn link(&mut self, slot: u32) -> &mut Link {
        &mut self.get_mut(slot).link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(60);

    fn hold(locks: &mut Locks, session: &str, hash: u64, now: Monotonic) -> Held {
        match locks.enter(session, hash, now).expect("there is room") {
            Entered::Granted(held) => held,
            Entered::InLine(..) => panic!("{session} is held"),
        }
    }

    fn stand_in_line(locks: &mut Locks, session: &str, hash: u64, now: Monotonic) -> Place {
        match locks.enter(session, hash, now).expect("there is room") {
            Entered::InLine(place, since) => {
                assert_eq!(since, now);
                place
            }
            Entered::Granted(_) => panic!("{session} is free"),
        }
    }

    #[test]
    fn sessions_of_the_same_hash_are_told_apart() {
        let (mut locks, now) = (Locks::new(LIFE), Monotonic::ZERO);
        let (one, other) = (hold(&mut locks, "a", 7, now), hold(&mut locks, "b", 7, now));
        assert_ne!(one.lock, other.lock);
        assert!(locks.release(one, || now).0);
        assert_eq!(locks.expires_at("a", 7), None);
        assert_eq!(locks.expires_at("b", 7), Some(now + LIFE));
        assert!(!locks.release(one, || now).0, "a second time");
        assert_eq!(
            hold(&mut locks, "c", 7, now).lock,
            one.lock,
            "slots are used again"
        );
        assert!(!locks.release(one, || now).0, "the slot is another's");
    }

    #[test]
    fn the_memory_of_a_flood_is_given_back_and_that_of_a_trickle_kept() {
        let (mut locks, now) = (Locks::new(LIFE), Monotonic::ZERO);
        for (sessions, keeps) in [(KEPT, true), (KEPT + 1, false)] {
            let held: Vec<Held> = (0..sessions)
                .map(|n| hold(&mut locks, &n.to_string(), n as u64, now))
                .collect();
            assert_eq!(locks.len(), sessions);
            let waiting = stand_in_line(&mut locks, "0", 0, now);
            let _ = locks.leave(&waiting, || now);
            held.into_iter()
                .for_each(|held| assert!(locks.release(held, || now).0));
            assert_eq!(locks.len(), 0);
            assert_eq!(!locks.locks.is_empty(), keeps, "{sessions} sessions");
            assert_eq!(!locks.waiters.slots.is_empty(), keeps, "{sessions} sessions");
            assert_eq!(locks.by_session.capacity() > 0, keeps, "{sessions} sessions");
        }
    }

    #[test]
    fn all_slots_that_are_free_are_used_again() {
        let (mut locks, now) = (Locks::new(LIFE), Monotonic::ZERO);
        for _ in 0..3 {
            let held = ["a", "b", "c"].map(|session| hold(&mut locks, session, 7, now));
            held.into_iter()
                .for_each(|held| assert!(locks.release(held, || now).0));
        }
        assert_eq!(locks.locks.len(), 3);
    }

    #[test]
    fn a_slot_that_is_free_keeps_no_name() {
        let (mut locks, now) = (Locks::new(LIFE), Monotonic::ZERO);
        let held = hold(&mut locks, "a name that may be long", 7, now);
        assert!(locks.release(held, || now).0);
        assert!(locks.locks[held.lock as usize].session.is(""));
    }

    #[test]
    fn the_slot_of_a_waiter_that_left_or_was_served_is_the_next_ones() {
        let (mut locks, now) = (Locks::new(LIFE), Monotonic::ZERO);
        let mut held = hold(&mut locks, "s", 7, now);
        for _ in 0..5 {
            let fickle = stand_in_line(&mut locks, "s", 7, now);
            let _ = locks.leave(&fickle, || now);
            let patient = stand_in_line(&mut locks, "s", 7, now);
            assert!(locks.release(held, || now).0);
            let Seen::Granted(next) = locks.look(&patient, now, Waker::noop()).0 else {
                panic!("it was passed on");
            };
            held = next;
        }
        assert_eq!(locks.waiters.slots.len(), 1);
    }

    #[test]
    fn who_names_a_slot_whose_memory_is_gone_finds_nothing() {
        let (mut locks, now) = (Locks::new(LIFE), Monotonic::ZERO);
        let flood: Vec<Held> = (0..KEPT)
            .map(|n| hold(&mut locks, &n.to_string(), n as u64, now))
            .collect();
        let stale = hold(&mut locks, "s", 7, now);
        let slow = stand_in_line(&mut locks, "s", 7, now);
        assert!(
            locks.release(stale, || now).0,
            "it is granted to the one that sleeps"
        );
        let later = now + LIFE;
        let quick = stand_in_line(&mut locks, "s", 7, now);
        let (seen, _) = locks.look(&quick, later, Waker::noop());
        let Seen::Granted(last) = seen else {
            panic!("{seen:?}")
        };
        flood
            .into_iter()
            .for_each(|held| assert!(locks.release(held, || now).0));
        assert!(locks.release(last, || now).0);
        assert!(locks.locks.is_empty(), "nobody holds anything");
        assert!(!locks.release(stale, || now).0);
        assert_eq!(locks.look(&slow, later, Waker::noop()).0, Seen::Lost);
        hold(&mut locks, "s", 7, now);
    }

    #[test]
    fn who_asks_after_a_holders_time_stands_behind_who_waited_for_it() {
        let (mut locks, now) = (Locks::new(LIFE), Monotonic::ZERO);
        let stale = hold(&mut locks, "s", 7, now);
        let first = stand_in_line(&mut locks, "s", 7, now);
        assert!(matches!(
            locks.look(&first, now, Waker::noop()).0,
            Seen::Held { .. }
        ));
        let later = now + LIFE;
        let second = stand_in_line(&mut locks, "s", 7, later);
        let (seen, _) = locks.look(&second, later, Waker::noop());
        assert_eq!(
            seen,
            Seen::Held {
                expires_at: later + LIFE
            },
            "the first in line has it"
        );
        let Seen::Granted(held) = locks.look(&first, later, Waker::noop()).0 else {
            panic!("it was passed on");
        };
        assert!(held.token > stale.token);
    }
}
