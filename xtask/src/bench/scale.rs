//! What grows with the number of tenants, readers and sessions.

use super::figures::{Figures, What};
use super::messages;
use super::process::Running;
use super::run::{Plan, Scratch, server_command};
use anyhow::{Context, Result};
use std::path::Path;

/// How many of each, in rising order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) tenants: [u32; 2],
    pub(super) streams: [u32; 3],
    pub(super) sessions: &'static [u32],
}

impl Sizes {
    /// What the bars are about, but for a million sessions: they take a quarter of an hour. The third size of tenants,
    /// none, is measured with the server's first start.
    pub(super) const USUAL: Self = Self {
        tenants: [10_000, 100_000],
        streams: [100, 1_000, 10_000],
        sessions: &[10_000, 100_000],
    };
    pub(super) const LONG: Self = Self {
        sessions: &[10_000, 100_000, 1_000_000],
        ..Self::USUAL
    };
    pub(super) const SMOKE: Self = Self {
        tenants: [10, 100],
        streams: [5, 10, 50],
        sessions: &[10, 100],
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
    // What is idle is forgotten after a minute at the latest; after that the allocator has its time. Connections are kept
    // for longer: an idle one for 90 to 180 s, the pool that holds it being looked through every 90 s.
    let waiting = |option: &str, secs: u32| format!("--{option}={}", if plan.smoke { 0 } else { secs });
    let run = |mode: &str, count: u32, more: &[&str]| {
        let count = format!("--count={count}");
        messages::run_program(programs, "scale", mode, &[&[count.as_str()], more].concat())
    };

    for count in plan.sizes.tenants {
        let data = scratch.place(&format!("tenants-{count}"))?;
        let named = data.to_str().context("a path that is no text")?;
        run("tenants", count, &[&format!("--data={named}")])?;
        for _round in 0..plan.rounds {
            let mut command = server_command(programs, &data, upstream)?;
            let (_running, started) = Running::with_address_file(&mut command, &data)?;
            figures.add(What::StartWithTenants(count), started.as_secs_f64() * 1e3);
        }
    }

    for count in plan.sizes.streams {
        let streams = run("streams", count, &[&waiting("rest", 10)])?;
        figures.add(What::StreamsMemory(count), streams["resident_mib"].as_f64());
    }

    for &count in plan.sizes.sessions {
        let sessions = run(
            "sessions",
            count,
            &[&waiting("rest", 90), &waiting("longer", 100)],
        )?;
        let idle = sessions["idle_mib"].as_f64().filter(|idle| *idle > 0.0);
        for (field, memory, growth) in [
            (
                "resident_mib",
                What::SessionsMemory(count),
                What::SessionsGrowth(count),
            ),
            ("quiet_mib", What::QuietMemory(count), What::QuietGrowth(count)),
        ] {
            let after = sessions[field].as_f64();
            figures.add(memory, after);
            figures.add(growth, after.zip(idle).map(|(after, idle)| after / idle));
        }
    }
    Ok(())
}
