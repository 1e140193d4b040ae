//! What is wrong with providers and models: fields of another kind, names that mean nothing, files that cannot be read.

use super::ai_fabric::{ProviderKind, ProviderSection};
use super::environment::Environment;
use super::fault::Fault;
use super::presets::FIELDS_OF_KINDS;
use super::secrets::{ProviderSecrets, Secrets};
use super::sections::Sections;
use super::tree::Tree;
use crate::texts::{Said, Texts};
use crate::wire;
use openclaw_core::{IdError, ModelId, ProviderId};
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
            check.fault("id", bad_id(&error));
        }
        if !ids.insert(provider.id.as_str()) {
            check.fault("id", Said::new(|texts| texts.provider_twice(&provider.id)));
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
    fn fault(&mut self, field: &str, message: Said) {
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
            self.fault("kind", Said::new(Texts::provider_no_kind));
        }
        kind
    }

    fn fields_of(&mut self, kind: ProviderKind) {
        for (field, kinds) in FIELDS_OF_KINDS {
            if self.is_set(field) && !kinds.contains(&kind) {
                let of: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
                let of = of.join(", ");
                let message = Said::new(|texts| texts.provider_other_kind(&of, kind.as_str()));
                self.fault(field, message);
            }
        }
    }

    fn what_it_needs(&mut self, kind: ProviderKind) {
        let provider = self.provider;
        let named_by_program = kind == ProviderKind::Command || kind == ProviderKind::Demo;
        if provider.models.is_empty() && !provider.any_model && !named_by_program {
            self.fault("", Said::new(Texts::provider_no_models));
        }
        if kind == ProviderKind::Gigachat && !self.is_set("apiKey") {
            self.fault("apiKey", Said::new(Texts::provider_no_gigachat_key));
        }
        if kind == ProviderKind::Command && !self.is_set("program") {
            self.fault("program", Said::new(Texts::provider_no_program));
        }
        let Some(preset) = provider.preset() else {
            if self.is_set("folder") {
                self.fault("folder", Said::new(Texts::provider_folder_alone));
            }
            return;
        };
        match (&preset.folder, provider.folder.as_deref()) {
            (Some(_), None | Some("")) => {
                self.fault("folder", Said::new(|texts| texts.provider_no_folder(preset.name)));
            }
            (Some(_), Some(folder))
                if !folder
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') =>
            {
                let shown = format!("{folder:?}");
                self.fault("folder", Said::new(|texts| texts.provider_bad_folder(&shown)));
            }
            (None, Some(_)) => {
                let said = Said::new(|texts| texts.provider_without_folders(preset.name));
                self.fault("folder", said);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        if preset.needs_key && provider.base_url.is_none() && !self.is_set("apiKey") {
            self.fault("apiKey", Said::new(|texts| texts.provider_needs_key(preset.name)));
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
                self.fault(field, Said::new(|texts| texts.provider_header_name(header)));
            }
        }
        for header in provider.headers.keys() {
            let lower = header.to_ascii_lowercase();
            if SECRET_WORDS.iter().any(|word| lower.contains(word)) {
                self.fault("headers", Said::new(|texts| texts.provider_secret_header(header)));
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
                    self.fault(&field(name), bad_id(&error));
                }
                if !names.insert(text.as_str()) {
                    self.fault(&field(name), Said::new(|texts| texts.model_twice(text)));
                }
            }
            for capability in model.capabilities.iter().flatten() {
                if !CAPABILITIES.contains(&capability.as_str()) {
                    let known = CAPABILITIES.join(", ");
                    let message = Said::new(|texts| texts.model_capability(capability, &known));
                    self.fault(&field("capabilities"), message);
                }
            }
            if let (Some(window), Some(output)) = (model.context_window, model.max_output_tokens)
                && output > window
            {
                let message = Said::new(|texts| texts.model_output(output, window));
                self.fault(&field("maxOutputTokens"), message);
            }
        }
    }

    fn root_certificate(&mut self, environment: &dyn Environment, own: &mut ProviderSecrets) {
        let Some(path) = &self.provider.root_certificate else {
            return;
        };
        match super::check::root_certificate(path, environment) {
            Ok(pem) => own.root_certificate = Some(pem),
            Err(message) => self.fault("rootCertificate", message),
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

/// Why a text is no identifier. The field's name is told before it.
pub(super) fn bad_id(error: &IdError) -> Said {
    Said::new(|texts| match error {
        IdError::Empty { .. } => texts.id_empty(),
        IdError::TooLong { bytes, limit, .. } => texts.id_long(*bytes, *limit),
        IdError::Forbidden { character, .. } => texts.id_forbidden(&format!("{character:?}")),
        // No model and no provider is refused for these.
        IdError::Parts { .. }
        | IdError::UnknownPlatform { .. }
        | IdError::NotASession
        | IdError::NotAUuid => error.to_string(),
    })
}

/// Without a listed model and without a chain the server has nobody to choose.
fn somebody_to_choose(tree: &mut Tree, sections: &Sections) {
    let providers = &sections.ai_fabric.providers;
    if providers.is_empty() || sections.ai_fabric.fallback.primary_model.is_some() {
        return;
    }
    if !providers.iter().any(lists_a_model) {
        let message = Said::new(Texts::fault_nobody);
        let path = "ai-fabric.providers";
        tree.notices.push(Fault::new(tree.origin(path), path, message));
    }
}

fn lists_a_model(provider: &ProviderSection) -> bool {
    let brings_its_own = matches!(provider.kind(), Some(ProviderKind::Command | ProviderKind::Demo));
    brings_its_own || !provider.models.is_empty()
}
