//! Which provider the environment names, for a configuration without one.
//!
//! The first found is taken: `ANTHROPIC_API_KEY`, `OPENAI_API_KEY` or `OPENAI_BASE_URL` alone, `GIGACHAT_CREDENTIALS`,
//! `YANDEX_API_KEY` with a folder, `OLLAMA_HOST`, an Ollama that answers on this machine, else the built-in model. Every
//! key may also be given as `…_FILE`. A provider that is found serves any model and has no rate limit of ours; its first
//! model is named by a variable, else by this module.

use super::ai_fabric::{ModelSection, ProviderKind, ProviderSection};
use super::environment::Environment;
use super::fault::{Fault, Origin};
use super::secrets::{ProviderSecrets, SecretRef};
use super::tree::Tree;
use super::variable;
use crate::texts::{Said, Texts};
use openclaw_core::{ModelId, Secret};
use openclaw_ollama::OllamaConfig;

/// First models, where no variable names one: the provider's all-round model that everybody with a key may call.
const CLAUDE: &str = "claude-sonnet-4-5";
const GPT: &str = "gpt-4o-mini";
const GIGACHAT: &str = "GigaChat";
const YANDEX: &str = "yandexgpt/latest";

/// What the environment says about a provider.
#[derive(Clone, Debug, Default)]
pub(crate) enum FoundProvider {
    /// It names one.
    Known(Box<Found>),
    /// It names an Ollama, which knows itself what models it has.
    Ollama {
        /// Where.
        base_url: String,
        /// The model to begin with, when one is named.
        model: Option<String>,
    },
    /// It names none: an Ollama of this machine is looked for.
    #[default]
    Nothing,
}

/// A provider that the environment names.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// As a configuration would say it.
    pub(crate) section: ProviderSection,
    /// Its key and certificates.
    pub(crate) secrets: ProviderSecrets,
    /// The variable it was found by.
    pub(crate) by: &'static str,
}

/// Reads variables, and notes faults of theirs.
struct Looker<'a> {
    tree: &'a mut Tree,
    environment: &'a dyn Environment,
}

/// Looks for a provider. Faults are noted only of the one that is taken.
pub(super) fn look(tree: &mut Tree, environment: &dyn Environment) -> FoundProvider {
    let mut looker = Looker { tree, environment };
    let known = looker
        .anthropic()
        .or_else(|| looker.openai())
        .or_else(|| looker.gigachat())
        .or_else(|| looker.yandex());
    if let Some(found) = known {
        return FoundProvider::Known(Box::new(found));
    }
    match looker.text("OLLAMA_HOST") {
        Some(host) => FoundProvider::Ollama {
            base_url: OllamaConfig::base_url_of(&host),
            model: looker.text("OLLAMA_MODEL"),
        },
        None => FoundProvider::Nothing,
    }
}

/// The section of an Ollama with these models, the one to begin with first.
pub(crate) fn ollama(base_url: &str, models: &[String]) -> ProviderSection {
    ProviderSection {
        base_url: Some(base_url.to_owned()),
        models: models.iter().map(|model| ModelSection::named(model)).collect(),
        ..found("ollama", "Ollama", ProviderKind::Ollama)
    }
}

fn found(id: &str, name: &str, kind: ProviderKind) -> ProviderSection {
    ProviderSection {
        name: Some(name.to_owned()),
        any_model: true,
        ..ProviderSection::new(id, kind)
    }
}

// === impl Looker ===

