//! The configuration as the server uses it: one struct per section, spelt in the file as in the manual.
//!
//! Fields of the sections that another crate owns (`concurrency`, `streaming`, the limits of `messenger`,
//! `ai-fabric` and `session`) are optional: what nobody set is decided by that crate, so that each default has one
//! home. Fields of the server's own are always there; their defaults stand in the schema.

use super::ai_fabric::AiFabricSection;
use super::secrets::SecretRef;
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything the file, the environment and the flags can say.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Sections {
    /// The version of the file's own format.
    #[serde(rename = "configVersion")]
    #[expect(dead_code, reason = "the schema checks it; here it keeps the key known")]
    pub(crate) version: u32,
    /// `[server]`
    pub(crate) server: ServerSection,
    /// `[storage]`
    pub(crate) storage: StorageSection,
    /// `[concurrency]`
    #[serde(default)]
    pub(crate) concurrency: ConcurrencySection,
    /// `[streaming]`
    #[serde(default)]
    pub(crate) streaming: StreamingSection,
    /// `[messenger]`
    pub(crate) messenger: MessengerSection,
    /// `[ai-fabric]`
    #[serde(rename = "ai-fabric", default)]
    pub(crate) ai_fabric: AiFabricSection,
    /// `[session]`
    pub(crate) session: SessionSection,
    /// `[plugins]`
    #[serde(default)]
    pub(crate) plugins: PluginsSection,
    /// `[inbox]`
    pub(crate) inbox: InboxSection,
    /// `[logging]`
    pub(crate) logging: LoggingSection,
}

/// The HTTP edge.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ServerSection {
    /// Where it listens; `PORT` replaces the port.
    pub(crate) listen: SocketAddr,
    /// The address people and platforms reach it by; none: long polling.
    #[serde(deserialize_with = "none_when_empty", default)]
    pub(crate) public_url: Option<String>,
    /// Names the server may be called by, beside those of its machine and of `publicUrl`.
    pub(crate) allowed_hosts: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed and whose connections are not counted per address.
    pub(crate) trusted_proxies: Vec<std::net::IpAddr>,
    /// The longest request body.
    pub(crate) body_limit: ByteSize,
    /// How long a request's head may take to arrive.
    #[serde(rename = "headerTimeoutMs", deserialize_with = "millis")]
    pub(crate) header_timeout: Duration,
    /// How long a request's body may take to arrive; streams out are exempt.
    #[serde(rename = "requestTimeoutMs", deserialize_with = "millis")]
    pub(crate) request_timeout: Duration,
    /// How long running turns may go on after SIGTERM.
    #[serde(rename = "shutdownGraceMs", deserialize_with = "millis")]
    pub(crate) shutdown_grace: Duration,
    /// Open connections, all addresses together.
    pub(crate) max_connections: usize,
    /// Open connections of one address; loopback and trusted proxies are exempt.
    pub(crate) max_connections_per_address: usize,
    /// The server's own language: `auto`, `ru` or `en`.
    pub(crate) locale: Locale,
    /// The operator's token for console and admin API; none: the one in the data directory.
    pub(crate) admin_token: Option<SecretRef>,
    /// The operator's API key; none: the one in the data directory.
    pub(crate) api_key: Option<SecretRef>,
}

/// The language of the terminal, and of people of whom nobody knows what they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Locale {
    /// By `LANG`.
    Auto,
    /// Russian.
    Ru,
    /// English.
    En,
}

/// Where state is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StorageSection {
    /// Which store.
    pub(crate) kind: StorageKind,
    /// The data directory; none: the platform's.
    #[serde(deserialize_with = "none_when_empty", default)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Whether texts of conversations are stored; `false` keeps history in memory only.
    pub(crate) store_texts: bool,
    /// How long texts of conversations are kept.
    #[serde(rename = "textRetentionDays", deserialize_with = "days")]
    pub(crate) text_retention: Duration,
}

/// The stores of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StorageKind {
    /// Nothing survives the process.
    Memory,
    /// The embedded durable store.
    Sqlite,
}

