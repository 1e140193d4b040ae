//! The measurements, made on every target in turn.

use super::process::{Running, pinned};
use crate::toolbox;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Connections of the measurement the bars are about.
pub(super) const CONNECTIONS: [u32; 3] = [1, 16, 64];

/// Pieces in a stream of the mock's model.
const PIECES: f64 = 64.0;

/// How long, how often, what.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) secs: f64,
    pub(super) warm: f64,
    pub(super) rounds: usize,
    pub(super) server: bool,
}

/// What was measured of one target. Times in ms, memory in MiB; `None` where it was not measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) start_ms: Option<f64>,
    pub(super) idle_mib: Option<f64>,
    pub(super) loaded_mib: Option<f64>,
    /// At 20 requests a second.
    pub(super) p50: Option<f64>,
    /// To the first event, at 5 streams a second.
    pub(super) first_event_p50: Option<f64>,
    /// Processor time per request, by connections.
    pub(super) cpu_per_request: BTreeMap<u32, f64>,
    /// Requests per second, by connections.
    pub(super) per_second: BTreeMap<u32, f64>,
    /// Processor time per event of a stream at 16 connections.
    pub(super) cpu_per_event: Option<f64>,
    /// Requests that failed, over all measurements.
    pub(super) failed: u64,
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

/// The figures by target: `direct`, `relay`, and `server` unless it was left out.
pub(super) fn measure(programs: &Path, plan: &Plan) -> Result<BTreeMap<&'static str, Figures>> {
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
        let (running, started) =
            Running::with_address_file(&mut server_command(programs, &data.0, &upstream)?, &data.0)?;
        // Whatever the start left to be done in the background is done by then.
        std::thread::sleep(Duration::from_secs(3));
        let figures = Figures {
            start_ms: Some(started.as_secs_f64() * 1e3),
            idle_mib: Some(running.resident_mib()?),
            ..Figures::default()
        };
        let key = std::fs::read_to_string(data.0.join("api.key")).context("the server wrote no api.key")?;
        let (url, key) = (completions(&running.address), Some(key.trim().to_owned()));
        targets.push(Target {
            name: "server",
            url,
            key,
            running: Some(running),
            figures,
        });
    }
    let load = programs.join("load");
    low_rate(&load, plan, &mut targets)?;
    saturation(&load, plan, &mut targets)?;
    for target in &mut targets {
        if let Some(running) = &target.running {
            target.figures.loaded_mib = Some(running.resident_mib()?);
        }
    }
    Ok(targets
        .into_iter()
        .map(|target| (target.name, target.figures))
        .collect())
}

/// How the server under measurement is started: everything on, limits out of the way of one key's flood.
fn server_command(programs: &Path, data: &Path, upstream: &str) -> Result<Command> {
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
    let mut whole: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut first: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _round in 0..plan.rounds {
        for target in &mut *targets {
            let rate = ["--mode=rate", "--conns=8", "--rps=20"];
            let result = run_load(load, plan, target, &rate)?;
            whole
                .entry(target.name)
                .or_default()
                .extend(result["p50"].as_f64());
        }
        for target in &mut *targets {
            let rate = [
                "--mode=rate",
                "--conns=8",
                "--rps=5",
                "--stream",
                "--include-usage",
            ];
            let result = run_load(load, plan, target, &rate)?;
            first
                .entry(target.name)
                .or_default()
                .extend(result["ttfc_p50"].as_f64());
        }
    }
    for target in targets {
        target.figures.p50 = whole.remove(target.name).and_then(median);
        target.figures.first_event_p50 = first.remove(target.name).and_then(median);
    }
    Ok(())
}

fn saturation(load: &Path, plan: &Plan, targets: &mut [Target]) -> Result<()> {
    for connections in CONNECTIONS {
        for target in &mut *targets {
            let (result, cpu) = saturate(load, plan, target, connections, &[])?;
            let per_second = result["rps"].as_f64().unwrap_or_default();
            target.figures.per_second.insert(connections, per_second);
            if let Some(cores) = cpu.filter(|_| per_second > 0.0) {
                target
                    .figures
                    .cpu_per_request
                    .insert(connections, 1e3 * cores / per_second);
            }
        }
    }
    for target in targets {
        let (result, cpu) = saturate(load, plan, target, 16, &["--stream", "--include-usage"])?;
        let events = result["rps"].as_f64().unwrap_or_default() * PIECES;
        target.figures.cpu_per_event = cpu.filter(|_| events > 0.0).map(|cores| 1e3 * cores / events);
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

fn run_load(load: &Path, plan: &Plan, target: &mut Target, arguments: &[&str]) -> Result<Value> {
    let mut command = pinned(load, 0);
    command
        .args(["--url", &target.url, "--label", target.name])
        .arg(format!("--secs={}", plan.secs))
        .arg(format!("--warm={}", plan.warm))
        .args(arguments);
    if let Some(key) = &target.key {
        command.arg(format!("--header=authorization: Bearer {key}"));
    }
    let result: Value = serde_json::from_str(&toolbox::output(&mut command)?)?;
    target.figures.failed += result["err"].as_u64().unwrap_or_default();
    if result["ok"].as_u64().unwrap_or_default() == 0 {
        bail!(
            "{}: nothing succeeded with {arguments:?}: {}",
            target.name,
            result["errors"]
        );
    }
    Ok(result)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A data directory beside the programs that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(programs: &Path) -> Result<Self> {
        let path = programs.join(format!("bench-data-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It lies in the target directory: what is left is cleaned with it.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}
