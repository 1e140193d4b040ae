//! Who is believed, and what is told about it.

use crate::platform::{MemoryPlatform, correlation, events};
use futures::FutureExt;
use futures::StreamExt;
use openclaw_core::testing::ManualClock;
use openclaw_core::{Platform, Secret};
use openclaw_messenger::{ParseError, Parsed, SecurityError, WebhookRouter, WebhookSecrets};
use std::time::Duration;

const PLATFORM: Platform = Platform::Telegram;

#[test]
fn the_sender_is_believed_by_a_valid_secret_only() {
    let clock = ManualClock::new();
    let (bus, context) = events(&clock);
    let mut all = bus.subscribe_all(16);
    let router = WebhookRouter::new(clock.clone(), &context);
    let none: [(&str, &[u8]); 0] = [];
    let good: [(&str, &[u8]); 1] = [("X-Secret", b"first")];
    let id = correlation();

    let refused =
        |headers: &dyn openclaw_messenger::Headers| router.authenticate(PLATFORM, headers, id).err();
    assert_eq!(
        refused(&good),
        Some(SecurityError::NotRegistered { platform: PLATFORM })
    );
    router.register(MemoryPlatform::new(&clock), WebhookSecrets::none());
    assert_eq!(
        refused(&good),
        Some(SecurityError::NoSecret { platform: PLATFORM })
    );
    let secrets = WebhookSecrets::one(Secret::new("first"));
    assert!(router.set_secrets(PLATFORM, secrets.clone()));
    assert!(!router.set_secrets(Platform::Max, WebhookSecrets::none()));
    assert_eq!(
        refused(&none),
        Some(SecurityError::MissingSecret { platform: PLATFORM })
    );
    assert_eq!(refused(&good), None);

    let overlap_ends = openclaw_core::Clock::now(clock.as_ref()) + Duration::from_secs(600);
    router.set_secrets(PLATFORM, secrets.rotate(Secret::new("second"), overlap_ends));
    assert_eq!(refused(&good), None, "during the overlap");
    clock.advance(Duration::from_secs(600));
    assert_eq!(
        refused(&good),
        Some(SecurityError::WrongSecret { platform: PLATFORM })
    );

    let reasons: Vec<_> = std::iter::from_fn(|| all.next().now_or_never().flatten())
        .map(|event| {
            (
                event.name(),
                event.to_json()["payload"]["reason"].clone(),
                event.correlation_id(),
            )
        })
        .collect();
    let expected = [
        "not_registered",
        "no_secret_configured",
        "missing_secret",
        "wrong_secret",
    ]
    .map(|reason| ("messenger.webhook.validation_failed", reason.into(), Some(id)));
    assert_eq!(reasons, expected);
}

#[test]
fn a_body_is_read_under_its_proof_and_told_about() {
    let clock = ManualClock::new();
    let (bus, context) = events(&clock);
    let received = bus.subscribe_all(16);
    let router = WebhookRouter::new(clock.clone(), &context);
    router.register(MemoryPlatform::new(&clock), WebhookSecrets::one(Secret::new("s")));
    let headers: [(&str, &[u8]); 1] = [("x-secret", b"s")];
    let id = correlation();
    let proof = router.authenticate(PLATFORM, &headers, id).unwrap();
    assert_eq!(proof.platform(), PLATFORM);
    assert_eq!(
        router.parse(&proof, b"{}", id),
        Err(ParseError::Field { field: "update_id" })
    );
    assert_eq!(
        router.parse(&proof, b"poll", id),
        Ok(Parsed::Ignored { kind: "poll".into() })
    );
    assert!(matches!(
        router.parse(&proof, b"migrated", id),
        Ok(Parsed::Migrated { .. })
    ));
    let told: Vec<_> = std::iter::from_fn(|| received.try_next())
        .map(|event| {
            let json = event.to_json();
            (
                event.name(),
                json["payload"]["kind"].clone(),
                json["payload"]["bytes"].clone(),
            )
        })
        .collect();
    let name = "messenger.webhook.received";
    assert_eq!(
        told,
        [
            (name, "malformed".into(), 2.into()),
            (name, "poll".into(), 4.into()),
            (name, "migrated".into(), 8.into()),
        ]
    );
}
