//! Who calls the native API, whether the request is their own, and how often they may.
//!
//! A key that is sent is the caller's only claim: a wrong one is refused, whatever cookie came with it. A cookie is sent
//! by the browser whoever made the page, so requests that change something must come from a page of ours.

use super::super::{App, caller as key_caller, credential};
use crate::problem::Problem;
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use openclaw_core::{AccessTier, Language, Platform, Secret, UserId};
use openclaw_gateway::ports::ApiKeyRecord;
use openclaw_messenger::RateLimit;
use openclaw_system::SystemRandom;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It changes nothing.
    Read,
    /// It changes something.
    Change,
    /// It opens a chat: somebody unknown becomes a visitor.
    Open,
}

/// Who calls.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) platform: Platform,
    pub(super) user: UserId,
    /// The key, unless it is a visitor.
    key: Option<Arc<ApiKeyRecord>>,
    /// What was sent as the key: a stream that stays open asks again whether it is valid.
    pub(super) credential: Option<Secret>,
}

/// Who sent the request: the owner of its key, else the visitor of its cookie.
pub(super) fn identify(
    app: &App,
    parts: &Parts,
    purpose: Purpose,
    language: Language,
) -> Result<Caller, Problem> {
    if let Some(sent) = credential(&parts.headers) {
        let key = key_caller(app, &parts.headers).ok_or_else(|| {
            let detail = match language {
                Language::En => {
                    "The API key is not valid; it is read from `Authorization: Bearer` or `X-API-Key`."
                }
                Language::Ru => {
                    "Ключ API недействителен; он читается из `Authorization: Bearer` или `X-API-Key`."
                }
            };
            Problem::new("UNAUTHORIZED", detail)
        })?;
        return Ok(Caller {
            platform: key.platform,
            user: key.user.clone(),
            key: Some(key),
            credential: Some(Secret::new(sent)),
        });
    }
    if purpose != Purpose::Read && !is_own_page(&parts.headers, app.native.public_host.as_deref()) {
        let detail = match language {
            Language::En => "The request came from a page of another site.",
            Language::Ru => "Запрос пришёл со страницы другого сайта.",
        };
        return Err(Problem::new("FORBIDDEN", detail));
    }
    let visitor = app
        .native
        .visitors
        .as_ref()
        .and_then(|visitors| match visitors.find(&parts.headers) {
            None if purpose == Purpose::Open => Some(visitors.create(&SystemRandom)),
            found => found,
        });
    let user = match visitor {
        Some(user) => user,
        None => {
            let detail = match language {
                Language::En => {
                    "No API key was sent, and no visitor's cookie; a visitor gets one with the first chat."
                }
                Language::Ru => {
                    "Нет ни ключа API, ни cookie посетителя; посетитель получает её с первым чатом."
                }
            };
            return Err(Problem::new("UNAUTHORIZED", detail));
        }
    };
    Ok(Caller {
        platform: Platform::Web,
        user,
        key: None,
        credential: None,
    })
}

/// Whether a browser sent the request from a page of ours. What is no browser sends neither header, and no other site
/// can make it send a cookie.
fn is_own_page(headers: &HeaderMap, public_host: Option<&str>) -> bool {
    if let Some(site) = headers.get("sec-fetch-site")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Some(origin) = origin.to_str().ok().and_then(authority) else {
        return false;
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| host.eq_ignore_ascii_case(&origin)) || public_host == Some(&*origin)
}

/// Host and port of a URL or an origin, in lower case; `None` when it has none.
pub(crate) fn authority(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    (!authority.is_empty()).then(|| authority.to_ascii_lowercase())
}

/// Counts the request against the caller's limits. Whether there is a limit to tell of.
pub(super) fn admit(
    app: &App,
    caller: &Caller,
    parts: &Parts,
    purpose: Purpose,
    language: Language,
) -> Result<bool, Problem> {
    let Some(name) = caller.limited_as() else {
        return Ok(false);
    };
    let limiter = match caller.platform {
        Platform::Api => &app.inbound,
        Platform::Web | Platform::Telegram | Platform::Max => &app.native.web,
    };
    let counted = limiter.acquire(&name).and_then(|()| {
        if purpose == Purpose::Open && caller.is_visitor() {
            app.native
                .new_chats
                .acquire(&client_address(parts, &app.native.trusted_proxies).to_string())
        } else {
            Ok(())
        }
    });
    counted.map_err(|error| {
        app.counters.rate_limited.bump([caller.platform.as_str()]);
        Problem::from_error(&error, language)
    })?;
    Ok(true)
}

