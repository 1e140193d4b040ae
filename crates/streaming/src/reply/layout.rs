//! Which text each part of a reply is to have.

use crate::length::MessageLimit;
use crate::splitter::{Next, PartCursor};

/// The parts of the text flushed so far. Parts that are full stay as they are.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    limit: MessageLimit,
    cursor: PartCursor,
    full: Vec<String>,
    /// The part that is growing; `None` while there is nothing to be seen in it.
    growing: Option<String>,
    complete: bool,
}

impl Layout {
    pub(super) fn new(limit: MessageLimit) -> Self {
        Self {
            limit,
            cursor: PartCursor::default(),
            full: Vec::new(),
            growing: None,
            complete: false,
        }
    }

    /// Takes the whole text, which continues the text taken before.
    pub(super) fn extend(&mut self, text: &str, complete: bool) {
        self.complete = complete;
        loop {
            match self.cursor.next(text, self.limit, complete) {
                Next::Full(part) => self.full.push(part.into_owned()),
                Next::Rest(part) => {
                    self.growing = (!part.trim().is_empty()).then(|| part.into_owned());
                    return;
                }
                Next::Nothing => {
                    self.growing = None;
                    return;
                }
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// How many parts there are.
    pub(super) fn len(&self) -> u32 {
        let count = self.full.len() + usize::from(self.growing.is_some());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Number, text and whether that text is final, in order.
    pub(super) fn parts(&self) -> impl Iterator<Item = (u32, &str, bool)> {
        let full = self.full.iter().map(|text| (text.as_str(), true));
        let growing = self.growing.iter().map(|text| (text.as_str(), self.complete));
        (0..)
            .zip(full.chain(growing))
            .map(|(part, (text, last))| (part, text, last))
    }
}
