//! The one HTTP client of the platform: pooled, rustls with ring, every limit set.
//!
//! Adapters that speak HTTP take a [`Client`] made here, so that timeouts, trust and pools are decided in one place and
//! TLS's provider is installed once.
//!
//! ```
//! use openclaw_http_client::HttpClientConfig;
//!
//! let client = HttpClientConfig::default().build();
//! // On a machine without any root certificate only plain HTTP would work, and building says so.
//! assert!(client.is_ok() || client.is_err_and(|error| error.to_string().contains("client")));
//! ```
//!
//! Decided here: no redirects (a key must not follow one to another host), no proxy unless one is named, no overall
//! timeout (callers own their deadlines: a stream may last minutes), HTTP/1.1 with kept-alive connections.
//!
//! Beside the client stands what the adapters of HTTP protocols share: bodies decoded while they come
//! ([`BodyStream`]), models' answers decoded whatever their wire format ([`AnswerDecoder`]), what
//! a refusal's status means ([`by_status`]), waits and dates in headers ([`retry_after`], [`duration`], [`rfc3339`]), addresses and headers that
//! hold no secret in the open ([`address`], [`insert_secret`]).
//!
//! Invariants: certificates are always checked — there is no switch to turn that off, only [`HttpClientConfig`]'s extra
//! roots; of an address whose call failed only the host is shown ([`unreachable()`]).

#![forbid(unsafe_code)]

mod answer;
mod body;
mod endpoint;
mod no_answer;
mod refusal;
pub mod testing;
mod wait;

use openclaw_core::{CodedError, Language};
use std::borrow::Cow;
use std::time::Duration;

pub use answer::{AnswerDecoder, AnswerFormat, Progress, unreadable};
pub use body::{BodyDecoder, BodyStream, Step, is_json, read_at_most};
pub use endpoint::{address, insert_secret};
pub use no_answer::unreachable;
pub use refusal::{by_status, listed_models, shown};
pub use reqwest::{Client, Response, StatusCode, Url, header};
pub use wait::{duration, retry_after, rfc3339};

/// A call that brought no answer.
pub type CallError = reqwest::Error;

/// How a client behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpClientConfig {
    /// How long opening a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// Idle connections kept for each host; more are closed when their call has ended.
    pub pool_max_idle_per_host: usize,
    /// How long an idle connection is kept.
    pub pool_idle_timeout: Duration,
    /// Certificates trusted beside the system's, PEM, one or more in each.
    pub extra_roots: Vec<Vec<u8>>,
    /// The proxy all calls go through, such as `http://proxy:3128`. The environment's is not read.
    pub proxy: Option<String>,
    /// What we call ourselves.
    pub user_agent: String,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// An extra root certificate cannot be read.
    #[error("root certificate {index} cannot be read")]
    Root {
        /// Which one, from 0.
        index: usize,
        /// Why.
        source: reqwest::Error,
    },
    /// The extra root certificate holds no certificate.
    #[error("root certificate {index} is empty")]
    EmptyRoot {
        /// Which one, from 0.
        index: usize,
    },
    /// The proxy's address cannot be read.
    #[error("the proxy's address cannot be read")]
    Proxy {
        /// Why.
        source: reqwest::Error,
    },
    /// TLS could not be set up.
    #[error("the HTTP client cannot be built")]
    Build {
        /// Why.
        source: reqwest::Error,
    },
}

// === impl HttpClientConfig ===

impl Default for HttpClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            pool_max_idle_per_host: 64,
            pool_idle_timeout: Duration::from_secs(90),
            extra_roots: Vec::new(),
            proxy: None,
            user_agent: concat!("openclaw-platform/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl HttpClientConfig {
    /// Builds the client. Cheap clones of it share one pool.
    ///
    /// # Errors
    ///
    /// When a certificate or the proxy's address cannot be read, or the system has no root certificates at all.
    pub fn build(&self) -> Result<Client, HttpClientError> {
        ensure_crypto();
        let mut roots = Vec::new();
        for (index, pem) in self.extra_roots.iter().enumerate() {
            let bundle = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|source| HttpClientError::Root { index, source })?;
            if bundle.is_empty() {
                return Err(HttpClientError::EmptyRoot { index });
            }
            roots.extend(bundle);
        }
        let builder = Client::builder()
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(self.pool_max_idle_per_host)
            .pool_idle_timeout(self.pool_idle_timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(&self.user_agent)
            .tls_certs_merge(roots);
        let builder = match &self.proxy {
            None => builder.no_proxy(),
            Some(address) => {
                builder.proxy(
                    reqwest::Proxy::all(address).map_err(|source| HttpClientError::Proxy {
                        source: source.without_url(),
                    })?,
                )
            }
        };
        builder
            .build()
            .map_err(|source| HttpClientError::Build { source })
    }
}

// === impl HttpClientError ===

impl CodedError for HttpClientError {
    fn code(&self) -> &'static str {
        "HTTP_CLIENT"
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "The server cannot reach the network. Its operator has been told why.",
            Language::Ru => "Сервер не может выйти в сеть. Причина записана для оператора.",
        })
    }
}

/// Installs ring as the process's TLS provider, once; does nothing when one is installed already. Building a client
/// does it; programs that use TLS otherwise call it first.
pub fn ensure_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Two threads may come here at once; the second is told that it is done, which is what it wanted.
        rustls::crypto::ring::default_provider().install_default().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_is_no_certificate_is_refused() {
        let config = HttpClientConfig {
            extra_roots: vec![b"not a certificate".to_vec()],
            ..HttpClientConfig::default()
        };
        assert!(matches!(
            config.build(),
            Err(HttpClientError::EmptyRoot { index: 0 } | HttpClientError::Root { index: 0, .. })
        ));
    }

    #[test]
    fn a_proxy_that_is_no_address_is_refused() {
        let config = HttpClientConfig {
            proxy: Some("http://[".into()),
            ..HttpClientConfig::default()
        };
        assert!(matches!(config.build(), Err(HttpClientError::Proxy { .. })));
    }

    #[test]
    fn crypto_is_installed_once_however_often_it_is_asked_for() {
        ensure_crypto();
        ensure_crypto();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
