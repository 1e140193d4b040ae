//! The benchmarks of single functions, which live with their crates and run under criterion.

use crate::toolbox;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// How far down criterion puts its results: group, function, parameter.
const DEPTH: usize = 5;

/// Runs each benchmark once, unoptimised, to see that it still runs.
pub(super) fn try_all(root: &Path) -> Result<()> {
    match command(root, "test")? {
        Some(mut command) => toolbox::run(&mut command),
        None => Ok(()),
    }
}

/// Measures all of them and returns nanoseconds by name.
pub(super) fn measure_all(root: &Path, profile: &str) -> Result<BTreeMap<String, f64>> {
    let mut figures = BTreeMap::new();
    if let Some(mut command) = command(root, "bench")? {
        let results = toolbox::target(root)?.join("criterion");
        // Results of benchmarks that are gone would be reported as new ones.
        if results.exists() {
            std::fs::remove_dir_all(&results).with_context(|| results.display().to_string())?;
        }
        if profile != "release" {
            command.args(["--profile", profile]);
        }
        // Enough for figures that are compared with bars, not with each other's last digit.
        command.args(["--", "--noplot", "--warm-up-time=0.5", "--measurement-time=1"]);
        toolbox::run(&mut command)?;
        collect(&results, DEPTH, &mut figures)?;
    }
    Ok(figures)
}

/// `cargo VERB` for every benchmark of the workspace; `None` when there is none.
fn command(root: &Path, verb: &str) -> Result<Option<Command>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata failed")?;
    let mut command = toolbox::cargo();
    command.current_dir(root).args([verb, "--quiet"]);
    let mut any = false;
    for package in metadata.workspace_packages() {
        for target in package.targets.iter().filter(|target| target.is_bench()) {
            command.args([
                "--package",
                package.name.as_str(),
                "--bench",
                target.name.as_str(),
            ]);
            any = true;
        }
    }
    Ok(any.then_some(command))
}

fn collect(directory: &Path, depth: usize, figures: &mut BTreeMap<String, f64>) -> Result<()> {
    let result = directory.join("new");
    if result.join("estimates.json").is_file() {
        let read = |name: &str| -> Result<Value> {
            let path = result.join(name);
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Ok(serde_json::from_str(&text)?)
        };
        let (benchmark, estimates) = (read("benchmark.json")?, read("estimates.json")?);
        if let (Some(name), Some(median)) = (
            benchmark["full_id"].as_str(),
            estimates["median"]["point_estimate"].as_f64(),
        ) {
            figures.insert(name.to_owned(), median);
        }
        return Ok(());
    }
    if depth == 0 || !directory.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(directory)? {
        collect(&entry?.path(), depth - 1, figures)?;
    }
    Ok(())
}

/// What is promised of a function. Names are beginnings: some end in a size.
const BARS: [(&str, Bar); 11] = [
    ("scheduler_enqueue_dequeue/", Bar::Nanos(600.0)),
    ("event publish/no subscriber", Bar::Nanos(50.0)),
    ("event publish/10 subscribers", Bar::Nanos(2_000.0)),
    (
        "token_bucket/acquire",
        Bar::TimesPeer(1.5, "token_bucket/governor"),
    ),
    ("token budget: reserve", Bar::Nanos(500.0)),
    (
        "sse_framing/8_kib_chunks",
        Bar::TimesPeerOfSize(1.0 / 2.0, "sse_framing/eventsource_stream"),
    ),
    (
        "sse_decoding/8_kib_chunks",
        Bar::TimesPeerOfSize(1.0 / 1.2, "sse_decoding/eventsource_stream"),
    ),
    (
        "rate_limiter/",
        Bar::TimesPeerOfSize(1.5, "rate_limiter_peer_governor"),
    ),
    // 100 MB/s, at each size.
    ("splitting/english/", Bar::PerUnit(10.0)),
    ("hook dispatch/no plugin, ", Bar::Nanos(50.0)),
    ("hook dispatch/one WASM hook", Bar::Nanos(60_000.0)),
];

