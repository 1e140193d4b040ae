//! Fenced code blocks: where they open and close, and the lines that repair one that was cut.

/// A code block that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    marker: char,
    length: usize,
    /// The language, and whatever else follows the marker.
    info: String,
    /// What stands before the marker where the block was opened, for the line that closes it.
    indent: String,
}

/// What a line is where no code block is open.
#[derive(Debug)]
pub(super) enum Opening {
    /// Not a fence.
    No,
    /// A fence; the code begins this many bytes further.
    Yes(Fence, usize),
    /// Perhaps a fence: its line has not ended.
    Unfinished,
}

/// What a line is where a code block is open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Code.
    No,
    /// The end of the block, so many bytes long, without the line's end.
    Yes(usize),
    /// Perhaps the end: the line has not ended.
    Unfinished,
}

// === impl Fence ===

impl Fence {
    /// Whether the line that begins with `line`, after its `indent`, opens a block.
    pub(super) fn opening(indent: &str, line: &str) -> Opening {
        let marked = skip_list_markers(line);
        let Some(marker) = marked.chars().next().filter(|first| matches!(first, '`' | '~')) else {
            return Opening::No;
        };
        let after = marked.trim_start_matches(marker);
        let length = marked.len() - after.len();
        if length < 3 {
            return Opening::No;
        }
        let (info, ended) = match after.split_once('\n') {
            Some((info, _)) => (info, true),
            None => (after, false),
        };
        if marker == '`' && info.contains('`') {
            return Opening::No;
        }
        if !ended {
            return Opening::Unfinished;
        }
        let fence = Self {
            marker,
            length,
            info: info.trim().to_owned(),
            indent: indent
                .chars()
                .filter(|space| matches!(space, ' ' | '\t'))
                .collect(),
        };
        let code = line.len() - after.len() + info.len() + 1;
        Opening::Yes(fence, code)
    }

    /// Whether `line`, from its first character that is no white space on, ends this block. `complete`: nothing
    /// follows after `line`.
    pub(super) fn closing(&self, line: &str, complete: bool) -> Closing {
        let marked = line.trim_start_matches(['>', ' ', '\t']);
        let after = marked.trim_start_matches(self.marker);
        if after.is_empty() && !complete {
            return Closing::Unfinished;
        }
        if marked.len() - after.len() < self.length {
            return Closing::No;
        }
        let (tail, ended) = match after.split_once('\n') {
            Some((tail, _)) => (tail, true),
            None => (after, complete),
        };
        if !tail.trim().is_empty() {
            Closing::No
        } else if ended {
            Closing::Yes(line.len() - after.len())
        } else {
            Closing::Unfinished
        }
    }

    /// The line that opens the block again in the next part.
    pub(super) fn reopening(&self) -> String {
        let mut line: String = std::iter::repeat_n(self.marker, self.length).collect();
        line.push_str(&self.info);
        line.push('\n');
        line
    }

    /// The line that closes the block where it is cut.
    pub(super) fn closure(&self) -> String {
        let mut line = String::with_capacity(self.closure_len());
        line.push('\n');
        line.push_str(&self.indent);
        line.extend(std::iter::repeat_n(self.marker, self.length));
        line
    }

    /// The length of [`Fence::closure`]: the same in every unit, for it is ASCII.
    pub(super) fn closure_len(&self) -> usize {
        1 + self.indent.len() + self.length
    }

    /// The block as the next part has it: opened at the beginning of a line.
    pub(super) fn carried(mut self) -> Self {
        self.indent.clear();
        self
    }
}

/// `- `, `1. ` and `> ` may stand before a fence.
fn skip_list_markers(mut line: &str) -> &str {
    loop {
        line = line.trim_start_matches([' ', '\t']);
        let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let rest = if digits > 0 {
            line.get(digits..)
                .and_then(|rest| rest.strip_prefix(['.', ')']))
                .filter(|rest| rest.starts_with([' ', '\t']))
        } else {
            line.strip_prefix('>').or_else(|| {
                line.strip_prefix(['-', '*', '+'])
                    .filter(|rest| rest.starts_with([' ', '\t']))
            })
        };
        match rest {
            Some(rest) => line = rest,
            None => return line,
        }
    }
}
