//! Waits and points in time as servers write them in headers. Nonsense is taken for absence.

use openclaw_core::Timestamp;
use reqwest::header::HeaderMap;
use std::time::Duration;

/// A longer wait is nonsense.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait: `retry-after-ms`, `x-ms-retry-after-ms`, or `retry-after` in seconds or as a date. A date in the
/// past is no wait at all; more than a day is nonsense.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = text("retry-after-ms").or_else(|| text("x-ms-retry-after-ms"));
    if let Some(wait) = millis.and_then(|text| scaled(text, 0.001)) {
        return Some(wait);
    }
    let value = text("retry-after")?;
    scaled(value, 1.0).or_else(|| {
        let wait = http_date(value)?.saturating_since(now);
        (wait <= MAX_WAIT).then_some(wait)
    })
}

/// `6m0s`, `20ms`, `1.5s`, `1h2m`; a bare number is seconds. More than a day is nonsense.
pub fn duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = scaled(text, 1.0) {
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
        total = total.saturating_add(scaled(value, scale)?);
        rest = tail;
    }
    (total <= MAX_WAIT && !text.trim().is_empty()).then_some(total)
}

/// `2026-11-23T10:05:00Z`, with or without a fraction of the second, which is passed over. Other offsets than `Z` are
/// not read.
pub fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date, time) = text.trim().split_once(['T', 't'])?;
    let time = time.strip_suffix(['Z', 'z'])?;
    let mut date = date.split('-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let time = match time.split_once('.') {
        Some((whole, fraction)) => digits(fraction).map(|_| whole)?,
        None => time,
    };
    let mut time = time.split(':').map(digits);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if date.next().is_some() || time.next().is_some() {
        return None;
    }
    civil(year, month, day, hour, minute, second)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of a date that servers may send.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = digits(words.next()?)?;
    let name = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let year = digits(words.next()?)?;
    let mut clock = words.next()?.split(':').map(digits);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next() != Some("GMT") {
        return None;
    }
    civil(year, month, day, hour, minute, second)
}

/// A whole number without a sign, as long as years and fractions of seconds are.
fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn civil(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<Timestamp> {
    let sane = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !sane {
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

fn scaled(text: &str, scale: f64) -> Option<Duration> {
    // `parse` would take `inf` and `nan`, too.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let seconds = text.parse::<f64>().ok()? * scale;
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    (wait <= MAX_WAIT).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    #[track_caller]
    fn check(pairs: &[(&'static str, &'static str)], expected_ms: Option<u64>) {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        // One minute before the date below.
        let now = Timestamp::from_millis(784_111_777_000 - 60_000);
        let got = retry_after(&headers, now);
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
    }

    #[test]
    fn durations_are_read_with_their_units() {
        assert_eq!(duration("6m0s"), Some(Duration::from_secs(360)));
        assert_eq!(duration("20ms"), Some(Duration::from_millis(20)));
        assert_eq!(duration("1h2m"), Some(Duration::from_secs(3_720)));
        assert_eq!(duration("5 parsecs"), None);
        assert_eq!(duration("25h"), None);
    }

    proptest! {
        #[test]
        fn a_point_in_time_is_read_as_it_is_written(seconds in 0_i64..253_402_300_799) {
            let at = Timestamp::from_millis(seconds * 1000);
            prop_assert_eq!(rfc3339(&at.to_string()), Some(at));
            let fraction = at.to_string().replace('Z', ".123Z");
            prop_assert_eq!(rfc3339(&fraction), Some(at));
        }

        #[test]
        fn no_text_is_too_strange(text in "[-0-9TZ:.+ a-z]{0,40}") {
            let _ = (rfc3339(&text), duration(&text), http_date(&text));
        }
    }
}
