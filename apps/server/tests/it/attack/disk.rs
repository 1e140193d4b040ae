//! The disk is full, or belongs to somebody else, or the acknowledgement is faster than it.

use super::assert_quiet;
use crate::BINARY;
use crate::setup::{LONG, SECRET, without_limits, world};
use openclaw_testkit::ServerSetup;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn a_second_server_on_the_same_data_says_so_and_leaves_the_first_alone() {
    let world = world(without_limits).await;
    let second = ServerSetup::new(BINARY)
        .data_dir(world.server.data_dir())
        .ready_within(LONG);
    let (status, log) = second.run_to_end().await.unwrap();
    assert!(!status.success(), "{log}");
    assert!(log.contains("is in use by another server"), "{log}");
    assert_eq!(world.say(1, "alive?").await, 200);
    world.hears(1, "echo: alive?").await;
    assert_quiet(&world.server.log());
}

/// A file system of a few megabytes, where the test may mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let place = tempfile::tempdir().ok()?;
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={size}"))
            .arg("tmpfs")
            .arg(place.path())
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(place))
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        for size in [64 * 1024, 4_096, 512, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status()
            .ok();
    }
}

#[tokio::test]
async fn a_full_disk_is_refused_with_503_and_everything_goes_on_when_there_is_room_again() {
    let Some(disk) = SmallDisk::mount("6m") else {
        eprintln!("left out: this test may not mount a file system");
        return;
    };
    let data = disk.0.path().join("data");
    let mut world = world(|setup| without_limits(setup).data_dir(&data)).await;
    assert_eq!(world.say(1, "before").await, 200);
    world.hears(1, "echo: before").await;
    disk.fill();
    // The log may have some room of its own; soon nothing is taken any more.
    let mut accepted = vec![];
    let mut refused = 0;
    for number in 0..400 {
        let user = 100 + number;
        let text = format!("message {number} {}", "x".repeat(3_000));
        match world.say(user, &text).await {
            200 => accepted.push((user, text)),
            503 => {
                refused += 1;
                if refused == 5 {
                    break;
                }
            }
            other => panic!("{other}\n{}", world.server.log()),
        }
    }
    assert_eq!(refused, 5, "the disk is full\n{}", world.server.log());
    assert!(world.server.pid().is_some());
    let client = world.server.http().unwrap();
    assert_eq!(
        client.get("/livez").send().await.unwrap().status,
        200,
        "{}",
        world.server.log()
    );
    std::fs::remove_file(disk.ballast()).unwrap();
    let recovered = async {
        while world.say(2, "after").await != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LONG, recovered)
        .await
        .unwrap_or_else(|_| panic!("no recovery\n{}", world.server.log()));
    world.hears(2, "echo: after").await;
    for (user, text) in &accepted {
        world.hears(*user, &format!("echo: {text}")).await;
    }
    let shown: Vec<usize> = accepted
        .iter()
        .map(|(user, _)| world.telegram.chat(*user).texts().len())
        .collect();
    assert!(shown.iter().all(|count| *count == 1), "{shown:?}");
    world.server.kill().await.unwrap();
    world.server.start_again().await.unwrap();
    world
        .telegram
        .set_webhook(&world.server.url("/webhook/telegram"), Some(SECRET));
    assert_eq!(world.say(3, "restarted").await, 200);
    world.hears(3, "echo: restarted").await;
}

#[tokio::test]
async fn a_disk_that_may_not_be_written_is_told_in_a_sentence() {
    let Some(disk) = SmallDisk::mount("4m") else {
        eprintln!("left out: this test may not mount a file system");
        return;
    };
    let data = disk.0.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let remounted = std::process::Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(disk.0.path())
        .status();
    assert!(remounted.is_ok_and(|status| status.success()));
    let output = tokio::process::Command::new(BINARY)
        .arg("serve")
        .env_clear()
        .env("PORT", "0")
        .env("OPENCLAW_DATA_DIR", &data)
        .output();
    let output = tokio::time::timeout(LONG, output).await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    assert!(!status.success(), "{log}");
    assert!(
        log.contains("its file system is read-only\n  next  ") && !log.contains("panicked"),
        "{log}"
    );
}

