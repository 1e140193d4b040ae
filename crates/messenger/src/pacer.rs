//! Who may speak next: the buckets of one bot's chats and of the bot itself, and those who wait for them.
//!
//! Final messages wait in their chat's line, one in flight at a time, so that a chat gets them in order. The heads of
//! the chats that may speak wait in the bot's line, first come, first served: each chat has at most one head there, so
//! a chat with a hundred messages delays another by one. Everything else does not wait: it is let through when it
//! leaves enough for the final messages, or told when to ask again. Tokens are taken in the moment of the grant, so
//! a dropped wait leaves nothing behind.

use crate::limits::RateLimit;
use crate::token_bucket::TokenBucket;
use futures::future::{Either, select};
use openclaw_core::{Clock, Monotonic};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often idle chats are looked for at most, while the pacer is at its bound.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// A 429 in so many chats within [`STRIKE_WINDOW`] is meant for the whole bot.
const STRIKES_FOR_ALL: usize = 3;
/// See [`STRIKES_FOR_ALL`].
const STRIKE_WINDOW: Duration = Duration::from_secs(10);
/// How many 429s are remembered; the oldest is forgotten.
const MAX_STRIKES: usize = 32;
/// Room for so many chats is kept, however few there are.
const KEPT_ROOM: usize = 512;

/// The limits of a pacer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacerLimits {
    /// One bucket of this size per chat.
    pub chat: RateLimit,
    /// One bucket of this size for all chats together.
    pub bot: Option<RateLimit>,
    /// One bucket of this size per chat for drafts, beside the others.
    pub draft: Option<RateLimit>,
    /// How many may wait per chat.
    pub max_waiting_per_chat: usize,
    /// How many may wait altogether.
    pub max_waiting: usize,
    /// How many chats are remembered.
    pub max_chats: usize,
}

/// What wants to go out without waiting, and how much it leaves for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// A message or an edit that a later one will replace. Leaves one token in the chat's buckets and a fifth of the
    /// bot's.
    Interim,
    /// A text shown as being written. Does not touch the platform's own limit of messages.
    Draft,
    /// A typing indicator. Goes only when half of every bucket it touches is left.
    Typing,
}

/// Why there is no turn. Nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTurn {
    /// Not before this moment, which lies in the future.
    Until(Monotonic),
    /// So many wait already.
    Full(usize),
}

/// The pacer of one bot.
#[derive(Debug)]
pub struct Pacer {
    clock: Arc<dyn Clock>,
    /// Guards buckets and lines; never held across an await.
    state: Mutex<State>,
}

/// A place in a chat's line. The holder of the first place may ask for turns; the next in line follows when it is
/// dropped.
#[derive(Debug)]
pub struct Place<'a> {
    pacer: &'a Pacer,
    chat: Arc<str>,
    id: u64,
    called: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    limits: PacerLimits,
    bot: Option<TokenBucket>,
    lanes: HashMap<Arc<str>, Lane>,
    /// Chats whose head waits only for the bot's bucket. Each at most once, exactly those with `in_line`.
    line: VecDeque<Arc<str>>,
    waiting: usize,
    next_id: u64,
    sweep_at_len: usize,
    swept_at: Monotonic,
    strikes: VecDeque<(Monotonic, Arc<str>)>,
}

#[derive(Debug)]
struct Lane {
    /// `{platform}:{chat}`, as the operator sets it.
    bucket: TokenBucket,
    /// The platform's own, where it has one.
    own: Option<TokenBucket>,
    draft: Option<TokenBucket>,
    waiting: VecDeque<(u64, Arc<Notify>)>,
    in_line: bool,
}

enum Step {
    Granted,
    Until(Monotonic),
    Behind,
}

// === impl Pacer ===

