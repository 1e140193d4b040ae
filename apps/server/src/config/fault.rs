//! What is wrong with a configuration: where, what, and what to write instead.

use crate::texts::{Said, Texts};
use openclaw_core::Language;
use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody said; the default.
    Default,
    /// The file, counted from 1. The column counts characters.
    File {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        name: String,
    },
    /// A flag of the command line, such as `--set`.
    Flag(&'static str),
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where the value stands.
    pub(crate) origin: Origin,
    /// The field, or the key that is not one.
    pub(crate) path: String,
    /// What is wrong: value and rule. Never a secret.
    pub(crate) message: Said,
    /// What to write instead.
    pub(crate) hint: Option<Said>,
}

/// Every fault of a configuration, in the order of the layers: file by line, environment, flags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(.faults))]
pub(crate) struct ConfigError {
    /// At least one.
    pub(crate) faults: Vec<Fault>,
    /// The server's own language, as far as the configuration could be read.
    pub(crate) language: Language,
}

// === impl ConfigError ===

impl ConfigError {
    /// The faults in the order of the layers: the file by line, the environment, flags.
    pub(crate) fn sorted(&self) -> Vec<&Fault> {
        let mut faults: Vec<&Fault> = self.faults.iter().collect();
        faults.sort_by_key(|fault| fault.origin.rank());
        faults
    }

    /// One fault a line, each with its place; `file` is the file that was read.
    pub(crate) fn report(&self, file: Option<&Path>, texts: Texts) -> String {
        let severity = texts.fault_error();
        self.sorted().iter().fold(String::new(), |mut out, fault| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", fault.line(&severity, file, texts));
            out
        })
    }
}

// === impl Origin ===

impl Origin {
    /// File by line, then environment, then flags.
    fn rank(&self) -> (u8, usize, usize) {
        match self {
            Self::File { line, column } => (0, *line, *column),
            Self::Default => (1, 0, 0),
            Self::Environment { .. } => (2, 0, 0),
            Self::Flag(_) => (3, 0, 0),
        }
    }

    /// The place as editors and terminals understand it: `openclaw.toml:14:1`.
    fn place(&self, file: Option<&Path>, texts: Texts) -> String {
        match (self, file) {
            (Self::File { line, column }, Some(file)) => format!("{}:{line}:{column}", file.display()),
            (Self::Default, _) => texts.origin_not_set(),
            (_, _) => self.told(texts),
        }
    }

    /// Where a value came from, for people.
    pub(crate) fn told(&self, texts: Texts) -> String {
        match self {
            Self::Default => texts.origin_default(),
            Self::File { line, column } => texts.origin_file(*line, *column),
            Self::Environment { name } => texts.origin_environment(name),
            Self::Flag(name) => (*name).to_owned(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(Texts::default()))
    }
}

// === impl Fault ===

impl Fault {
    /// A fault without advice.
    pub(crate) fn new(origin: Origin, path: impl Into<String>, message: Said) -> Self {
        Self {
            origin,
            path: path.into(),
            message,
            hint: None,
        }
    }

    /// The fault on a line of a report, with its place first.
    pub(crate) fn line(&self, severity: &str, file: Option<&Path>, texts: Texts) -> String {
        let place = self.origin.place(file, texts);
        format!("{place}  {severity}  {}", self.told(texts))
    }

    /// Field, fault and advice.
    fn told(&self, texts: Texts) -> String {
        let message = self.message.within(texts.language());
        let hint = self
            .hint
            .as_ref()
            .map_or_else(String::new, |hint| format!("; {}", hint.within(texts.language())));
        // A rule that joins two fields names them itself.
        if self.path.is_empty() || message.starts_with(&self.path) {
            format!("{message}{hint}")
        } else {
            format!("{}: {message}{hint}", self.path)
        }
    }

    /// Adds advice.
    pub(crate) fn with_hint(mut self, hint: Option<Said>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.told(Texts::default()))
    }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
}

/// The candidate that `word` was probably meant to be: few letters differ, or it is the same in another case.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded: Vec<char> = word.to_lowercase().chars().take(MAX_COMPARED).collect();
    let allowed = (folded.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            let other: Vec<char> = candidate.to_lowercase().chars().take(MAX_COMPARED).collect();
            (distance(&folded, &other), candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Longer words are compared by their beginning: a hostile key costs no more than this squared.
const MAX_COMPARED: usize = 96;

/// Letters to insert, remove, replace or swap with their neighbour.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = Vec::with_capacity(above.len());
        current.push(row + 1);
        for (column, b) in right.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (cell(&above, column) + usize::from(a != b))
                .min(cell(&above, column + 1) + 1)
                .min(cell(&current, column) + 1);
            let swapped =
                row > 0 && column > 0 && left.get(row - 1) == Some(b) && right.get(column - 1) == Some(a);
            if swapped {
                best = best.min(cell(&before, column - 1) + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_none() {
        let words = ["maxWorkers", "minWorkers", "maxQueueSize"];
        assert_eq!(nearest("maxWorker", words), Some("maxWorkers"));
        assert_eq!(nearest("mxaWorkers", words), Some("maxWorkers"));
        assert_eq!(nearest("MAXWORKERS", words), Some("maxWorkers"));
        assert_eq!(nearest("temperature", words), None);
        assert_eq!(nearest("", words), None);
    }

    #[test]
    fn swapped_letters_are_one_mistake() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("prot"), &chars("port")), 1);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
        assert_eq!(distance(&chars("abc"), &chars("abc")), 0);
    }
}
