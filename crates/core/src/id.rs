//! Identifiers: parsed once at the edge, then carried as proof.
//!
//! One newtype per identifier, so that two of them cannot change places. `Display` and `FromStr` are inverse to each
//! other and serde uses the same text.

use crate::platform::Platform;
use crate::ports::Random;
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use uuid::Uuid;

/// The longest part of a tenant identifier, in bytes.
pub const MAX_PART_BYTES: usize = 128;
/// The longest model, provider or plugin identifier, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("{kind} must not be empty")]
    Empty {
        /// Which identifier.
        kind: &'static str,
    },
    /// Longer than the limit.
    #[error("{kind} is {bytes} bytes long, {limit} are allowed")]
    TooLong {
        /// Which identifier.
        kind: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A control character, or the separator inside a part.
    #[error("{kind} contains {character:?}, which is not allowed in it")]
    Forbidden {
        /// Which identifier.
        kind: &'static str,
        /// The character.
        character: char,
    },
    /// Not `{platform}:{userId}:{chatId}`.
    #[error("a tenant id has three parts, platform:user:chat; this has {parts}")]
    Parts {
        /// How many parts were found.
        parts: usize,
    },
    /// The first part is not a platform.
    #[error("unknown platform `{value}`; expected telegram, max, web or api")]
    UnknownPlatform {
        /// What was given, cut to 32 characters.
        value: String,
    },
    /// Not a session id.
    #[error("a session id starts with `session:`")]
    NotASession,
    /// Not a UUID.
    #[error("a correlation id is a UUID")]
    NotAUuid,
}

fn check(kind: &'static str, text: &str, limit: usize, separator: Option<char>) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { kind });
    }
    if text.len() > limit {
        return Err(IdError::TooLong {
            kind,
            bytes: text.len(),
            limit,
        });
    }
    match text.chars().find(|c| c.is_control() || Some(*c) == separator) {
        Some(character) => Err(IdError::Forbidden { kind, character }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $limit:expr, $separator:expr) => {
        $(#[$doc])*
        ///
        /// Cheap to clone. Never empty, bounded, without control characters.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and takes it.
            pub fn parse(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                check($kind, text, $limit, $separator)?;
                Ok(Self(Arc::from(text)))
            }

            /// The identifier as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A person on a platform: the platform's own number or name for them.
    UserId, "user id", MAX_PART_BYTES, Some(':')
);
text_id!(
    /// A conversation on a platform. In a Telegram forum it is `{chat}.{topic}`.
    ChatId, "chat id", MAX_PART_BYTES, Some(':')
);
text_id!(
    /// A message as its platform names it.
    MessageId, "message id", MAX_PART_BYTES, None
);
text_id!(
    /// Which of our bots on a platform; one per platform today.
    BotId, "bot id", MAX_PART_BYTES, None
);
text_id!(
    /// A model as its provider names it, or an alias of the configuration.
    ModelId, "model id", MAX_NAME_BYTES, None
);
text_id!(
    /// A model provider of the configuration.
    ProviderId, "provider id", MAX_NAME_BYTES, None
);
text_id!(
    /// A plugin, as its manifest names it.
    PluginId, "plugin id", MAX_NAME_BYTES, None
);

impl ChatId {
    /// The chat without its forum topic: `-100500` of `-100500.7`. Limits and blocking belong to it.
    pub fn bare(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(chat, _)| chat)
    }

    /// The forum topic, if the chat part names one.
    pub fn topic(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, topic)| topic)
    }
}

impl Default for BotId {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

/// Who is talking: `{platform}:{userId}:{chatId}`. One person in two chats is two tenants.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId {
    platform: Platform,
    user: UserId,
    chat: ChatId,
}

impl TenantId {
    /// Joins three parts that have been checked.
    pub fn new(platform: Platform, user: UserId, chat: ChatId) -> Self {
        Self { platform, user, chat }
    }

