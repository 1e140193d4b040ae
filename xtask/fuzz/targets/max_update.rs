//! Updates of MAX: messages that can be stored under a name of their own, or none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_core::{Secret, TenantId, Timestamp};
use openclaw_max::update::parse_update;
use openclaw_max::{BotIdentity, MaxConfig};
use openclaw_messenger::Parsed;

fuzz_target!(|body: &[u8]| {
    let config = MaxConfig::new(Secret::new("t"));
    let identity = BotIdentity {
        id: 1,
        username: "our_bot".to_owned(),
    };
    for identity in [None, Some(&identity)] {
        let parsed = parse_update(body, &config, identity, Timestamp::from_millis(9));
        // Read again, it is the same: that is what a delivery is known by.
        assert_eq!(parsed, parse_update(body, &config, identity, Timestamp::from_millis(9)));
        match parsed {
            Ok(Parsed::Messages(messages)) => {
                assert!(!messages.is_empty());
                for message in messages {
                    let tenant = message.tenant_id();
                    assert_eq!(TenantId::parse(&tenant.to_string()), Ok(tenant));
                    assert!(!message.update_key.is_empty());
                    assert!(!message.text.contains('\0'));
                }
            }
            Ok(Parsed::Migrated { .. }) => panic!("chats of MAX do not move"),
            Ok(Parsed::Ignored { kind }) => assert!(!kind.is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
