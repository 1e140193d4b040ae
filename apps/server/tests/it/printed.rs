//! What the guides print for the shell, typed as it is printed.

use crate::BINARY;
use crate::setup::LONG;
use openclaw_testkit::ServerSetup;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::process::Command;

/// The root of the repository, where the guides' commands are typed.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of a page in one language.
fn page(language: &str, name: &str) -> String {
    std::fs::read_to_string(root().join(format!("docs/guide/{language}/{name}.md"))).unwrap()
}

/// The blocks of code below a heading: how each is marked, and its lines.
fn blocks(page: &str, heading: &str) -> Vec<(String, String)> {
    let (_, below) = page
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("there is no heading {heading}"));
    let section = below.split("\n## ").next().unwrap();
    let mut parts = section.split("\n```");
    parts.next();
    let mut found = Vec::new();
    while let (Some(opening), Some(_)) = (parts.next(), parts.next()) {
        let (mark, lines) = opening.split_once('\n').unwrap();
        found.push((mark.to_owned(), format!("{lines}\n")));
    }
    found
}

/// Runs lines in a shell at the root; `None` after a line that says what is left out.
#[expect(
    clippy::print_stderr,
    reason = "the person running the tests must see what was left out"
)]
async fn typed(shell: &str, lines: &str, home: &Path, needs: &[&str]) -> Option<Output> {
    for tool in needs.iter().chain([&shell]) {
        let there = Command::new(tool).arg("--version").output().await;
        if !there.is_ok_and(|ran| ran.status.success()) {
            eprintln!("left out: {tool} is not installed");
            return None;
        }
    }
    let mut command = Command::new(shell);
    command
        .args(["-c", lines])
        .current_dir(root())
        .env("HOME", home)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ran = tokio::time::timeout(LONG, command.output()).await;
    Some(ran.unwrap_or_else(|_| panic!("never ends:\n{lines}")).unwrap())
}

#[tokio::test]
async fn the_example_worker_finishes_what_it_took_when_its_input_ends() {
    let home = tempfile::tempdir().unwrap();
    for (language, heading) in [
        ("en", "Try it without the server"),
        ("ru", "Как попробовать без сервера"),
    ] {
        let shown = blocks(&page(language, "workers"), heading).remove(0).1;
        let (command, answer) = shown.split_once('\n').unwrap();
        let command = command.strip_prefix("$ ").unwrap();
        // It used to give one to three lines, as it happened.
        for _ in 0..10 {
            let Some(ran) = typed("bash", command, home.path(), &["python3"]).await else {
                return;
            };
            assert_eq!(String::from_utf8_lossy(&ran.stdout), answer, "{ran:?}");
        }
    }
}

#[tokio::test]
async fn a_conversation_goes_as_the_guide_prints_it() {
    for (language, heading) in [
        ("en", "A conversation in five calls"),
        ("ru", "Разговор в пять вызовов"),
    ] {
        let server = ServerSetup::new(BINARY)
            .arg("--storage")
            .arg("memory")
            .start()
            .await
            .unwrap();
        let home = tempfile::tempdir().unwrap();
        let default = home.path().join(".local/share");
        std::fs::create_dir_all(&default).unwrap();
        std::os::unix::fs::symlink(server.data_dir(), default.join("openclaw")).unwrap();

        let blocks = blocks(&page(language, "api"), heading);
        let (lines, shown) = (&blocks[0].1, &blocks[1].1);
        let filled = lines.replace("http://127.0.0.1:3000", &server.url(""));
        assert_ne!(lines, &filled, "the address stands in the lines");
        let Some(ran) = typed("bash", &filled, home.path(), &["curl"]).await else {
            return;
        };
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let all = format!("{said}\n{}", String::from_utf8_lossy(&ran.stderr));
        // The answer in the sample is the one that is given.
        let finished = shown
            .lines()
            .find_map(|line| line.strip_prefix("data: {\"finishReason\":\"stop\",\"text\":"));
        let answer = finished.unwrap().split("\",\"turnId\"").next().unwrap();
        assert_eq!(
            said.matches(answer).count(),
            2,
            "{answer} in the events and among the messages:\n{all}"
        );
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("{\"turnId\":\"turn_"), "{all}");
        assert_eq!(lines[1], "retry: 1000", "{all}");
        for name in ["turn.started", "text.delta", "turn.finished"] {
            assert!(said.contains(&format!("\nevent: {name}\n")), "{name} in\n{all}");
        }
        let last = lines.last().unwrap();
        for words in [
            "\"live\":null",
            "\"role\":\"user\"",
            "\"role\":\"assistant\"",
            "\"pending\":[]",
        ] {
            assert!(last.contains(words), "{words} in {last}");
        }
        assert!(ran.stderr.is_empty(), "{all}");
    }
}
