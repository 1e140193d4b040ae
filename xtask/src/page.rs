//! `cargo xtask page`: makes the chat page's script and style short, with esbuild, and writes them into the tree.
//!
//! What is made is committed: building the server needs Rust alone. The first line of each file holds a hash of
//! everything it follows from and of itself. So `cargo xtask check` sees without esbuild that a source was changed and
//! not made short again, or that what was made was changed by hand; where esbuild is installed a test makes both anew.

use crate::tree::Tree;
use crate::{setup, toolbox};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// As people write them.
const SOURCES: &str = "apps/server/assets/chat";
/// As browsers get them.
const SERVED: &str = "apps/server/assets/chat/served";
const PARTS: [&str; 2] = ["chat.js", "chat.css"];
/// Which esbuild.
const LOCK: &str = "xtask/page/package-lock.json";

/// How it is asked. The browsers are the oldest that know `light-dark()`, which the style is written with; nothing newer
/// than they are comes out. Settings for TypeScript in a directory above have no say.
const OPTIONS: &[&str] = &[
    "--minify",
    "--charset=utf8",
    "--legal-comments=none",
    "--target=chrome123,firefox120,safari17.5",
    "--tsconfig-raw={}",
    "--log-level=warning",
];

/// Writes both parts; installs esbuild first where it is not installed.
pub(crate) fn run(root: &Path) -> Result<()> {
    let modules = setup::node_modules(root, &toolbox::directory(root)?, setup::PAGE)?;
    let lock = std::fs::read_to_string(root.join(LOCK)).context(LOCK)?;
    for part in PARTS {
        let served = served(root, &modules, &lock, part)?;
        let path = format!("{SERVED}/{part}");
        std::fs::create_dir_all(root.join(SERVED)).context(SERVED)?;
        std::fs::write(root.join(&path), &served).with_context(|| path.clone())?;
        println!("{path}: {} bytes", served.len());
    }
    Ok(())
}

/// The parts that do not follow from their sources, as far as that can be seen without esbuild.
pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let follows = |part: &str| {
        let source = tree.text(&format!("{SOURCES}/{part}"))?;
        let served = tree.text(&format!("{SERVED}/{part}"))?;
        let (_, made) = served.split_once('\n')?;
        Some(served == headed(part, tree.text(LOCK)?, source, made))
    };
    PARTS
        .iter()
        .filter(|part| follows(part) != Some(true))
        .map(|part| {
            format!("{SERVED}/{part}: not what {SOURCES}/{part} gives; `cargo xtask page` writes it anew")
        })
        .collect()
}

/// A part as it is served.
fn served(root: &Path, modules: &Path, lock: &str, part: &str) -> Result<String> {
    let path = root.join(SOURCES).join(part);
    let source = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut esbuild = Command::new("node");
    esbuild
        .arg(modules.join("esbuild/bin/esbuild"))
        .arg(&path)
        .args(OPTIONS)
        // What it has to remark about a source is for whoever wrote it.
        .stderr(Stdio::inherit());
    let made = toolbox::output(&mut esbuild)?;
    Ok(headed(part, lock, &source, &format!("{made}\n")))
}

/// What was made below a line that says how, and of what.
fn headed(part: &str, lock: &str, source: &str, made: &str) -> String {
    let mut hash = Sha256::new();
    for text in [&OPTIONS.join(" "), lock, source, made] {
        hash.update(format!("{}\n{text}", text.len()));
    }
    let mut hex = String::new();
    for byte in hash.finalize().iter().take(8) {
        let _ = write!(hex, "{byte:02x}");
    }
    format!("/* {part} by `cargo xtask page`: {hex} */\n{made}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults of a tree in which these texts, by their paths, are in the place of the right ones.
    fn check(changed: &[(&str, &str)]) -> Vec<String> {
        let (script, style) = (
            headed("chat.js", "lock", "let a = 1;\n", "let a=1;\n"),
            headed("chat.css", "lock", "a { b: c; }\n", "a{b:c}\n"),
        );
        let right = [
            (LOCK, "lock"),
            ("apps/server/assets/chat/chat.js", "let a = 1;\n"),
            ("apps/server/assets/chat/chat.css", "a { b: c; }\n"),
            ("apps/server/assets/chat/served/chat.js", &*script),
            ("apps/server/assets/chat/served/chat.css", &*style),
        ];
        let kept = right
            .iter()
            .filter(|(path, _)| changed.iter().all(|(other, _)| other != path));
        faults(&Tree::of(&kept.chain(changed).copied().collect::<Vec<_>>()))
    }

    #[test]
    fn a_part_that_does_not_follow_from_its_source_is_found_without_esbuild() {
        assert_eq!(check(&[]), [""; 0]);
        let script = "apps/server/assets/chat/served/chat.js: not what apps/server/assets/chat/chat.js gives; \
                      `cargo xtask page` writes it anew";
        let style = "apps/server/assets/chat/served/chat.css: not what apps/server/assets/chat/chat.css gives; \
                     `cargo xtask page` writes it anew";
        // The source, what was made, its first line.
        assert_eq!(
            check(&[("apps/server/assets/chat/chat.js", "let a = 2;\n")]),
            [script]
        );
        let served = "apps/server/assets/chat/served/chat.js";
        let whole = headed("chat.js", "lock", "let a = 1;\n", "let a=1;\n");
        for by_hand in [
            whole.replace("a=1", "a=2"),
            whole.replace("a=1;\n", "a=1;"),
            format!("{whole}let b=1;\n"),
            "let a=1;\n".to_owned(),
            String::new(),
        ] {
            assert_eq!(check(&[(served, &by_hand)]), [script], "{by_hand}");
        }
        assert_eq!(check(&[("apps/server/assets/chat/chat.css", "")]), [style]);
        // Another esbuild gives another page.
        assert_eq!(check(&[(LOCK, "newer")]), [script, style]);
    }

    #[test]
    fn what_is_committed_is_what_esbuild_makes_of_the_sources() {
        let variable = toolbox::ESBUILD_VARIABLE;
        let Some(modules) = std::env::var_os(variable).filter(|place| !place.is_empty()) else {
            assert!(
                std::env::var_os("OPENCLAW_TEST_ALL").is_none_or(|all| all != "1"),
                "{variable} is not set and nothing may be left out: run `cargo xtask setup`, then `cargo xtask test --all`"
            );
            eprintln!("left out: {variable} is not set (`cargo xtask setup` installs it)");
            return;
        };
        let root = crate::root();
        let lock = std::fs::read_to_string(root.join(LOCK)).unwrap();
        for part in PARTS {
            let committed = std::fs::read_to_string(root.join(SERVED).join(part)).unwrap_or_default();
            let made = served(&root, Path::new(&modules), &lock, part).unwrap();
            assert!(
                committed == made,
                "{SERVED}/{part}: `cargo xtask page` writes it anew"
            );
        }
    }
}
