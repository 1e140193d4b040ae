//! The measurements, made on every target in turn.

use super::figures::{Figures, What};
use super::messages;
use super::probes::{self, Probe};
use super::process::{Running, pinned};
use super::scale::{self, Sizes};
use crate::toolbox;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Connections of the closed loops; the bars are about 16.
pub(super) const CONNECTIONS: [u32; 3] = [16, 1, 64];

/// Pieces in a stream of the mock's model.
const PIECES: f64 = 64.0;

/// How long, how often, what.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) secs: f64,
    pub(super) warm: f64,
    pub(super) rounds: usize,
    pub(super) server: bool,
    /// Only what shows that everything runs.
    pub(super) smoke: bool,
    pub(super) sizes: Sizes,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) sizes: Option<Sizes>,
    /// By target: `direct`, `relay`, and `server` unless it was left out.
    pub(super) figures: BTreeMap<&'static str, Figures>,
    pub(super) probes: Vec<Probe>,
}

/// One thing that is measured.
struct Target {
    name: &'static str,
    url: String,
    key: Option<String>,
    /// `None` for the mock: it shares its processor with the load generator.
    running: Option<Running>,
    figures: Figures,
}

/// Measures everything the plan asks for.
pub(super) fn measure(programs: &Path, plan: &Plan) -> Result<Measured> {
    let mock = Running::with_printed_address(&programs.join("mock"), &["127.0.0.1:0"], 0)?;
    let upstream = mock.address.to_string();
    let completions = |address: &dyn std::fmt::Display| format!("http://{address}/v1/chat/completions");
    let relay = Running::with_printed_address(&programs.join("relay"), &["127.0.0.1:0", &upstream], 1)?;
    let mut targets = vec![
        Target {
            name: "direct",
            url: completions(&upstream),
            key: None,
            running: None,
            figures: Figures::default(),
        },
        Target {
            name: "relay",
            url: completions(&relay.address),
            key: None,
            running: Some(relay),
            figures: Figures::default(),
        },
    ];
    let data = Scratch::new(programs)?;
    if plan.server {
        let mut figures = Figures::default();
        let mut server = None;
        for round in 0..plan.rounds {
            // Each start finds an empty data directory.
            let place = data.place(&format!("start-{round}"))?;
            let mut command = server_command(programs, &place, &upstream)?;
            let (running, started) = Running::with_address_file(&mut command, &place)?;
            figures.add(What::Start, started.as_secs_f64() * 1e3);
            server = Some((running, place));
        }
        let (running, place) = server.context("no round")?;
        // Whatever the start left to be done in the background is done by then.
        std::thread::sleep(Duration::from_secs(if plan.smoke { 0 } else { 3 }));
        figures.add(What::IdleMemory, running.resident_mib()?);
        let key = std::fs::read_to_string(place.join("api.key")).context("the server wrote no api.key")?;
        targets.push(Target {
            name: "server",
            url: completions(&running.address),
            key: Some(key.trim().to_owned()),
            running: Some(running),
            figures,
        });
    }
    let load = programs.join("load");
    for _round in 0..plan.rounds {
        low_rate(&load, plan, &mut targets)?;
        saturation(&load, plan, &mut targets)?;
    }
    for target in &mut targets {
        if let Some(running) = &target.running {
            target.figures.add(What::LoadedMemory, running.resident_mib()?);
        }
    }
    let mut probes = Vec::new();
    if let Some(server) = targets.iter_mut().find(|target| target.name == "server") {
        let plan = Plan {
            secs: if plan.smoke { 0.5 } else { 2.0 },
            warm: 0.0,
            ..*plan
        };
        probes = probes::measure(mock.address, &mut |arguments| {
            load_once(&load, &plan, server, arguments)
        })?;
        // Its processor is needed for the next.
        server.running = None;
        messages::measure(programs, &plan, &mut server.figures)?;
        scale::measure(programs, &plan, &upstream, &data, &mut server.figures)?;
    }
    Ok(Measured {
        sizes: Some(plan.sizes),
        figures: targets
            .into_iter()
            .map(|target| (target.name, target.figures))
            .collect(),
        probes,
    })
}

