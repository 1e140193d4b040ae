//! What a running program has used so far, as Linux tells it.

use anyhow::{Context, Result};
use std::time::Duration;

/// Processor time of a process, all threads, user and system.
///
/// # Errors
///
/// When there is no such process, or `/proc` has another shape.
pub fn cpu(pid: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; the fields are counted after it.
    let fields: Vec<_> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("/proc has another shape")?;
    // Linux reports hundredths of a second to every program, whatever the kernel counts in.
    Ok(Duration::from_millis((user + system) * 10))
}

/// Resident memory of a process in MiB.
///
/// # Errors
///
/// When there is no such process, or `/proc` has another shape.
pub fn resident_mib(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS in /proc")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
