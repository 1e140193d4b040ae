//! Whether messages can be taken, as named checks.
//!
//! What nothing here can mend by waiting elsewhere does not count: a platform that cannot be reached is shown, and the
//! chat page and the API are served all the same. What counts is a store that takes no writes, an adapter whose task does
//! not run, and a stop.

use super::native::is_local;
use super::{App, is_admin};
use crate::bots::Connected;
use crate::keep::Phase;
use axum::Extension;
use axum::Json;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

/// Names that no check has and that are told again.
const MAX_TOLD: usize = 8;
const MAX_NAME_CHARS: usize = 40;

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    name: &'static str,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Fine,
    /// Messages are not taken.
    Failing(String),
    /// Somebody else's trouble. It may name addresses of the operator's network, so it is told to the operator only.
    Troubled(String),
}

/// What was asked for in the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wish {
    verbose: bool,
    /// Names of checks that are left out.
    exclude: Vec<String>,
}

/// All checks, made now.
fn checks(app: &App) -> Vec<Check> {
    let mut checks = vec![
        Check {
            name: "shutdown",
            outcome: of_shutdown(app.is_draining()),
        },
        Check {
            name: "store",
            outcome: match app.store.writable() {
                Ok(()) => Outcome::Fine,
                Err(error) => Outcome::Failing(format!("store: {error}")),
            },
        },
    ];
    checks.extend(app.facts.bots.iter().map(|connected| Check {
        name: connected.bot.platform().as_str(),
        outcome: of_bot(connected),
    }));
    checks
}

fn of_shutdown(is_draining: bool) -> Outcome {
    if is_draining {
        Outcome::Failing("draining: the server is shutting down".to_owned())
    } else {
        Outcome::Fine
    }
}

fn of_bot(connected: &Connected) -> Outcome {
    of_adapter(
        connected.bot.platform().as_str(),
        connected.watch.now().phase,
        connected.trouble.now(),
        connected.bot.username().is_some(),
    )
}

fn of_adapter(name: &str, phase: Phase, trouble: Option<String>, is_connected: bool) -> Outcome {
    let failing = |what: &str| Outcome::Failing(format!("{name}: {what}"));
    match (phase, trouble) {
        (Phase::Starting, _) => failing("its task has not started yet"),
        (Phase::Down, _) => failing("its task has died and is started again; the log says why"),
        (Phase::Up, Some(trouble)) => Outcome::Troubled(trouble),
        (Phase::Up, None) if !is_connected => Outcome::Troubled("not connected yet".to_owned()),
        (Phase::Up, None) => Outcome::Fine,
    }
}

/// Why no messages can be taken; empty when they can.
pub(super) fn not_ready(app: &App) -> Vec<String> {
    failing(&checks(app))
}

fn failing(checks: &[Check]) -> Vec<String> {
    let reason = |check: &Check| match &check.outcome {
        Outcome::Failing(reason) => Some(reason.clone()),
        Outcome::Fine | Outcome::Troubled(_) => None,
    };
    checks.iter().filter_map(reason).collect()
}

/// `GET /readyz`: 503 with the reasons while messages cannot be taken. `?verbose` lists every check, `?exclude=NAME`
/// leaves one out.
pub(crate) async fn ready(
    State(app): State<Arc<App>>,
    uri: Uri,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Response {
    let is_trusted = is_trusted(&app, peer.as_ref(), &headers);
    let (is_ready, text) = report(
        &checks(&app),
        &Wish::of(&uri),
        is_trusted,
        app.gateway.pool().is_paused(),
    );
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, text).into_response()
}

