//! Which providers there are. Can be changed while the server runs: a call that has begun keeps the provider it began
//! with.

use crate::error::RegistryError;
use crate::model::{ModelCapability, ModelDefinition, ModelProvider};
use crate::ports::ModelPort;
use openclaw_core::{AccessTier, ModelId, ProviderId};
use parking_lot::RwLock;
use std::collections::HashSet;
use std::sync::Arc;

/// Providers at most. They come from an operator's hand; more is a mistake.
pub const MAX_PROVIDERS: usize = 256;

/// The providers and the adapters that speak to them.
#[derive(Debug, Default)]
pub struct ProviderRegistry {
    /// Replaced as a whole by writers, so that readers hold the lock for the clone of a pointer.
    providers: RwLock<Arc<Vec<Registered>>>,
}

/// A model, whose it is and how it is reached.
#[derive(Clone, Debug)]
pub struct FoundModel {
    /// The model. Its `id` is what the provider is asked for.
    pub model: Arc<ModelDefinition>,
    /// Its provider.
    pub provider: Arc<ModelProvider>,
    /// The adapter.
    pub port: Arc<dyn ModelPort>,
}

/// Which models to list. The default lists all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFilter {
    /// Only those that can do this.
    pub capability: Option<ModelCapability>,
    /// Only this provider's.
    pub provider: Option<ProviderId>,
    /// Only those this tier may use: all whose own tier is at most this one.
    pub tier: Option<AccessTier>,
}

#[derive(Clone, Debug)]
struct Registered {
    provider: Arc<ModelProvider>,
    models: Vec<Arc<ModelDefinition>>,
    port: Arc<dyn ModelPort>,
}

// === impl ProviderRegistry ===

impl ProviderRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a provider, or replaces the one of the same id and gives that back.
    pub fn register(
        &self,
        provider: ModelProvider,
        port: Arc<dyn ModelPort>,
    ) -> Result<Option<Arc<ModelProvider>>, RegistryError> {
        check(&provider)?;
        let registered = Registered {
            models: provider.models.iter().cloned().map(Arc::new).collect(),
            provider: Arc::new(provider),
            port,
        };
        let mut current = self.providers.write();
        let mut next = current.as_ref().clone();
        let replaced = position(&next, &registered.provider.id).map(|index| next.remove(index).provider);
        if next.len() >= MAX_PROVIDERS {
            return Err(RegistryError::Full { limit: MAX_PROVIDERS });
        }
        next.push(registered);
        // In the order of preference; ids break ties, so that a reload does not change who is preferred.
        next.sort_by(|a, b| {
            (b.provider.priority, &a.provider.id).cmp(&(a.provider.priority, &b.provider.id))
        });
        *current = Arc::new(next);
        Ok(replaced)
    }

    /// Puts these providers in the place of all there were, in one step. Calls under way keep the provider they began
    /// with. On an error nothing has changed.
    pub fn replace_all(&self, all: Vec<(ModelProvider, Arc<dyn ModelPort>)>) -> Result<(), RegistryError> {
        let next = Self::new();
        for (provider, port) in all {
            next.register(provider, port)?;
        }
        *self.providers.write() = next.snapshot();
        Ok(())
    }

    /// Removes a provider and gives it back. Calls under way go on.
    pub fn unregister(&self, id: &ProviderId) -> Option<Arc<ModelProvider>> {
        let mut current = self.providers.write();
        let index = position(&current, id)?;
        let mut next = current.as_ref().clone();
        let removed = next.remove(index).provider;
        *current = Arc::new(next);
        Some(removed)
    }

    /// Finds a model: by its id or alias at the preferred provider that lists it; written `provider/model`, at that
    /// provider; else at the preferred provider that serves any model.
    pub fn find_model(&self, name: &ModelId) -> Option<FoundModel> {
        let providers = self.snapshot();
        let listed = providers.iter().find_map(|registered| registered.listed(name));
        listed.or_else(|| qualified(&providers, name)).or_else(|| {
            providers
                .iter()
                .find(|registered| registered.provider.any_model)
                .map(|registered| registered.unlisted(name))
        })
    }

    /// The listed models that pass the filter, preferred providers first. Models that several providers offer are
    /// listed once for each.
    pub fn list_models(&self, filter: &ModelFilter) -> Vec<FoundModel> {
        self.snapshot()
            .iter()
            .filter(|registered| {
                filter
                    .provider
                    .as_ref()
                    .is_none_or(|id| *id == registered.provider.id)
            })
            .flat_map(|registered| registered.models.iter().map(|model| registered.found(model)))
            .filter(|found| {
                filter
                    .capability
                    .is_none_or(|capability| found.model.can(capability))
                    && filter
                        .tier
                        .is_none_or(|tier| tier.is_at_least(found.model.required_tier))
            })
            .collect()
    }

    /// All providers, preferred first.
    pub fn all_providers(&self) -> Vec<Arc<ModelProvider>> {
        self.snapshot()
            .iter()
            .map(|registered| Arc::clone(&registered.provider))
            .collect()
    }

    /// A provider's adapter.
    pub fn port(&self, id: &ProviderId) -> Option<Arc<dyn ModelPort>> {
        let providers = self.snapshot();
        let index = position(&providers, id)?;
        providers
            .get(index)
            .map(|registered| Arc::clone(&registered.port))
    }

    fn snapshot(&self) -> Arc<Vec<Registered>> {
        Arc::clone(&self.providers.read())
    }
}

// === impl Registered ===

impl Registered {
    fn listed(&self, name: &ModelId) -> Option<FoundModel> {
        self.models
            .iter()
            .find(|model| model.is_called(name))
            .map(|model| self.found(model))
    }

    fn unlisted(&self, name: &ModelId) -> FoundModel {
        let model = ModelDefinition::unlisted(name.clone(), self.provider.id.clone());
        self.found(&Arc::new(model))
    }

    fn found(&self, model: &Arc<ModelDefinition>) -> FoundModel {
        FoundModel {
            model: Arc::clone(model),
            provider: Arc::clone(&self.provider),
            port: Arc::clone(&self.port),
        }
    }
}

fn position(providers: &[Registered], id: &ProviderId) -> Option<usize> {
    providers
        .iter()
        .position(|registered| registered.provider.id == *id)
}

/// Reads `provider/model`. Model names may hold slashes themselves, so the listed names were looked through before.
fn qualified(providers: &[Registered], name: &ModelId) -> Option<FoundModel> {
    let (provider, model) = name.as_str().split_once('/')?;
    let registered = providers
        .iter()
        .find(|registered| registered.provider.id.as_str() == provider)?;
    let model = ModelId::parse(model).ok()?;
    registered
        .listed(&model)
        .or_else(|| registered.provider.any_model.then(|| registered.unlisted(&model)))
}

fn check(provider: &ModelProvider) -> Result<(), RegistryError> {
    let mut names = HashSet::new();
    for model in &provider.models {
        if model.provider != provider.id {
            return Err(RegistryError::ForeignModel {
                model: model.id.clone(),
                provider: model.provider.clone(),
            });
        }
        for name in std::iter::once(&model.id).chain(&model.aliases) {
            if !names.insert(name) {
                return Err(RegistryError::DuplicateModel { model: name.clone() });
            }
        }
    }
    Ok(())
}
