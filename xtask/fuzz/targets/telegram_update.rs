//! Telegram updates: messages that can be stored under a name of their own, or none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_core::{Secret, TenantId, Timestamp};
use openclaw_messenger::Parsed;
use openclaw_telegram::update::parse_update;
use openclaw_telegram::{BotIdentity, TelegramConfig};

fuzz_target!(|body: &[u8]| {
    let config = TelegramConfig::new(Secret::new("1:t"));
    let identity = BotIdentity {
        id: 1,
        username: "our_bot".to_owned(),
    };
    for identity in [None, Some(&identity)] {
        let parsed = parse_update(body, &config, identity, Timestamp::from_millis(9));
        match parsed {
            Ok(Parsed::Messages(messages)) => {
                for message in messages {
                    let tenant = message.tenant_id();
                    assert_eq!(TenantId::parse(&tenant.to_string()), Ok(tenant));
                    assert!(!message.update_key.is_empty());
                }
            }
            Ok(Parsed::Migrated { from, to }) => assert!(!from.as_str().is_empty() && !to.as_str().is_empty()),
            Ok(Parsed::Ignored { kind }) => assert!(!kind.is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