/// `GET /health`: how it is, for people. Always 200: that an answer comes is what the status says.
pub(crate) async fn health(
    State(app): State<Arc<App>>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Response {
    let is_trusted = is_trusted(&app, peer.as_ref(), &headers);
    let checks = checks(&app);
    let is_ready = failing(&checks).is_empty();
    let status = match (
        is_ready,
        checks.iter().all(|check| check.outcome == Outcome::Fine),
    ) {
        (true, true) => "ok",
        (true, false) => "degraded",
        (false, _) => "not ready",
    };
    let uptime = app.clock.monotonic().saturating_since(app.started);
    Json(json!({
        "schema": 1,
        "status": status,
        "ready": is_ready,
        "paused": app.gateway.pool().is_paused(),
        "uptimeMs": u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
        "checks": checks.iter().map(|check| json!({
            "name": check.name,
            "ok": check.outcome == Outcome::Fine,
            "counts": !matches!(check.outcome, Outcome::Troubled(_)),
            "reason": check.outcome.reason(is_trusted),
        })).collect::<Vec<_>>(),
    }))
    .into_response()
}

/// Whether the caller is the operator: on this machine, or with the admin token.
fn is_trusted(app: &App, peer: Option<&Extension<ConnectInfo<SocketAddr>>>, headers: &HeaderMap) -> bool {
    is_local(app, peer.map(|peer| &peer.0), headers) || is_admin(app, headers)
}

/// Whether it is ready, and the lines that say so.
fn report(checks: &[Check], wish: &Wish, is_trusted: bool, is_paused: bool) -> (bool, String) {
    let is_excluded = |check: &&Check| wish.exclude.iter().any(|name| name == check.name);
    let counted: Vec<Check> = checks
        .iter()
        .filter(|check| !is_excluded(check))
        .cloned()
        .collect();
    let reasons = failing(&counted);
    let is_ready = reasons.is_empty();
    let mut text = String::new();
    // Writing to a String cannot fail.
    if wish.verbose {
        for check in checks {
            let _ = match check.outcome.reason(is_trusted) {
                _ if is_excluded(&check) => writeln!(text, "[+]{} excluded: ok", check.name),
                None => writeln!(text, "[+]{} ok", check.name),
                Some(reason) => writeln!(text, "[-]{} {reason}", check.name),
            };
        }
    }
    let unknown = wish
        .exclude
        .iter()
        .filter(|name| checks.iter().all(|check| check.name != **name));
    for name in unknown.take(MAX_TOLD) {
        let shown: String = name
            .chars()
            .filter(char::is_ascii_graphic)
            .take(MAX_NAME_CHARS)
            .collect();
        let _ = writeln!(text, "there is no check {shown} to exclude");
    }
    text.push_str(if is_ready { "ready\n" } else { "not ready\n" });
    if is_ready && is_paused {
        // Messages are taken; that nobody answers them for now is the operator's will.
        text.push_str("paused: nothing is handed to workers\n");
    }
    for reason in reasons {
        let _ = writeln!(text, "{reason}");
    }
    (is_ready, text)
}

// === impl Outcome ===

impl Outcome {
    /// Why it is not fine; other people's trouble is withheld from strangers.
    fn reason(&self, is_trusted: bool) -> Option<String> {
        match self {
            Self::Fine => None,
            Self::Failing(reason) => Some(reason.clone()),
            Self::Troubled(reason) if is_trusted => Some(format!("{reason} (does not count)")),
            Self::Troubled(_) => Some("reason withheld (does not count)".to_owned()),
        }
    }
}

// === impl Wish ===

impl Wish {
    /// A query that cannot be read wishes nothing: a probe is answered whatever it says.
    fn of(uri: &Uri) -> Self {
        let pairs: Vec<(String, String)> = Query::try_from_uri(uri)
            .map(|Query(pairs)| pairs)
            .unwrap_or_default();
        let mut wish = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "verbose" => wish.verbose = true,
                "exclude" => wish.exclude.extend(value.split(',').map(str::to_owned)),
                _ => {}
            }
        }
        wish
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, outcome: Outcome) -> Check {
        Check { name, outcome }
    }

    fn wish(query: &str) -> Wish {
        Wish::of(&format!("/readyz?{query}").parse().unwrap())
    }

    #[test]
    fn the_query_says_what_is_left_out_and_nonsense_says_nothing() {
        assert_eq!(wish(""), Wish::default());
        assert!(wish("verbose").verbose && wish("verbose=1&x=y").verbose);
        assert_eq!(
            wish("exclude=store&exclude=telegram,shutdown").exclude,
            ["store", "telegram", "shutdown"]
        );
        assert!(!wish("%ff=%zz").verbose);
    }

    #[test]
    fn a_stop_and_a_task_that_does_not_run_count_and_what_a_platform_does_not() {
        let is_ready = |outcome| report(&[check("x", outcome)], &Wish::default(), true, false).0;
        assert!(is_ready(of_shutdown(false)) && !is_ready(of_shutdown(true)));
        let adapter = |phase, trouble: Option<&str>, connected| {
            is_ready(of_adapter("x", phase, trouble.map(str::to_owned), connected))
        };
        assert!(!adapter(Phase::Starting, None, false));
        assert!(!adapter(Phase::Down, None, true), "also when it was fine before");
        assert!(adapter(Phase::Up, None, true));
        assert!(adapter(Phase::Up, None, false));
        assert!(adapter(Phase::Up, Some("refused"), false));
    }

    #[test]
    fn a_platforms_trouble_is_shown_and_does_not_count_and_a_store_that_fails_does() {
        let mut checks = vec![
            check("store", Outcome::Fine),
            check(
                "telegram",
                Outcome::Troubled("http://10.0.0.1: refused".to_owned()),
            ),
        ];
        let (is_ready, text) = report(&checks, &wish("verbose"), true, false);
        assert!(is_ready);
        assert_eq!(
            text,
            "[+]store ok\n[-]telegram http://10.0.0.1: refused (does not count)\nready\n"
        );
        let (_, stranger) = report(&checks, &wish("verbose"), false, true);
        assert!(
            !stranger.contains("10.0.0.1") && stranger.contains("paused"),
            "{stranger}"
        );
        checks[0].outcome = Outcome::Failing("store: full".to_owned());
        assert_eq!(
            report(&checks, &Wish::default(), true, true),
            (false, "not ready\nstore: full\n".to_owned())
        );
        let (is_ready, text) = report(&checks, &wish("verbose&exclude=store,other"), true, false);
        assert!(is_ready);
        assert!(
            text.starts_with("[+]store excluded: ok\n") && text.contains("there is no check other"),
            "{text}"
        );
    }
}
