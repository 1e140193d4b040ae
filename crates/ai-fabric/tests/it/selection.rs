//! The registry and the choice of a model.

use crate::support::{Scripted, World, model, provider};
use openclaw_ai_fabric::{
    ModelCapability, ModelFilter, ModelSelector, RegistryError, SelectionError, SelectionRequest, Verdict,
};
use openclaw_core::AccessTier;
use std::sync::Arc;

fn names(world: &World, filter: &ModelFilter) -> Vec<String> {
    world
        .registry
        .list_models(filter)
        .into_iter()
        .map(|found| found.model.id.to_string())
        .collect()
}

fn found(world: &World, name: &str) -> Option<(String, String)> {
    let found = world.registry.find_model(&model(name))?;
    Some((found.provider.id.to_string(), found.model.id.to_string()))
}

fn pair(provider: &str, model: &str) -> Option<(String, String)> {
    Some((provider.into(), model.into()))
}

#[test]
fn models_are_found_by_name_alias_provider_and_at_last_by_who_serves_any() {
    let world = World::new();
    let mut other = provider("q", &["a", "org/x"]);
    other.models[1].aliases = vec![model("fast")];
    other.priority = 5;
    world.registry.register(other, world.port.clone()).unwrap();
    assert_eq!(found(&world, "a"), pair("q", "a"));
    assert_eq!(found(&world, "p/a"), pair("p", "a"));
    assert_eq!(found(&world, "fast"), pair("q", "org/x"));
    assert_eq!(found(&world, "org/x"), pair("q", "org/x"));
    assert_eq!(found(&world, "nobody"), None);
    let mut any = provider("any", &[]);
    any.any_model = true;
    world.registry.register(any, world.port.clone()).unwrap();
    assert_eq!(found(&world, "nobody"), pair("any", "nobody"));
    assert_eq!(found(&world, "any/deep/seek"), pair("any", "deep/seek"));
    assert!(world.registry.unregister(&"any".parse().unwrap()).is_some());
    assert_eq!(found(&world, "nobody"), None);
}

#[test]
fn a_tier_sees_all_that_is_for_it_and_below() {
    let world = World::new();
    let mut tiered = provider("p", &["a", "b", "c"]);
    tiered.models[1].required_tier = AccessTier::Standard;
    tiered.models[2].required_tier = AccessTier::Admin;
    assert!(
        world
            .registry
            .register(tiered, world.port.clone())
            .unwrap()
            .is_some()
    );
    let tier = |tier| ModelFilter {
        tier: Some(tier),
        ..ModelFilter::default()
    };
    assert_eq!(names(&world, &tier(AccessTier::Free)), ["a"]);
    assert_eq!(names(&world, &tier(AccessTier::Premium)), ["a", "b"]);
    assert_eq!(names(&world, &ModelFilter::default()), ["a", "b", "c"]);
}

#[test]
fn a_name_offered_twice_is_refused() {
    let world = World::new();
    let refused = world
        .registry
        .register(provider("q", &["a", "a"]), world.port.clone());
    assert_eq!(
        refused.unwrap_err(),
        RegistryError::DuplicateModel { model: model("a") }
    );
}

/// Models by name, price of 1 000 input and output tokens, capabilities beyond chat.
fn selector(models: &[(&str, f64, f64, &[ModelCapability])]) -> (World, ModelSelector) {
    let world = World::new();
    let names: Vec<_> = models.iter().map(|(name, ..)| *name).collect();
    let mut offered = provider("p", &names);
    for (model, (_, input, output, more)) in offered.models.iter_mut().zip(models) {
        model.cost_per_1k_input = *input;
        model.cost_per_1k_output = *output;
        model.capabilities = [&[ModelCapability::Chat], *more].concat();
    }
    world
        .registry
        .register(offered, Scripted::new(&world.clock))
        .unwrap();
    let selector = ModelSelector::new(Arc::clone(&world.registry), world.circuits.clone());
    (world, selector)
}

fn chat() -> SelectionRequest {
    SelectionRequest {
        capabilities: vec![ModelCapability::Chat],
        input_tokens: 1_000,
        output_tokens: 100,
        ..SelectionRequest::default()
    }
}

