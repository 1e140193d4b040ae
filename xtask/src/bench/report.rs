//! Figures as a table with their bars, and the page that keeps them.

use super::figures::{Figures, Sample, What};
use super::run::{CONNECTIONS, Measured};
use crate::toolbox;
use std::path::Path;
use std::process::Command;

/// A row: what, the figure of each target, the bar, and whether the server keeps it.
struct Row {
    what: String,
    cells: [Option<Sample>; 3],
    digits: usize,
    bar: String,
    kept: Option<bool>,
}

/// What is promised of a figure of the server.
enum Bar {
    None,
    TimesRelay(f64),
    OverRelay(f64),
    AtMost(f64),
    AtLeast(f64),
}

/// The figures and what the probes saw, as Markdown tables.
pub(super) fn table(measured: &Measured) -> String {
    let mut table = String::from(
        "| what | direct | relay | server | bar | met |\n| --- | ---: | ---: | ---: | --- | --- |\n",
    );
    for row in rows(measured) {
        let cells = row.cells.map(|cell| shown(cell, row.digits));
        table += &format!(
            "| {} | {} | {} | {} |\n",
            row.what,
            cells.join(" | "),
            row.bar,
            yes_no(row.kept)
        );
    }
    if !measured.probes.is_empty() {
        table += "\n| when | seen | expected | met |\n| --- | --- | --- | --- |\n";
    }
    for probe in &measured.probes {
        table += &format!(
            "| {} | {} | {} | {} |\n",
            probe.what,
            probe.seen,
            probe.expected,
            yes_no(Some(probe.kept))
        );
    }
    table
}

fn yes_no(kept: Option<bool>) -> &'static str {
    kept.map_or("", |kept| if kept { "yes" } else { "no" })
}

fn shown(sample: Option<Sample>, digits: usize) -> String {
    let Some(sample) = sample else {
        return "–".to_owned();
    };
    let median = format!("{:.digits$}", sample.median);
    if sample.least < sample.most {
        format!("{median} ({:.digits$}–{:.digits$})", sample.least, sample.most)
    } else {
        median
    }
}

fn rows(measured: &Measured) -> Vec<Row> {
    let row = |text: &str, what: What, digits: usize, bar: Bar| {
        let cells = ["direct", "relay", "server"].map(|name| {
            measured
                .figures
                .get(name)
                .and_then(|figures| Figures::get(figures, what))
        });
        bar.row(text.to_owned(), cells, digits)
    };
    let mut rows = vec![
        row(
            "`/v1/chat/completions`, CPU ms per request, 16 connections",
            What::CpuPerRequest(16),
            4,
            Bar::TimesRelay(5.0),
        ),
        row(
            "the same at 20 req/s, p50, ms",
            What::Latency,
            3,
            Bar::OverRelay(0.3),
        ),
        row(
            "stream, first event, p50, ms",
            What::FirstEvent,
            3,
            Bar::OverRelay(0.4),
        ),
        row(
            "stream, CPU ms per event, 16 connections",
            What::CpuPerEvent,
            5,
            Bar::TimesRelay(2.0),
        ),
        row("whole turn, CPU ms", What::TurnCpu, 3, Bar::AtMost(1.5)),
        row(
            "whole turns per second",
            What::TurnsPerSecond,
            0,
            Bar::AtLeast(500.0),
        ),
        row(
            "webhook acknowledged, durable, 64 in flight, per second",
            What::Acknowledged,
            0,
            Bar::AtLeast(10_000.0),
        ),
        row("the same, p99, ms", What::AcknowledgeP99, 2, Bar::AtMost(20.0)),
        row("the same, CPU ms", What::AcknowledgeCpu, 4, Bar::None),
        row(
            "1 000 native API chats at once on a 2 s model, all done, s",
            What::Chats,
            2,
            Bar::AtMost(3.0),
        ),
        row("start to ready, empty, ms", What::Start, 0, Bar::AtMost(100.0)),
        row(
            "resident memory, idle, MiB",
            What::IdleMemory,
            1,
            Bar::AtMost(30.0),
        ),
        row(
            "resident memory after the `/v1` runs, MiB",
            What::LoadedMemory,
            1,
            Bar::AtMost(80.0),
        ),
        row(
            "resident memory after the turns, MiB",
            What::TurnMemory,
            1,
            Bar::AtMost(80.0),
        ),
    ];
    for connections in CONNECTIONS {
        rows.push(row(
            &format!("requests per second, {connections} connections"),
            What::PerSecond(connections),
            0,
            Bar::None,
        ));
    }
    rows.push(row("requests and turns that failed", What::Failed, 0, Bar::None));
    let Some(sizes) = measured.sizes else {
        return rows;
    };
    rows.extend(sizes.tenants.map(|count| {
        row(
            &format!("start to ready, {} tenants stored, ms", grouped(count)),
            What::StartWithTenants(count),
            0,
            Bar::AtMost(200.0),
        )
    }));
    rows.extend(sizes.streams.map(|count| {
        row(
            &format!("resident memory, {} open streams, MiB", grouped(count)),
            What::StreamsMemory(count),
            1,
            Bar::AtMost(300.0),
        )
    }));
    for &count in sizes.sessions {
        let sessions = grouped(count);
        rows.extend([
            row(
                &format!("resident memory after {sessions} sessions and a rest of 90 s, MiB"),
                What::SessionsMemory(count),
                1,
                Bar::None,
            ),
            row(
                "the same, divided by what it was before them",
                What::SessionsGrowth(count),
                2,
                Bar::AtMost(1.1),
            ),
            row(
                "when idle connections are closed too, MiB",
                What::QuietMemory(count),
                1,
                Bar::None,
            ),
            row(
                "the same, divided by what it was before the sessions",
                What::QuietGrowth(count),
                2,
                Bar::AtMost(1.1),
            ),
        ]);
    }
    rows
}

