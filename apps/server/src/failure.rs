//! A command that failed: what happened, the next command to try, and the exit code.

use std::fmt;

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: Kind,
    what: String,
    next: String,
}

/// The kinds of failure that programs tell apart by the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failed,
    Usage,
    Unreachable,
    NotAllowed,
    Config,
}

// === impl Failure ===

impl Failure {
    /// The command failed. `next` is a command, or words that say what to do.
    pub(crate) fn failed(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(Kind::Failed, what, next)
    }

    /// The command was not given as it must be.
    pub(crate) fn usage(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(Kind::Usage, what, next)
    }

    /// No server answers.
    pub(crate) fn unreachable(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(Kind::Unreachable, what, next)
    }

    /// The key or token does not allow it.
    pub(crate) fn not_allowed(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(Kind::NotAllowed, what, next)
    }

    /// The configuration cannot be read.
    pub(crate) fn config(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(Kind::Config, what, next)
    }

    fn of(kind: Kind, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            next: next.into(),
        }
    }

    /// What happened, without what to do next.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The exit code, as `sysexits.h` has it where it has one.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Unreachable => 69,
            Kind::NotAllowed => 77,
            Kind::Config => crate::EXIT_CONFIG,
        }
    }

    /// Whether no server answered.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.kind == Kind::Unreachable
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  next  {}", self.what, self.next)
    }
}

impl std::error::Error for Failure {}
