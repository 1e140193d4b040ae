//! Webhook secrets as digests: compared in constant time, whatever the length of what came.

use openclaw_core::{Platform, Timestamp};
use openclaw_messenger::{SecurityError, WebhookSecrets};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// The digests of the secrets that are believed.
#[derive(Default)]
pub struct SecretDigests(Vec<Known>);

struct Known {
    digest: [u8; 32],
    valid_until: Option<Timestamp>,
}

// === impl SecretDigests ===

impl SecretDigests {
    /// Those of a platform. An empty one is none.
    pub fn new(secrets: &WebhookSecrets) -> Self {
        let known = secrets
            .all()
            .filter(|secret| !secret.secret.expose().is_empty())
            .map(|secret| Known {
                digest: Sha256::digest(secret.secret.expose().as_bytes()).into(),
                valid_until: secret.valid_until,
            });
        Self(known.collect())
    }

    /// Whether the header's value is a secret that is believed at `now`.
    pub fn check(
        &self,
        platform: Platform,
        value: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<(), SecurityError> {
        let valid = || {
            self.0
                .iter()
                .filter(move |known| known.valid_until.is_none_or(|until| now < until))
        };
        if valid().next().is_none() {
            return Err(SecurityError::NoSecret { platform });
        }
        let value = value.ok_or(SecurityError::MissingSecret { platform })?;
        let digest: [u8; 32] = Sha256::digest(value).into();
        // Every secret is compared, so that time does not tell which one was near.
        let matches = valid().fold(Choice::from(0), |found, known| {
            found | known.digest.ct_eq(&digest)
        });
        if bool::from(matches) {
            Ok(())
        } else {
            Err(SecurityError::WrongSecret { platform })
        }
    }
}

impl fmt::Debug for SecretDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretDigests")
            .field("known", &self.0.len())
            .finish()
    }
}
