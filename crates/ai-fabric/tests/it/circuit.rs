//! Circuit breakers.

use crate::support::{World, model};
use openclaw_ai_fabric::{CircuitState, ModelError};
use openclaw_core::ProviderId;
use std::time::Duration;

fn p() -> ProviderId {
    "p".parse().unwrap()
}

fn fail(world: &World, error: &ModelError) {
    world
        .circuits
        .try_pass(&p(), &model("a"), Some(crate::support::correlation_id()))
        .unwrap()
        .failed(error);
}

#[test]
fn it_opens_after_failures_in_a_row_and_lets_one_probe_through() {
    let world = World::new();
    for _ in 0..4 {
        fail(&world, &ModelError::Cut);
    }
    world
        .circuits
        .try_pass(&p(), &model("a"), None)
        .unwrap()
        .succeeded(None);
    for _ in 0..5 {
        fail(&world, &ModelError::Cut);
    }
    let wait = world.circuits.try_pass(&p(), &model("a"), None).unwrap_err();
    assert_eq!(wait, Duration::from_secs(30));
    assert!(world.circuits.try_pass(&p(), &model("b"), None).is_ok());
    assert_eq!(world.circuits.health(&p(), &model("a")), 0.0);
    world.clock.advance(wait);
    let probe = world.circuits.try_pass(&p(), &model("a"), None).unwrap();
    assert!(world.circuits.try_pass(&p(), &model("a"), None).is_err());
    // A probe that is given up lets the next one through at once.
    drop(probe);
    fail(&world, &ModelError::Cut);
    assert!(world.circuits.try_pass(&p(), &model("a"), None).is_err());
    world.clock.advance(wait);
    let id = Some(crate::support::correlation_id());
    world
        .circuits
        .try_pass(&p(), &model("a"), id)
        .unwrap()
        .succeeded(None);
    assert_eq!(world.circuits.snapshot()[0].state, CircuitState::Closed);
    assert_eq!(
        world.published(),
        [
            "ai-fabric.circuit.opened",
            "ai-fabric.circuit.opened",
            "ai-fabric.circuit.closed"
        ]
    );
}

#[test]
fn what_says_nothing_of_the_models_health_does_not_open_it() {
    let world = World::new();
    for _ in 0..20 {
        fail(&world, &ModelError::ContentRefused);
        fail(&world, &ModelError::ContextTooLong);
        fail(&world, &ModelError::RateLimited { retry_after: None });
    }
    assert!(world.circuits.try_pass(&p(), &model("a"), None).is_ok());
}

#[test]
fn a_refused_key_benches_at_once_until_the_provider_is_changed() {
    let world = World::new();
    fail(&world, &ModelError::Unauthorized { status: 401 });
    let wait = world.circuits.try_pass(&p(), &model("a"), None).unwrap_err();
    assert_eq!(wait, Duration::from_secs(60));
    world.circuits.reset(&p());
    assert!(world.circuits.try_pass(&p(), &model("a"), None).is_ok());
}
