//! Paths of workspaces, as people and models write them: `/workspaces/{tenantId}/…`.
//!
//! These are logical paths. They are compared component by component, never as strings, so that tenant `…:4` does not
//! reach `…:45`. Files are opened elsewhere, below a directory handle; a path that passes here still cannot lead out
//! of it by a link.

use crate::error::SecurityError;
use openclaw_core::TenantId;

/// The longest path that is followed, in bytes.
pub const MAX_PATH_BYTES: usize = 4_096;
/// Where all workspaces lie.
pub const WORKSPACES: &str = "/workspaces";

/// The logical root of a tenant's workspace, `/workspaces/{tenantId}`.
pub fn workspace_root(tenant: &TenantId) -> String {
    format!("{WORKSPACES}/{tenant}")
}

/// The path below `root` in its only spelling: absolute, `//` and `.` folded, without a slash at the end. A relative
/// path is taken from `root`.
///
/// # Errors
///
/// When it contains NUL or a `..` component, is too long, or is absolute and not `root` or below it.
pub fn validate_path(root: &str, path: &str) -> Result<String, SecurityError> {
    let bytes = path.len();
    if bytes > MAX_PATH_BYTES {
        return Err(SecurityError::TooLong {
            bytes,
            limit: MAX_PATH_BYTES,
        });
    }
    let root = components(root)?;
    let given = components(path)?;
    // A root of no component would contain everything.
    if root.is_empty() {
        return Err(SecurityError::Outside);
    }
    let below = if path.starts_with('/') {
        given.strip_prefix(&root[..]).ok_or(SecurityError::Outside)?
    } else {
        &given[..]
    };
    Ok(root
        .iter()
        .chain(below)
        .fold(String::new(), |joined, component| joined + "/" + component))
}

fn components(path: &str) -> Result<Vec<&str>, SecurityError> {
    if path.contains('\0') {
        return Err(SecurityError::Nul);
    }
    let components: Vec<_> = path
        .split('/')
        .filter(|component| !component.is_empty() && *component != ".")
        .collect();
    if components.contains(&"..") {
        return Err(SecurityError::Upwards);
    }
    Ok(components)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOT: &str = "/workspaces/telegram:1:4";

    #[track_caller]
    fn check(path: &str, expected: Result<&str, SecurityError>) {
        assert_eq!(validate_path(ROOT, path), expected.map(str::to_owned), "{path:?}");
    }

    #[test]
    fn the_root_is_the_tenants_own() {
        let tenant = "telegram:1:4".parse().expect("a tenant");
        assert_eq!(workspace_root(&tenant), ROOT);
        let created = crate::create_user_tenant(
            tenant,
            openclaw_core::AccessTier::Free,
            openclaw_core::Timestamp::default(),
        );
        assert_eq!(created.workspace_path, ROOT);
    }

    #[test]
    fn paths_inside_get_their_only_spelling() {
        check(ROOT, Ok(ROOT));
        check("", Ok(ROOT));
        check("/workspaces/telegram:1:4/", Ok(ROOT));
        check("notes..txt", Ok("/workspaces/telegram:1:4/notes..txt"));
        check("a//b/./c/", Ok("/workspaces/telegram:1:4/a/b/c"));
        check("//workspaces/./telegram:1:4//x", Ok("/workspaces/telegram:1:4/x"));
        check("...", Ok("/workspaces/telegram:1:4/..."));
        check(
            "workspaces/telegram:1:45",
            Ok("/workspaces/telegram:1:4/workspaces/telegram:1:45"),
        );
    }

    #[test]
    fn a_neighbour_with_the_same_beginning_is_outside() {
        check("/workspaces/telegram:1:45", Err(SecurityError::Outside));
        check("/workspaces/telegram:1:45/x", Err(SecurityError::Outside));
        check("/workspaces/telegram:1:4x", Err(SecurityError::Outside));
        check("/workspaces/telegram:1", Err(SecurityError::Outside));
    }

    #[test]
    fn other_absolute_paths_are_outside() {
        for path in ["/", "/etc/passwd", "/workspaces", "/telegram:1:4", "//"] {
            check(path, Err(SecurityError::Outside));
        }
    }

    #[test]
    fn nothing_leads_upwards() {
        for path in [
            "..",
            "a/..",
            "a/../b",
            "/workspaces/telegram:1:4/../telegram:1:45",
            "./..",
        ] {
            check(path, Err(SecurityError::Upwards));
        }
        assert_eq!(validate_path("/workspaces/..", "x"), Err(SecurityError::Upwards));
        assert_eq!(validate_path("/", "x"), Err(SecurityError::Outside));
    }

    #[test]
    fn nul_and_endless_paths_are_refused() {
        check("a\0b", Err(SecurityError::Nul));
        check(
            &"x".repeat(MAX_PATH_BYTES),
            Ok(&format!("{ROOT}/{}", "x".repeat(MAX_PATH_BYTES))),
        );
        check(
            &"x".repeat(MAX_PATH_BYTES + 1),
            Err(SecurityError::TooLong {
                bytes: MAX_PATH_BYTES + 1,
                limit: MAX_PATH_BYTES,
            }),
        );
    }

    proptest! {
        #[test]
        fn whatever_passes_is_below_the_root_and_stays_as_it_is(path in "(/|\\.|\\.\\.|a|:|4|5|/workspaces/telegram:1:4){0,8}") {
            if let Ok(valid) = validate_path(ROOT, &path) {
                prop_assert!(valid == ROOT || valid.starts_with("/workspaces/telegram:1:4/"), "{}", valid);
                prop_assert!(valid.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")), "{}", valid);
                let again = validate_path(ROOT, &valid);
                prop_assert_eq!(again, Ok(valid));
            }
        }
    }
}
