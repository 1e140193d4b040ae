//! By which names the server may be called.
//!
//! A page of another site can have its own name point at this machine (DNS rebinding): its browser then takes the server
//! for that site, and neither the address of the caller nor `Origin` tells the two apart. What does is the name in
//! `Host`. A server on a loopback address is called by a name of this machine, by that of `server.publicUrl`, or by one of
//! `server.allowedHosts`; to any other it answers nothing that needs no key.
//!
//! Not asked about their name are requests that bring what such a page does not have, or that give nothing away: keys and
//! tokens (`/v1` takes nothing else), webhooks, which have secrets, and what only says whether the server is up. On other
//! addresses than loopback, where clients choose the names, names are asked about only when `server.allowedHosts` has any.

use super::native::authority;
use super::{App, credential, is_admin, language};
use crate::config::sections::ServerSection;
use crate::problem::Problem;
use axum::http::{HeaderMap, header};
use openclaw_core::Language;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// So much of a name is repeated in an answer.
const MAX_SHOWN: usize = 120;

/// The names of the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    /// Beside those of this machine; `None`: it may be called by any.
    names: Option<BTreeSet<String>>,
}

// === impl Hosts ===

impl Hosts {
    pub(crate) fn of(section: &ServerSection) -> Self {
        let is_open = !section.listen.ip().to_canonical().is_loopback();
        if is_open && section.allowed_hosts.is_empty() {
            return Self { names: None };
        }
        let public = section.public_url.as_deref().and_then(authority);
        let names = section.allowed_hosts.iter().chain(&public);
        Self {
            names: Some(names.filter_map(|name| host_name(name)).collect()),
        }
    }

    /// Whether the server may be called as this request does. A request without a name is no browser's.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        self.foreign(headers).is_none()
    }

    /// The name the request calls the server by, if it is none of the server's.
    fn foreign(&self, headers: &HeaderMap) -> Option<String> {
        let names = self.names.as_ref()?;
        let called = headers.get_all(header::HOST).iter();
        let mut called = called.map(|host| String::from_utf8_lossy(host.as_bytes()));
        let foreign = called.find(|host| {
            host_name(host).is_none_or(|name| !is_of_this_machine(&name) && !names.contains(&name))
        })?;
        let shown = foreign.chars().filter(char::is_ascii_graphic);
        Some(shown.take(MAX_SHOWN).collect())
    }
}

/// Why a request for this route, in axum's spelling, is not answered: it calls the server by a name that is not the server's.
pub(super) fn refusal(app: &App, route: &str, headers: &HeaderMap) -> Option<Problem> {
    if is_for_any_name(route)
        || (is_for_keys(route) && credential(headers).is_some())
        || is_admin(app, headers)
    {
        return None;
    }
    let host = app.hosts.foreign(headers)?;
    let detail = match language(app, headers) {
        Language::En => format!(
            "This server is not called `{host}`. Call it by a name of its machine (`localhost`, `127.0.0.1`, `[::1]`), \
             or have its operator name this one in `server.publicUrl` or `server.allowedHosts`."
        ),
        Language::Ru => format!(
            "Этот сервер не называется `{host}`. Обратитесь к нему по имени его машины (`localhost`, `127.0.0.1`, \
             `[::1]`) или пусть администратор укажет это имя в `server.publicUrl` или `server.allowedHosts`."
        ),
    };
    Some(Problem::new("MISDIRECTED_REQUEST", detail))
}

/// Routes that have a credential of their own or give nothing away.
fn is_for_any_name(route: &str) -> bool {
    matches!(route, "/livez" | "/readyz" | "/health")
        || route.starts_with("/v1/")
        || route.starts_with("/webhook/")
}

/// Routes on which a credential that is sent is the only claim: a wrong one is refused.
fn is_for_keys(route: &str) -> bool {
    route.starts_with("/api/v1/") || route.starts_with("/admin/")
}

/// The name in `name:port`, as names are compared; `None` when it is none.
fn host_name(authority: &str) -> Option<String> {
    let name = match (authority.strip_prefix('['), authority.rsplit_once(':')) {
        (Some(rest), _) => rest.split_once(']')?.0,
        (None, Some((name, port))) if !name.contains(':') => {
            port.bytes().all(|byte| byte.is_ascii_digit()).then_some(name)?
        }
        (None, _) => authority,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then(|| name.to_ascii_lowercase())
}

/// Names that lead to this machine wherever they are asked for (RFC 6761), so that nobody else can have them.
fn is_of_this_machine(name: &str) -> bool {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    name == "localhost" || name.ends_with(".localhost") || name.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn hosts(names: &[&str]) -> Hosts {
        Hosts {
            names: Some(names.iter().filter_map(|name| host_name(name)).collect()),
        }
    }

    #[track_caller]
    fn check(hosts: &Hosts, called: &[&str], expected: bool) {
        let mut headers = HeaderMap::new();
        for host in called {
            headers.append(header::HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        assert_eq!(hosts.admit(&headers), expected, "{called:?}");
    }

    #[test]
    fn the_server_is_called_by_its_own_names_and_by_those_of_its_machine() {
        let hosts = hosts(&["Bot.Example.org", "inner:8080"]);
        for own in [
            "localhost",
            "localhost:3000",
            "LOCALHOST.:3000",
            "chat.localhost",
            "127.0.0.1:3000",
            "127.8.0.1",
            "[::1]:3000",
            "[::ffff:127.0.0.1]",
            "bot.example.org",
            "bot.example.org:443",
            "inner",
        ] {
            check(&hosts, &[own], true);
        }
        for foreign in [
            "evil.com",
            "evil.com:3000",
            "localhost.evil.com",
            "notlocalhost",
            "127.0.0.1.evil.com",
            "localhost:80@evil.com",
            "localhost@evil.com",
            "x.bot.example.org",
            "192.168.1.5",
            "0.0.0.0",
            "[::]",
            "[::1",
            "",
            ":80",
            "пример.рф",
        ] {
            check(&hosts, &[foreign], false);
        }
        check(&hosts, &[], true);
        check(&hosts, &["localhost", "evil.com"], false);
    }

    #[test]
    fn a_server_that_may_be_called_by_any_name_asks_about_none() {
        check(&Hosts::default(), &["evil.com"], true);
    }
}
