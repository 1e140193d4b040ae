//! Waits and quotas in headers and texts. Nonsense is taken for absence.

use openclaw_ai_fabric::QuotaReport;
use openclaw_core::Timestamp;
use reqwest::header::HeaderMap;
use std::time::Duration;

/// A longer wait is nonsense.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait: `retry-after-ms`, `x-ms-retry-after-ms`, or `retry-after` in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = text("retry-after-ms").or_else(|| text("x-ms-retry-after-ms"));
    if let Some(wait) = millis.and_then(|text| number(text, 0.001)) {
        return Some(wait);
    }
    let value = text("retry-after")?;
    number(value, 1.0).or_else(|| {
        let wait = http_date(value)?.saturating_since(now);
        (wait <= MAX_WAIT).then_some(wait)
    })
}

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

/// `6m0s`, `20ms`, `1.5s`, `1h2m`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = number(text, 1.0) {
        return Some(seconds);
    }
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, tail) = rest.split_at_checked(digits)?;
        let unit = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit)?;
        let scale = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.saturating_add(number(value, scale)?);
        rest = tail;
    }
    (total <= MAX_WAIT && !text.trim().is_empty()).then_some(total)
}

/// `… try again in 41.7s.`, as rate limits say it in words.
pub(crate) fn wait_in_text(lower: &str) -> Option<Duration> {
    let (_, tail) = lower.split_once("try again in ")?;
    let word = tail.split_whitespace().next()?;
    duration(word.trim_end_matches(['.', ',', ';', ')']))
}

fn number(text: &str, scale: f64) -> Option<Duration> {
    // `parse` would take `inf` and `nan`, too.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let seconds = text.parse::<f64>().ok()? * scale;
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    (wait <= MAX_WAIT).then_some(wait)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of a date that servers may send.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: i64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let sane = (1970..=9999).contains(&year)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !sane || words.next() != Some("GMT") {
        return None;
    }
    // Years are counted from March, so that the leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp::from_millis(seconds * 1000))
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

    #[track_caller]
    fn check(pairs: &[(&'static str, &'static str)], expected_ms: Option<u64>) {
        // One minute before the date below.
        let now = Timestamp::from_millis(784_111_777_000 - 60_000);
        let got = retry_after(&headers(pairs), now);
        assert_eq!(got, expected_ms.map(Duration::from_millis), "{pairs:?}");
    }

    #[test]
    fn waits_are_read_in_every_form() {
        check(&[("retry-after", "2")], Some(2_000));
        check(&[("retry-after", "1.5")], Some(1_500));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], Some(60_000));
        check(&[("retry-after", "Sun, 06 Nov 1993 08:49:37 GMT")], Some(0));
        check(&[("retry-after", "5"), ("retry-after-ms", "250")], Some(250));
        check(&[("x-ms-retry-after-ms", "70")], Some(70));
    }

    #[test]
    fn nonsense_is_absence() {
        for nonsense in [
            "",
            "-1",
            "inf",
            "NaN",
            "soon",
            "999999999",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "1e5",
        ] {
            check(&[("retry-after", nonsense)], None);
        }
        check(&[], None);
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
        assert_eq!(duration("1h2m"), Some(Duration::from_secs(3_720)));
        assert_eq!(duration("5 parsecs"), None);
    }
}
