//! What the caller may still ask for, in the headers that OpenAI's clients read: `x-ratelimit-*`.
//!
//! Requests are those of the key's rate limit, tokens those of its user's budget. What has no limit has no header.

use super::DEFAULT_CHAT;
use crate::http::App;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use openclaw_ai_fabric::BudgetUsage;
use openclaw_core::{TenantId, Timestamp};
use openclaw_gateway::caller_chat;
use openclaw_gateway::ports::ApiKeyRecord;
use openclaw_messenger::RateLimit;
use std::time::Duration;

/// Writes what is left to this key. Called when the request's own cost is known or set aside.
pub(super) async fn tell(app: &App, key: &ApiKeyRecord, headers: &mut HeaderMap) {
    if key.limited {
        requests(app.native.api_limit, app.inbound.remaining(&key.id), headers);
    }
    let tenant = TenantId::new(key.platform, key.user.clone(), caller_chat(DEFAULT_CHAT));
    // A store that does not answer is told of by the answer itself.
    if let Ok(usage) = app.gateway.usage(&tenant, key.tier).await {
        tokens(&usage, app.clock.now(), headers);
    }
}

fn requests(limit: RateLimit, remaining: u32, headers: &mut HeaderMap) {
    let used = limit.burst().saturating_sub(remaining);
    let full_in = limit.interval().saturating_mul(used);
    put(
        headers,
        [
            HeaderName::from_static("x-ratelimit-limit-requests"),
            HeaderName::from_static("x-ratelimit-remaining-requests"),
            HeaderName::from_static("x-ratelimit-reset-requests"),
        ],
        (u64::from(limit.burst()), u64::from(remaining), full_in),
    );
}

fn tokens(usage: &BudgetUsage, now: Timestamp, headers: &mut HeaderMap) {
    let (Some(limit), Some(remaining)) = (usage.limit, usage.remaining) else {
        return;
    };
    let full_in = usage
        .resets_at
        .map_or(Duration::ZERO, |at| at.saturating_since(now));
    put(
        headers,
        [
            HeaderName::from_static("x-ratelimit-limit-tokens"),
            HeaderName::from_static("x-ratelimit-remaining-tokens"),
            HeaderName::from_static("x-ratelimit-reset-tokens"),
        ],
        (limit, remaining, full_in),
    );
}

/// Limit, what is left of it, and the time until all of it is there again, in whole seconds as OpenAI writes them: `12s`.
fn put(headers: &mut HeaderMap, names: [HeaderName; 3], (limit, remaining, full_in): (u64, u64, Duration)) {
    let seconds = full_in.as_secs() + u64::from(full_in.subsec_nanos() > 0);
    let [limit_name, remaining_name, reset_name] = names;
    headers.insert(limit_name, HeaderValue::from(limit));
    headers.insert(remaining_name, HeaderValue::from(remaining));
    if let Ok(value) = HeaderValue::try_from(format!("{seconds}s")) {
        headers.insert(reset_name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &HeaderMap, what: &str) -> [String; 3] {
        ["limit", "remaining", "reset"].map(|part| {
            let name = format!("x-ratelimit-{part}-{what}");
            headers.get(name).unwrap().to_str().unwrap().to_owned()
        })
    }

    #[test]
    fn requests_are_full_again_when_the_used_ones_have_come_back() {
        let mut headers = HeaderMap::new();
        requests(RateLimit::every(Duration::from_secs(2), 30), 23, &mut headers);
        assert_eq!(told(&headers, "requests"), ["30", "23", "14s"]);
    }

    #[test]
    fn tokens_are_those_of_the_budget_and_an_unlimited_one_is_not_told() {
        let now = Timestamp::from_millis(1_000);
        let mut usage = BudgetUsage {
            used: 7_000,
            limit: Some(10_000),
            remaining: Some(2_500),
            reserved: 500,
            resets_at: Some(Timestamp::from_millis(61_500)),
        };
        let mut headers = HeaderMap::new();
        tokens(&usage, now, &mut headers);
        assert_eq!(told(&headers, "tokens"), ["10000", "2500", "61s"]);
        (usage.limit, usage.remaining) = (None, None);
        let mut headers = HeaderMap::new();
        tokens(&usage, now, &mut headers);
        assert!(headers.is_empty());
    }
}
