//! What conversations remember: in the store or, where texts are not to be stored, in the memory of this process only.
//!
//! In memory there is a bound to it, and the conversation that was not used for longest goes first. A restart forgets
//! everything.

use crate::ports::{EntryId, HISTORY_KEPT, HistoryMessage, NewHistoryMessage, StoreError, TurnStore};
use openclaw_core::{ContentBlock, Timestamp};
use openclaw_session::TenantKey;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Texts of all conversations together that are kept in memory, in bytes.
const MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// What a message counts beside its text, and a conversation beside its messages, in bytes.
const OVERHEAD: usize = 256;

/// Where what was said is kept.
#[derive(Debug)]
pub(crate) struct Recall {
    store: Arc<dyn TurnStore>,
    /// `None` where texts are stored.
    memory: Option<Mutex<Memory>>,
}

/// Conversations that are in no store.
#[derive(Debug)]
struct Memory {
    conversations: HashMap<TenantKey, Conversation>,
    /// Tenants by their last use, the longest ago first.
    by_use: BTreeMap<u64, TenantKey>,
    last_use: u64,
    last_seq: i64,
    bytes: usize,
    limit: usize,
}

#[derive(Debug, Default)]
struct Conversation {
    said: VecDeque<HistoryMessage>,
    /// The newest generation of which something was said.
    generation: u64,
    /// What is said in this generation or before belongs to a conversation that is over.
    forgotten: u64,
    used: u64,
    bytes: usize,
}

/// Whose turn said something, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saying {
    pub(crate) tenant: TenantKey,
    pub(crate) entry: EntryId,
    /// The session's; `None` for what is said outside a turn.
    pub(crate) generation: Option<u64>,
    pub(crate) at: Timestamp,
}

// === impl Recall ===

impl Recall {
    /// `started_at` is where messages in memory are numbered from, so that those of an earlier process come before.
    pub(crate) fn new(store: Arc<dyn TurnStore>, store_texts: bool, started_at: Timestamp) -> Self {
        let memory = Memory {
            conversations: HashMap::new(),
            by_use: BTreeMap::new(),
            last_use: 0,
            last_seq: started_at.as_millis(),
            bytes: 0,
            limit: MEMORY_BYTES,
        };
        Self {
            store,
            memory: (!store_texts).then(|| Mutex::new(memory)),
        }
    }

    /// Whether what people say goes into the store.
    pub(crate) fn stores_texts(&self) -> bool {
        self.memory.is_none()
    }

    /// What of this goes into the store with the end of its entry.
    pub(crate) fn to_store(&self, said: &[NewHistoryMessage]) -> Vec<NewHistoryMessage> {
        match self.memory {
            None => said.to_vec(),
            Some(_) => Vec::new(),
        }
    }

    /// The entry's end is stored: what did not go with it is kept here.
    pub(crate) fn keep(&self, saying: Saying, said: Vec<NewHistoryMessage>) {
        if let Some(memory) = &self.memory
            && !said.is_empty()
        {
            memory.lock().keep(saying, said);
        }
    }

    /// What a model may be told, as [`TurnStore::history`] gives it.
    pub(crate) async fn history(
        &self,
        tenant: TenantKey,
        max_messages: usize,
        max_tokens: u64,
    ) -> Result<Vec<HistoryMessage>, StoreError> {
        match &self.memory {
            None => self.store.history(tenant, max_messages, max_tokens).await,
            Some(memory) => Ok(memory.lock().history(tenant, max_messages, max_tokens)),
        }
    }

    /// What a person may read, as [`TurnStore::said`] gives it.
    pub(crate) async fn said(
        &self,
        tenant: TenantKey,
        max_messages: usize,
    ) -> Result<Vec<HistoryMessage>, StoreError> {
        match &self.memory {
            None => self.store.said(tenant, max_messages).await,
            Some(memory) => Ok(memory.lock().newest(tenant, max_messages)),
        }
    }

    /// The conversation was started over; this was the generation of its session, where it had one.
    pub(crate) fn start_over(&self, tenant: TenantKey, generation: Option<u64>) {
        if let Some(memory) = &self.memory {
            memory.lock().start_over(tenant, generation);
        }
    }

    /// The tenant is gone.
    pub(crate) fn forget(&self, tenant: TenantKey) {
        if let Some(memory) = &self.memory {
            memory.lock().remove(tenant);
        }
    }

    /// Forgets what was said before this time.
    pub(crate) fn sweep(&self, before: Timestamp) {
        if let Some(memory) = &self.memory {
            memory.lock().sweep(before);
        }
    }
}