/// The worker pool. What is not set is the preset's or the pool's own default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ConcurrencySection {
    pub(crate) preset: Option<String>,
    pub(crate) runtime: RuntimeKind,
    /// The program of worker processes and its arguments.
    pub(crate) command: Option<Vec<String>>,
    /// Where worker processes run.
    pub(crate) directory: Option<PathBuf>,
    /// Variables worker processes get, by name.
    pub(crate) env: Option<Vec<String>>,
    pub(crate) min_workers: Option<u64>,
    pub(crate) max_workers: Option<u64>,
    pub(crate) max_queue_size: Option<u64>,
    pub(crate) worker_timeout_ms: Option<u64>,
    pub(crate) max_requests_per_worker: Option<u64>,
    pub(crate) memory_limit_mb: Option<u64>,
    pub(crate) backpressure_threshold: Option<f64>,
    pub(crate) heartbeat_interval_ms: Option<u64>,
    pub(crate) stuck_threshold_ms: Option<u64>,
    pub(crate) starvation_limit_ms: Option<u64>,
    pub(crate) latency_window_ms: Option<u64>,
}

/// What a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RuntimeKind {
    /// A task of the server, which asks a model.
    #[default]
    Task,
    /// A process, which answers in a model's place.
    Process,
}

/// Streaming: for all platforms, and what differs on one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct StreamingSection {
    pub(crate) flush_token_threshold: Option<u64>,
    pub(crate) flush_timeout_ms: Option<u64>,
    pub(crate) max_message_length: Option<u64>,
    pub(crate) typing_indicator_interval_ms: Option<u64>,
    pub(crate) telegram: StreamOverrides,
    pub(crate) max: StreamOverrides,
    pub(crate) web: StreamOverrides,
    pub(crate) api: StreamOverrides,
}

/// The streaming parameters of one platform. `maxMessageLength` 0 is unlimited, `typingIndicatorIntervalMs` 0 is off.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct StreamOverrides {
    pub(crate) flush_token_threshold: Option<u64>,
    pub(crate) flush_timeout_ms: Option<u64>,
    pub(crate) max_message_length: Option<u64>,
    pub(crate) typing_indicator_interval_ms: Option<u64>,
}

/// The platforms people write from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MessengerSection {
    /// Servers that share the platforms' limits; they are divided by it.
    pub(crate) instances: u64,
    /// The manual's table.
    #[serde(default)]
    pub(crate) rate_limits: RateLimits,
    /// Telegram.
    pub(crate) telegram: TelegramSection,
    /// MAX.
    pub(crate) max: MaxSection,
    /// The chat page.
    pub(crate) web: WebSection,
}

/// One limit per platform.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RateLimits {
    pub(crate) telegram: RateLimitFields,
    pub(crate) max: RateLimitFields,
    pub(crate) web: RateLimitFields,
    pub(crate) api: RateLimitFields,
}

/// A token bucket.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RateLimitFields {
    /// Calls a second.
    pub(crate) rps: Option<f64>,
    /// Calls at once.
    pub(crate) burst_size: Option<u64>,
}

/// The Telegram bot.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TelegramSection {
    /// The bot's token; the platform is on when it is given.
    pub(crate) token: Option<SecretRef>,
    /// The webhook secret; none: made and kept by the server.
    pub(crate) secret: Option<SecretRef>,
    /// How updates arrive.
    pub(crate) mode: IntakeMode,
    /// How an answer grows in the chat.
    pub(crate) stream_mode: StreamMode,
    /// The Bot API server.
    pub(crate) base_url: String,
    /// When the bot answers in groups.
    pub(crate) groups: GroupMode,
    /// Calls to one private chat; none: the adapter's own.
    #[serde(default)]
    pub(crate) private_chat: RateLimitFields,
    /// Calls to one group; none: the adapter's own.
    #[serde(default)]
    pub(crate) group_chat: RateLimitFields,
}

/// The MAX bot.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MaxSection {
    /// The bot's token; the platform is on when it is given.
    pub(crate) token: Option<SecretRef>,
    /// The webhook secret; none: made by the server where it registers the webhook.
    pub(crate) secret: Option<SecretRef>,
    /// How updates arrive.
    pub(crate) mode: IntakeMode,
    /// How an answer grows in the chat. There are no drafts.
    pub(crate) stream_mode: StreamMode,
    /// The API server.
    pub(crate) base_url: String,
    /// A file of certificates trusted beside the system's.
    pub(crate) root_certificate: Option<PathBuf>,
    /// When the bot answers in groups.
    pub(crate) groups: GroupMode,
    /// Calls to one private chat; none: the adapter's own.
    #[serde(default)]
    pub(crate) private_chat: RateLimitFields,
    /// Calls to one group; none: the adapter's own.
    #[serde(default)]
    pub(crate) group_chat: RateLimitFields,
}