/// Tells the caller what is left, in the headers of the IETF's draft.
pub(super) fn tell_limit(app: &App, caller: &Caller, headers: &mut HeaderMap) {
    let Some(name) = caller.limited_as() else { return };
    let (limit, remaining) = match caller.platform {
        Platform::Api => (app.native.api_limit, app.inbound.remaining(&name)),
        Platform::Web | Platform::Telegram | Platform::Max => {
            (app.native.web_limit, app.native.web.remaining(&name))
        }
    };
    let (policy, state) = limit_headers(limit, remaining);
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

fn limit_headers(limit: RateLimit, remaining: u32) -> (String, String) {
    let seconds = |tokens: u32| -> u64 {
        let time: Duration = limit.interval().saturating_mul(tokens);
        u64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX)
    };
    let burst = limit.burst();
    (
        format!("\"requests\";q={burst};w={}", seconds(burst).max(1)),
        format!(
            "\"requests\";r={remaining};t={}",
            seconds(burst.saturating_sub(remaining))
        ),
    )
}

/// The address the request came from; an IPv6 address stands for its /64, of which one person has many.
fn client_address(parts: &Parts, trusted: &[IpAddr]) -> IpAddr {
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip().to_canonical());
    let is_trusted = |address: IpAddr| trusted.iter().any(|trusted| trusted.to_canonical() == address);
    let mut address = peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    // Each proxy adds whom it was called by at the end; what stands before the last untrusted one is hearsay.
    let forwarded = parts
        .headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    for hop in hops.iter().rev() {
        if !is_trusted(address) {
            break;
        }
        let Ok(next) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        address = next.to_canonical();
    }
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

/// Whether the request was made on this machine, by nobody who stands for others and by no page that another site had
/// point here.
pub(crate) fn is_local(app: &App, peer: Option<&ConnectInfo<SocketAddr>>, headers: &HeaderMap) -> bool {
    let forwarded = headers.contains_key("x-forwarded-for") || headers.contains_key(header::FORWARDED);
    peer.is_some_and(|ConnectInfo(address)| address.ip().to_canonical().is_loopback())
        && !forwarded
        && app.hosts.admit(headers)
}

// === impl Caller ===

impl Caller {
    /// Known by a cookie only.
    pub(super) fn is_visitor(&self) -> bool {
        self.key.is_none()
    }

    /// What the key grants; `None` is what everybody gets.
    pub(super) fn tier(&self) -> Option<AccessTier> {
        self.key.as_ref().map(|key| key.tier)
    }

    /// The name requests are counted under; `None` when they are not.
    fn limited_as(&self) -> Option<String> {
        match &self.key {
            None => Some(self.user.to_string()),
            Some(key) => key.limited.then(|| key.id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_page_of_another_site_is_told_apart() {
        let own =
            |pairs: &[(&'static str, &'static str)]| is_own_page(&headers(pairs), Some("chat.example.org"));
        assert!(own(&[
            ("host", "127.0.0.1:3000"),
            ("origin", "http://127.0.0.1:3000")
        ]));
        assert!(
            own(&[("host", "inner:3000"), ("origin", "https://CHAT.example.org")]),
            "behind a proxy"
        );
        assert!(own(&[("host", "127.0.0.1:3000")]), "no browser");
        assert!(own(&[
            ("host", "a"),
            ("origin", "http://a"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(
            !own(&[("host", "127.0.0.1:3000"), ("origin", "http://127.0.0.1:4000")]),
            "another port"
        );
        assert!(!own(&[("host", "127.0.0.1:3000"), ("origin", "null")]));
        assert!(!own(&[
            ("host", "a"),
            ("origin", "http://a"),
            ("sec-fetch-site", "cross-site")
        ]));
        assert!(!own(&[("host", "a"), ("sec-fetch-site", "same-site")]));
    }

    #[track_caller]
    fn check_address(peer: &str, forwarded: &str, expected: &str) {
        let mut request = Request::new(());
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        request
            .headers_mut()
            .insert("x-forwarded-for", HeaderValue::try_from(forwarded).unwrap());
        let (parts, ()) = request.into_parts();
        let trusted = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        assert_eq!(client_address(&parts, &trusted).to_string(), expected);
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        check_address("1.2.3.4", "9.9.9.9", "1.2.3.4");
        check_address("10.0.0.1", "9.9.9.9, 5.6.7.8, 10.0.0.2", "5.6.7.8");
        check_address("10.0.0.1", "nonsense", "10.0.0.1");
        check_address("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::");
    }

    #[test]
    fn a_limit_is_told_in_whole_seconds() {
        let (policy, state) = limit_headers(RateLimit::per_second(100, 100), 30);
        assert_eq!(
            (&*policy, &*state),
            ("\"requests\";q=100;w=1", "\"requests\";r=30;t=1")
        );
        let (policy, state) = limit_headers(RateLimit::every(Duration::from_secs(2), 30), 30);
        assert_eq!(
            (&*policy, &*state),
            ("\"requests\";q=30;w=60", "\"requests\";r=30;t=0")
        );
    }
}