// === impl Memory ===

impl Memory {
    fn keep(&mut self, saying: Saying, said: Vec<NewHistoryMessage>) {
        self.touch(saying.tenant);
        let Some(conversation) = self.conversations.get_mut(&saying.tenant) else {
            return;
        };
        let present = conversation
            .generation
            .max(conversation.forgotten.saturating_add(1));
        let generation = saying.generation.unwrap_or(present);
        if generation <= conversation.forgotten {
            return;
        }
        conversation.generation = conversation.generation.max(generation);
        for said in said {
            self.last_seq += 1;
            let message = HistoryMessage {
                seq: self.last_seq,
                generation,
                message: said.message,
                tokens: said.tokens,
                model: said.model,
                at: said.at.unwrap_or(saying.at),
                entry: Some(saying.entry),
                unanswered: said.unanswered,
                finish_reason: said.finish_reason,
            };
            let bytes = size(&message);
            conversation.bytes += bytes;
            self.bytes += bytes;
            conversation.insert(message);
            if conversation.said.len() > HISTORY_KEPT {
                self.bytes -= conversation.drop_oldest();
            }
        }
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.bytes > self.limit {
            let Some(tenant) = self.by_use.values().next().copied() else {
                return;
            };
            self.remove(tenant);
        }
    }

    /// The conversation, used just now; a new one when there is none.
    fn touch(&mut self, tenant: TenantKey) {
        self.last_use += 1;
        let conversation = self.conversations.entry(tenant).or_insert_with(|| {
            self.bytes += OVERHEAD;
            Conversation {
                bytes: OVERHEAD,
                ..Conversation::default()
            }
        });
        self.by_use.remove(&conversation.used);
        conversation.used = self.last_use;
        self.by_use.insert(self.last_use, tenant);
    }

    fn history(&mut self, tenant: TenantKey, max_messages: usize, max_tokens: u64) -> Vec<HistoryMessage> {
        if !self.conversations.contains_key(&tenant) {
            return Vec::new();
        }
        self.touch(tenant);
        let mut tokens = 0_u64;
        let mut newest: Vec<HistoryMessage> = self
            .conversations
            .get(&tenant)
            .into_iter()
            .flat_map(|conversation| conversation.said.iter().rev())
            .filter(|said| said.unanswered.is_none())
            .take(max_messages.max(1))
            .enumerate()
            .take_while(|(index, said)| {
                tokens = tokens.saturating_add(said.tokens);
                *index == 0 || tokens <= max_tokens
            })
            .map(|(_, said)| said.clone())
            .collect();
        newest.reverse();
        newest
    }

    fn newest(&self, tenant: TenantKey, max_messages: usize) -> Vec<HistoryMessage> {
        let Some(conversation) = self.conversations.get(&tenant) else {
            return Vec::new();
        };
        let surplus = conversation.said.len().saturating_sub(max_messages);
        conversation.said.iter().skip(surplus).cloned().collect()
    }

    fn start_over(&mut self, tenant: TenantKey, generation: Option<u64>) {
        // A turn that still runs must find out, also where nothing was said yet.
        self.touch(tenant);
        if let Some(conversation) = self.conversations.get_mut(&tenant) {
            let over = conversation.generation.max(generation.unwrap_or(0));
            conversation.forgotten = conversation.forgotten.max(over);
            while !conversation.said.is_empty() {
                self.bytes -= conversation.drop_oldest();
            }
        }
        self.make_room();
    }

    fn remove(&mut self, tenant: TenantKey) {
        if let Some(conversation) = self.conversations.remove(&tenant) {
            self.by_use.remove(&conversation.used);
            self.bytes -= conversation.bytes;
        }
    }

    fn sweep(&mut self, before: Timestamp) {
        let mut empty = Vec::new();
        for (tenant, conversation) in &mut self.conversations {
            while conversation.said.front().is_some_and(|said| said.at < before) {
                self.bytes -= conversation.drop_oldest();
                if conversation.said.is_empty() {
                    empty.push(*tenant);
                }
            }
        }
        for tenant in empty {
            self.remove(tenant);
        }
    }
}

// === impl Conversation ===

impl Conversation {
    /// Behind what belongs to entries accepted before, whichever ended first.
    fn insert(&mut self, message: HistoryMessage) {
        let place = self.said.partition_point(|said| said.entry <= message.entry);
        self.said.insert(place, message);
    }

