//! The example that the READMEs show is the example that compiles, and says what they say it says.

use std::process::Command;

const EXAMPLE: &str = include_str!("../../examples/pool.rs");

/// The fenced blocks of a page: what stands after the fence, and what is inside.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((kind, inside.join("\n") + "\n"));
        }
    }
    blocks
}

#[test]
fn the_readmes_show_the_example_and_what_it_prints() {
    assert!(EXAMPLE.lines().count() < 60, "it is to be read in one go");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Built with this test; only run here.
    let run = Command::new(cargo)
        .args(["run", "--quiet", "--locked", "--offline", "--example", "pool"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo is there");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let printed = String::from_utf8(run.stdout).expect("text");
    for page in [
        include_str!("../../README.md"),
        include_str!("../../../../concurrency/README.md"),
    ] {
        let blocks = blocks(page);
        let shown = |kind: &str| {
            blocks
                .iter()
                .find(|(own, _)| *own == kind)
                .map(|(_, text)| text.as_str())
        };
        assert_eq!(shown("rust,ignore"), Some(EXAMPLE));
        assert_eq!(shown("text"), Some(printed.as_str()));
    }
}