#[test]
fn cost_lowers_the_score_and_capabilities_raise_it() {
    use ModelCapability::{Code, Vision};
    let (_world, selector) = selector(&[
        ("dear", 0.5, 0.0, &[Code, Vision]),
        ("cheap", 0.01, 0.0, &[]),
        ("able", 0.01, 0.0, &[Code]),
        ("wordy", 0.0, 3.0, &[Code]),
    ]);
    let selection = selector.select(&chat()).unwrap();
    assert_eq!(selection.chosen.model.id, model("able"));
    let Verdict::Scored { score, cost, .. } = &selection.explanation.candidates[0].verdict else {
        panic!("{:?}", selection.explanation);
    };
    assert!((cost - 0.01).abs() < 1e-9 && (score - 19.0).abs() < 1e-9);
    assert!(
        selection
            .explanation
            .to_string()
            .starts_with("→ able (p): score 19.00")
    );
}

#[test]
fn a_model_that_cannot_serve_never_wins() {
    let (world, selector) = selector(&[
        ("small", 0.0, 0.0, &[ModelCapability::Code]),
        ("large", 9.0, 9.0, &[]),
    ]);
    let mut offered = provider("p", &["small", "large"]);
    offered.models[0].context_window = 1_000;
    world.registry.register(offered, world.port.clone()).unwrap();
    assert_eq!(selector.select(&chat()).unwrap().chosen.model.id, model("large"));
    let vision = SelectionRequest {
        capabilities: vec![ModelCapability::Vision],
        ..chat()
    };
    assert_eq!(
        selector.select(&vision).unwrap_err(),
        SelectionError::NoneSuitable
    );
    let explained = selector.explain(&vision).to_string();
    assert!(
        explained.contains("✗ small (p): lacks vision; holds 1000 tokens, 1100 are needed"),
        "{explained}"
    );
}

#[test]
fn a_model_asked_for_by_name_is_taken_or_refused_with_the_reason() {
    let (_world, selector) = selector(&[("dear", 9.0, 9.0, &[]), ("cheap", 0.0, 0.0, &[])]);
    let named = |name| SelectionRequest {
        model: Some(model(name)),
        ..chat()
    };
    assert_eq!(
        selector.select(&named("dear")).unwrap().chosen.model.id,
        model("dear")
    );
    assert!(matches!(
        selector.select(&named("none")),
        Err(SelectionError::UnknownModel { .. })
    ));
    let code = SelectionRequest {
        capabilities: vec![ModelCapability::Code],
        ..named("dear")
    };
    let Err(SelectionError::Unsuitable { reason, .. }) = selector.select(&code) else {
        panic!("a model without the capability was taken");
    };
    assert_eq!(reason, "lacks code");
}

#[test]
fn health_breaks_a_tie() {
    let (world, selector) = selector(&[("a", 0.0, 0.0, &[]), ("b", 0.0, 0.0, &[])]);
    assert_eq!(selector.select(&chat()).unwrap().chosen.model.id, model("a"));
    let pass = world
        .circuits
        .try_pass(&"p".parse().unwrap(), &model("a"), None)
        .unwrap();
    pass.failed(&openclaw_ai_fabric::ModelError::Cut);
    assert_eq!(selector.select(&chat()).unwrap().chosen.model.id, model("b"));
}

#[test]
fn all_providers_are_replaced_in_one_step_or_not_at_all() {
    let world = World::new();
    let port = || Arc::clone(&world.port) as Arc<dyn openclaw_ai_fabric::ModelPort>;
    // A call that has begun keeps what it found.
    let kept = world.registry.find_model(&model("a")).unwrap();
    let next = vec![(provider("q", &["x"]), port()), (provider("r", &["y"]), port())];
    world.registry.replace_all(next).unwrap();
    assert_eq!(found(&world, "a"), None);
    assert_eq!(found(&world, "y"), pair("r", "y"));
    assert_eq!(kept.provider.id.as_str(), "p");
    let broken = vec![
        (provider("s", &["z"]), port()),
        (provider("t", &["w", "w"]), port()),
    ];
    assert!(world.registry.replace_all(broken).is_err());
    assert_eq!(found(&world, "z"), None, "nothing of it was taken over");
    assert_eq!(found(&world, "x"), pair("q", "x"));
}
