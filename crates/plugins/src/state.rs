//! The states of a plugin and the ways between them.

use crate::error::TransitionError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a plugin stands. Only `active` ones run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginState {
    /// Its manifest is known and sound.
    Registered,
    /// Its configuration and permissions have been accepted.
    Installed,
    /// Its hooks run.
    Active,
    /// Turned off by the operator; nothing of it runs.
    Disabled,
    /// It cannot run; [`PluginInstance::error_message`](crate::PluginInstance::error_message) says why.
    Error,
}

// === impl PluginState ===

impl PluginState {
    /// All states, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Registered,
        Self::Installed,
        Self::Active,
        Self::Disabled,
        Self::Error,
    ];

    /// The name used in events, metrics and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Installed => "installed",
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for PluginState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The states that may follow `from`. Nothing follows itself.
pub const fn valid_transitions(from: PluginState) -> &'static [PluginState] {
    use PluginState::{Active, Disabled, Error, Installed, Registered};
    match from {
        Registered => &[Installed, Error],
        Installed => &[Active, Error],
        Active => &[Disabled, Error],
        Disabled => &[Active, Error],
        Error => &[Disabled],
    }
}

/// Whether `to` may follow `from`.
pub fn can_transition(from: PluginState, to: PluginState) -> bool {
    valid_transitions(from).contains(&to)
}

/// `to`, when it may follow `from`.
pub fn transition_plugin(from: PluginState, to: PluginState) -> Result<PluginState, TransitionError> {
    if can_transition(from, to) {
        Ok(to)
    } else {
        Err(TransitionError { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::PluginState::{Active, Disabled, Error, Installed, Registered};
    use super::*;

    #[track_caller]
    fn check(from: PluginState, allowed: [bool; 5]) {
        for (to, allowed) in PluginState::ALL.into_iter().zip(allowed) {
            assert_eq!(can_transition(from, to), allowed, "{from} -> {to}");
            assert_eq!(
                transition_plugin(from, to),
                if allowed {
                    Ok(to)
                } else {
                    Err(TransitionError { from, to })
                }
            );
            assert_eq!(valid_transitions(from).contains(&to), allowed);
        }
    }

    #[test]
    fn registered_goes_to_installed_or_error() {
        check(Registered, [false, true, false, false, true]);
    }

    #[test]
    fn installed_goes_to_active_or_error() {
        check(Installed, [false, false, true, false, true]);
    }

    #[test]
    fn active_goes_to_disabled_or_error() {
        check(Active, [false, false, false, true, true]);
    }

    #[test]
    fn disabled_goes_to_active_or_error() {
        check(Disabled, [false, false, true, false, true]);
    }

    #[test]
    fn error_goes_to_disabled_only() {
        check(Error, [false, false, false, true, false]);
    }
}
