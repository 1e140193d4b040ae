//! Programs under measurement: start, address, processor time, memory, end.

use crate::toolbox;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running program; dropping it ends it.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after the wait.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

// === impl Running ===

impl Running {
    /// Starts a program that prints a line ending in its address to standard error.
    pub(super) fn with_printed_address(program: &Path, arguments: &[&str], processor: usize) -> Result<Self> {
        let mut child = pinned(program, processor)
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be run", program.display()))?;
        let mut line = String::new();
        if let Some(stderr) = child.stderr.take() {
            BufReader::new(stderr).read_line(&mut line)?;
        }
        let Some(address) = line
            .split_whitespace()
            .next_back()
            .and_then(|word| word.parse().ok())
        else {
            let _gone = child.kill();
            let _status = child.wait();
            bail!("{} did not print its address: {line:?}", program.display());
        };
        Ok(Self { child, address })
    }

    /// Starts a server that writes its address to `server.addr` in its data directory, and waits until `/readyz` says
    /// 200. Returns how long that took.
    pub(super) fn with_address_file(command: &mut Command, data: &Path) -> Result<(Self, Duration)> {
        // One that was killed left its own behind.
        std::fs::remove_file(data.join("server.addr")).ok();
        let started = Instant::now();
        let child = command.spawn().context("the server cannot be run")?;
        let mut running = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        loop {
            let file = std::fs::read_to_string(data.join("server.addr")).ok();
            if let Some(address) = file.and_then(|text| text.trim().parse().ok()) {
                running.address = address;
                if ask(address, "GET", "/readyz").is_ok_and(|(status, _)| status == 200) {
                    return Ok((running, started.elapsed()));
                }
            }
            if let Some(status) = running.child.try_wait()? {
                bail!("the server ended before it was ready: {status}");
            }
            if started.elapsed() > Duration::from_secs(60) {
                bail!("the server was not ready within a minute");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Processor time used so far, all threads, user and system.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold anything; the fields are counted after it.
        let fields: Vec<_> = text
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
            bail!("/proc has another shape: {text}")
        };
        // Linux reports hundredths of a second to every program, whatever the kernel counts in.
        Ok(Duration::from_millis((user + system) * 10))
    }

    /// Resident memory in MiB.
    pub(super) fn resident_mib(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS in /proc")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }
}

/// A command bound to one processor, where that is possible.
pub(super) fn pinned(program: &Path, processor: usize) -> Command {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match toolbox::on_path("taskset").filter(|_| processor < processors) {
        // `taskset` replaces itself with the program, so the child's number is the program's.
        Some(taskset) => {
            let mut command = Command::new(taskset);
            command.arg("-c").arg(processor.to_string()).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Status and body of an answer.
pub(super) fn ask(address: SocketAddr, method: &str, path: &str) -> Result<(u16, String)> {
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    socket.take(64 << 10).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the head")?;
    let status = head.split_whitespace().nth(1).context("no status line")?;
    Ok((status.parse()?, body.to_owned()))
}
