//! `cargo xtask page`: makes the chat page's script and style short, with esbuild, and writes them into the tree.
//!
//! The script is written as modules and served as one file, so that the page needs one request for it. What is made is
//! committed: building the server needs Rust alone. The first line of each file holds a hash of everything it follows
//! from and of itself. So `cargo xtask check` sees without esbuild that a source was changed and not made short again,
//! or that what was made was changed by hand; where esbuild is installed a test makes both anew.

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
/// Which esbuild.
const LOCK: &str = "xtask/page/package-lock.json";

/// How it is asked. The browsers are the oldest that know `light-dark()`, which the style is written with; nothing newer
/// than they are comes out. Settings for TypeScript in a directory above have no say.
const OPTIONS: &[&str] = &[
    "--bundle",
    "--format=iife",
    "--minify",
    "--charset=utf8",
    "--legal-comments=none",
    "--target=chrome123,firefox120,safari17.5",
    "--tsconfig-raw={}",
    "--log-level=warning",
];

/// A file as browsers get it.
struct Part {
    name: &'static str,
    /// The file it is made from, with all that this one imports.
    entry: &'static str,
    /// Where every file is that it may import: what these begin with and end with.
    sources: (&'static str, &'static str),
}

const PARTS: [Part; 2] = [
    Part {
        name: "chat.js",
        entry: "script/main.js",
        sources: ("script/", ".js"),
    },
    Part {
        name: "chat.css",
        entry: "chat.css",
        sources: ("chat", ".css"),
    },
];

/// Writes both parts; installs esbuild first where it is not installed.
pub(crate) fn run(root: &Path) -> Result<()> {
    let modules = setup::node_modules(root, &toolbox::directory(root)?, setup::PAGE)?;
    let tree = Tree::read(root)?;
    for part in &PARTS {
        let served = part.made(root, &modules, &tree)?;
        let path = part.served();
        std::fs::create_dir_all(root.join(SERVED)).context(SERVED)?;
        std::fs::write(root.join(&path), &served).with_context(|| path.clone())?;
        println!("{path}: {} bytes", served.len());
    }
    Ok(())
}

/// The parts that do not follow from their sources, as far as that can be seen without esbuild.
pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let follows = |part: &Part| {
        let served = tree.text(&part.served())?;
        let (_, made) = served.split_once('\n')?;
        Some(served == part.headed(tree, made))
    };
    PARTS
        .iter()
        .filter(|part| follows(part) != Some(true))
        .map(|part| {
            format!(
                "{}: not what {SOURCES}/{} gives; `cargo xtask page` writes it anew",
                part.served(),
                part.entry
            )
        })
        .collect()
}

// === impl Part ===

impl Part {
    fn served(&self) -> String {
        format!("{SERVED}/{}", self.name)
    }

    /// The part as it is served, made anew.
    fn made(&self, root: &Path, modules: &Path, tree: &Tree) -> Result<String> {
        let mut esbuild = Command::new("node");
        esbuild
            .arg(modules.join("esbuild/bin/esbuild"))
            .arg(root.join(SOURCES).join(self.entry))
            .args(OPTIONS)
            // What it has to remark about a source is for whoever wrote it.
            .stderr(Stdio::inherit());
        let made = toolbox::output(&mut esbuild)?;
        Ok(self.headed(tree, &format!("{made}\n")))
    }

    /// What was made below a line that says how, and of what.
    fn headed(&self, tree: &Tree, made: &str) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| hash.update(format!("{}\n{text}", text.len()));
        add(&OPTIONS.join(" "));
        add(tree.text(LOCK).unwrap_or_default());
        let (begin, end) = self.sources;
        let begin = format!("{SOURCES}/{begin}");
        for (path, text) in tree.ending(end).filter(|(path, _)| path.starts_with(&begin)) {
            add(path);
            add(text);
        }
        add(made);
        let mut hex = String::new();
        for byte in hash.finalize().iter().take(8) {
            let _ = write!(hex, "{byte:02x}");
        }
        format!("/* {} by `cargo xtask page`: {hex} */\n{made}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "apps/server/assets/chat/script/main.js";
    const MODULE: &str = "apps/server/assets/chat/script/words/one.js";
    const STYLE: &str = "apps/server/assets/chat/chat.css";
    const SERVED_SCRIPT: &str = "apps/server/assets/chat/served/chat.js";
    const SERVED_STYLE: &str = "apps/server/assets/chat/served/chat.css";

    const SOURCES: [(&str, &str); 4] = [
        (LOCK, "lock"),
        (MAIN, "import \"./words/one.js\";\n"),
        (MODULE, "let a = 1;\n"),
        (STYLE, "a { b: c; }\n"),
    ];

    /// Both parts as they are served when all is right.
    fn right() -> [String; 2] {
        let tree = Tree::of(&SOURCES);
        let [script, style] = &PARTS;
        [
            script.headed(&tree, "let a=1;\n"),
            style.headed(&tree, "a{b:c}\n"),
        ]
    }

    /// The faults of a tree in which these texts, by their paths, are in the place of the right ones.
    fn check(changed: &[(&str, &str)]) -> Vec<String> {
        let [script, style] = right();
        let kept = SOURCES
            .into_iter()
            .chain([(SERVED_SCRIPT, &*script), (SERVED_STYLE, &*style)])
            .filter(|(path, _)| changed.iter().all(|(other, _)| other != path));
        faults(&Tree::of(
            &kept.chain(changed.iter().copied()).collect::<Vec<_>>(),
        ))
    }

    #[test]
    fn a_part_that_does_not_follow_from_its_sources_is_found_without_esbuild() {
        assert_eq!(check(&[]), [""; 0]);
        let script = "apps/server/assets/chat/served/chat.js: not what apps/server/assets/chat/script/main.js gives; \
                      `cargo xtask page` writes it anew";
        let style = "apps/server/assets/chat/served/chat.css: not what apps/server/assets/chat/chat.css gives; \
                     `cargo xtask page` writes it anew";
        // A source, one it imports, one that was not there, what was made, its first line.
        let another = "apps/server/assets/chat/script/two.js";
        for source in [MAIN, MODULE, another] {
            assert_eq!(check(&[(source, "let a = 2;\n")]), [script], "{source}");
        }
        let [whole, _] = right();
        for by_hand in [
            whole.replace("a=1", "a=2"),
            whole.replace("a=1;\n", "a=1;"),
            format!("{whole}let b=1;\n"),
            "let a=1;\n".to_owned(),
            String::new(),
        ] {
            assert_eq!(check(&[(SERVED_SCRIPT, &by_hand)]), [script], "{by_hand}");
        }
        assert_eq!(check(&[(STYLE, "")]), [style]);
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
        let tree = Tree::read(&root).unwrap();
        for part in &PARTS {
            let committed = tree.text(&part.served()).unwrap_or_default();
            let made = part.made(&root, Path::new(&modules), &tree).unwrap();
            assert!(
                committed == made,
                "{}: `cargo xtask page` writes it anew",
                part.served()
            );
        }
    }
}
