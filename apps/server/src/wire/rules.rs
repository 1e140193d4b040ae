//! The rules of the parts, asked while the configuration is checked: what a part would refuse at start is a fault of the
//! configuration, told with all others.

use super::programs;
use super::providers::provider;
use super::{Workers, chat_limit, concurrency, rate, streaming_options};
use crate::config::sections::{IntakeMode, RuntimeKind, Sections};
use crate::machine::MachineFacts;
use crate::texts::{Said, Texts};
use openclaw_concurrency::Machine;
use openclaw_core::{Platform, ValidationError};
use openclaw_messenger::RateLimits;
use std::collections::BTreeSet;

/// A field of the configuration and why its part refuses it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BrokenRule {
    /// The field's path.
    pub(crate) path: String,
    /// Value and rule.
    pub(crate) message: Said,
}

/// Telegram's own Bot API server.
const TELEGRAM: &str = "https://api.telegram.org";
/// MAX's own API server.
const MAX: &str = "https://platform-api2.max.ru";

/// A field of the pool and the value it has in the end.
pub(crate) type PoolValue = (&'static str, String);

/// Every rule of every part that the sections break, each once.
pub(crate) fn broken_rules(sections: &Sections) -> Vec<BrokenRule> {
    let mut broken = BTreeSet::new();
    let mut ask = |within: &str, answer: anyhow::Result<()>| {
        let Err(error) = answer else { return };
        match error.downcast_ref::<ValidationError>() {
            Some(error) => broken.extend(error.violations.iter().map(|violation| BrokenRule {
                path: path(within, &violation.field),
                message: Said::new(|texts| texts.broken_rule(&violation.value, &violation.rule)),
            })),
            None => {
                broken.insert(BrokenRule {
                    path: within.to_owned(),
                    message: Said::new(|texts| texts.fault_by_part(&format!("{error:#}"))),
                });
            }
        }
    };
    ask("concurrency", concurrency(&sections.concurrency).map(drop));
    ask("concurrency", Workers::of(&sections.concurrency).map(drop));
    for platform in Platform::ALL {
        let resolved =
            streaming_options(&sections.streaming).and_then(|options| Ok(options.resolve(platform)?));
        ask("streaming", resolved.map(drop));
    }
    let (own, defaults) = (&sections.messenger.rate_limits, RateLimits::default());
    for (platform, fields) in [
        ("telegram", &own.telegram),
        ("max", &own.max),
        ("web", &own.web),
        ("api", &own.api),
    ] {
        let field = format!("messenger.rateLimits.{platform}");
        ask(&field, rate(&field, fields, defaults.telegram).map(drop));
    }
    let (telegram, max) = (&sections.messenger.telegram, &sections.messenger.max);
    for (field, fields) in [
        ("messenger.telegram.privateChat", &telegram.private_chat),
        ("messenger.telegram.groupChat", &telegram.group_chat),
        ("messenger.max.privateChat", &max.private_chat),
        ("messenger.max.groupChat", &max.group_chat),
    ] {
        ask(field, chat_limit(field, fields).map(drop));
    }
    broken.extend(webhook_without_secret(sections));
    broken.extend(max_webhook_without_secret(sections));
    broken.extend(webhook_without_tls(sections));
    broken.extend(max_webhook_without_tls(sections));
    broken.extend(programs::missing(sections));
    broken.extend(strangers_of_the_chain(sections));
    broken.into_iter().collect()
}

/// Models of the fallback chain that no configured provider offers: every chat would be told that there is no such model.
fn strangers_of_the_chain(sections: &Sections) -> Vec<BrokenRule> {
    let section = &sections.ai_fabric;
    // Without a configured provider the environment decides which models there are.
    if section.providers.is_empty() || section.providers.iter().any(|provider| provider.any_model) {
        return Vec::new();
    }
    let offered: Vec<String> = section
        .providers
        .iter()
        .filter_map(|own| Some((own, provider(own).ok()?)))
        .flat_map(|(own, provider)| {
            let names = provider
                .models
                .into_iter()
                .flat_map(|model| std::iter::once(model.id).chain(model.aliases))
                .map(|name| name.to_string());
            names
                .flat_map(|model| [format!("{}/{model}", own.id), model])
                .collect::<Vec<_>>()
        })
        .collect();
    let chain = &section.fallback;
    let primary = chain.primary_model.iter().map(|model| ("primaryModel", model));
    let fallbacks = chain.fallbacks.iter().flatten().map(|model| ("fallbacks", model));
    primary
        .chain(fallbacks)
        .filter(|(_, model)| !offered.contains(model))
        .map(|(field, model)| BrokenRule {
            path: format!("ai-fabric.fallback.{field}"),
            message: Said::new(|texts| texts.fault_stranger(&format!("{model:?}"))),
        })
        .collect()
}

/// Whether a bot is to wait for Telegram's calls.
fn bot_by_webhook(sections: &Sections) -> bool {
    let telegram = &sections.messenger.telegram;
    is_webhook(telegram.mode, sections) && telegram.token.is_some()
}

fn is_webhook(mode: IntakeMode, sections: &Sections) -> bool {
    match mode {
        IntakeMode::Webhook => true,
        IntakeMode::Auto => sections.server.public_url.is_some(),
        IntakeMode::Polling => false,
    }
}

/// MAX calls `https` addresses without a port only. A server of one's own may call others, too.
fn max_webhook_without_tls(sections: &Sections) -> Option<BrokenRule> {
    let url = sections.server.public_url.as_deref()?;
    let max = &sections.messenger.max;
    let by_max_itself = max.base_url.trim_end_matches('/') == MAX;
    let host = url
        .strip_prefix("https://")
        .map(|rest| rest.split('/').next().unwrap_or_default());
    // An address of version 6 has colons within brackets.
    let is_taken = host.is_some_and(|host| !host.rsplit(']').next().unwrap_or_default().contains(':'));
    let refused = by_max_itself && !is_taken && is_webhook(max.mode, sections) && max.token.is_some();
    refused.then(|| BrokenRule {
        path: "server.publicUrl".to_owned(),
        message: Said::new(|texts| texts.fault_http_max(url)),
    })
}

/// Where the server does not register the webhook of MAX itself, whoever does must know its secret.
fn max_webhook_without_secret(sections: &Sections) -> Option<BrokenRule> {
    let max = &sections.messenger.max;
    let by_hand = max.mode == IntakeMode::Webhook && sections.server.public_url.is_none();
    (by_hand && max.token.is_some() && max.secret.is_none()).then(|| BrokenRule {
        path: "messenger.max.secret".to_owned(),
        message: Said::new(Texts::fault_no_max_secret),
    })
}

/// Telegram calls `https` addresses only. A Bot API server of one's own may call others, too.
fn webhook_without_tls(sections: &Sections) -> Option<BrokenRule> {
    let url = sections.server.public_url.as_deref()?;
    let by_telegram_itself = sections.messenger.telegram.base_url.trim_end_matches('/') == TELEGRAM;
    let refused = by_telegram_itself && !url.starts_with("https://") && bot_by_webhook(sections);
    refused.then(|| BrokenRule {
        path: "server.publicUrl".to_owned(),
        message: Said::new(|texts| texts.fault_http_telegram(url)),
    })
}

/// Nobody is believed on the webhook path without a secret, so that a bot that waits there would be silent for ever.
fn webhook_without_secret(sections: &Sections) -> Option<BrokenRule> {
    let without = sections.messenger.telegram.secret.is_none();
    (without && bot_by_webhook(sections)).then(|| BrokenRule {
        path: "messenger.telegram.secret".to_owned(),
        message: Said::new(Texts::fault_no_webhook_secret),
    })
}

/// What is allowed and yet unwise on this machine, and what is set and has no effect.
pub(crate) fn advice(sections: &Sections, machine: MachineFacts) -> Vec<BrokenRule> {
    let section = &sections.concurrency;
    let processes = section.runtime == RuntimeKind::Process;
    let mut advice = Vec::new();
    if let Ok(pool) = concurrency(section) {
        let machine = Machine {
            cores: machine.cores.unwrap_or(usize::MAX),
            memory_mb: machine.memory_mb.unwrap_or(u64::MAX),
            process_workers: processes,
            longest_turn: None,
        };
        advice.extend(pool.advice(machine).into_iter().map(|advice| BrokenRule {
            path: path("concurrency", &advice.field),
            message: Said::new(|texts| texts.advised(&advice.value, &advice.rule)),
        }));
    }
    let mut idle = |is_set: bool, path: &str, why: fn(Texts) -> String| {
        if is_set {
            advice.push(BrokenRule {
                path: path.to_owned(),
                message: Said::new(why),
            });
        }
    };
    let fabric = &sections.ai_fabric;
    let answered: fn(Texts) -> String = Texts::idle_processes;
    idle(
        processes && !fabric.providers.is_empty(),
        "ai-fabric.providers",
        answered,
    );
    let chain = fabric.fallback.primary_model.is_some();
    idle(processes && chain, "ai-fabric.fallback.primaryModel", answered);
    idle(
        processes && fabric.first_token_timeout_ms.is_some(),
        "ai-fabric.firstTokenTimeoutMs",
        Texts::idle_first_token,
    );
    let tasks: fn(Texts) -> String = Texts::idle_tasks;
    idle(
        !processes && section.command.is_some(),
        "concurrency.command",
        tasks,
    );
    idle(
        !processes && section.directory.is_some(),
        "concurrency.directory",
        tasks,
    );
    idle(!processes && section.env.is_some(), "concurrency.env", tasks);
    advice.extend(programs::strange_arguments(sections));
    advice
}

/// The configuration's name of a field that a part names in its own way.
fn path(within: &str, field: &str) -> String {
    match field {
        "metricsWindowMs" => "concurrency.latencyWindowMs".to_owned(),
        field if field.contains('.') => field.to_owned(),
        field => format!("{within}.{field}"),
    }
}

/// The pool's values as a preset and single fields make them, for `config show`.
pub(crate) fn pool_values(sections: &Sections) -> Vec<PoolValue> {
    let Ok(pool) = concurrency(&sections.concurrency) else {
        return Vec::new();
    };
    vec![
        ("concurrency.minWorkers", pool.min_workers.to_string()),
        ("concurrency.maxWorkers", pool.max_workers.to_string()),
        ("concurrency.maxQueueSize", pool.max_queue_size.to_string()),
        (
            "concurrency.workerTimeoutMs",
            pool.worker_timeout.as_millis().to_string(),
        ),
        (
            "concurrency.maxRequestsPerWorker",
            pool.max_requests_per_worker.to_string(),
        ),
        ("concurrency.memoryLimitMb", pool.memory_limit_mb.to_string()),
        (
            "concurrency.backpressureThreshold",
            pool.backpressure_threshold.to_string(),
        ),
        (
            "concurrency.heartbeatIntervalMs",
            pool.heartbeat_interval.as_millis().to_string(),
        ),
        (
            "concurrency.stuckThresholdMs",
            pool.stuck_threshold.as_millis().to_string(),
        ),
        (
            "concurrency.starvationLimitMs",
            pool.starvation_limit.as_millis().to_string(),
        ),
        (
            "concurrency.latencyWindowMs",
            pool.metrics_window.as_millis().to_string(),
        ),
    ]
}

/// What holds for each platform once general values and the platform's own are put together, for `config show`.
pub(crate) fn stream_values(sections: &Sections) -> Vec<(String, String)> {
    let Ok(options) = streaming_options(&sections.streaming) else {
        return Vec::new();
    };
    let resolved = Platform::ALL
        .into_iter()
        .filter_map(|platform| Some((platform, options.resolve(platform).ok()?)));
    resolved
        .flat_map(|(platform, config)| {
            let millis = |time: std::time::Duration| time.as_millis().to_string();
            let or_zero = |text: Option<String>| text.unwrap_or_else(|| "0".to_owned());
            [
                ("flushTokenThreshold", config.flush_token_threshold.to_string()),
                ("flushTimeoutMs", millis(config.flush_timeout)),
                (
                    "maxMessageLength",
                    or_zero(config.max_message_length.map(|length| length.to_string())),
                ),
                (
                    "typingIndicatorIntervalMs",
                    or_zero(config.typing_indicator_interval.map(millis)),
                ),
            ]
            .map(|(field, value)| (format!("streaming.{platform}.{field}"), value))
        })
        .collect()
}
