//! What no single value can show: rules that join fields, and secrets that must be readable.

use super::check_providers;
use super::environment::Environment;
use super::fault::Fault;
use super::schema;
use super::secrets::{self, ProviderSecrets, SecretRef, Secrets};
use super::sections::Sections;
use super::tree::Tree;
use crate::wire::BrokenRule;
use openclaw_core::Secret;

/// Checks the sections against each other and reads the secrets. Faults go to the tree.
pub(super) fn check(tree: &mut Tree, sections: &Sections, environment: &dyn Environment) -> Secrets {
    let mut secrets = read_secrets(tree, sections, environment);
    check_providers::check(tree, sections, environment, &mut secrets);
    listening(tree, sections);
    concurrency(tree, sections);
    secrets
}

/// On an address that others reach, the keys must be the operator's own.
fn listening(tree: &mut Tree, sections: &Sections) {
    let server = &sections.server;
    if server.listen.ip().is_loopback() {
        return;
    }
    let mut missing = Vec::new();
    // One that is given in a way that cannot be read has a fault of its own.
    let given = |path: &str| tree.faults.iter().any(|fault| fault.path == path);
    if server.admin_token.is_none() && !given("server.adminToken") {
        missing.push("OPENCLAW_ADMIN_TOKEN");
    }
    if server.api_key.is_none() && !given("server.apiKey") {
        missing.push("OPENCLAW_API_KEY");
    }
    if !missing.is_empty() {
        let message = format!(
            "{} can be reached by others, so the keys made at first start do not count",
            server.listen
        );
        let hint = format!(
            "set {} ({} or more visible characters each), or listen on 127.0.0.1",
            missing.join(" and "),
            secrets::MIN_SECRET_CHARS
        );
        let fault = Fault::new(tree.origin("server.listen"), "server.listen", message).with_hint(Some(hint));
        tree.fault(fault);
    }
}

fn read_secrets(tree: &mut Tree, sections: &Sections, environment: &dyn Environment) -> Secrets {
    let mut read = |path: &str, reference: &Option<SecretRef>, rule: Rule| -> Option<Secret> {
        let reference = reference.as_ref()?;
        match reference.read(environment) {
            Ok(secret) => {
                if let Some(fault) = rule.broken_by(&secret) {
                    let message = format!("the secret in {reference} {fault}");
                    tree.fault(Fault::new(tree.origin(path), path, message));
                }
                Some(secret)
            }
            Err(error) => {
                tree.fault(Fault::new(tree.origin(path), path, error.to_string()));
                None
            }
        }
    };
    let telegram = &sections.messenger.telegram;
    let mut secrets = Secrets {
        admin_token: read("server.adminToken", &sections.server.admin_token, Rule::Strong),
        api_key: read("server.apiKey", &sections.server.api_key, Rule::Strong),
        telegram_token: read("messenger.telegram.token", &telegram.token, Rule::BotToken),
        telegram_secret: read("messenger.telegram.secret", &telegram.secret, Rule::Webhook),
        web_api_key: read(
            "messenger.web.apiKey",
            &sections.messenger.web.api_key,
            Rule::Strong,
        ),
        ..Secrets::default()
    };
    for (index, provider) in sections.ai_fabric.providers.iter().enumerate() {
        let path = |field: &str| format!("ai-fabric.providers[{index}].{field}");
        let mut own = ProviderSecrets {
            api_key: read(&path("apiKey"), &provider.api_key, Rule::Visible),
            ..ProviderSecrets::default()
        };
        for (name, reference) in &provider.secret_headers {
            let path = path(&format!("secretHeaders.{name}"));
            if let Some(secret) = read(&path, &Some(reference.clone()), Rule::Line) {
                own.headers.insert(name.clone(), secret);
            }
        }
        for (name, reference) in &provider.secret_environment {
            let path = path(&format!("secretEnvironment.{name}"));
            if let Some(secret) = read(&path, &Some(reference.clone()), Rule::Any) {
                own.environment.insert(name.clone(), secret);
            }
        }
        secrets.providers.insert(provider.id.clone(), own);
    }
    let keys = [
        ("server.apiKey", &secrets.api_key),
        ("messenger.web.apiKey", &secrets.web_api_key),
    ];
    for (path, key) in keys {
        if let (Some(token), Some(key)) = (&secrets.admin_token, key)
            && token.expose() == key.expose()
        {
            let fault = Fault::new(
                tree.origin(path),
                path,
                "it is the same as the admin token; every key needs its own",
            );
            tree.fault(fault);
        }
    }
    secrets
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Strong,
    Visible,
    Webhook,
    BotToken,
    /// Anything a header can carry.
    Line,
    Any,
}

