//! Figures as a table with their bars, and the page that keeps them.

use super::run::{CONNECTIONS, Figures};
use crate::toolbox;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A row: what, the figure of each target, the bar, and whether the server keeps it.
struct Row {
    what: String,
    cells: [Option<f64>; 3],
    digits: usize,
    bar: String,
    kept: Option<bool>,
}

/// The figures as a Markdown table.
pub(super) fn table(figures: &BTreeMap<&'static str, Figures>) -> String {
    let mut table = String::from(
        "| what | direct | relay | server | bar | kept |\n| --- | ---: | ---: | ---: | --- | --- |\n",
    );
    for row in rows(figures) {
        let cells: Vec<_> = row.cells.iter().map(|cell| shown(*cell, row.digits)).collect();
        let kept = row.kept.map_or("", |kept| if kept { "yes" } else { "no" });
        table += &format!(
            "| {} | {} | {} | {kept} |\n",
            row.what,
            cells.join(" | "),
            row.bar
        );
    }
    table
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

fn rows(figures: &BTreeMap<&'static str, Figures>) -> Vec<Row> {
    let all = ["direct", "relay", "server"].map(|name| figures.get(name).cloned().unwrap_or_default());
    let row = |what: &str, cells: [Option<f64>; 3], digits| Row {
        what: what.to_owned(),
        cells,
        digits,
        bar: String::new(),
        kept: None,
    };
    let of = |figure: fn(&Figures) -> Option<f64>| all.each_ref().map(figure);
    let mut rows = vec![
        times_relay(
            row(
                "`/v1/chat/completions`, CPU ms per request, 16 connections",
                all.each_ref()
                    .map(|target| target.cpu_per_request.get(&16).copied()),
                4,
            ),
            5.0,
        ),
        over_relay(
            row("the same at 20 req/s, p50, ms", of(|target| target.p50), 3),
            0.3,
        ),
        over_relay(
            row(
                "stream, first event, p50, ms",
                of(|target| target.first_event_p50),
                3,
            ),
            0.4,
        ),
        times_relay(
            row(
                "stream, CPU ms per event, 16 connections",
                of(|target| target.cpu_per_event),
                5,
            ),
            2.0,
        ),
        at_most(
            row("start to ready, empty, ms", of(|target| target.start_ms), 0),
            100.0,
        ),
        at_most(
            row("resident memory, idle, MiB", of(|target| target.idle_mib), 1),
            30.0,
        ),
        at_most(
            row(
                "resident memory after the runs, MiB",
                of(|target| target.loaded_mib),
                1,
            ),
            80.0,
        ),
    ];
    for connections in CONNECTIONS {
        let cells = all
            .each_ref()
            .map(|target| target.per_second.get(&connections).copied());
        rows.push(row(
            &format!("requests per second, {connections} connections"),
            cells,
            0,
        ));
    }
    rows.push(row(
        "requests that failed",
        of(|target| Some(target.failed as f64)),
        0,
    ));
    rows
}

fn times_relay(mut row: Row, factor: f64) -> Row {
    let [_, relay, server] = row.cells;
    row.bar = format!("≤ {factor} × relay");
    row.kept = relay.zip(server).map(|(relay, server)| server <= relay * factor);
    row
}

fn over_relay(mut row: Row, more: f64) -> Row {
    let [_, relay, server] = row.cells;
    row.bar = format!("≤ relay + {more} ms");
    row.kept = relay.zip(server).map(|(relay, server)| server <= relay + more);
    row
}

fn at_most(mut row: Row, bar: f64) -> Row {
    let [_, _, server] = row.cells;
    row.bar = format!("≤ {bar}");
    row.kept = server.map(|server| server <= bar);
    row
}

/// The page with both tables, its date, commit, machine and command.
pub(super) fn page(root: &Path, table: &str, functions: &str) -> String {
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
        "# Benchmarks\n\n{date}, commit {commit}, {processors} processors ({}), command `cargo xtask bench`.\n\n\
         `direct` is the load generator on the mock provider, `relay` a reverse proxy that only passes bytes on,\n\
         `server` is OpenClaw Platform as installed, with key, limits, budget, events and usage on. All in one run;\n\
         compare columns, not dates. Mock and load generator share one processor, the target has another.\n\n\
         ## The server\n\n{table}\n## Functions\n\nCriterion's medians.\n\n{functions}",
        model.unwrap_or("unknown")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_judged_against_the_relay_of_the_same_run() {
        let target = |cpu: f64, p50: f64| Figures {
            p50: Some(p50),
            cpu_per_request: BTreeMap::from([(16, cpu)]),
            ..Figures::default()
        };
        let figures = BTreeMap::from([("relay", target(0.02, 0.5)), ("server", target(0.1, 0.81))]);
        let table = table(&figures);
        let line = |what: &str| table.lines().find(|line| line.contains(what)).unwrap().to_owned();
        assert!(
            line("CPU ms per request").ends_with("| – | 0.0200 | 0.1000 | ≤ 5 × relay | yes |"),
            "{table}"
        );
        assert!(
            line("20 req/s").ends_with("| – | 0.500 | 0.810 | ≤ relay + 0.3 ms | no |"),
            "{table}"
        );
        assert!(
            line("start to ready").ends_with("| – | – | – | ≤ 100 |  |"),
            "{table}"
        );
    }
}
