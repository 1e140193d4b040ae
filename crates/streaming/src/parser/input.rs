//! The bytes not yet parsed, in one piece.
//!
//! A chunk that arrives when everything before it was parsed is kept as it came. Else it is appended to what is left,
//! in a buffer that is used again.

use bytes::Bytes;
use std::ops::Range;

/// A buffer larger than this is given back once it is empty.
const KEPT_CAPACITY: usize = 64 * 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Input {
    /// The bytes, unless `owned` holds them.
    shared: Bytes,
    /// The bytes, when they were joined from several chunks.
    owned: Vec<u8>,
    joined: bool,
    /// How many of the bytes were parsed. What was parsed stays readable until the next push.
    start: usize,
}

impl Input {
    pub(super) fn push(&mut self, chunk: Bytes) {
        if self.unread().is_empty() {
            self.reset();
            self.shared = chunk;
        } else {
            self.join(&chunk);
        }
    }

    pub(super) fn push_slice(&mut self, chunk: &[u8]) {
        if self.unread().is_empty() {
            self.reset();
        }
        self.join(chunk);
    }

    /// Bytes the buffer of its own holds, filled or not.
    pub(super) fn capacity(&self) -> usize {
        self.owned.capacity()
    }

    /// What was not yet parsed.
    pub(super) fn unread(&self) -> &[u8] {
        self.all().get(self.start..).unwrap_or_default()
    }

    /// Marks bytes as parsed. Returns where they stand, for [`Input::slice`], until the next push.
    pub(super) fn consume(&mut self, count: usize) -> usize {
        let before = self.start;
        self.start = before.saturating_add(count).min(self.all().len());
        before
    }

    /// Bytes by where they stand. Empty when they are gone.
    pub(super) fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.all().get(range.clone()).unwrap_or_default()
    }

    fn all(&self) -> &[u8] {
        if self.joined { &self.owned } else { &self.shared }
    }

    fn reset(&mut self) {
        self.shared = Bytes::new();
        if self.owned.capacity() > KEPT_CAPACITY {
            self.owned = Vec::new();
        } else {
            self.owned.clear();
        }
        self.joined = false;
        self.start = 0;
    }

    fn join(&mut self, chunk: &[u8]) {
        if !self.joined {
            let rest = self.shared.split_off(self.start.min(self.shared.len()));
            self.owned.clear();
            self.owned.extend_from_slice(&rest);
            self.shared = Bytes::new();
            self.joined = true;
            self.start = 0;
        } else if self.start > self.owned.len() / 2 {
            // Moving less than half of the bytes for more than half freed keeps the cost per byte constant.
            self.owned.drain(..self.start);
            self.start = 0;
        }
        self.owned.extend_from_slice(chunk);
    }
}

/// Bytes as text: as they stand when they are UTF-8, else in `scratch` with what is invalid replaced and counted.
pub(super) fn text_of<'a>(bytes: &'a [u8], scratch: &'a mut String, replaced: &mut u64) -> &'a str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => {
            scratch.clear();
            append_text(bytes, scratch, replaced);
            scratch
        }
    }
}

/// Appends bytes as text, with what is invalid replaced and counted.
pub(super) fn append_text(bytes: &[u8], text: &mut String, replaced: &mut u64) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            *replaced = replaced.saturating_add(1);
        }
    }
}