/// How the server under measurement is started: everything on, limits out of the way of one key's flood.
pub(super) fn server_command(programs: &Path, data: &Path, upstream: &str) -> Result<Command> {
    let log = File::create(data.join("bench.log"))?;
    let mut command = pinned(&programs.join("openclaw"), 1);
    command
        .arg("serve")
        .env_clear()
        .env("HOME", data)
        .env("PORT", "0")
        .env("OPENCLAW_DATA_DIR", data)
        .env("OPENAI_BASE_URL", format!("http://{upstream}/v1"))
        .env("OPENAI_API_KEY", "sk-mock-provider-key")
        .env("OPENAI_MODEL", "mock-c64")
        .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "256")
        .env("LOG_LEVEL", "warn")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

fn low_rate(load: &Path, plan: &Plan, targets: &mut [Target]) -> Result<()> {
    for target in &mut *targets {
        let rate = ["--mode=rate", "--conns=8", "--rps=20"];
        let result = run_load(load, plan, target, &rate)?;
        target.figures.add(What::Latency, result["p50"].as_f64());
    }
    for target in targets {
        let stream = ["--stream", "--include-usage", "--model=mock-c64-d5"];
        let rate = ["--mode=rate", "--conns=8", "--rps=5"];
        let result = run_load(load, plan, target, &[&rate[..], &stream].concat())?;
        target.figures.add(What::FirstEvent, result["ttfc_p50"].as_f64());
    }
    Ok(())
}

fn saturation(load: &Path, plan: &Plan, targets: &mut [Target]) -> Result<()> {
    for connections in CONNECTIONS {
        for target in &mut *targets {
            let (result, cpu) = saturate(load, plan, target, connections, &[])?;
            let per_second = result["rps"].as_f64().unwrap_or_default();
            target.figures.add(What::PerSecond(connections), per_second);
            let cores = cpu.filter(|_| per_second > 0.0);
            target.figures.add(
                What::CpuPerRequest(connections),
                cores.map(|cores| 1e3 * cores / per_second),
            );
        }
    }
    for target in targets {
        let (result, cpu) = saturate(load, plan, target, 16, &["--stream", "--include-usage"])?;
        let events = result["rps"].as_f64().unwrap_or_default() * PIECES;
        let cores = cpu.filter(|_| events > 0.0);
        target
            .figures
            .add(What::CpuPerEvent, cores.map(|cores| 1e3 * cores / events));
    }
    Ok(())
}

/// A closed loop; with the result comes how many processors the target used meanwhile.
fn saturate(
    load: &Path,
    plan: &Plan,
    target: &mut Target,
    connections: u32,
    more: &[&str],
) -> Result<(Value, Option<f64>)> {
    let connections = format!("--conns={connections}");
    let arguments: Vec<_> = ["--mode=sat", &connections]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let before = target.running.as_ref().map(Running::cpu).transpose()?;
    let started = Instant::now();
    let result = run_load(load, plan, target, &arguments)?;
    let wall = started.elapsed().as_secs_f64();
    let after = target.running.as_ref().map(Running::cpu).transpose()?;
    let cores = before
        .zip(after)
        .map(|(before, after)| after.saturating_sub(before).as_secs_f64() / wall);
    Ok((result, cores))
}

/// A run in which something must succeed; what failed is counted.
fn run_load(load: &Path, plan: &Plan, target: &mut Target, arguments: &[&str]) -> Result<Value> {
    let result = load_once(load, plan, target, arguments)?;
    let failed = result["err"].as_u64().unwrap_or_default();
    target.figures.count(What::Failed, failed as f64);
    if result["ok"].as_u64().unwrap_or_default() == 0 {
        bail!(
            "{}: nothing succeeded with {arguments:?}: {}",
            target.name,
            result["errors"]
        );
    }
    Ok(result)
}

fn load_once(load: &Path, plan: &Plan, target: &Target, arguments: &[&str]) -> Result<Value> {
    let mut command = pinned(load, 0);
    command
        .args(["--url", &target.url, "--label", target.name])
        .arg(format!("--secs={}", plan.secs))
        .arg(format!("--warm={}", plan.warm))
        .args(arguments);
    if let Some(key) = &target.key {
        command.arg(format!("--header=authorization: Bearer {key}"));
    }
    Ok(serde_json::from_str(&toolbox::output(&mut command)?)?)
}

/// A data directory beside the programs that goes when it is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    fn new(programs: &Path) -> Result<Self> {
        let path = programs.join(format!("bench-data-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// An empty directory of this name.
    pub(super) fn place(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It lies in the target directory: what is left is cleaned with it.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}
