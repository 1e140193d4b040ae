//! What becomes of a call: an error of the client says what is certain, an answer is read within a bound.

use openclaw_messenger::{DeliveryError, DeliveryErrorKind};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

/// Reads an answer whole, up to `limit` bytes. A longer one is unreadable.
pub async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, DeliveryError> {
    let mut answer = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if answer.len() + chunk.len() <= limit => answer.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(unreadable()),
            Ok(None) => return Ok(answer),
            Err(error) => return Err(transport(&error)),
        }
    }
}

/// What an error of the client means. Its text is not used: it names the address, and with it perhaps the token.
pub fn transport(error: &reqwest::Error) -> DeliveryError {
    if error.is_connect() {
        network(DeliveryError::not_sent, why_no_connection(error))
    } else if error.is_builder() {
        network(DeliveryError::not_sent, "the address is not valid")
    } else if error.is_timeout() {
        network(DeliveryError::ambiguous, "no answer in time")
    } else {
        network(DeliveryError::ambiguous, "the connection was lost")
    }
}

/// A failure of the network, of the given certainty.
pub fn network(certainty: fn(DeliveryErrorKind) -> DeliveryError, reason: &'static str) -> DeliveryError {
    certainty(DeliveryErrorKind::Network { reason })
}

/// An answer that says nothing: what was asked for may have been done.
pub fn unreadable() -> DeliveryError {
    DeliveryError::ambiguous(DeliveryErrorKind::Unreadable)
}

/// The pause that an answer asks for in whole seconds.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What kept a connection from being opened, in words without an address.
fn why_no_connection(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        return "no connection in time";
    }
    let mut source = error.source();
    while let Some(cause) = source {
        // The failures of resolver and TLS have no kinds that can be seen from here.
        let text = cause.to_string();
        if text.starts_with("dns error") {
            return "its name cannot be resolved";
        }
        if text.contains("UnknownIssuer") {
            return "its certificate is signed by nobody this machine trusts";
        }
        if text.contains("peer certificate") {
            return "its certificate is not accepted";
        }
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            match cause.kind() {
                ErrorKind::ConnectionRefused => return "the connection is refused",
                ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
                    return "the network knows no way there";
                }
                ErrorKind::InvalidData => return "its certificate or its TLS is not accepted",
                ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
                    return "the connection was lost while it was opened";
                }
                _ => {}
            }
        }
        source = cause.source();
    }
    "no connection"
}