/// What must cost much the same at every size, in instructions, and by how much it may grow.
const FLAT: [(&str, f64); 2] = [
    ("scheduler_enqueue_dequeue", 2.0),
    ("scheduler_enqueue_dequeue_release", 2.0),
];

#[derive(Clone, Copy)]
enum Bar {
    Nanos(f64),
    /// So many nanoseconds for each unit of the size the name ends in.
    PerUnit(f64),
    /// A factor, and the benchmark of the same run it is a factor of.
    TimesPeer(f64, &'static str),
    /// The same, where the peer's name has the same size at its end.
    TimesPeerOfSize(f64, &'static str),
}

/// The figures as a Markdown table, in units a person reads. `counts` are instructions by the same names, where they
/// could be counted.
pub(super) fn table(figures: &BTreeMap<String, f64>, counts: Option<&BTreeMap<String, f64>>) -> String {
    let mut table =
        String::from("| function | median | instructions | bar | met |\n| --- | ---: | ---: | --- | --- |\n");
    for (name, &nanos) in figures {
        let bar = BARS
            .iter()
            .find(|(beginning, _)| name.starts_with(beginning))
            .and_then(|(_, bar)| bar.judge(name, nanos, figures));
        let (bar, kept) = bar.map_or((String::new(), ""), |(bar, kept)| {
            (bar, if kept { "yes" } else { "no" })
        });
        let count = counts.and_then(|counts| counts.get(name));
        table += &format!(
            "| {} | {} | {} | {bar} | {kept} |\n",
            name.replace('|', "\\|"),
            time(nanos),
            count.map(|count| format!("{count:.0}")).unwrap_or_default()
        );
    }
    for (name, bar) in BARS
        .iter()
        .filter(|(beginning, _)| !figures.keys().any(|name| name.starts_with(beginning)))
    {
        // What is promised and has no benchmark is not passed over in silence.
        table += &format!("| {name} | – |  | {} | not measured |\n", bar.words());
    }
    table += &match counts {
        Some(counts) => growth(counts),
        None => "\nInstructions were not counted: valgrind is not installed.\n".to_owned(),
    };
    table
}

/// How much the count grows between the smallest and the largest size.
fn growth(counts: &BTreeMap<String, f64>) -> String {
    let mut lines = String::new();
    for (name, bar) in FLAT {
        let at = |size: &str| counts.get(&format!("{name}/{size}"));
        if let (Some(few), Some(many)) = (at("1000"), at("1000000")) {
            let kept = if many / few <= bar { "yes" } else { "no" };
            lines += &format!(
                "\nInstructions of `{name}` at 1 000 000 are {:.2} × those at 1 000; bar ≤ {bar} ×, met: {kept}.\n",
                many / few
            );
        }
    }
    lines
}

impl Bar {
    /// The bar alone.
    fn words(self) -> String {
        match self {
            Self::Nanos(bar) => format!("≤ {}", time(bar)),
            Self::PerUnit(bar) => format!("≤ {} per unit", time(bar)),
            Self::TimesPeer(factor, peer) | Self::TimesPeerOfSize(factor, peer) => {
                format!("≤ {factor:.2} × {peer}")
            }
        }
    }

    /// The bar in words and whether it is met; nothing when the peer was not measured.
    fn judge(self, name: &str, nanos: f64, figures: &BTreeMap<String, f64>) -> Option<(String, bool)> {
        let size = name.rsplit('/').next().unwrap_or_default();
        let against = |factor: f64, nanos_of_peer: &f64, peer: &str| {
            let is = nanos / nanos_of_peer;
            let name = peer.rsplit('/').next().unwrap_or(peer);
            (format!("≤ {factor:.2} × {name}; is {is:.2} ×"), is <= factor)
        };
        Some(match self {
            Self::Nanos(bar) => (format!("≤ {}", time(bar)), nanos <= bar),
            Self::PerUnit(bar) => {
                let bar = bar * size.parse::<f64>().ok()?;
                (format!("≤ {}", time(bar)), nanos <= bar)
            }
            Self::TimesPeer(factor, peer) => against(factor, figures.get(peer)?, peer),
            Self::TimesPeerOfSize(factor, peer) => {
                against(factor, figures.get(&format!("{peer}/{size}"))?, peer)
            }
        })
    }
}

fn time(nanos: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    match units.iter().find(|(size, _)| nanos >= *size) {
        Some((size, unit)) => format!("{:.2} {unit}", nanos / size),
        None => format!("{nanos:.1} ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_below_their_groups_and_shown_in_readable_units() {
        let place = tempfile::tempdir().unwrap();
        for (path, name, nanos) in [("a", "a", 12.34), ("group/b/10", "group/b/10", 1_234_567.0)] {
            let result = place.path().join(path).join("new");
            std::fs::create_dir_all(&result).unwrap();
            std::fs::write(
                result.join("benchmark.json"),
                format!("{{\"full_id\":\"{name}\"}}"),
            )
            .unwrap();
            let estimates = format!("{{\"median\":{{\"point_estimate\":{nanos}}}}}");
            std::fs::write(result.join("estimates.json"), estimates).unwrap();
        }
        let mut figures = BTreeMap::new();
        collect(place.path(), DEPTH, &mut figures).unwrap();
        let counts = BTreeMap::from([("a".to_owned(), 45.4)]);
        let table = table(&figures, Some(&counts));
        assert!(
            table.starts_with(
                "| function | median | instructions | bar | met |\n| --- | ---: | ---: | --- | --- |\n\
                 | a | 12.3 ns | 45 |  |  |\n| group/b/10 | 1.23 ms |  |  |  |\n"
            ),
            "{table}"
        );
        assert!(
            table.contains("| scheduler_enqueue_dequeue/ | – |  | ≤ 600.0 ns | not measured |\n"),
            "what is promised and was not measured is said: {table}"
        );
        collect(&place.path().join("none"), DEPTH, &mut figures).unwrap();
    }

    #[test]
    fn a_function_is_judged_by_its_bar_or_its_peer() {
        let figures = BTreeMap::from([
            ("token_bucket/acquire".to_owned(), 30.0),
            ("token_bucket/governor".to_owned(), 15.0),
            ("scheduler_enqueue_dequeue/1000".to_owned(), 500.0),
            ("sse_framing/8_kib_chunks/10".to_owned(), 40.0),
            ("sse_framing/eventsource_stream/10".to_owned(), 100.0),
            ("splitting/english/2000".to_owned(), 21_000.0),
        ]);
        let table = table(&figures, None);
        assert!(
            table.contains("| 30.0 ns |  | ≤ 1.50 × governor; is 2.00 × | no |"),
            "{table}"
        );
        assert!(table.contains("| 500.0 ns |  | ≤ 600.0 ns | yes |"), "{table}");
        assert!(
            table.contains("| ≤ 0.50 × eventsource_stream; is 0.40 × | yes |"),
            "{table}"
        );
        assert!(table.contains("| 21.00 µs |  | ≤ 20.00 µs | no |"), "{table}");
        assert!(table.ends_with("valgrind is not installed.\n"), "{table}");
    }

    #[test]
    fn what_must_be_flat_is_judged_between_the_smallest_and_the_largest_size() {
        let counts = [
            ("scheduler_enqueue_dequeue/1000", 400.0),
            ("scheduler_enqueue_dequeue/1000000", 900.0),
        ];
        let counts = counts.map(|(name, count)| (name.to_owned(), count)).into();
        let growth = growth(&counts);
        assert!(
            growth.contains("are 2.25 × those at 1 000; bar ≤ 2 ×, met: no."),
            "{growth}"
        );
    }
}
