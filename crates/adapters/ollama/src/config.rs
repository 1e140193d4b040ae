//! How an Ollama is reached.

use openclaw_core::{ProviderId, Secret, ValidationError, Violation};
use openclaw_http_client::header::HeaderMap;
use openclaw_http_client::{Url, address, insert_secret};

/// An Ollama.
#[derive(Clone, Debug)]
pub struct OllamaConfig {
    /// The provider it belongs to.
    pub provider: ProviderId,
    /// What comes before `/api/chat`, such as `http://127.0.0.1:11434`.
    pub base_url: String,
    /// Sent as a bearer token, for an Ollama behind a proxy that wants one.
    pub key: Option<Secret>,
    /// Sent with every call beside the key.
    pub headers: Vec<(String, Secret)>,
    /// The context the model is loaded with, in tokens; `None` leaves it to Ollama, whose own is small and cuts longer
    /// conversations without a word.
    pub context_tokens: Option<u64>,
    /// How long the model stays loaded afterwards, in Ollama's words (`10m`, `-1`); `None` leaves it to Ollama.
    pub keep_alive: Option<String>,
}

/// The same, checked.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) chat: Url,
    pub(crate) tags: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) context_tokens: Option<u64>,
    pub(crate) keep_alive: Option<String>,
}

// === impl OllamaConfig ===

impl OllamaConfig {
    /// Where an Ollama of this machine answers.
    pub const BASE_URL: &str = "http://127.0.0.1:11434";

    /// An Ollama without a key and with its own settings.
    pub fn new(provider: ProviderId, base_url: &str) -> Self {
        Self {
            provider,
            base_url: base_url.to_owned(),
            key: None,
            headers: Vec::new(),
            context_tokens: None,
            keep_alive: None,
        }
    }

    /// The address that `OLLAMA_HOST` means: a host, a port, both, or an address. Where it says that Ollama listens
    /// everywhere, it is reached on this machine.
    pub fn base_url_of(host: &str) -> String {
        let host = host.trim().trim_end_matches('/');
        if host.is_empty() {
            return Self::BASE_URL.to_owned();
        }
        if let Some((scheme, rest)) = host.split_once("://") {
            return format!("{scheme}://{}", reachable(rest));
        }
        let (authority, path) = match host.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (host, String::new()),
        };
        // What follows the last colon is a port, unless that colon is part of a bare IPv6 address.
        let bare_v6 = authority.matches(':').count() > 1 && !authority.starts_with('[');
        let authority = if bare_v6 {
            format!("[{authority}]")
        } else {
            authority.to_owned()
        };
        let after_brackets = authority
            .rsplit_once(']')
            .map_or(authority.as_str(), |(_, tail)| tail);
        let port = if after_brackets.contains(':') {
            ""
        } else {
            ":11434"
        };
        format!("http://{}{port}{path}", reachable(&authority))
    }

    /// Finds every fault without building anything; none shows a key or an address.
    pub fn check(&self) -> Result<(), ValidationError> {
        self.clone().validate().map(drop)
    }

    pub(crate) fn validate(self) -> Result<Endpoint, ValidationError> {
        let mut faults = Vec::new();
        let chat = address(&self.base_url, "/api/chat");
        let tags = address(&self.base_url, "/api/tags");
        let rule = "must be an http or https address without a password";
        if chat.is_none() || tags.is_none() {
            // The address is not repeated: it may hold a password.
            faults.push(Violation::new("baseUrl", "…", rule));
        }
        if self.context_tokens == Some(0) {
            faults.push(Violation::new("contextWindow", 0, "must be at least 1"));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key
            && !insert_secret(&mut headers, "authorization", &format!("Bearer {}", key.expose()))
        {
            faults.push(Violation::new("apiKey", "…", "must be printable ASCII"));
        }
        for (name, value) in &self.headers {
            if !insert_secret(&mut headers, name, value.expose()) {
                faults.push(Violation::new("headers", name, "must be a header and its value"));
            }
        }
        ValidationError::check(faults)?;
        match (chat, tags) {
            (Some(chat), Some(tags)) => Ok(Endpoint {
                chat,
                tags,
                headers,
                context_tokens: self.context_tokens,
                keep_alive: self.keep_alive,
            }),
            _ => Err(ValidationError::one("baseUrl", "…", rule)),
        }
    }
}

/// The authority with an address that stands for all of a machine's replaced by one that can be called.
fn reachable(authority: &str) -> String {
    for everywhere in ["0.0.0.0", "[::]"] {
        if let Some(rest) = authority.strip_prefix(everywhere) {
            return format!("127.0.0.1{rest}");
        }
    }
    if authority.starts_with(':') {
        return format!("127.0.0.1{authority}");
    }
    authority.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_host_is_understood() {
        for (host, expected) in [
            ("", "http://127.0.0.1:11434"),
            ("box", "http://box:11434"),
            ("box:8080", "http://box:8080"),
            (":8080", "http://127.0.0.1:8080"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("0.0.0.0:1234", "http://127.0.0.1:1234"),
            ("[::1]:1234", "http://[::1]:1234"),
            ("::1", "http://[::1]:11434"),
            ("https://ollama.example/", "https://ollama.example"),
            ("http://0.0.0.0:11434", "http://127.0.0.1:11434"),
            ("box/ollama", "http://box:11434/ollama"),
        ] {
            assert_eq!(OllamaConfig::base_url_of(host), expected, "{host}");
        }
    }
}
