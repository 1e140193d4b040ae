//! Which model answers, and why.
//!
//! Models that cannot serve a request are out. Of the rest, cost lowers the score (× 100) and capabilities raise it
//! (× 10); provider priority, measured health and at last the names break ties, so that the same question always has
//! the same answer. A model that was asked for by name is taken if it can serve the request, and refused if not.

use crate::circuit::CircuitBreakers;
use crate::error::SelectionError;
use crate::model::ModelCapability;
use crate::registry::{FoundModel, ModelFilter, ProviderRegistry};
use openclaw_core::{AccessTier, ModelId, ProviderId};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// How much a unit of cost lowers a score.
const COST_WEIGHT: f64 = 100.0;
/// How much a capability raises it.
const CAPABILITY_WEIGHT: f64 = 10.0;

/// Chooses models.
#[derive(Clone, Debug)]
pub struct ModelSelector {
    registry: Arc<ProviderRegistry>,
    circuits: CircuitBreakers,
}

/// What a request needs of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SelectionRequest {
    /// What the model must be able to do.
    pub capabilities: Vec<ModelCapability>,
    /// Tokens of the request, estimated.
    pub input_tokens: u64,
    /// Tokens of answer it asks for.
    pub output_tokens: u64,
    /// Who asks.
    pub tier: AccessTier,
    /// The model asked for by name, if one was.
    pub model: Option<ModelId>,
}

/// A choice and what it was made from.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The model.
    pub chosen: FoundModel,
    /// Why.
    pub explanation: Explanation,
}

/// What was considered and what came of it. Prints as lines for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Every model that was looked at: those that can serve first, best first.
    pub candidates: Vec<Candidate>,
}

/// One model that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The model.
    pub model: ModelId,
    /// Whose.
    pub provider: ProviderId,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of looking at a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Verdict {
    /// It can serve the request.
    Scored {
        /// `capabilities × 10 − cost × 100`.
        score: f64,
        /// What the request would cost, in units of the operator's currency.
        cost: f64,
        /// How many capabilities it has.
        capabilities: usize,
        /// Its provider's.
        priority: i32,
        /// Measured, between 0 and 1.
        health: f64,
    },
    /// It cannot.
    RuledOut {
        /// What stands against it.
        reasons: Vec<String>,
    },
}

// === impl ModelSelector ===

impl ModelSelector {
    /// Chooses from the registry; circuits know the models' health.
    pub fn new(registry: Arc<ProviderRegistry>, circuits: CircuitBreakers) -> Self {
        Self { registry, circuits }
    }

    /// Chooses the model for a request.
    pub fn select(&self, request: &SelectionRequest) -> Result<Selection, SelectionError> {
        match &request.model {
            Some(name) => self.named(name, request),
            None => self.best(request),
        }
    }

    /// What would be chosen and why, chosen or not.
    pub fn explain(&self, request: &SelectionRequest) -> Explanation {
        Explanation {
            candidates: self
                .ranked(request)
                .into_iter()
                .map(|(_, candidate)| candidate)
                .collect(),
        }
    }

    fn named(&self, name: &ModelId, request: &SelectionRequest) -> Result<Selection, SelectionError> {
        let chosen = self
            .registry
            .find_model(name)
            .ok_or_else(|| SelectionError::UnknownModel { model: name.clone() })?;
        let candidate = self.judge(&chosen, request);
        if let Verdict::RuledOut { reasons } = &candidate.verdict {
            return Err(SelectionError::Unsuitable {
                model: name.clone(),
                reason: reasons.join("; "),
            });
        }
        Ok(Selection {
            chosen,
            explanation: Explanation {
                candidates: vec![candidate],
            },
        })
    }

    fn best(&self, request: &SelectionRequest) -> Result<Selection, SelectionError> {
        let ranked = self.ranked(request);
        let chosen = match ranked.first() {
            Some((found, candidate)) if matches!(candidate.verdict, Verdict::Scored { .. }) => found.clone(),
            _ => return Err(SelectionError::NoneSuitable),
        };
        Ok(Selection {
            chosen,
            explanation: Explanation {
                candidates: ranked.into_iter().map(|(_, candidate)| candidate).collect(),
            },
        })
    }

    fn ranked(&self, request: &SelectionRequest) -> Vec<(FoundModel, Candidate)> {
        let mut ranked: Vec<_> = self
            .registry
            .list_models(&ModelFilter::default())
            .into_iter()
            .map(|found| {
                let candidate = self.judge(&found, request);
                (found, candidate)
            })
            .collect();
        ranked.sort_by(|(_, a), (_, b)| {
            b.verdict
                .rank()
                .partial_cmp(&a.verdict.rank())
                .unwrap_or(std::cmp::Ordering::Equal)
                .then_with(|| (&a.model, &a.provider).cmp(&(&b.model, &b.provider)))
        });
        ranked
    }

    fn judge(&self, found: &FoundModel, request: &SelectionRequest) -> Candidate {
        let model = &found.model;
        let mut reasons: Vec<String> = request
            .capabilities
            .iter()
            .filter(|capability| !model.can(**capability))
            .map(|capability| format!("lacks {capability}"))
            .collect();
        let needed = request
            .input_tokens
            .saturating_add(request.output_tokens.min(model.max_output_tokens));
        if needed > model.context_window {
            reasons.push(format!(
                "holds {} tokens, {needed} are needed",
                model.context_window
            ));
        }
        if !request.tier.is_at_least(model.required_tier) {
            reasons.push(format!("is for tier {} and above", model.required_tier));
        }
        let verdict = if reasons.is_empty() {
            let cost = model.cost_units(
                request.input_tokens,
                request.output_tokens.min(model.max_output_tokens),
            );
            let capabilities = model.capabilities.len();
            Verdict::Scored {
                score: capabilities as f64 * CAPABILITY_WEIGHT - cost * COST_WEIGHT,
                cost,
                capabilities,
                priority: found.provider.priority,
                health: self.circuits.health(&found.provider.id, &model.id),
            }
        } else {
            Verdict::RuledOut { reasons }
        };
        Candidate {
            model: model.id.clone(),
            provider: found.provider.id.clone(),
            verdict,
        }
    }
}

// === impl Explanation ===

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, candidate) in self.candidates.iter().enumerate() {
            let Candidate { model, provider, .. } = candidate;
            match &candidate.verdict {
                Verdict::Scored {
                    score,
                    cost,
                    capabilities,
                    priority,
                    health,
                } => writeln!(
                    f,
                    "{} {model} ({provider}): score {score:.2} = {capabilities} capabilities × 10 − cost {cost:.4} × 100; \
                     priority {priority}, health {health:.2}",
                    if index == 0 { "→" } else { " " },
                )?,
                Verdict::RuledOut { reasons } => {
                    writeln!(f, "✗ {model} ({provider}): {}", reasons.join("; "))?
                }
            }
        }
        Ok(())
    }
}

// === impl Verdict ===

impl Verdict {
    /// What sorts candidates; greater is better. Scores are finite, so these compare.
    fn rank(&self) -> (bool, f64, i32, f64) {
        match self {
            Self::Scored {
                score,
                priority,
                health,
                ..
            } => (true, *score, *priority, *health),
            Self::RuledOut { .. } => (false, 0.0, 0, 0.0),
        }
    }
}
