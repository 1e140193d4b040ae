//! Whole turns, webhook acknowledgements and many chats at once, driven by the program that plays Telegram.

use super::figures::{Figures, What};
use super::process::pinned;
use super::run::Plan;
use crate::toolbox;
use anyhow::Result;
use serde_json::Value;
use std::path::Path;

/// Measures all, as often as the plan says, each on a server of its own.
pub(super) fn measure(programs: &Path, plan: &Plan, figures: &mut Figures) -> Result<()> {
    for _round in 0..plan.rounds {
        let turns = run(programs, plan, "turns")?;
        figures.add(What::TurnCpu, turns["cpu_ms"].as_f64());
        figures.add(What::TurnsPerSecond, turns["per_second"].as_f64());
        figures.add(What::TurnMemory, turns["resident_mib"].as_f64());
        figures.count(What::Failed, turns["failed"].as_f64().unwrap_or_default());
        let acknowledged = run(programs, plan, "acknowledge")?;
        figures.add(What::Acknowledged, acknowledged["per_second"].as_f64());
        figures.add(What::AcknowledgeP99, acknowledged["p99"].as_f64());
        figures.add(What::AcknowledgeCpu, acknowledged["cpu_ms"].as_f64());
        let chats = run(programs, plan, "chats")?;
        figures.add(What::Chats, chats["secs"].as_f64());
    }
    Ok(())
}

fn run(programs: &Path, plan: &Plan, mode: &str) -> Result<Value> {
    let (secs, warm) = (format!("--secs={}", plan.secs), format!("--warm={}", plan.warm));
    run_program(programs, "messages", mode, &[&secs, &warm])
}

/// Runs a program that starts a server of its own: itself on the first processor, the server on the second.
pub(super) fn run_program(programs: &Path, name: &str, mode: &str, arguments: &[&str]) -> Result<Value> {
    let mut command = pinned(&programs.join(name), 0);
    command
        .arg("--server")
        .arg(programs.join("openclaw"))
        .arg(format!("--mode={mode}"))
        .args(arguments);
    if toolbox::on_path("taskset").is_some()
        && std::thread::available_parallelism().is_ok_and(|count| count.get() > 1)
    {
        command.arg("--processor=1");
    }
    Ok(serde_json::from_str(&toolbox::output(&mut command)?)?)
}
