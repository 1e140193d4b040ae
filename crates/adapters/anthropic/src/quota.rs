//! What the headers of an answer say of the quota that is left.

use openclaw_ai_fabric::QuotaReport;
use openclaw_core::Timestamp;
use openclaw_http_client::header::HeaderMap;
use openclaw_http_client::rfc3339;

/// `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{remaining,reset}`; resets are points in time.
/// Of the three counts of tokens the smallest is what is left.
pub(crate) fn read(headers: &HeaderMap, now: Timestamp) -> Option<QuotaReport> {
    let text = |name: String| headers.get(name)?.to_str().ok().map(str::trim);
    let remaining = |of: &str| {
        text(format!("anthropic-ratelimit-{of}-remaining"))?
            .parse::<u64>()
            .ok()
    };
    let reset = |of: &str| {
        rfc3339(text(format!("anthropic-ratelimit-{of}-reset"))?).map(|at| at.saturating_since(now))
    };
    let scarcest = ["tokens", "input-tokens", "output-tokens"]
        .into_iter()
        .filter_map(|of| Some((remaining(of)?, of)))
        .min();
    let report = QuotaReport {
        remaining_requests: remaining("requests"),
        requests_reset: reset("requests"),
        remaining_tokens: scarcest.map(|(left, _)| left),
        tokens_reset: scarcest.and_then(|(_, of)| reset(of)),
    };
    (report.remaining_requests.is_some() || report.remaining_tokens.is_some()).then_some(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_http_client::header::{HeaderName, HeaderValue};
    use std::time::Duration;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_scarcest_count_of_tokens_is_what_is_left() {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let report = read(
            &headers(&[
                ("anthropic-ratelimit-requests-remaining", "4"),
                ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:30Z"),
                ("anthropic-ratelimit-input-tokens-remaining", "9000"),
                ("anthropic-ratelimit-input-tokens-reset", "2026-01-01T00:00:10Z"),
                ("anthropic-ratelimit-output-tokens-remaining", "100"),
                ("anthropic-ratelimit-output-tokens-reset", "2026-01-01T00:00:20Z"),
            ]),
            now,
        );
        let expected = QuotaReport {
            remaining_requests: Some(4),
            requests_reset: Some(Duration::from_secs(30)),
            remaining_tokens: Some(100),
            tokens_reset: Some(Duration::from_secs(20)),
        };
        assert_eq!(report, Some(expected));
    }

    #[test]
    fn nonsense_is_absence() {
        let now = Timestamp::from_millis(0);
        let nonsense = [
            ("anthropic-ratelimit-requests-remaining", "-1"),
            ("anthropic-ratelimit-requests-reset", "soon"),
        ];
        assert_eq!(read(&headers(&nonsense), now), None);
        assert_eq!(read(&HeaderMap::new(), now), None);
    }
}