/// `strace` on a running server, if it is there and may be used.
async fn trace(pid: u32, arguments: &[&str], output: &std::path::Path) -> Option<tokio::process::Child> {
    let mut tracer = tokio::process::Command::new("strace")
        .args(arguments)
        .arg("-f")
        .arg("-o")
        .arg(output)
        .arg("-p")
        .arg(pid.to_string())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(tracer.stderr.take()?).lines();
    let attached = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("attached") {
                return true;
            }
        }
        false
    };
    let attached = tokio::time::timeout(LONG, attached).await.unwrap_or(false);
    attached.then_some(tracer)
}

#[tokio::test]
async fn a_failed_sync_ends_the_process_and_loses_nothing_that_was_acknowledged() {
    let mut world = world(without_limits).await;
    let scratch = tempfile::tempdir().unwrap();
    let arguments = [
        "-e",
        "trace=fsync,fdatasync",
        "-e",
        "inject=fsync,fdatasync:error=EIO:when=9+",
    ];
    let Some(tracer) = trace(
        world.server.pid().unwrap(),
        &arguments,
        &scratch.path().join("trace"),
    )
    .await
    else {
        eprintln!("left out: strace is not installed or may not be used here");
        return;
    };
    let mut acknowledged = Vec::new();
    let mut open = Vec::new();
    for user in 1..=20 {
        let update = world.telegram.private_text(user, "hello");
        match world.telegram.deliver_update(&update).await {
            Ok(200) => acknowledged.push(user),
            Ok(status) => {
                assert!(status >= 500, "{status}");
                open.push((user, update));
            }
            Err(_) => open.push((user, update)),
        }
    }
    assert!(!open.is_empty(), "every sync went well");
    let status = world.server.wait(LONG).await.unwrap();
    assert_eq!(status.code(), Some(74), "{}", world.server.log());
    drop(tracer);
    assert!(
        world.server.log().contains("the store has failed"),
        "{}",
        world.server.log()
    );
    world.server.start_again().await.unwrap();
    world
        .telegram
        .set_webhook(&world.server.url("/webhook/telegram"), Some(SECRET));
    for (user, update) in open {
        assert_eq!(world.telegram.deliver_update(&update).await.unwrap(), 200);
        acknowledged.push(user);
    }
    for user in acknowledged {
        world.hears(user, "echo: hello").await;
    }
}

#[tokio::test]
async fn no_webhook_is_acknowledged_before_its_row_is_synced() {
    let world = world(without_limits).await;
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("trace");
    let arguments = [
        "-s",
        "64",
        "-e",
        "trace=read,recvfrom,write,writev,sendto,sendmsg,fsync,fdatasync",
    ];
    let Some(mut tracer) = trace(world.server.pid().unwrap(), &arguments, &output).await else {
        eprintln!("left out: strace is not installed or may not be used here");
        return;
    };
    for number in 1..=30 {
        // Edits are only taken note of: beside their acceptance little is written.
        let update = world.telegram.private_edit(number, 5, "changed");
        assert_eq!(world.telegram.deliver_update(&update).await.unwrap(), 200);
    }
    // Asked to end it writes what it still holds; killed it would not.
    let pid = tracer.id().unwrap().to_string();
    let asked = tokio::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(asked.await.unwrap().success());
    tokio::time::timeout(LONG, tracer.wait()).await.unwrap().unwrap();
    let trace = std::fs::read_to_string(&output).unwrap();
    let (mut whole, mut begun, mut received, mut seen) = (0, Vec::<String>::new(), false, 0);
    for line in trace.lines() {
        let thread = line.split_whitespace().next().unwrap_or_default().to_owned();
        if line.contains("POST /webhook/telegram") {
            (received, whole) = (true, 0);
            begun.clear();
        } else if received && (line.contains("fsync(") || line.contains("fdatasync(")) {
            if line.contains("unfinished") {
                begun.push(thread);
            } else {
                whole += 1;
            }
        } else if received && line.contains("sync resumed") && begun.contains(&thread) {
            whole += 1;
        } else if received && line.contains("HTTP/1.1 200") {
            assert!(whole > 0, "answered before a sync was whole:\n{trace}");
            (received, seen) = (false, seen + 1);
        }
    }
    assert!(
        seen >= 25,
        "{seen} of 30 were seen in the trace:\n{}",
        trace.lines().take(60).collect::<Vec<_>>().join("\n")
    );
}
