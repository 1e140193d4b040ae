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
fn an_answer_outside_the_circuit_lets_the_next_call_through_and_until_then_the_reason_is_known() {
    let world = World::new();
    fail(&world, &ModelError::Unauthorized { status: 401 });
    world.clock.advance(Duration::from_secs(10));
    let left_alone = world.circuits.snapshot()[0].left_alone.clone().unwrap();
    assert_eq!(left_alone.reason, "refused the key (status 401)");
    assert_eq!(left_alone.remaining, Duration::from_secs(50));

    let id = Some(crate::support::correlation_id());
    world.circuits.answered(&p(), &model("a"), id);
    let view = world.circuits.snapshot().remove(0);
    assert_eq!(
        (view.state, view.failures, view.left_alone),
        (CircuitState::Closed, 0, None)
    );
    assert!(world.circuits.try_pass(&p(), &model("a"), None).is_ok());
    // Of a closed one nothing is told again.
    world.circuits.answered(&p(), &model("a"), id);
    assert_eq!(
        world.published(),
        ["ai-fabric.circuit.opened", "ai-fabric.circuit.closed"]
    );
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
