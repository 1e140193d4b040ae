//! What the guides print for the shell, typed as it is printed.

use crate::BINARY;
use crate::setup::LONG;
use openclaw_testkit::ServerSetup;
use std::path::{Path, PathBuf};
use std::process::Stdio;
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

/// What a shell said.
struct Said {
    out: String,
    err: String,
}

/// Whether all of these programs are there; false after a line that says what is left out.
#[expect(
    clippy::print_stderr,
    reason = "the person running the tests must see what was left out"
)]
fn has(tools: &[&str]) -> bool {
    let missing = tools.iter().find(|tool| {
        let ran = std::process::Command::new(tool).arg("--version").output();
        !ran.is_ok_and(|ran| ran.status.success())
    });
    if let Some(tool) = missing {
        eprintln!("left out: {tool} is not installed");
    }
    missing.is_none()
}

/// Runs lines in a shell at the root. What it says goes to files, as to a terminal: nobody waits for a program that the lines
/// leave behind.
async fn typed(lines: &str, home: &Path) -> Said {
    let (out, err) = (home.join("out"), home.join("err"));
    let mut command = Command::new("bash");
    command
        .args(["-c", lines])
        .current_dir(root())
        .env("HOME", home)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&out).unwrap())
        .stderr(std::fs::File::create(&err).unwrap())
        .kill_on_drop(true);
    let ran = tokio::time::timeout(LONG, command.status()).await;
    let status = ran.unwrap_or_else(|_| panic!("never ends:\n{lines}")).unwrap();
    let read = |path: &Path| String::from_utf8(std::fs::read(path).unwrap()).unwrap();
    let said = Said {
        out: read(&out),
        err: read(&err),
    };
    assert!(status.success(), "{lines}\n{}{}", said.out, said.err);
    said
}

#[tokio::test]
async fn the_example_worker_finishes_what_it_took_when_its_input_ends() {
    let shown = |language: &str, heading: &str| blocks(&page(language, "workers"), heading).remove(0).1;
    let english = shown("en", "Try it without the server");
    assert_eq!(english, shown("ru", "Как попробовать без сервера"));
    if !has(&["bash", "python3"]) {
        return;
    }
    let (command, answer) = english.split_once('\n').unwrap();
    let home = tempfile::tempdir().unwrap();
    // It used to give one to three lines, as it happened.
    for _ in 0..10 {
        let said = typed(command.strip_prefix("$ ").unwrap(), home.path()).await;
        assert_eq!(said.out, answer, "{}", said.err);
    }
}

#[tokio::test]
async fn a_conversation_goes_as_the_guide_prints_it() {
    if !has(&["bash", "curl"]) {
        return;
    }
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
        let Said { out: said, err } = typed(&filled, home.path()).await;
        let all = format!("{said}\n{err}");
        // The answer in the sample is the one that is given.
        let finished = shown
            .lines()
            .find_map(|line| line.strip_prefix("data: {\"finishReason\":\"stop\",\"text\":"));
        let answer = finished.unwrap().split("\",\"turnId\"").next().unwrap();
        let finished = said
            .lines()
            .find(|line| line.starts_with("data: {\"finishReason\""));
        for line in [finished, said.lines().last()] {
            assert!(
                line.is_some_and(|line| line.contains(answer)),
                "{answer} in\n{all}"
            );
        }
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
        assert!(err.is_empty(), "{all}");
    }
}
