//! Webhook secrets and their rotation: up to two are valid at once, each with an optional end.

use openclaw_core::{Secret, Timestamp};

/// A webhook secret and how long it is believed.
#[derive(Clone, Debug)]
pub struct WebhookSecret {
    /// The secret itself.
    pub secret: Secret,
    /// It is not believed from this time on; `None` is for ever.
    pub valid_until: Option<Timestamp>,
}

/// The secrets a platform's requests may carry: none, one, or two while one is being rotated.
#[derive(Clone, Debug, Default)]
pub struct WebhookSecrets {
    current: Option<WebhookSecret>,
    previous: Option<WebhookSecret>,
}

// === impl WebhookSecret ===

impl WebhookSecret {
    /// A secret without an end.
    pub fn new(secret: Secret) -> Self {
        Self {
            secret,
            valid_until: None,
        }
    }

    /// A secret with an end.
    pub fn until(secret: Secret, valid_until: Timestamp) -> Self {
        Self {
            secret,
            valid_until: Some(valid_until),
        }
    }

    /// Whether it is believed at `now`. An empty secret never is.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        !self.secret.expose().is_empty() && self.valid_until.is_none_or(|until| now < until)
    }
}

// === impl WebhookSecrets ===

impl WebhookSecrets {
    /// Nobody is believed.
    pub fn none() -> Self {
        Self::default()
    }

    /// One secret without an end.
    pub fn one(secret: Secret) -> Self {
        Self {
            current: Some(WebhookSecret::new(secret)),
            previous: None,
        }
    }

    /// A new secret beside the one it replaces.
    pub fn rotating(current: WebhookSecret, previous: WebhookSecret) -> Self {
        Self {
            current: Some(current),
            previous: Some(previous),
        }
    }

    /// Puts a new secret beside the current one, which is believed until `overlap_ends`. A third one is forgotten.
    #[must_use]
    pub fn rotate(self, new: Secret, overlap_ends: Timestamp) -> Self {
        Self {
            current: Some(WebhookSecret::new(new)),
            previous: self
                .current
                .map(|old| WebhookSecret::until(old.secret, overlap_ends)),
        }
    }

    /// Forgets the secret that was replaced.
    #[must_use]
    pub fn settled(self) -> Self {
        Self {
            current: self.current,
            previous: None,
        }
    }

    /// The secret to register with the platform.
    pub fn current(&self) -> Option<&WebhookSecret> {
        self.current.as_ref()
    }

    /// All secrets, the newest first, believed or not.
    pub fn all(&self) -> impl Iterator<Item = &WebhookSecret> {
        self.current.iter().chain(self.previous.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(secrets: &WebhookSecrets, now: i64) -> Vec<String> {
        secrets
            .all()
            .filter(|secret| secret.is_valid(Timestamp::from_millis(now)))
            .map(|secret| secret.secret.expose().to_owned())
            .collect()
    }

    #[test]
    fn two_secrets_are_believed_until_the_overlap_ends() {
        let secrets =
            WebhookSecrets::one(Secret::new("old")).rotate(Secret::new("new"), Timestamp::from_millis(100));
        assert_eq!(texts(&secrets, 99), ["new", "old"]);
        assert_eq!(texts(&secrets, 100), ["new"]);
        assert_eq!(texts(&secrets.settled(), 0), ["new"]);
    }

    #[test]
    fn an_empty_secret_is_never_believed() {
        assert!(texts(&WebhookSecrets::one(Secret::new("")), 0).is_empty());
    }
}
