//! What is told on standard error while an answer does not begin: that an operator has paused answering, or the place in
//! line. A model that is merely slow is no reason to say anything.

use crate::client::{Credential, Server};
use crate::texts::Texts;
use openclaw_http_client::Client;
use serde_json::Value;
use std::convert::Infallible;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Between two looks; also before the first, so that a prompt answer is told nothing of.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The tenant of the operator's own calls, which name no user.
const OPERATOR: &str = "api:operator:default";
/// So much of the queue is looked at.
const LOOKED_AT: usize = 1_000;
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why an answer does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// An operator has paused answering.
    Paused,
    /// This place in line, counted from 1; callers also take turns, so that it may be sooner.
    InLine(usize),
}

/// Looks again and again and tells what has changed. Never ends; drop it when the answer begins.
pub(super) async fn tell(server: &Server, client: &Client) -> Infallible {
    let began = Instant::now();
    let mut told = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let seen = look(server, client, began).await;
        if seen != told
            && let Some(wait) = seen
        {
            // Whoever closed standard error wants to be told nothing.
            writeln!(std::io::stderr().lock(), "{}", words(wait, server.texts())).ok();
        }
        told = seen;
    }
}

/// The queue where the admin token is at hand; to everybody the server says whether it is paused.
async fn look(server: &Server, client: &Client, began: Instant) -> Option<Wait> {
    if let Ok(token) = server.secret(Credential::Admin) {
        let url = format!("{}/admin/api/v1/queue?limit={LOOKED_AT}", server.url);
        let request = client
            .get(url)
            .bearer_auth(token.secret.expose())
            .timeout(PATIENCE);
        if let Ok(answer) = request.send().await
            && answer.status().is_success()
        {
            let queue = answer.json().await.ok()?;
            return in_queue(&queue, began.elapsed());
        }
    }
    let request = client.get(format!("{}/readyz", server.url)).timeout(PATIENCE);
    let text = request.send().await.ok()?.text().await.ok()?;
    says_paused(&text).then_some(Wait::Paused)
}

/// Where a call of the operator's that began so long ago stands: the oldest of them that is no older. What a worker has is in
/// no line any more.
fn in_queue(queue: &Value, age: Duration) -> Option<Wait> {
    // A pause leaves alone what a worker has begun: then nothing waits in the pool.
    if queue["paused"] == true && queue["inPool"] != 0 {
        return Some(Wait::Paused);
    }
    let oldest = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let items = queue["items"].as_array()?.iter().enumerate();
    items
        .filter(|(_, item)| item["tenantId"] == OPERATOR)
        .filter_map(|(before, item)| {
            Some((
                item["waitedMs"].as_u64().filter(|waited| *waited <= oldest)?,
                before,
            ))
        })
        .max()
        .map(|(_, before)| Wait::InLine(before.saturating_add(1)))
}

fn says_paused(readiness: &str) -> bool {
    readiness.lines().any(|line| line.starts_with("paused"))
}

fn words(wait: Wait, texts: Texts) -> String {
    match wait {
        Wait::Paused => texts.send_paused(),
        Wait::InLine(place) => texts.send_place(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pause_is_told_before_the_place_and_what_does_not_wait_is_no_news() {
        let item = |tenant: &str, waited: u64| json!({ "tenantId": tenant, "waitedMs": waited });
        let items = [
            item("telegram:1:1", 400),
            item(OPERATOR, 9_000),
            item(OPERATOR, 1_900),
        ];
        for (queue, expected) in [
            (
                json!({ "paused": true, "inPool": 2, "items": items }),
                Some(Wait::Paused),
            ),
            (json!({ "paused": true, "inPool": 0, "items": items[..1] }), None),
            (json!({ "paused": false, "items": items }), Some(Wait::InLine(3))),
            (json!({ "paused": false, "items": items[..2] }), None),
            (json!({ "paused": false, "items": [] }), None),
            (json!({}), None),
        ] {
            assert_eq!(in_queue(&queue, Duration::from_secs(2)), expected, "{queue}");
        }
        assert!(says_paused("ready\npaused: nothing is handed to workers\n"));
        assert!(!says_paused("ready\n"));
    }
}
