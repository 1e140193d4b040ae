//! What the server does when things go wrong, seen from both of its sides: a reader that leaves, a stream that is cut,
//! an error inside a stream, a provider that refuses.

use super::process;
use anyhow::Result;
use serde_json::Value;
use std::net::SocketAddr;

/// What was looked at, and whether it was as it should be.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) what: &'static str,
    pub(super) seen: String,
    pub(super) expected: &'static str,
    pub(super) kept: bool,
}

/// Runs all probes. `load` runs the load generator against the server with the arguments given.
pub(super) fn measure(
    mock: SocketAddr,
    load: &mut dyn FnMut(&[&str]) -> Result<Value>,
) -> Result<Vec<Probe>> {
    let mut observe = |arguments: &[&str]| -> Result<(Value, Value)> {
        process::ask(mock, "POST", "/__reset")?;
        let result = load(arguments)?;
        // Time for the provider's side to notice what the client did last.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let (_status, stats) = process::ask(mock, "GET", "/__stats")?;
        Ok((result, serde_json::from_str(&stats)?))
    };
    let count = |value: &Value, field: &str| value[field].as_u64().unwrap_or_default();
    let streamed = ["--mode=rate", "--rps=8", "--conns=4", "--stream"];

    let (_, stats) = observe(&[&streamed[..], &["--abort-after=5", "--model=mock-c400-d10"]].concat())?;
    let (streams, disconnects, chunks) = (
        count(&stats, "streams"),
        count(&stats, "disconnects"),
        count(&stats, "chunks"),
    );
    let mut probes = vec![Probe {
        what: "a reader leaves after 5 of 400 events",
        seen: format!("{disconnects} of {streams} provider calls ended, {chunks} events sent"),
        expected: "all ended, ≤ 40 events each",
        kept: streams > 0 && disconnects == streams && chunks <= 40 * streams,
    }];
    for (what, model) in [
        (
            "the provider's stream is cut after 10 events",
            "--model=mock-c64-k10",
        ),
        (
            "an error comes in the stream after 10 events",
            "--model=mock-c64-e10",
        ),
    ] {
        let (result, _) = observe(&[&streamed[..], &[model]].concat())?;
        let (complete, failed) = (count(&result, "ok"), count(&result, "err"));
        let done = count(&result, "done_seen");
        probes.push(Probe {
            what,
            seen: format!("{complete} answers looked complete, {failed} failed"),
            expected: "none looks complete",
            kept: complete == 0 && done == 0 && failed > 0,
        });
    }
    for (what, model) in [
        ("every call is refused with 429", "--model=mock-f429"),
        ("every call is refused with 500", "--model=mock-f500"),
        ("every call is refused with 529", "--model=mock-f529"),
    ] {
        let (result, stats) = observe(&["--mode=rate", "--rps=2", "--conns=4", model])?;
        let (complete, failed) = (count(&result, "ok"), count(&result, "err"));
        let calls = count(&stats, "requests");
        probes.push(Probe {
            what,
            seen: format!("{calls} calls for {failed} requests"),
            expected: "≤ 3 calls each, all fail",
            kept: complete == 0 && failed > 0 && calls <= 3 * failed,
        });
    }
    Ok(probes)
}
