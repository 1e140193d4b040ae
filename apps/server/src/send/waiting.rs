//! What is told on standard error while an answer does not begin: that an operator has paused answering, or how many
//! wait for a worker. A model that is merely slow is no reason to say anything.

use crate::client::{Credential, Server};
use openclaw_http_client::Client;
use serde_json::Value;
use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

/// Between two looks; also before the first, so that a prompt answer is told nothing of.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why an answer does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// An operator has paused answering.
    Paused,
    /// So many wait for a worker, all callers together.
    InLine(u64),
}

/// Looks again and again and tells what has changed. Never ends; drop it when the answer begins.
pub(super) async fn tell(server: &Server, client: &Client) -> Infallible {
    let mut told = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let seen = look(server, client).await;
        if seen != told
            && let Some(wait) = seen
        {
            // Whoever closed standard error wants to be told nothing.
            writeln!(std::io::stderr().lock(), "{}", words(wait)).ok();
        }
        told = seen;
    }
}

/// The queue where the admin token is at hand; to everybody the server says whether it is paused.
async fn look(server: &Server, client: &Client) -> Option<Wait> {
    if let Ok(token) = server.secret(Credential::Admin) {
        let url = format!("{}/admin/api/v1/queue?limit=1", server.url);
        let request = client
            .get(url)
            .bearer_auth(token.secret.expose())
            .timeout(PATIENCE);
        if let Ok(answer) = request.send().await
            && answer.status().is_success()
        {
            return in_queue(&answer.json().await.ok()?);
        }
    }
    let request = client.get(format!("{}/readyz", server.url)).timeout(PATIENCE);
    let text = request.send().await.ok()?.text().await.ok()?;
    says_paused(&text).then_some(Wait::Paused)
}

fn in_queue(queue: &Value) -> Option<Wait> {
    if queue["paused"] == true {
        return Some(Wait::Paused);
    }
    queue["waiting"]
        .as_u64()
        .filter(|waiting| *waiting > 0)
        .map(Wait::InLine)
}

fn says_paused(readiness: &str) -> bool {
    readiness.lines().any(|line| line.starts_with("paused"))
}

fn words(wait: Wait) -> String {
    match wait {
        Wait::Paused => {
            "answering is paused by the operator; the message waits\n  next  openclaw queue resume".to_owned()
        }
        Wait::InLine(1) => "waiting for a worker; nobody else is in line".to_owned(),
        Wait::InLine(waiting) => format!("waiting for a worker; {waiting} are in line"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pause_is_told_before_the_line_and_an_empty_queue_is_no_news() {
        for (queue, expected) in [
            (json!({ "paused": true, "waiting": 3 }), Some(Wait::Paused)),
            (json!({ "paused": false, "waiting": 3 }), Some(Wait::InLine(3))),
            (json!({ "paused": false, "waiting": 0 }), None),
            (json!({}), None),
        ] {
            assert_eq!(in_queue(&queue), expected, "{queue}");
        }
        assert!(says_paused("ready\npaused: nothing is handed to workers\n"));
        assert!(!says_paused("ready\n"));
    }
}
