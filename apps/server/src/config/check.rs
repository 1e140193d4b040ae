//! What no single value can show: rules that join fields, and secrets that must be readable.

use super::check_providers;
use super::environment::Environment;
use super::fault::Fault;
use super::schema;
use super::secrets::{self, ProviderSecrets, SecretRef, Secrets};
use super::sections::Sections;
use super::tree::Tree;
use crate::texts::{Said, Texts};
use crate::wire::BrokenRule;
use openclaw_core::{Language, Secret};
use openclaw_http_client::HttpClientConfig;
use std::path::Path;

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
        let message = Said::new(|texts| texts.fault_open(server.listen));
        let hint = Said::new(|texts| {
            let names = match missing.as_slice() {
                [one, other] => texts.both_names(one, other),
                names => names.concat(),
            };
            texts.hint_open(&names, secrets::MIN_SECRET_CHARS)
        });
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
                    let message =
                        Said::new(|texts| texts.fault_secret(reference, fault.within(texts.language())));
                    tree.fault(Fault::new(tree.origin(path), path, message));
                }
                Some(secret)
            }
            Err(error) => {
                tree.fault(Fault::new(tree.origin(path), path, error.said()));
                None
            }
        }
    };
    let (telegram, max) = (&sections.messenger.telegram, &sections.messenger.max);
    let mut secrets = Secrets {
        admin_token: read("server.adminToken", &sections.server.admin_token, Rule::Strong),
        api_key: read("server.apiKey", &sections.server.api_key, Rule::Strong),
        telegram_token: read("messenger.telegram.token", &telegram.token, Rule::BotToken),
        telegram_secret: read("messenger.telegram.secret", &telegram.secret, Rule::Webhook),
        max_token: read("messenger.max.token", &max.token, Rule::Visible),
        max_secret: read("messenger.max.secret", &max.secret, Rule::MaxWebhook),
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
    if let Some(path) = &max.root_certificate {
        match root_certificate(path, environment) {
            Ok(pem) => secrets.max_root_certificate = Some(pem),
            Err(said) => {
                let field = "messenger.max.rootCertificate";
                tree.fault(Fault::new(tree.origin(field), field, said));
            }
        }
    }
    let keys = [
        ("server.apiKey", &secrets.api_key),
        ("messenger.web.apiKey", &secrets.web_api_key),
    ];
    for (path, key) in keys {
        if let (Some(token), Some(key)) = (&secrets.admin_token, key)
            && token.expose() == key.expose()
        {
            let fault = Fault::new(tree.origin(path), path, Said::new(Texts::fault_same_key));
            tree.fault(fault);
        }
    }
    secrets
}

/// Reads a file of root certificates; why it is none otherwise.
pub(super) fn root_certificate(path: &Path, environment: &dyn Environment) -> Result<String, Said> {
    let pem = environment.read_file(path).map_err(|error| {
        Said::new(|texts| texts.fault_unreadable(&Texts::path(path), &texts.no_file(&error)))
    })?;
    let client = HttpClientConfig {
        extra_roots: vec![pem.clone().into_bytes()],
        ..HttpClientConfig::default()
    };
    match client.build() {
        Ok(_) => Ok(pem),
        Err(_) => Err(Said::new(|texts| texts.provider_no_pem(&Texts::path(path)))),
    }
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Strong,
    Visible,
    Webhook,
    MaxWebhook,
    BotToken,
    /// Anything a header can carry.
    Line,
    Any,
}

impl Rule {
    /// What is wrong with the secret, without a character of it.
    fn broken_by(self, secret: &Secret) -> Option<Said> {
        let unless = |holds: bool, tell: fn(Texts) -> String| (!holds).then(|| Said::new(tell));
        match self {
            Self::Strong => unless(secrets::is_strong(secret), Texts::fault_weak),
            Self::Visible => unless(
                secret.expose().bytes().all(|byte| byte.is_ascii_graphic()),
                Texts::fault_invisible,
            ),
            Self::Webhook => unless(secrets::is_webhook_secret(secret, 1), Texts::fault_webhook_secret),
            Self::MaxWebhook => unless(
                secrets::is_webhook_secret(secret, 5),
                Texts::fault_max_webhook_secret,
            ),
            Self::BotToken => secrets::bot_token_fault(secret).map(|fault| {
                Said::new(|texts| {
                    texts.fault_bot_token(fault.within(texts.language()), secrets::BOT_TOKEN_CHARS)
                })
            }),
            Self::Line => unless(
                http::HeaderValue::from_str(secret.expose()).is_ok(),
                Texts::fault_header_line,
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
            let other = rule.message.within(Language::En);
            let other = other.rsplit(' ').next().unwrap_or_default();
            let sibling = path
                .rsplit_once('.')
                .map(|(section, _)| format!("{section}.{other}"));
            if let Some(sibling) = sibling.filter(|sibling| tree.get(sibling).is_some()) {
                let fault =
                    Said::new(|texts| texts.fault_joined(&path, rule.message.within(texts.language())));
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

fn add(tree: &mut Tree, path: String, message: Said) {
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
        let fault = Fault::new(tree.origin(path), path, Said::new(Texts::fault_backpressure));
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
            let path = if tree.get(low_path).is_some() {
                low_path
            } else {
                high_path
            };
            let message = Said::new(|texts| match gap {
                0 => texts.fault_at_most(low_path, low, high_path, high),
                _ => texts.fault_less_than(low_path, low, high_path, high),
            });
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