impl Pacer {
    /// A pacer whose buckets are full.
    pub fn new(limits: PacerLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::new(State {
                limits,
                bot: limits.bot.map(TokenBucket::new),
                lanes: HashMap::new(),
                line: VecDeque::new(),
                waiting: 0,
                next_id: 0,
                sweep_at_len: 1_024,
                swept_at: Monotonic::ZERO,
                strikes: VecDeque::new(),
            }),
        }
    }

    /// Lets something pass now, or says when to ask again. `own` is the platform's own limit of this chat.
    pub fn pass(&self, chat: &str, own: Option<RateLimit>, what: Passing) -> Result<(), NoTurn> {
        let now = self.clock.monotonic();
        self.state.lock().pass(chat, own, what, now)
    }

    /// Takes a place in the chat's line.
    pub fn enter(&self, chat: &str, own: Option<RateLimit>) -> Result<Place<'_>, NoTurn> {
        let now = self.clock.monotonic();
        let (chat, id, called) = self.state.lock().enter(chat, own, now)?;
        Ok(Place {
            pacer: self,
            chat,
            id,
            called,
        })
    }

    /// The platform asks for silence in a chat. When several chats are told so within ten seconds, the whole bot is
    /// meant.
    pub fn penalise(&self, chat: &str, duration: Duration, whole_bot: bool) {
        let now = self.clock.monotonic();
        self.state.lock().penalise(chat, duration, whole_bot, now);
    }

    /// The platform asks for a pause of drafts in a chat; messages are not held up by it.
    pub fn penalise_drafts(&self, chat: &str, duration: Duration) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        if let Ok(lane) = state.lane(chat, None, now)
            && let Some(draft) = &mut lane.draft
        {
            draft.penalise(now + duration);
        }
    }

    /// Changes the limits. What was taken stays taken; those who wait look at their time anew.
    pub fn set_limits(&self, limits: PacerLimits) {
        self.state.lock().set_limits(limits);
    }

    /// Forgets chats whose buckets are full again and that nobody waits for, and gives back the room they took. Call it
    /// now and then: without new chats nothing else does.
    pub fn forget_idle(&self) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        state.sweep(now);
        let room = |len: usize| len.saturating_mul(2).max(KEPT_ROOM);
        let (lanes, line) = (room(state.lanes.len()), room(state.line.len()));
        state.lanes.shrink_to(lanes);
        state.line.shrink_to(line);
    }

    /// How many chats are remembered.
    pub fn chats(&self) -> usize {
        self.state.lock().lanes.len()
    }

    /// For how many chats there is room without asking for more memory.
    pub fn capacity(&self) -> usize {
        self.state.lock().lanes.capacity()
    }

    /// How many wait in the lines of all chats, those in flight included.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting
    }
}

// === impl Place ===

