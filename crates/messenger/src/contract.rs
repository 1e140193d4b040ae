//! What every adapter must pass, whatever its wire format. Called from the adapters' own tests.

use crate::error::SecurityError;
use crate::ports::{Headers, MessengerPort};
use crate::secrets::WebhookSecrets;
use openclaw_core::{Secret, Timestamp};

/// Secrets: fails closed without one, believes both during a rotation and neither's neighbours, forgets in time.
///
/// `header` is the platform's header, in lower case.
#[track_caller]
#[expect(
    clippy::missing_panics_doc,
    reason = "a failed test panics; that is its result"
)]
pub fn webhook_secrets(port: &dyn MessengerPort, header: &str) {
    let (early, late) = (Timestamp::from_millis(999), Timestamp::from_millis(1_000));
    let validate = |value: &str, now| {
        port.validate_webhook_signature(&[(header, value.as_bytes())] as &dyn Headers, now)
    };
    let platform = port.platform();
    let wrong = Err(SecurityError::WrongSecret { platform });

    port.set_webhook_secrets(WebhookSecrets::none());
    assert_eq!(
        validate("anything", early),
        Err(SecurityError::NoSecret { platform })
    );
    assert_eq!(validate("", early), Err(SecurityError::NoSecret { platform }));

    let secrets = WebhookSecrets::one(Secret::new("first-secret")).rotate(Secret::new("second-secret"), late);
    port.set_webhook_secrets(secrets);
    assert_eq!(validate("first-secret", early), Ok(()));
    assert_eq!(validate("second-secret", early), Ok(()));
    for other in [
        "",
        "f",
        "first-secre",
        "first-secret ",
        "first-secrex",
        "FIRST-SECRET",
    ] {
        assert_eq!(validate(other, early), wrong, "{other:?}");
    }
    assert_eq!(validate("first-secret", late), wrong, "the overlap has ended");
    assert_eq!(validate("second-secret", late), Ok(()));
    assert_eq!(
        port.validate_webhook_signature(&[] as &[_; 0] as &dyn Headers, early),
        Err(SecurityError::MissingSecret { platform })
    );
}
