//! Which tools a tier may use, how many at once, and whether a person is asked first. One table.

use crate::error::ToolAccessDeniedError;
use openclaw_core::{AccessTier, SandboxTier};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a tenant's tools may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolAccessPolicy {
    /// The tier it was made for.
    pub tier: AccessTier,
    /// How far the tools reach.
    pub sandbox: SandboxTier,
    /// Which tools.
    pub tools: ToolSet,
    /// How many may run at once; `None` is unlimited.
    pub parallel_tools: Option<u32>,
    /// Whether a person approves each use.
    pub approval: bool,
}

/// A set of tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolSet {
    /// Every tool there is, also those that are added later.
    All,
    /// These, by their exact names.
    Named(BTreeSet<String>),
}

const FREE: &[&str] = &["Read", "Glob", "Grep", "WebFetch"];
/// What `standard` adds to `free`.
const STANDARD: &[&str] = &["Write", "Edit", "NotebookEdit"];
/// What `premium` adds to `standard`.
const PREMIUM: &[&str] = &["Bash", "WebSearch", "Skill", "TodoWrite"];

// === impl ToolAccessPolicy ===

impl ToolAccessPolicy {
    /// The table's row for a tier.
    pub fn default_policy(tier: AccessTier) -> Self {
        let named = |sets: &[&[&str]]| ToolSet::Named(sets.concat().into_iter().map(str::to_owned).collect());
        let (tools, parallel_tools, approval) = match tier {
            AccessTier::Free => (named(&[FREE]), Some(1), true),
            AccessTier::Standard => (named(&[FREE, STANDARD]), Some(2), false),
            AccessTier::Premium => (named(&[FREE, STANDARD, PREMIUM]), Some(4), false),
            AccessTier::Admin => (ToolSet::All, None, false),
        };
        Self {
            tier,
            sandbox: tier.sandbox(),
            tools,
            parallel_tools,
            approval,
        }
    }

    /// Passes when the tool is allowed.
    ///
    /// # Errors
    ///
    /// [`ToolAccessDeniedError`] with the tool's name when it is not.
    pub fn check(&self, tool: &str) -> Result<(), ToolAccessDeniedError> {
        if is_tool_allowed(self, tool) {
            Ok(())
        } else {
            Err(ToolAccessDeniedError {
                tool: tool.chars().take(64).collect(),
            })
        }
    }
}

/// Whether the policy allows the tool of this exact name.
pub fn is_tool_allowed(policy: &ToolAccessPolicy, tool: &str) -> bool {
    match &policy.tools {
        ToolSet::All => true,
        ToolSet::Named(names) => names.contains(tool),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the specification: tool, and the lowest tier that has it.
    const TABLE: [(&str, AccessTier); 11] = [
        ("Read", AccessTier::Free),
        ("Glob", AccessTier::Free),
        ("Grep", AccessTier::Free),
        ("WebFetch", AccessTier::Free),
        ("Write", AccessTier::Standard),
        ("Edit", AccessTier::Standard),
        ("NotebookEdit", AccessTier::Standard),
        ("Bash", AccessTier::Premium),
        ("WebSearch", AccessTier::Premium),
        ("Skill", AccessTier::Premium),
        ("TodoWrite", AccessTier::Premium),
    ];

    #[test]
    fn each_tier_has_the_tools_of_the_table_and_of_the_tiers_below() {
        for tier in AccessTier::ALL {
            let policy = ToolAccessPolicy::default_policy(tier);
            for (tool, lowest) in TABLE {
                assert_eq!(is_tool_allowed(&policy, tool), tier >= lowest, "{tier} {tool}");
            }
            if let ToolSet::Named(names) = &policy.tools {
                let listed = TABLE.iter().filter(|(_, lowest)| tier >= *lowest).count();
                assert_eq!(names.len(), listed, "{tier} has nothing beside the table");
            }
        }
    }

    #[test]
    fn admin_has_every_tool_and_nobody_else_an_unknown_one() {
        for tier in AccessTier::ALL {
            let policy = ToolAccessPolicy::default_policy(tier);
            for tool in ["ATool", "mcp__files__write", "read", "Read ", ""] {
                assert_eq!(
                    is_tool_allowed(&policy, tool),
                    tier == AccessTier::Admin,
                    "{tier} {tool:?}"
                );
            }
        }
    }

    #[test]
    fn limits_approval_and_sandbox_are_those_of_the_table() {
        let rows = AccessTier::ALL.map(|tier| {
            let policy = ToolAccessPolicy::default_policy(tier);
            (policy.parallel_tools, policy.approval, policy.sandbox)
        });
        let expected = [
            (Some(1), true, SandboxTier::Restricted),
            (Some(2), false, SandboxTier::Standard),
            (Some(4), false, SandboxTier::Full),
            (None, false, SandboxTier::Full),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_denial_names_the_tool() {
        let policy = ToolAccessPolicy::default_policy(AccessTier::Free);
        assert_eq!(policy.check("Read"), Ok(()));
        let denied = policy.check("Bash").expect_err("denied");
        assert_eq!(denied.to_string(), "the tool `Bash` is not allowed");
        assert_eq!(policy.check(&"x".repeat(100)).expect_err("denied").tool.len(), 64);
    }
}
