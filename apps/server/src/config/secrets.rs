//! Secrets: the configuration holds references to them, never the secrets themselves.

use super::environment::Environment;
use crate::texts::{Said, Texts};
use openclaw_core::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The fewest characters of a token or key that the operator sets.
pub(crate) const MIN_SECRET_CHARS: usize = 16;
/// The characters after the colon of a Telegram bot's token, today.
pub(crate) const BOT_TOKEN_CHARS: usize = 35;
/// With fewer, something was lost on the way: Telegram has never given shorter ones.
const MIN_BOT_TOKEN_CHARS: usize = 30;

/// Where a secret lies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SecretRef {
    /// In a variable of the environment.
    Env(String),
    /// In a file; white space at its end is not part of it.
    File(PathBuf),
}

/// The secrets of a configuration, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// `server.adminToken`
    pub(crate) admin_token: Option<Secret>,
    /// `server.apiKey`
    pub(crate) api_key: Option<Secret>,
    /// `messenger.telegram.token`
    pub(crate) telegram_token: Option<Secret>,
    /// `messenger.telegram.secret`
    pub(crate) telegram_secret: Option<Secret>,
    /// `messenger.max.token`
    pub(crate) max_token: Option<Secret>,
    /// `messenger.max.secret`
    pub(crate) max_secret: Option<Secret>,
    /// The content of `messenger.max.rootCertificate`; no secret, but read with them.
    pub(crate) max_root_certificate: Option<String>,
    /// `messenger.web.apiKey`
    pub(crate) web_api_key: Option<Secret>,
    /// Those of the providers that have any, by provider id.
    pub(crate) providers: BTreeMap<String, ProviderSecrets>,
}

/// What belongs to a provider and does not stand in the file itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProviderSecrets {
    /// `apiKey`
    pub(crate) api_key: Option<Secret>,
    /// `secretHeaders`
    pub(crate) headers: BTreeMap<String, Secret>,
    /// `secretEnvironment`
    pub(crate) environment: BTreeMap<String, Secret>,
    /// The content of `rootCertificate`; no secret, but read with them.
    pub(crate) root_certificate: Option<String>,
}

/// Why a secret could not be read. Never holds the secret.
#[derive(Debug)]
pub(crate) enum SecretError {
    /// The variable is not set or empty.
    NoVariable {
        /// Its name.
        name: String,
    },
    /// The file could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds nothing.
    Empty {
        /// The file.
        path: PathBuf,
    },
}

// === impl SecretError ===

impl SecretError {
    /// What is told of it.
    pub(crate) fn said(&self) -> Said {
        Said::new(|texts| match self {
            Self::NoVariable { name } => texts.fault_variable_not_set(name),
            Self::Unreadable { path, source } => {
                texts.fault_unreadable(&Texts::path(path), &texts.no_file(source))
            }
            Self::Empty { path } => texts.fault_empty_file(&Texts::path(path)),
        })
    }
}

// === impl ProviderSecrets ===

impl ProviderSecrets {
    /// Whether both say the same. For a reload, which keeps what has not changed.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = |a: &Secret, b: &Secret| a.expose() == b.expose();
        let all_same = |a: &BTreeMap<String, Secret>, b: &BTreeMap<String, Secret>| {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((name, one), (other_name, other))| name == other_name && same(one, other))
        };
        let same_key = match (&self.api_key, &other.api_key) {
            (Some(one), Some(other)) => same(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_key
            && self.root_certificate == other.root_certificate
            && all_same(&self.headers, &other.headers)
            && all_same(&self.environment, &other.environment)
    }
}

// === impl SecretRef ===

impl SecretRef {
    /// Reads it.
    pub(crate) fn read(&self, environment: &dyn Environment) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => environment
                .var(name)
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
                .map(Secret::new)
                .ok_or_else(|| SecretError::NoVariable { name: name.clone() }),
            Self::File(path) => {
                let text = environment
                    .read_file(path)
                    .map_err(|source| SecretError::Unreadable {
                        path: path.clone(),
                        source,
                    })?;
                match text.trim() {
                    "" => Err(SecretError::Empty { path: path.clone() }),
                    text => Ok(Secret::new(text)),
                }
            }
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "{{ env = \"{name}\" }}"),
            Self::File(path) => write!(f, "{{ file = \"{}\" }}", path.display()),
        }
    }
}

/// Whether the operator's token or key is long enough and can be sent in a header as it stands.
pub(crate) fn is_strong(secret: &Secret) -> bool {
    let text = secret.expose();
    text.len() >= MIN_SECRET_CHARS && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether Telegram takes it as a webhook secret: 1 to 256 of `A-Z a-z 0-9 _ -`. MAX takes those from 5 on.
pub(crate) fn is_webhook_secret(secret: &Secret, shortest: usize) -> bool {
    let text = secret.expose();
    (shortest..=256).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Why a text cannot be the token of a Telegram bot; says nothing of its characters but how many there are.
pub(crate) fn bot_token_fault(token: &Secret) -> Option<Said> {
    let text = token.expose();
    let Some((id, rest)) = text.split_once(':') else {
        return Some(Said::new(Texts::token_no_colon));
    };
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Said::new(Texts::token_no_number));
    }
    if !rest
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    {
        return Some(Said::new(Texts::token_strange));
    }
    match rest.len() {
        MIN_BOT_TOKEN_CHARS.. => None,
        few => {
            let few = u64::try_from(few).unwrap_or(u64::MAX);
            Some(Said::new(|texts| texts.token_short(&texts.characters(few))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(token: &str, expected: Option<&str>) {
        let told = bot_token_fault(&Secret::new(token)).map(|fault| fault.to_string());
        assert_eq!(told.as_deref(), expected);
    }

    #[test]
    fn a_bots_token_has_a_number_a_colon_and_enough_of_the_right_characters() {
        check("7000000001:AAF-x_0123456789abcdefghijklmnopqrst", None);
        check("AAFx0123456789abcdefghijklmnopqrstu", Some("it has no colon"));
        let no_number = Some("what stands before the colon is not a number");
        check("bot7000000001:AAFx0123456789abcdefghijklmnopqrstu", no_number);
        check(":AAFx0123456789abcdefghijklmnopqrstu", no_number);
        let strange = Some("after the colon it has a character that no token has");
        check("123456:ABC…", strange);
        check("123456:AAFx0123456789abcdefghijklmnopqrstu\"", strange);
        check("123456:ABC", Some("after the colon it has 3 characters"));
        check("123456:", Some("after the colon it has 0 characters"));
    }
}