/// A number with its thousands apart.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(" ")
}

// === impl Bar ===

impl Bar {
    fn row(&self, what: String, cells: [Option<Sample>; 3], digits: usize) -> Row {
        let [_, relay, server] = cells.map(|cell| cell.map(|sample| sample.median));
        let against = |kept: fn(f64, f64, f64) -> bool, bar: f64| {
            relay.zip(server).map(|(relay, server)| kept(relay, server, bar))
        };
        let (bar, kept) = match *self {
            Self::None => (String::new(), None),
            Self::TimesRelay(factor) => (
                relay.zip(server).map_or_else(
                    || format!("≤ {factor} × relay"),
                    |(relay, server)| format!("≤ {factor} × relay; is {:.1} ×", server / relay),
                ),
                against(|relay, server, factor| server <= relay * factor, factor),
            ),
            Self::OverRelay(more) => (
                format!("≤ relay + {more} ms"),
                against(|relay, server, more| server <= relay + more, more),
            ),
            Self::AtMost(bar) => (format!("≤ {bar}"), server.map(|server| server <= bar)),
            Self::AtLeast(bar) => (format!("≥ {bar}"), server.map(|server| server >= bar)),
        };
        Row {
            what,
            cells,
            digits,
            bar,
            kept,
        }
    }
}

/// The page with all tables, its date, commit, machine and command.
pub(super) fn page(root: &Path, used: &str, table: &str, functions: &str, building: &str) -> String {
    let ask =
        |command: &mut Command| toolbox::output(command).unwrap_or_else(|_unknown| "unknown".to_owned());
    let date = ask(Command::new("date").args(["-u", "+%Y-%m-%d"]));
    let commit = ask(Command::new("git")
        .current_dir(root)
        .args(["describe", "--always", "--dirty"]));
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "# Benchmarks\n\n{date}, commit {commit}, {processors} processors ({}), command `{used}`.\n\n\
         `direct` is the load generator on the mock provider, `relay` a reverse proxy that only passes bytes on,\n\
         `server` is OpenClaw Platform as installed, with key, limits, budget, events and usage on. All in one run;\n\
         compare columns, not dates. Mock and load generator share one processor, the target has another. A figure is\n\
         the median of its rounds, with the smallest and the largest after it.\n\n\
         ## The server\n\n{table}\n## Functions\n\nCriterion's medians; instructions of one operation, counted by valgrind. What has `peer` or another project's\n\
         name in it is what a user would take instead, measured in the same run.\n\n{functions}\n\
         ## Building\n\nA copy of the sources, nothing found ready, no network; the check is the middle one of several.\n\n{building}",
        model.unwrap_or("unknown")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_bar_is_judged_against_the_relay_of_the_same_run() {
        let target = |cpu: f64, p50: f64| {
            let mut figures = Figures::default();
            figures.add(What::CpuPerRequest(16), cpu);
            figures.add(What::Latency, p50);
            figures
        };
        let measured = Measured {
            figures: BTreeMap::from([("relay", target(0.02, 0.5)), ("server", target(0.1, 0.81))]),
            probes: Vec::new(),
            sizes: Some(super::super::scale::Sizes::USUAL),
        };
        let table = table(&measured);
        let line = |what: &str| table.lines().find(|line| line.contains(what)).unwrap().to_owned();
        assert!(
            line("CPU ms per request").ends_with("| – | 0.0200 | 0.1000 | ≤ 5 × relay; is 5.0 × | yes |"),
            "{table}"
        );
        assert!(
            line("20 req/s").ends_with("| – | 0.500 | 0.810 | ≤ relay + 0.3 ms | no |"),
            "{table}"
        );
        assert!(
            line("start to ready, empty").ends_with("| – | – | – | ≤ 100 |  |"),
            "{table}"
        );
        assert!(
            line("100 000 tenants").ends_with("| – | – | – | ≤ 200 |  |"),
            "{table}"
        );
    }
}
