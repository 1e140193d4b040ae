//! What is wrong with providers and models: fields of another kind, names that mean nothing, files that cannot be read.

use super::ai_fabric::{ProviderKind, ProviderSection};
use super::environment::Environment;
use super::fault::Fault;
use super::presets::FIELDS_OF_KINDS;
use super::secrets::{ProviderSecrets, Secrets};
use super::sections::Sections;
use super::tree::Tree;
use crate::wire;
use crate::words::why_no_file;
use openclaw_core::{ModelId, ProviderId};
use openclaw_http_client::HttpClientConfig;
use std::collections::BTreeSet;

/// What a model can be said to be able to do.
const CAPABILITIES: &[&str] = &[
    "chat",
    "code",
    "vision",
    "tool_use",
    "streaming",
    "function_calling",
];
/// Words in the name of a header that carries a secret.
const SECRET_WORDS: [&str; 5] = ["authorization", "key", "token", "secret", "cookie"];

/// One provider and where its faults go.
struct Check<'a> {
    tree: &'a mut Tree,
    path: String,
    provider: &'a ProviderSection,
}

/// Checks every provider. Reads root certificates.
pub(super) fn check(
    tree: &mut Tree,
    sections: &Sections,
    environment: &dyn Environment,
    secrets: &mut Secrets,
) {
    let mut ids = BTreeSet::new();
    for (index, provider) in sections.ai_fabric.providers.iter().enumerate() {
        let path = format!("ai-fabric.providers[{index}]");
        let mut check = Check { tree, path, provider };
        if let Err(error) = ProviderId::parse(&provider.id) {
            check.fault("id", error.to_string());
        }
        if !ids.insert(provider.id.as_str()) {
            check.fault("id", format!("\"{}\" names two providers", provider.id));
        }
        check.headers();
        check.models();
        if let Some(kind) = check.kind() {
            check.fields_of(kind);
            check.what_it_needs(kind);
        }
        let own = secrets.providers.entry(provider.id.clone()).or_default();
        check.root_certificate(environment, own);
        check.parts_own_rules();
    }
    somebody_to_choose(tree, sections);
}

// === impl Check ===

