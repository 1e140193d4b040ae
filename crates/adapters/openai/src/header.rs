//! Quotas in headers and waits in texts. Nonsense is taken for absence.

use openclaw_ai_fabric::QuotaReport;
use openclaw_http_client::duration;
use reqwest::header::HeaderMap;
use std::time::Duration;

/// What is left of the quota: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`.
pub(crate) fn quota(headers: &HeaderMap) -> Option<QuotaReport> {
    let text = |name: String| headers.get(name)?.to_str().ok().map(str::trim);
    let count = |what: &str, of: &str| text(format!("x-ratelimit-{what}-{of}"))?.parse::<i64>().ok();
    let remaining = |of: &str| {
        // A limit that is not positive has been seen beside a `remaining` of 0: the server does not know.
        if count("limit", of).is_some_and(|limit| limit <= 0) {
            return None;
        }
        u64::try_from(count("remaining", of)?).ok()
    };
    let reset = |of: &str| duration(text(format!("x-ratelimit-reset-{of}"))?);
    let report = QuotaReport {
        remaining_requests: remaining("requests"),
        requests_reset: reset("requests"),
        remaining_tokens: remaining("tokens"),
        tokens_reset: reset("tokens"),
    };
    (report.remaining_requests.is_some() || report.remaining_tokens.is_some()).then_some(report)
}

/// `… try again in 41.7s.`, as rate limits say it in words.
pub(crate) fn wait_in_text(lower: &str) -> Option<Duration> {
    let (_, tail) = lower.split_once("try again in ")?;
    let word = tail.split_whitespace().next()?;
    duration(word.trim_end_matches(['.', ',', ';', ')']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn nonsense_is_absence() {
        assert_eq!(quota(&headers(&[("x-ratelimit-remaining-requests", "-1")])), None);
        let azure = [
            ("x-ratelimit-limit-tokens", "-1"),
            ("x-ratelimit-remaining-tokens", "0"),
        ];
        assert_eq!(quota(&headers(&azure)), None);
    }

    #[test]
    fn quotas_and_their_resets_are_read() {
        let report = quota(&headers(&[
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "20ms"),
        ]));
        let expected = QuotaReport {
            remaining_requests: Some(59),
            requests_reset: Some(Duration::from_secs(360)),
            remaining_tokens: Some(0),
            tokens_reset: Some(Duration::from_millis(20)),
        };
        assert_eq!(report, Some(expected));
        assert_eq!(
            wait_in_text("slow down, try again in 41.7s."),
            Some(Duration::from_millis(41_700))
        );
        assert_eq!(wait_in_text("try again in a while"), None);
    }
}