    /// Parses strictly: three parts, none empty, at most 128 bytes each, no control characters.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let mut parts = text.split(':');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(platform), Some(user), Some(chat), None) => Ok(Self {
                platform: platform.parse()?,
                user: UserId::parse(user)?,
                chat: ChatId::parse(chat)?,
            }),
            _ => Err(IdError::Parts {
                parts: text.split(':').count(),
            }),
        }
    }

    /// The platform part.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The user part.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The chat part.
    pub fn chat(&self) -> &ChatId {
        &self.chat
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.platform, self.user, self.chat)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({self})")
    }
}

impl FromStr for TenantId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for TenantId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A tenant's conversation: `session:{tenantId}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(TenantId);

impl SessionId {
    /// The session of a tenant; there is one.
    pub fn of(tenant: TenantId) -> Self {
        Self(tenant)
    }

    /// Whose session it is.
    pub fn tenant(&self) -> &TenantId {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session:{}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl FromStr for SessionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("session:")
            .ok_or(IdError::NotASession)
            .and_then(TenantId::parse)
            .map(Self)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What one message is found by in logs, events and traces. A UUID version 7, so it sorts by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CorrelationId(Uuid);

impl CorrelationId {
    /// Makes a new one from the time and from chance.
    pub fn new(now: Timestamp, random: &dyn Random) -> Self {
        let mut bytes = [0_u8; 10];
        random.fill(&mut bytes);
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }

    /// The UUID inside.
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CorrelationId({})", self.0)
    }
}

impl FromStr for CorrelationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self).map_err(|_| IdError::NotAUuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRandom;
    use proptest::prelude::*;

    #[track_caller]
    fn refused(text: &str, expected: &IdError) {
        assert_eq!(TenantId::parse(text).as_ref(), Err(expected), "{text:?}");
    }

    #[test]
    fn a_tenant_id_is_parsed_strictly() {
        refused("telegram:1", &IdError::Parts { parts: 2 });
        refused("telegram:1:2:3", &IdError::Parts { parts: 4 });
        refused("telegram::2", &IdError::Empty { kind: "user id" });
        refused("telegram:1:", &IdError::Empty { kind: "chat id" });
        refused("icq:1:2", &IdError::UnknownPlatform { value: "icq".into() });
        refused(
            "telegram:1\n:2",
            &IdError::Forbidden {
                kind: "user id",
                character: '\n',
            },
        );
        refused(
            &format!("web:{}:2", "x".repeat(129)),
            &IdError::TooLong {
                kind: "user id",
                bytes: 129,
                limit: 128,
            },
        );
        assert!(TenantId::parse(&format!("web:{}:2", "x".repeat(128))).is_ok());
    }

    #[test]
    fn a_forum_topic_is_part_of_the_chat() {
        let chat = ChatId::parse("-100500.7").unwrap();
        assert_eq!((chat.bare(), chat.topic()), ("-100500", Some("7")));
        assert_eq!(ChatId::parse("-100500").unwrap().topic(), None);
    }

    #[test]
    fn correlation_ids_sort_by_time() {
        let random = SeededRandom::new(7);
        let early = CorrelationId::new(Timestamp::from_millis(1_000), &random);
        let late = CorrelationId::new(Timestamp::from_millis(2_000), &random);
        assert!(early < late);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(early.as_uuid().get_version_num(), 7);
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(user in "[^:\\pC]{1,30}", chat in "[^:\\pC]{1,30}", which in 0_usize..4) {
            let tenant = TenantId::new(Platform::ALL[which], user.parse().unwrap(), chat.parse().unwrap());
            prop_assert_eq!(tenant.to_string().parse::<TenantId>(), Ok(tenant.clone()));
            let json = serde_json::to_string(&tenant).unwrap();
            prop_assert_eq!(&serde_json::from_str::<TenantId>(&json).unwrap(), &tenant);
            let session = SessionId::of(tenant);
            prop_assert_eq!(session.to_string().parse::<SessionId>(), Ok(session));
        }

        #[test]
        fn any_text_parses_to_itself_or_is_refused(text in "\\PC{0,60}") {
            if let Ok(tenant) = text.parse::<TenantId>() {
                prop_assert_eq!(tenant.to_string(), text);
            }
        }
    }
}