impl Check<'_> {
    /// `field` is below the provider; empty for the provider itself.
    fn fault(&mut self, field: &str, message: String) {
        let path = self.place(field);
        self.tree
            .fault(Fault::new(self.tree.origin(&path), path, message));
    }

    fn place(&self, field: &str) -> String {
        if field.is_empty() {
            self.path.clone()
        } else {
            format!("{}.{field}", self.path)
        }
    }

    fn is_set(&self, field: &str) -> bool {
        self.tree.get(&self.place(field)).is_some()
    }

    fn kind(&mut self) -> Option<ProviderKind> {
        let kind = self.provider.kind();
        // One that cannot be read or is misspelt has a fault of its own.
        let told = self.place("");
        if kind.is_none() && !self.tree.faults.iter().any(|fault| fault.path.starts_with(&told)) {
            self.fault(
                "kind",
                "it is missing; one of openai, anthropic, gigachat, ollama, command, demo, or a preset"
                    .to_owned(),
            );
        }
        kind
    }

    fn fields_of(&mut self, kind: ProviderKind) {
        for (field, kinds) in FIELDS_OF_KINDS {
            if self.is_set(field) && !kinds.contains(&kind) {
                let of: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
                let message = format!("it is for kind {}; this one is {}", of.join(", "), kind.as_str());
                self.fault(field, message);
            }
        }
    }

    fn what_it_needs(&mut self, kind: ProviderKind) {
        let provider = self.provider;
        let named_by_program = kind == ProviderKind::Command || kind == ProviderKind::Demo;
        if provider.models.is_empty() && !provider.any_model && !named_by_program {
            self.fault(
                "",
                "it has no models; list them or set anyModel = true".to_owned(),
            );
        }
        if kind == ProviderKind::Gigachat && !self.is_set("apiKey") {
            self.fault(
                "apiKey",
                "it is missing; GigaChat needs the authorization key of your project".to_owned(),
            );
        }
        if kind == ProviderKind::Command && !self.is_set("program") {
            self.fault("program", "it is missing; a path, or a name of PATH".to_owned());
        }
        let Some(preset) = provider.preset() else {
            if self.is_set("folder") {
                self.fault("folder", "it needs preset = \"yandex\"".to_owned());
            }
            return;
        };
        match (&preset.folder, provider.folder.as_deref()) {
            (Some(_), None | Some("")) => {
                let message = format!("it is missing; the models of {} belong to a folder", preset.name);
                self.fault("folder", message);
            }
            (Some(_), Some(folder))
                if !folder
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') =>
            {
                self.fault("folder", format!("{folder:?} is no folder's id"));
            }
            (None, Some(_)) => {
                self.fault("folder", format!("preset {} has no folders", preset.name));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        if preset.needs_key && provider.base_url.is_none() && !self.is_set("apiKey") {
            let message = format!("it is missing; {} answers nobody without a key", preset.name);
            self.fault("apiKey", message);
        }
    }

    fn headers(&mut self) {
        let provider = self.provider;
        for header in provider.headers.keys().chain(provider.secret_headers.keys()) {
            let field = if provider.headers.contains_key(header) {
                "headers"
            } else {
                "secretHeaders"
            };
            if http::HeaderName::try_from(header.as_str()).is_err() {
                self.fault(field, format!("\"{header}\" is not a header's name"));
            }
        }
        for header in provider.headers.keys() {
            let lower = header.to_ascii_lowercase();
            if SECRET_WORDS.iter().any(|word| lower.contains(word)) {
                self.fault(
                    "headers",
                    format!("{header} carries a secret; use apiKey or secretHeaders, by reference"),
                );
            }
        }
    }

    fn models(&mut self) {
        let mut names = BTreeSet::new();
        for (number, model) in self.provider.models.iter().enumerate() {
            let field = |name: &str| format!("models[{number}].{name}");
            for (name, text) in
                std::iter::once(("id", &model.id)).chain(model.aliases.iter().map(|alias| ("aliases", alias)))
            {
                if let Err(error) = ModelId::parse(text) {
                    self.fault(&field(name), error.to_string());
                }
                if !names.insert(text.as_str()) {
                    self.fault(&field(name), format!("\"{text}\" is listed twice"));
                }
            }
            for capability in model.capabilities.iter().flatten() {
                if !CAPABILITIES.contains(&capability.as_str()) {
                    let message = format!("\"{capability}\"; expected some of {}", CAPABILITIES.join(", "));
                    self.fault(&field("capabilities"), message);
                }
            }
            if let (Some(window), Some(output)) = (model.context_window, model.max_output_tokens)
                && output > window
            {
                let message = format!("{output} is more than contextWindow, {window}");
                self.fault(&field("maxOutputTokens"), message);
            }
        }
    }

    fn root_certificate(&mut self, environment: &dyn Environment, own: &mut ProviderSecrets) {
        let Some(path) = &self.provider.root_certificate else {
            return;
        };
        match environment.read_file(path) {
            Err(error) => {
                let message = format!(
                    "the file {} cannot be read: {}",
                    path.display(),
                    why_no_file(&error)
                );
                self.fault("rootCertificate", message);
            }
            Ok(pem) => {
                let client = HttpClientConfig {
                    extra_roots: vec![pem.clone().into_bytes()],
                    ..HttpClientConfig::default()
                };
                if client.build().is_err() {
                    let message = format!("the file {} holds no certificate in PEM", path.display());
                    self.fault("rootCertificate", message);
                }
                own.root_certificate = Some(pem);
            }
        }
    }

    /// What the adapter would refuse at start and nothing above has told.
    fn parts_own_rules(&mut self) {
        let told = self
            .tree
            .faults
            .iter()
            .any(|fault| fault.path.starts_with(&self.path));
        if told {
            return;
        }
        for (field, message) in wire::provider_faults(self.provider) {
            self.fault(&field, message);
        }
    }
}

/// Without a listed model and without a chain the server has nobody to choose.
fn somebody_to_choose(tree: &mut Tree, sections: &Sections) {
    let providers = &sections.ai_fabric.providers;
    if providers.is_empty() || sections.ai_fabric.fallback.primary_model.is_some() {
        return;
    }
    if !providers.iter().any(lists_a_model) {
        let message = "no model is listed and ai-fabric.fallback.primaryModel is not set: only callers who name a model \
                       get an answer";
        let path = "ai-fabric.providers";
        tree.notices.push(Fault::new(tree.origin(path), path, message));
    }
}

fn lists_a_model(provider: &ProviderSection) -> bool {
    let brings_its_own = matches!(provider.kind(), Some(ProviderKind::Command | ProviderKind::Demo));
    brings_its_own || !provider.models.is_empty()
}