/// How updates arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IntakeMode {
    /// Webhook when `server.publicUrl` is set, else long polling.
    Auto,
    /// Long polling.
    Polling,
    /// Webhook; registered when `server.publicUrl` is set.
    Webhook,
}

/// How an answer grows in the chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StreamMode {
    /// Drafts where the platform has them, edits elsewhere.
    Auto,
    /// Drafts.
    Draft,
    /// Edits.
    Edit,
    /// The whole answer at the end.
    Off,
}

/// When the bot answers in groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GroupMode {
    /// When it is mentioned, replied to or given a command.
    Addressed,
    /// Always.
    All,
    /// Never.
    Off,
}

/// The chat page.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WebSection {
    /// Whether it is served.
    pub(crate) enabled: bool,
    /// A key of the web platform for sites that speak for their visitors.
    pub(crate) api_key: Option<SecretRef>,
}

/// Conversations.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SessionSection {
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) max_history_tokens: Option<u64>,
    pub(crate) history_policy: Option<String>,
    pub(crate) cleanup_interval_ms: Option<u64>,
    pub(crate) default_tier: Option<String>,
    /// The output a chat's turn asks for.
    pub(crate) max_reply_tokens: u64,
    /// What every conversation begins with; empty: nothing.
    #[serde(deserialize_with = "none_when_empty", default)]
    pub(crate) system_prompt: Option<String>,
}

/// Plugins. What is not set is the dispatcher's own default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PluginsSection {
    pub(crate) hook_timeout_ms: Option<u64>,
    pub(crate) failures_to_error: Option<u64>,
}

/// Accepted messages that wait.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct InboxSection {
    /// Open entries; beyond it webhooks get 503.
    pub(crate) max_open: usize,
    /// How long an entry may wait for the pool.
    #[serde(rename = "admissionDeadlineMs", deserialize_with = "millis")]
    pub(crate) admission_deadline: Duration,
    /// Older entries are closed with an apology at start.
    #[serde(rename = "replayMaxAgeMs", deserialize_with = "millis")]
    pub(crate) replay_max_age: Duration,
    /// Crashed attempts after which an entry is set aside.
    pub(crate) max_attempts: u32,
}

/// Logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LoggingSection {
    /// A level, and levels by module: `info,concurrency=debug`.
    pub(crate) level: String,
    /// The form of a line.
    pub(crate) format: LogFormat,
    /// Levels by module.
    #[serde(default)]
    pub(crate) levels: BTreeMap<String, String>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Readable on a terminal, JSON elsewhere.
    Auto,
    /// Readable.
    Pretty,
    /// One JSON object a line, pino's shape.
    Json,
}

/// A number of bytes, written as a number or as `"1MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) usize);

// === impl LoggingSection ===

impl LoggingSection {
    /// All of it in the form that [`crate::telemetry::LogFilter`] reads.
    pub(crate) fn directives(&self) -> String {
        let mut directives = self.level.clone();
        for (module, level) in &self.levels {
            directives.push_str(&format!(",{module}={level}"));
        }
        directives
    }
}

// === impl ByteSize ===

impl ByteSize {
    /// Reads `1024`, `"64KiB"`, `"1MiB"`, `"1 GiB"`, and the decimal `kB`, `MB`, `GB`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(digits)?;
        let factor: usize = match unit.trim() {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "KiB" => 1 << 10,
            "MB" => 1_000_000,
            "MiB" => 1 << 20,
            "GB" => 1_000_000_000,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.parse::<usize>().ok()?.checked_mul(factor).map(Self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes or a text such as \"1MiB\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ByteSize, E> {
                usize::try_from(number)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ByteSize, E> {
                usize::try_from(number)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                ByteSize::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let days = u64::deserialize(deserializer)?;
    Ok(Duration::from_secs(days.saturating_mul(86_400)))
}

fn none_when_empty<'de, D: Deserializer<'de>, T: From<String>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| T::from(text)))
}