impl Rule {
    /// What is wrong with the secret, without a character of it.
    fn broken_by(self, secret: &Secret) -> Option<String> {
        let unless = |holds: bool, text: &str| (!holds).then(|| text.to_owned());
        match self {
            Self::Strong => unless(
                secrets::is_strong(secret),
                "is too weak; 16 or more visible ASCII characters are needed",
            ),
            Self::Visible => unless(
                secret.expose().bytes().all(|byte| byte.is_ascii_graphic()),
                "has white space or other characters that no header can carry",
            ),
            Self::Webhook => unless(
                secrets::is_webhook_secret(secret),
                "is not one that Telegram takes; 1 to 256 of A-Z a-z 0-9 _ - are",
            ),
            Self::BotToken => secrets::bot_token_fault(secret).map(|fault| {
                format!(
                    "is not a bot's token: {fault}; @BotFather gives one as digits, a colon and about {} of A-Z a-z 0-9 _ -",
                    secrets::BOT_TOKEN_CHARS
                )
            }),
            Self::Line => unless(
                http::HeaderValue::from_str(secret.expose()).is_ok(),
                "has characters that no header can carry",
            ),
            Self::Any => None,
        }
    }
}

/// What the parts themselves would refuse at start, where nothing has been said of it yet.
pub(super) fn parts(tree: &mut Tree, broken: Vec<BrokenRule>) {
    for rule in broken {
        let mut path = rule.path;
        if tree.get(&path).is_none() {
            // A preset or a default against a field that was set: the field that was set is the one to change.
            let other = rule.message.rsplit(' ').next().unwrap_or_default();
            let sibling = path
                .rsplit_once('.')
                .map(|(section, _)| format!("{section}.{other}"));
            if let Some(sibling) = sibling.filter(|sibling| tree.get(sibling).is_some()) {
                let fault = format!("{path} is {}", rule.message);
                path = sibling;
                add(tree, path, fault);
                continue;
            }
        }
        add(tree, path, rule.message);
    }
}

/// What is allowed and yet unwise, or set and without effect.
pub(super) fn advise(tree: &mut Tree, advice: Vec<BrokenRule>) {
    for BrokenRule { path, message } in advice {
        tree.notices.push(Fault::new(tree.origin(&path), path, message));
    }
}

fn add(tree: &mut Tree, path: String, message: String) {
    if !tree.faults.iter().any(|fault| fault.path == path) {
        tree.fault(Fault::new(tree.origin(&path), path, message));
    }
}

/// The rules of the pool that need no knowledge of its defaults beyond the table's.
fn concurrency(tree: &mut Tree, sections: &Sections) {
    let pool = &sections.concurrency;
    let custom = pool.preset.as_deref().is_none_or(|preset| preset == "custom");
    if pool.backpressure_threshold == Some(0.0) {
        let path = "concurrency.backpressureThreshold";
        let fault = Fault::new(tree.origin(path), path, "0; above 0 and at most 1");
        tree.fault(fault);
    }
    let pairs = [
        (
            "concurrency.minWorkers",
            pool.min_workers,
            "concurrency.maxWorkers",
            pool.max_workers,
            0,
        ),
        (
            "concurrency.heartbeatIntervalMs",
            pool.heartbeat_interval_ms,
            "concurrency.stuckThresholdMs",
            pool.stuck_threshold_ms,
            1,
        ),
    ];
    for (low_path, low, high_path, high, gap) in pairs {
        if !custom && high_path == "concurrency.maxWorkers" && (low.is_none() || high.is_none()) {
            continue;
        }
        if low.is_none() && high.is_none() {
            continue;
        }
        if let (Some(low), Some(high)) = (
            low.or_else(|| documented(low_path)),
            high.or_else(|| documented(high_path)),
        ) && low.saturating_add(gap) > high
        {
            let relation = if gap == 0 { "at most" } else { "less than" };
            let path = if tree.get(low_path).is_some() {
                low_path
            } else {
                high_path
            };
            let message = format!("{low_path} is {low}; it must be {relation} {high_path}, which is {high}");
            tree.fault(Fault::new(tree.origin(path), path, message));
        }
    }
}

fn documented(path: &str) -> Option<u64> {
    match schema::find(path)?.default {
        schema::Initial::Owned(text) | schema::Initial::Value(text) => text.replace('_', "").parse().ok(),
        schema::Initial::Unset(_) | schema::Initial::Required => None,
    }
}
