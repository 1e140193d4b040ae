//! What grows with the number of tenants, readers and sessions.

use super::figures::{Figures, What};
use super::messages;
use super::process::Running;
use super::run::{Plan, Scratch, server_command};
use anyhow::{Context, Result};
use std::path::Path;

/// How many of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) tenants: u32,
    pub(super) streams: u32,
    pub(super) sessions: u32,
}

impl Sizes {
    /// What the bars are about, but for the sessions: a million of them take a quarter of an hour.
    pub(super) const USUAL: Self = Self {
        tenants: 100_000,
        streams: 10_000,
        sessions: 100_000,
    };
    pub(super) const LONG: Self = Self {
        sessions: 1_000_000,
        ..Self::USUAL
    };
    pub(super) const SMOKE: Self = Self {
        tenants: 100,
        streams: 50,
        sessions: 100,
    };
}

/// Measures all three; `upstream` is the mock provider's address.
pub(super) fn measure(
    programs: &Path,
    plan: &Plan,
    upstream: &str,
    scratch: &Scratch,
    figures: &mut Figures,
) -> Result<()> {
    let rest = format!("--rest={}", if plan.smoke { 0 } else { 10 });
    let run = |mode: &str, count: u32, more: &[&str]| {
        let count = format!("--count={count}");
        messages::run_program(
            programs,
            "scale",
            mode,
            &[&[count.as_str(), &rest], more].concat(),
        )
    };

    let data = scratch.place("tenants")?;
    let named = data.to_str().context("a path that is no text")?;
    run("tenants", plan.sizes.tenants, &[&format!("--data={named}")])?;
    for _round in 0..plan.rounds {
        let mut command = server_command(programs, &data, upstream)?;
        let (_running, started) = Running::with_address_file(&mut command, &data)?;
        figures.add(What::StartWithTenants, started.as_secs_f64() * 1e3);
    }

    let streams = run("streams", plan.sizes.streams, &[])?;
    figures.add(What::StreamsMemory, streams["resident_mib"].as_f64());

    let sessions = run("sessions", plan.sizes.sessions, &[])?;
    let after = sessions["resident_mib"].as_f64();
    figures.add(What::SessionsMemory, after);
    let idle = sessions["idle_mib"].as_f64().filter(|idle| *idle > 0.0);
    figures.add(
        What::SessionsGrowth,
        after.zip(idle).map(|(after, idle)| after / idle),
    );
    Ok(())
}