impl Looker<'_> {
    fn text(&self, name: &str) -> Option<String> {
        variable(self.environment, name).map(|text| text.trim().to_owned())
    }

    /// The secret in a variable, or in the file that `…_FILE` names.
    fn secret(&mut self, name: &str) -> Option<Secret> {
        let file_name = format!("{name}_FILE");
        let reference = match (self.text(name), self.text(&file_name)) {
            (Some(_), _) => SecretRef::Env(name.to_owned()),
            (None, Some(file)) => SecretRef::File(file.into()),
            (None, None) => return None,
        };
        let at = match &reference {
            SecretRef::Env(_) => name.to_owned(),
            SecretRef::File(_) => file_name,
        };
        let mut fault = |message: Said| {
            self.tree
                .fault(Fault::new(Origin::Environment { name: at.clone() }, "", message));
        };
        match reference.read(self.environment) {
            Ok(secret) if secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) => Some(secret),
            Ok(_) => {
                fault(Said::new(Texts::fault_found_key));
                None
            }
            Err(error) => {
                fault(error.said());
                None
            }
        }
    }

    /// An address of the environment, checked as one of the file is.
    fn url(&mut self, name: &str) -> Option<String> {
        let url = self.text(name)?.trim_end_matches('/').to_owned();
        if !super::tree::is_url(&url) {
            let origin = Origin::Environment {
                name: name.to_owned(),
            };
            self.tree
                .fault(Fault::new(origin, "", Said::new(Texts::found_url)));
        }
        Some(url)
    }

    fn first_model(&mut self, variable: &str, otherwise: &str) -> Vec<ModelSection> {
        let name = self.text(variable);
        if let Some(name) = &name
            && let Err(error) = ModelId::parse(name)
        {
            let origin = Origin::Environment {
                name: variable.to_owned(),
            };
            self.tree
                .fault(Fault::new(origin, "", super::check_providers::bad_id(&error)));
        }
        vec![ModelSection::named(name.as_deref().unwrap_or(otherwise))]
    }

    fn anthropic(&mut self) -> Option<Found> {
        let key = self.secret("ANTHROPIC_API_KEY")?;
        Some(Found {
            section: ProviderSection {
                base_url: self.url("ANTHROPIC_BASE_URL"),
                models: self.first_model("ANTHROPIC_MODEL", CLAUDE),
                ..found("anthropic", "Claude", ProviderKind::Anthropic)
            },
            secrets: with_key(Some(key)),
            by: "ANTHROPIC_API_KEY",
        })
    }

    fn openai(&mut self) -> Option<Found> {
        let key = self.secret("OPENAI_API_KEY");
        let base_url = self.url("OPENAI_BASE_URL");
        if key.is_none() && base_url.is_none() {
            return None;
        }
        let by = if key.is_some() {
            "OPENAI_API_KEY"
        } else {
            "OPENAI_BASE_URL"
        };
        Some(Found {
            section: ProviderSection {
                base_url,
                models: self.first_model("OPENAI_MODEL", GPT),
                ..found("openai", "OpenAI-compatible", ProviderKind::Openai)
            },
            secrets: with_key(key),
            by,
        })
    }

    fn gigachat(&mut self) -> Option<Found> {
        let key = self.secret("GIGACHAT_CREDENTIALS")?;
        let mut secrets = with_key(Some(key));
        if let Some(path) = self.text("GIGACHAT_CA_BUNDLE_FILE") {
            match self.environment.read_file(path.as_ref()) {
                Ok(pem) => secrets.root_certificate = Some(pem),
                Err(error) => {
                    let name = "GIGACHAT_CA_BUNDLE_FILE".to_owned();
                    let message = Said::new(|texts| texts.fault_unreadable(&path, &texts.no_file(&error)));
                    self.tree
                        .fault(Fault::new(Origin::Environment { name }, "", message));
                }
            }
        }
        let section = ProviderSection {
            base_url: self.url("GIGACHAT_BASE_URL"),
            auth_url: self.url("GIGACHAT_AUTH_URL"),
            scope: self.text("GIGACHAT_SCOPE"),
            models: self.first_model("GIGACHAT_MODEL", GIGACHAT),
            ..found("gigachat", "GigaChat", ProviderKind::Gigachat)
        };
        if let Some(scope) = &section.scope
            && scope.parse::<openclaw_gigachat::Scope>().is_err()
        {
            let name = "GIGACHAT_SCOPE".to_owned();
            let shown = format!("{scope:?}");
            let message = Said::new(|texts| texts.found_scope(&shown));
            self.tree
                .fault(Fault::new(Origin::Environment { name }, "", message));
        }
        Some(Found {
            section,
            secrets,
            by: "GIGACHAT_CREDENTIALS",
        })
    }

    /// A key without a folder names no model: it is passed over, and that is said.
    fn yandex(&mut self) -> Option<Found> {
        let key = self.secret("YANDEX_API_KEY")?;
        let folder = ["YANDEX_FOLDER_ID", "YC_FOLDER_ID"]
            .into_iter()
            .find_map(|name| self.text(name));
        let Some(folder) = folder else {
            let name = "YANDEX_API_KEY".to_owned();
            self.tree.notices.push(
                Fault::new(
                    Origin::Environment { name },
                    "",
                    Said::new(Texts::found_no_folder),
                )
                .with_hint(Some(Said::new(Texts::found_set_folder))),
            );
            return None;
        };
        Some(Found {
            section: ProviderSection {
                preset: Some("yandex".to_owned()),
                folder: Some(folder),
                base_url: self.url("YANDEX_BASE_URL"),
                models: self.first_model("YANDEX_MODEL", YANDEX),
                ..found("yandex", "YandexGPT", ProviderKind::Openai)
            },
            secrets: with_key(Some(key)),
            by: "YANDEX_API_KEY",
        })
    }
}

fn with_key(api_key: Option<Secret>) -> ProviderSecrets {
    ProviderSecrets {
        api_key,
        ..ProviderSecrets::default()
    }
}
