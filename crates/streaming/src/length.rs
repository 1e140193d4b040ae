//! How platforms count the length of a message.

/// The unit a platform counts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LengthUnit {
    /// UTF-16 code units. Never fewer than the characters of a text, so it is right for Telegram either way.
    #[default]
    Utf16,
    /// Unicode scalar values.
    Scalars,
    /// Bytes of UTF-8.
    Bytes,
}

/// How long a message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageLimit {
    /// So many units; `None` is unlimited. A limit that cannot hold the largest character (2 UTF-16 units, 4 bytes)
    /// counts as one that can.
    pub max: Option<usize>,
    /// What is counted.
    pub unit: LengthUnit,
}

// === impl LengthUnit ===

impl LengthUnit {
    /// The length of a text.
    pub fn measure(self, text: &str) -> usize {
        self.measure_bytes(text.as_bytes())
    }

    /// The length of the largest character.
    pub const fn widest(self) -> usize {
        match self {
            Self::Utf16 => 2,
            Self::Scalars => 1,
            Self::Bytes => 4,
        }
    }

    /// Where the longest beginning of `text` ends, in bytes, that is no longer than `budget` units.
    pub(crate) fn prefix(self, text: &str, budget: usize) -> usize {
        const STEP: usize = 64;
        if text.len() <= budget {
            return text.len();
        }
        let bytes = text.as_bytes();
        let (mut at, mut left) = (0, budget);
        // Whole blocks first. A block may end inside a character; then the character counted with the block whose
        // byte begins it, and the last block that fits is followed by going back to a boundary.
        while let Some(block) = bytes.get(at..at + STEP) {
            let units = self.measure_bytes(block);
            if units > left {
                break;
            }
            left -= units;
            at += STEP;
        }
        let begin = text.floor_char_boundary(at);
        if begin < at {
            left += self.measure_bytes(bytes.get(begin..at).unwrap_or_default());
        }
        let mut end = begin;
        for character in text.get(begin..).unwrap_or_default().chars() {
            let units = self.measure_char(character);
            if units > left {
                break;
            }
            left -= units;
            end += character.len_utf8();
        }
        end
    }

    /// Where `text` ends, in bytes, once at least `units` are taken off its end.
    pub(crate) fn without(self, text: &str, units: usize) -> usize {
        let mut left = units;
        let mut end = text.len();
        for character in text.chars().rev() {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(self.measure_char(character));
            end -= character.len_utf8();
        }
        end
    }

    fn measure_char(self, character: char) -> usize {
        match self {
            Self::Utf16 => character.len_utf16(),
            Self::Scalars => 1,
            Self::Bytes => character.len_utf8(),
        }
    }

    /// Units of the characters that begin in `bytes`, apart from the unit `Bytes`. Simple loops, so that they are
    /// turned into vector instructions.
    fn measure_bytes(self, bytes: &[u8]) -> usize {
        let begins = |byte: &u8| usize::from((*byte & 0xC0) != 0x80);
        let wide = |byte: &u8| usize::from(*byte >= 0xF0);
        match self {
            Self::Bytes => bytes.len(),
            Self::Scalars => bytes.iter().map(begins).sum(),
            Self::Utf16 => bytes.iter().map(|byte| begins(byte) + wide(byte)).sum(),
        }
    }
}

// === impl MessageLimit ===

impl MessageLimit {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        max: None,
        unit: LengthUnit::Utf16,
    };

    /// At most `max` units.
    pub const fn new(max: usize, unit: LengthUnit) -> Self {
        Self { max: Some(max), unit }
    }

    /// The smaller of this limit and `max` units.
    pub fn capped(self, max: Option<usize>) -> Self {
        Self {
            max: match (self.max, max) {
                (Some(own), Some(other)) => Some(own.min(other)),
                (own, other) => own.or(other),
            },
            unit: self.unit,
        }
    }

    /// The limit as it is applied.
    pub fn effective(self) -> Option<usize> {
        self.max.map(|max| max.max(self.unit.widest()))
    }

    /// Whether a text is within the limit.
    pub fn allows(self, text: &str) -> bool {
        self.effective()
            .is_none_or(|max| text.len() <= max || self.unit.measure(text) <= max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counting in blocks gives what counting character by character does, wherever a block ends inside a character.
    #[test]
    fn the_longest_beginning_is_the_same_wherever_blocks_end() {
        for unit in [LengthUnit::Utf16, LengthUnit::Scalars, LengthUnit::Bytes] {
            for lead in 0..5 {
                let text = "a".repeat(lead) + &"🙂жa".repeat(40);
                for budget in 0..text.len() {
                    let (mut end, mut length) = (0, 0);
                    for character in text.chars() {
                        length += unit.measure_char(character);
                        if length > budget {
                            break;
                        }
                        end += character.len_utf8();
                    }
                    assert_eq!(unit.prefix(&text, budget), end, "{unit:?}, {lead}, {budget}");
                }
            }
        }
    }
}