    /// How many bytes that were.
    fn drop_oldest(&mut self) -> usize {
        let bytes = self.said.pop_front().as_ref().map_or(0, size);
        self.bytes -= bytes;
        bytes
    }
}

fn size(message: &HistoryMessage) -> usize {
    let blocks = message.message.content.iter().map(|block| match block {
        ContentBlock::Text { text } => text.len(),
        ContentBlock::ToolResult { content, .. } => content.len(),
        ContentBlock::ToolUse { .. } | ContentBlock::Other { .. } => {
            serde_json::to_string(block).map_or(0, |text| text.len())
        }
    });
    OVERHEAD + blocks.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::{ChatMessage, Role};

    fn memory(limit: usize) -> Memory {
        Memory {
            conversations: HashMap::new(),
            by_use: BTreeMap::new(),
            last_use: 0,
            last_seq: 0,
            bytes: 0,
            limit,
        }
    }

    fn say(memory: &mut Memory, tenant: i64, generation: u64, text: &str) {
        let saying = Saying {
            tenant: TenantKey(tenant),
            entry: EntryId(1),
            generation: Some(generation),
            at: Timestamp::from_millis(memory.last_seq),
        };
        let said = NewHistoryMessage {
            message: ChatMessage::text(Role::User, text.to_owned()),
            tokens: 10,
            model: None,
            unanswered: None,
            at: None,
            finish_reason: None,
        };
        memory.keep(saying, vec![said]);
    }

    fn texts(memory: &Memory, tenant: i64) -> Vec<String> {
        let said = memory.newest(TenantKey(tenant), 9);
        said.iter().map(|said| said.message.joined_text()).collect()
    }

    #[track_caller]
    fn check_sums(memory: &Memory) {
        let bytes: usize = memory.conversations.values().map(|one| one.bytes).sum();
        assert_eq!(memory.bytes, bytes);
        assert_eq!(memory.by_use.len(), memory.conversations.len());
        for one in memory.conversations.values() {
            assert_eq!(one.bytes, OVERHEAD + one.said.iter().map(size).sum::<usize>());
        }
    }

    #[test]
    fn at_the_bound_the_conversation_unused_for_longest_goes() {
        let mut memory = memory(4 * OVERHEAD + 300);
        say(&mut memory, 1, 1, "one");
        say(&mut memory, 2, 1, "two");
        memory.history(TenantKey(1), 9, 99);
        say(&mut memory, 3, 1, "three");
        assert_eq!(texts(&memory, 1), ["one"], "it was told to a model just now");
        assert!(texts(&memory, 2).is_empty());
        assert_eq!(texts(&memory, 3), ["three"]);
        check_sums(&memory);
        say(&mut memory, 3, 1, &"long".repeat(1_000));
        assert_eq!(memory.bytes, 0, "what is larger than everything goes as well");
        check_sums(&memory);
    }

    #[test]
    fn a_conversation_started_over_takes_nothing_more_of_the_old_one() {
        let mut memory = memory(MEMORY_BYTES);
        say(&mut memory, 1, 3, "old");
        memory.start_over(TenantKey(1), Some(4));
        say(&mut memory, 1, 4, "of the turn that still ran");
        say(&mut memory, 1, 5, "new");
        assert_eq!(texts(&memory, 1), ["new"]);
        check_sums(&memory);
    }

    #[test]
    fn a_conversation_is_bounded_and_old_messages_are_swept() {
        let mut memory = memory(MEMORY_BYTES);
        for _ in 0..HISTORY_KEPT + 5 {
            say(&mut memory, 1, 1, "x");
        }
        let said = memory.newest(TenantKey(1), usize::MAX);
        assert_eq!((said.len(), said[0].seq), (HISTORY_KEPT, 6));
        check_sums(&memory);
        memory.sweep(said[HISTORY_KEPT - 1].at);
        assert_eq!(memory.newest(TenantKey(1), 9).len(), 1);
        check_sums(&memory);
        memory.sweep(Timestamp::from_millis(i64::MAX));
        assert!(memory.conversations.is_empty());
        check_sums(&memory);
    }

    #[test]
    fn a_model_is_told_the_newest_within_both_limits() {
        let mut memory = memory(MEMORY_BYTES);
        for text in ["a", "b", "c"] {
            say(&mut memory, 1, 1, text);
        }
        let mut told = |messages, tokens| memory.history(TenantKey(1), messages, tokens).len();
        assert_eq!((told(9, 99), told(2, 99), told(9, 20), told(9, 0)), (3, 2, 2, 1));
    }
}
