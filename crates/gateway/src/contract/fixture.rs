//! What the rules are tried with.

use super::Store;
use crate::ledger::{Spent, SpentSums, day_of};
use crate::ports::{
    Accepted, BeginError, BeginTurn, CloseEntry, CommitTurn, EntryId, Fence, NewEntry, NewHistoryMessage,
    NewOutboxPart, OpenEntry, OutboxPart, Outcome, ReservationRecord, StoreError, StoredTenant, TurnGrant,
    UsageDelta,
};
use openclaw_core::testing::SeededRandom;
use openclaw_core::{
    AccessTier, BotId, ChatKind, ChatMessage, CorrelationId, IncomingKind, IncomingMessage, OutgoingMessage,
    Platform, Role, TextFormat, Timestamp,
};
use std::time::Duration;

/// The life of sessions here.
pub const TTL: Duration = HOUR;
/// An hour.
pub const HOUR: Duration = Duration::from_secs(3_600);
/// A day.
pub const DAY: Duration = Duration::from_secs(86_400);

/// A moment, in seconds after some beginning.
pub fn t(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000)
}

/// Our bot.
pub fn bot() -> BotId {
    BotId::default()
}

/// A message of a user, known by its key.
pub fn message_from(user: &str, key: &str, text: &str) -> IncomingMessage {
    IncomingMessage {
        platform: Platform::Telegram,
        bot: bot(),
        update_key: key.into(),
        user: user.parse().unwrap(),
        chat: format!("chat-{user}").parse().unwrap(),
        chat_kind: ChatKind::Private,
        kind: IncomingKind::Message,
        message_id: Some("77".parse().unwrap()),
        reply_to: None,
        text: text.into(),
        attachments: Vec::new(),
        language: None,
        sent_at: None,
    }
}

/// That message as it is handed in.
pub fn entry_from(user: &str, key: &str, now: Timestamp) -> NewEntry {
    NewEntry {
        message: message_from(user, key, &format!("text of {key}")),
        correlation_id: CorrelationId::new(now, &SeededRandom::new(key.len() as u64)),
        tier_if_new: AccessTier::Free,
        received_at: now,
        repeats_after: None,
    }
}

/// Accepts one message that was not there before.
pub async fn accept_one(store: &dyn Store, user: &str, key: &str, now: Timestamp) -> OpenEntry {
    let accepted = store.accept(vec![entry_from(user, key, now)]).await.unwrap();
    match <[Accepted; 1]>::try_from(accepted).unwrap() {
        [Accepted::New(entry)] => entry,
        [other @ Accepted::Duplicate { .. }] => panic!("expected a new entry, got {other:?}"),
    }
}

/// Begins a turn without a budget, three attempts allowed.
pub async fn begin(store: &dyn Store, entry: EntryId, now: Timestamp) -> TurnGrant {
    begin_with(store, entry, now, None).await.unwrap()
}

/// Begins a turn with a reservation on account `budget` of 1 000 tokens and this input estimate.
pub async fn begin_with(
    store: &dyn Store,
    entry: EntryId,
    now: Timestamp,
    input_estimate: Option<u64>,
) -> Result<TurnGrant, BeginError> {
    store
        .begin_turn(BeginTurn {
            entry,
            now,
            session_ttl: TTL,
            reservation: input_estimate.map(|input_estimate| ReservationRecord {
                account: "budget".into(),
                tokens: 1_000,
                input_estimate,
                // All turns of a test are of one window.
                window_started_at: t(0),
                shared: None,
                if_lost: lost(input_estimate),
            }),
            max_attempts: 3,
        })
        .await
}

/// What the ledger is told of a turn with this input estimate that did not come to its end.
pub fn lost(input_estimate: u64) -> Spent {
    Spent {
        day: day_of(t(0)),
        payer: "budget".into(),
        tier: AccessTier::Free,
        provider: "p".parse().unwrap(),
        model: "m".parse().unwrap(),
        sums: SpentSums {
            calls: 1,
            estimated_calls: 1,
            input_tokens: input_estimate,
            output_tokens: 0,
            cost_micros: 5,
        },
    }
}

/// An end with nothing to remember, nothing used and nothing to deliver.
pub fn answer(entry: EntryId, fence: Fence, now: Timestamp) -> CommitTurn {
    CommitTurn {
        entry,
        fence,
        now,
        outcome: Outcome::Answered,
        history: Vec::new(),
        usage: Vec::new(),
        spent: Vec::new(),
        outbox: Vec::new(),
        session_ttl: TTL,
    }
}

/// Runs a whole turn of an entry, remembering one message of so many tokens.
pub async fn commit(
    store: &dyn Store,
    entry: EntryId,
    now: Timestamp,
    text: &str,
    tokens: u64,
) -> Result<Vec<OutboxPart>, StoreError> {
    let grant = begin(store, entry, now).await;
    store
        .commit_turn(CommitTurn {
            history: vec![said(text, tokens)],
            usage: vec![UsageDelta {
                account: "budget".into(),
                window_started_at: t(0),
                tokens,
                settled: 1,
            }],
            ..answer(entry, grant.fence, now)
        })
        .await
}

/// Closes an entry without a turn.
pub async fn close_as(
    store: &dyn Store,
    entry: EntryId,
    outcome: Outcome,
    now: Timestamp,
    outbox: Vec<NewOutboxPart>,
) -> Option<Vec<OutboxPart>> {
    store
        .close(CloseEntry {
            entry,
            now,
            outcome,
            history: Vec::new(),
            outbox,
        })
        .await
        .unwrap()
}

/// A message to be remembered.
pub fn said(text: &str, tokens: u64) -> NewHistoryMessage {
    NewHistoryMessage {
        message: ChatMessage::text(Role::Assistant, text),
        tokens,
        model: Some("model-1".parse().unwrap()),
        unanswered: None,
        at: None,
        finish_reason: None,
    }
}

/// A part of a reply.
pub fn part(number: u32, text: &str) -> NewOutboxPart {
    NewOutboxPart {
        part: number,
        message: OutgoingMessage {
            chat: "chat-1".parse().unwrap(),
            chat_kind: ChatKind::Private,
            reply_to: None,
            text: text.into(),
            format: TextFormat::Markdown,
        },
        edits: None,
    }
}

/// The stored tenant of a user who has written.
pub async fn tenant_of(store: &dyn Store, user: &str) -> StoredTenant {
    let id = message_from(user, "any", "").tenant_id();
    store.find(&bot(), &id).await.unwrap().unwrap()
}
