//! Why a call brought no answer: the host and a few words for people, the whole chain of causes for whoever debugs.
//!
//! Of an address only the host is shown, and the port where it is not the usual one: the rest may hold a secret.

use crate::CallError;
use openclaw_ai_fabric::{ModelError, TimeoutPhase};
use rustls::CertificateError;
use std::error::Error;
use std::io::ErrorKind;

/// The most characters of a cause that is not known here.
const SHOWN_CHARS: usize = 120;

/// What a model's call that brought no answer means: which host, and what stood in the way, in one short line. The chain
/// of causes goes to the log, at debug.
pub fn unreachable(error: CallError) -> ModelError {
    let host = host(&error);
    let words = words(&error);
    let timed_out = error.is_timeout() && !error.is_connect();
    tracing::debug!(host, chain = chain(error), "a call brought no answer");
    if timed_out {
        return ModelError::Timeout {
            phase: TimeoutPhase::FirstToken,
        };
    }
    let message = match host {
        Some(host) => format!("{host}: {words}"),
        None => words,
    };
    ModelError::Connect {
        message: ModelError::text(&message),
    }
}

/// `host`, or `host:port` where the port is not the usual one.
fn host(error: &CallError) -> Option<String> {
    let url = error.url()?;
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// What stood in the way.
fn words(error: &CallError) -> String {
    if error.is_timeout() {
        return "no connection in time".to_owned();
    }
    match causes(error).find_map(|cause| known(cause, error.is_connect())) {
        Some(words) => words.to_owned(),
        None => {
            let deepest = causes(error).last().map_or_else(String::new, ToString::to_string);
            // The system's words, without its number behind them.
            let text = deepest.split(" (os error").next().unwrap_or_default();
            text.chars().take(SHOWN_CHARS).collect()
        }
    }
}

fn causes(error: &CallError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// What is known of one cause. The outermost that is known counts: what a proxy could not do is not its host's.
fn known(cause: &(dyn Error + 'static), while_opening: bool) -> Option<&'static str> {
    if let Some(system) = cause.downcast_ref::<std::io::Error>() {
        // What an error of the system wraps is not among its sources.
        if let Some(words) = system.get_ref().and_then(|inner| known(inner, while_opening)) {
            return Some(words);
        }
        match system.kind() {
            ErrorKind::ConnectionRefused => return Some("the connection is refused"),
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
                return Some("the network knows no way there");
            }
            ErrorKind::TimedOut => return Some("no connection in time"),
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => {
                return Some(match while_opening {
                    true => "the connection was lost while it was opened",
                    false => "the connection was lost",
                });
            }
            _ => {}
        }
    }
    if let Some(tls) = cause.downcast_ref() {
        return Some(tls_words(tls));
    }
    // The errors of resolver, proxy and protocol have neither types nor kinds that can be seen from here.
    let text = cause.to_string();
    if text.starts_with("dns error") {
        return Some("its name cannot be resolved");
    }
    if let Some(tunnel) = text.strip_prefix("tunnel error: ") {
        return Some(match tunnel {
            "failed to create underlying connection" => "its proxy cannot be reached",
            "proxy authorization required" => "its proxy wants a name and a password",
            _ => "its proxy opens no connection to it",
        });
    }
    text.contains("connection closed before message completed")
        .then_some("it closed the connection without an answer")
}

fn tls_words(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => "its certificate is signed by nobody this machine trusts",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            _ => "its certificate is not accepted",
        },
        rustls::Error::InvalidMessage(_) => "it does not speak TLS",
        _ => "its TLS is not accepted",
    }
}

/// Every cause, outermost first, without the address, which may hold a secret.
fn chain(error: CallError) -> String {
    let error = error.without_url();
    causes(&error).fold(error.to_string(), |mut text, cause| {
        let cause = cause.to_string();
        // Some causes repeat what they wrap.
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpClientConfig;
    use reqwest::dns::{Name, Resolve, Resolving};
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;

    /// Knows no name.
    struct NoNames;

    impl Resolve for NoNames {
        fn resolve(&self, _: Name) -> Resolving {
            let error =
                std::io::Error::other("failed to lookup address information: Name or service not known");
            Box::pin(std::future::ready(Err(error.into())))
        }
    }

    /// Answers one connection with these bytes and closes it.
    fn answers(bytes: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            // What is not read is answered with a reset.
            assert_ne!(socket.read(&mut [0; 4_096]).unwrap(), 0);
            socket.write_all(bytes).unwrap();
        });
        address
    }

    /// What is told of a call to this address, and the chain behind it.
    async fn told(client: &reqwest::Client, url: &str) -> (String, String) {
        let call = || async { client.get(url).send().await.unwrap_err() };
        let error = call().await;
        let message = match unreachable(error) {
            ModelError::Connect { message } => message,
            other => panic!("{other}"),
        };
        (message, chain(call().await))
    }

    #[tokio::test]
    async fn a_call_without_an_answer_names_its_host_and_what_failed_in_one_short_line() {
        crate::ensure_crypto();
        let nameless = reqwest::Client::builder().dns_resolver(Arc::new(NoNames)).build();
        let (message, chain) = told(
            &nameless.unwrap(),
            "https://user:hush@nowhere.invalid/bot-secret/x?key=hush",
        )
        .await;
        assert_eq!(message, "nowhere.invalid: its name cannot be resolved");
        assert!(
            chain.contains("dns error") && chain.contains("Name or service not known"),
            "{chain}"
        );
        assert!(!chain.contains("hush") && !chain.contains("secret"), "{chain}");

        let client = HttpClientConfig::default().build().unwrap();
        // Port 1 of loopback: nothing listens there.
        let (message, _) = told(&client, "http://127.0.0.1:1/bot-secret/x?key=hush").await;
        assert_eq!(message, "127.0.0.1:1: the connection is refused");
        let proxied = HttpClientConfig {
            proxy: Some("http://127.0.0.1:1".to_owned()),
            ..HttpClientConfig::default()
        };
        let (message, _) = told(&proxied.build().unwrap(), "https://api.example/v1").await;
        assert_eq!(message, "api.example: its proxy cannot be reached");
    }

    #[tokio::test]
    async fn what_speaks_no_tls_or_says_nothing_is_told() {
        let client = HttpClientConfig::default().build().unwrap();
        for (scheme, bytes, words) in [
            (
                "https",
                &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
                "it does not speak TLS",
            ),
            ("https", b"", "the connection was lost while it was opened"),
            ("http", b"", "it closed the connection without an answer"),
        ] {
            let address = answers(bytes);
            let error = client
                .get(format!("{scheme}://{address}/"))
                .send()
                .await
                .unwrap_err();
            let message = format!("{address}: {words}");
            assert_eq!(unreachable(error), ModelError::Connect { message });
        }
    }
}