impl Place<'_> {
    /// Waits until this place is the first and every bucket has a token, and takes them. `Until` when that cannot be
    /// before `deadline`. The place is kept either way and may ask again.
    pub async fn turn(&self, deadline: Monotonic) -> Result<(), NoTurn> {
        loop {
            let called = pin!(self.called.notified());
            let now = self.pacer.clock.monotonic();
            let step = self.pacer.state.lock().step(&self.chat, self.id, now);
            let until = match step {
                Step::Granted => return Ok(()),
                Step::Until(at) if at > deadline => return Err(NoTurn::Until(at)),
                Step::Until(at) => at,
                Step::Behind if now >= deadline => {
                    let at = self.pacer.state.lock().estimate(&self.chat, now);
                    return Err(NoTurn::Until(at));
                }
                Step::Behind => deadline,
            };
            match select(called, self.pacer.clock.sleep_until(until)).await {
                Either::Left(_) | Either::Right(_) => {}
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pacer.state.lock().leave(&self.chat, self.id);
    }
}

// === impl State ===

impl State {
    fn pass(
        &mut self,
        chat: &str,
        own: Option<RateLimit>,
        what: Passing,
        now: Monotonic,
    ) -> Result<(), NoTurn> {
        let in_line = u32::try_from(self.line.len()).unwrap_or(u32::MAX);
        let bot = self.bot;
        let lane = self.lane(chat, own, now)?;
        let waiting = u32::try_from(lane.waiting.len()).unwrap_or(u32::MAX);
        let ready = lane
            .ready_to_pass(what, waiting)
            .max(bot.map_or(Monotonic::ZERO, |bot| {
                let share = match what {
                    Passing::Interim | Passing::Draft => bot.limit().burst() / 5,
                    Passing::Typing => bot.limit().burst() / 2,
                };
                bot.ready_at(share.saturating_add(in_line))
            }));
        // Whoever waits goes first, also in the moment between their time and their waking.
        if ready > now || waiting > 0 || in_line > 0 {
            let soon = lane.bucket.limit().interval().max(Duration::from_millis(1));
            return Err(NoTurn::Until(ready.max(now + soon)));
        }
        // Every bucket was found ready under the same lock; taking cannot fail.
        lane.bucket.acquire(now).ok();
        match what {
            Passing::Interim => take(&mut lane.own, now),
            Passing::Draft => take(&mut lane.draft, now),
            Passing::Typing => {}
        }
        take(&mut self.bot, now);
        Ok(())
    }

    fn enter(
        &mut self,
        chat: &str,
        own: Option<RateLimit>,
        now: Monotonic,
    ) -> Result<(Arc<str>, u64, Arc<Notify>), NoTurn> {
        if self.waiting >= self.limits.max_waiting {
            return Err(NoTurn::Full(self.waiting));
        }
        let (id, most) = (self.next_id, self.limits.max_waiting_per_chat);
        let lane = self.lane(chat, own, now)?;
        if lane.waiting.len() >= most {
            return Err(NoTurn::Full(lane.waiting.len()));
        }
        let called = Arc::new(Notify::new());
        lane.waiting.push_back((id, Arc::clone(&called)));
        self.next_id = self.next_id.wrapping_add(1);
        self.waiting += 1;
        let key = self
            .lanes
            .get_key_value(chat)
            .map_or_else(|| Arc::from(chat), |(key, _)| Arc::clone(key));
        Ok((key, id, called))
    }

    fn step(&mut self, chat: &Arc<str>, id: u64, now: Monotonic) -> Step {
        let Some(lane) = self.lanes.get_mut(chat) else {
            return Step::Behind;
        };
        if lane.waiting.front().is_none_or(|(first, _)| *first != id) {
            return Step::Behind;
        }
        let ready = lane.ready();
        if ready > now {
            self.leave_line(chat);
            return Step::Until(ready);
        }
        if let Some(bot) = &mut self.bot {
            if !lane.in_line {
                lane.in_line = true;
                self.line.push_back(Arc::clone(chat));
            }
            if self.line.front() != Some(chat) {
                return Step::Behind;
            }
            let ready = bot.ready_at(0);
            if ready > now {
                return Step::Until(ready);
            }
            bot.acquire(now).ok();
        }
        lane.bucket.acquire(now).ok();
        take(&mut lane.own, now);
        self.leave_line(chat);
        Step::Granted
    }

    /// Takes the chat out of the bot's line and calls the one who is first then.
    fn leave_line(&mut self, chat: &Arc<str>) {
        let Some(lane) = self.lanes.get_mut(chat) else {
            return;
        };
        if !lane.in_line {
            return;
        }
        lane.in_line = false;
        if self.line.front() == Some(chat) {
            self.line.pop_front();
            self.call_line();
        } else {
            self.line.retain(|other| other != chat);
        }
    }

    fn call_line(&self) {
        if let Some((_, called)) = self
            .line
            .front()
            .and_then(|chat| self.lanes.get(chat))
            .and_then(|lane| lane.waiting.front())
        {
            called.notify_one();
        }
    }

    fn leave(&mut self, chat: &Arc<str>, id: u64) {
        let Some(lane) = self.lanes.get_mut(chat) else {
            return;
        };
        let was_first = lane.waiting.front().is_some_and(|(first, _)| *first == id);
        lane.waiting.retain(|(other, _)| *other != id);
        self.waiting = self.waiting.saturating_sub(1);
        if was_first {
            if let Some((_, called)) = lane.waiting.front() {
                called.notify_one();
            }
            // The next head stands at the end of the bot's line: chats take turns.
            self.leave_line(chat);
        }
    }

    fn estimate(&self, chat: &str, now: Monotonic) -> Monotonic {
        let soonest = now + Duration::from_millis(1);
        self.lanes.get(chat).map_or(soonest, |lane| {
            let ahead = u32::try_from(lane.waiting.len()).unwrap_or(u32::MAX);
            lane.ready_after(ahead).max(soonest)
        })
    }

    fn penalise(&mut self, chat: &str, duration: Duration, whole_bot: bool, now: Monotonic) {
        let until = now + duration;
        // The chat may have been forgotten while the call was under way. Where so many are busy that it cannot be
        // remembered once more, it is refused anyway.
        if let Ok(lane) = self.lane(chat, None, now) {
            lane.bucket.penalise(until);
        }
        let key = self
            .lanes
            .get_key_value(chat)
            .map_or_else(|| Arc::from(chat), |(key, _)| Arc::clone(key));
        self.strikes
            .retain(|(at, other)| now.saturating_since(*at) <= STRIKE_WINDOW && *other != key);
        if self.strikes.len() >= MAX_STRIKES {
            self.strikes.pop_front();
        }
        self.strikes.push_back((now, key));
        if (whole_bot || self.strikes.len() >= STRIKES_FOR_ALL)
            && let Some(bot) = &mut self.bot
        {
            bot.penalise(until);
        }
    }

    fn set_limits(&mut self, limits: PacerLimits) {
        self.limits = limits;
        match (&mut self.bot, limits.bot) {
            (Some(bot), Some(limit)) => bot.set_limit(limit),
            (bot, limit) => *bot = limit.map(TokenBucket::new),
        }
        for lane in self.lanes.values_mut() {
            lane.bucket.set_limit(limits.chat);
            if let (Some(draft), Some(limit)) = (&mut lane.draft, limits.draft) {
                draft.set_limit(limit);
            }
            if let Some((_, called)) = lane.waiting.front() {
                called.notify_one();
            }
        }
    }

    fn lane(&mut self, chat: &str, own: Option<RateLimit>, now: Monotonic) -> Result<&mut Lane, NoTurn> {
        let limits = self.limits;
        if !self.lanes.contains_key(chat) {
            self.make_room(now)?;
            self.lanes.insert(
                Arc::from(chat),
                Lane {
                    bucket: TokenBucket::new(limits.chat),
                    own: own.map(TokenBucket::new),
                    draft: limits.draft.map(TokenBucket::new),
                    waiting: VecDeque::new(),
                    in_line: false,
                },
            );
        }
        let full = NoTurn::Full(self.lanes.len());
        let lane = self.lanes.get_mut(chat).ok_or(full)?;
        match (&mut lane.own, own) {
            (Some(bucket), Some(limit)) if bucket.limit() != limit => bucket.set_limit(limit),
            (None, Some(limit)) => lane.own = Some(TokenBucket::new(limit)),
            _ => {}
        }
        Ok(lane)
    }

    /// Forgets idle chats when it is time; refuses when so many are busy.
    fn make_room(&mut self, now: Monotonic) -> Result<(), NoTurn> {
        let len = self.lanes.len();
        let at_bound = len >= self.limits.max_chats;
        if len >= self.sweep_at_len || (at_bound && now.saturating_since(self.swept_at) >= SWEEP_EVERY) {
            self.sweep(now);
        }
        if self.lanes.len() < self.limits.max_chats {
            Ok(())
        } else {
            Err(NoTurn::Full(self.lanes.len()))
        }
    }

    fn sweep(&mut self, now: Monotonic) {
        self.lanes.retain(|_, lane| !lane.is_idle(now));
        self.swept_at = now;
        self.sweep_at_len = self.lanes.len().saturating_mul(2).max(1_024);
    }
}

// === impl Lane ===

impl Lane {
    /// When the next final message may go, as far as this chat is concerned.
    fn ready(&self) -> Monotonic {
        self.ready_after(0)
    }

    fn ready_after(&self, others: u32) -> Monotonic {
        self.bucket
            .ready_at(others)
            .max(self.own.map_or(Monotonic::ZERO, |own| own.ready_at(others)))
    }

    fn ready_to_pass(&self, what: Passing, waiting: u32) -> Monotonic {
        let keep = |bucket: &TokenBucket, share: u32| bucket.ready_at(share.saturating_add(waiting));
        // A bucket of one token has nothing to leave for others.
        let one_less = |bucket: &TokenBucket| keep(bucket, bucket.limit().burst().saturating_sub(1).min(1));
        match what {
            Passing::Interim => {
                one_less(&self.bucket).max(self.own.as_ref().map_or(Monotonic::ZERO, one_less))
            }
            Passing::Draft => one_less(&self.bucket).max(
                self.draft
                    .as_ref()
                    .map_or(Monotonic::ZERO, |draft| keep(draft, 0)),
            ),
            Passing::Typing => keep(&self.bucket, self.bucket.limit().burst() / 2),
        }
    }

    fn is_idle(&self, now: Monotonic) -> bool {
        self.waiting.is_empty()
            && self.bucket.is_full(now)
            && [&self.own, &self.draft]
                .into_iter()
                .flatten()
                .all(|bucket| bucket.is_full(now))
    }
}

fn take(bucket: &mut Option<TokenBucket>, now: Monotonic) {
    if let Some(bucket) = bucket {
        bucket.acquire(now).ok();
    }
}
