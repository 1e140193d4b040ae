//! The walk along a chain.

use crate::support::{Ending, Turn, World, answer, at, correlation_id, model, server_error, text};
use futures::{FutureExt, StreamExt};
use openclaw_ai_fabric::event::{AllModelsFailed, FallbackTriggered, ModelFailed};
use openclaw_ai_fabric::{
    AnswerForm, AttemptOutcome, ChatRequest, CircuitConfig, FallbackChain, ModelError, ProviderRateLimit,
    RouteError, RoutedEvent, RoutedRequest, RoutedStream, RouterConfig, TimeoutPhase,
};
use openclaw_core::{ChatMessage, Clock, CodedError, ModelEvent, Role, StopReason, TokenUsage};
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) fn request(fallbacks: &[&str]) -> RoutedRequest {
    RoutedRequest {
        chat: ChatRequest::new(vec![ChatMessage::text(Role::User, "hello there")], 100),
        chain: FallbackChain {
            fallbacks: fallbacks.iter().map(|name| model(name)).collect(),
            ..FallbackChain::new(model("a"))
        },
        correlation_id: correlation_id(),
        deadline: at(600_000),
        may_restart: true,
    }
}

/// Drives the stream to its end, moving the clock by a millisecond whenever everything rests.
pub(crate) fn run(
    world: &World,
    mut stream: RoutedStream,
) -> (Vec<RoutedEvent>, Option<RouteError>, RoutedStream) {
    let mut events = Vec::new();
    for _ in 0..1_000_000 {
        match stream.next().now_or_never() {
            Some(Some(Ok(event))) => events.push(event),
            Some(Some(Err(error))) => {
                assert!(stream.next().now_or_never().is_some_and(|next| next.is_none()));
                return (events, Some(error), stream);
            }
            Some(None) => return (events, None, stream),
            None => world.clock.advance(Duration::from_millis(1)),
        }
    }
    panic!("the stream never ended");
}

fn said(events: &[RoutedEvent]) -> String {
    events.iter().fold(String::new(), |mut said, event| {
        match event {
            RoutedEvent::Event(ModelEvent::TextDelta(text)) => said.push_str(text),
            RoutedEvent::Restarted { .. } => said.clear(),
            RoutedEvent::Began { .. } | RoutedEvent::Event(_) => {}
        }
        said
    })
}

pub(crate) fn errors(error: Option<RouteError>) -> Vec<ModelError> {
    match error {
        Some(RouteError::AllModelsFailed(error)) => error
            .attempts
            .iter()
            .filter_map(|attempt| attempt.error().cloned())
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_begins_speaks_stops_and_tells_its_usage_once() {
    let world = World::new();
    let usage = |output_tokens| {
        ModelEvent::Usage(TokenUsage {
            input_tokens: 5,
            output_tokens,
            estimated: false,
        })
    };
    let said = vec![
        ModelEvent::Ping,
        usage(0),
        text("Hel"),
        usage(1),
        text("lo"),
        ModelEvent::Stop(StopReason::EndTurn),
        usage(2),
    ];
    world.port.script([Turn::Say(said, Ending::End)]);
    let (events, error, stream) = run(&world, world.router.route(request(&[])));
    assert_eq!(error, None);
    assert_eq!(
        events,
        [
            RoutedEvent::Began {
                model: model("a"),
                provider: "p".parse().unwrap()
            },
            RoutedEvent::Event(text("Hel")),
            RoutedEvent::Event(text("lo")),
            RoutedEvent::Event(ModelEvent::Stop(StopReason::EndTurn)),
            RoutedEvent::Event(usage(2)),
        ]
    );
    assert_eq!(stream.spent().total(), 7);
    assert_eq!(
        world.published(),
        ["ai-fabric.model.requested", "ai-fabric.model.responded"]
    );
    assert_eq!(
        world
            .limiter
            .remaining_quota(&"p".parse().unwrap())
            .unwrap()
            .in_flight,
        0
    );
}

#[test]
fn usage_that_is_missing_is_estimated() {
    let world = World::new();
    world.port.script([answer("four words of text")]);
    let (events, ..) = run(&world, world.router.route(request(&[])));
    let Some(RoutedEvent::Event(ModelEvent::Usage(usage))) = events.last() else {
        panic!("{events:?}");
    };
    assert!(usage.estimated && usage.input_tokens > 0);
    assert_eq!(usage.output_tokens, 4);
}

#[test]
fn each_model_gets_one_attempt_and_exactly_its_retries_with_doubled_delays() {
    let world = World::new();
    world.port.script((0..6).map(|_| server_error()));
    let (_, error, stream) = run(&world, world.router.route(request(&["b"])));
    assert_eq!(errors(error).len(), 6);
    assert_eq!(world.port.called(), ["a", "a", "a", "b", "b", "b"]);
    let times = world.port.times();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, base) in gaps.iter().zip([1_000, 2_000, 0, 1_000, 2_000]) {
        let base = Duration::from_millis(base);
        assert!((base..=base.mul_f64(1.26)).contains(gap), "{gaps:?}");
    }
    assert_eq!(stream.spent(), TokenUsage::default());
}

#[test]
fn what_no_retry_mends_goes_to_the_next_model_at_once() {
    for error in [
        ModelError::Unauthorized { status: 401 },
        ModelError::UnknownModel,
        ModelError::BadRequest { message: "x".into() },
        ModelError::ContextTooLong,
        ModelError::QuotaExhausted { message: "x".into() },
        ModelError::ContentRefused,
    ] {
        let world = World::new();
        world.port.script([Turn::Refuse(error.clone())]);
        let (events, failed, _) = run(&world, world.router.route(request(&["b"])));
        assert_eq!((failed, said(&events).as_str()), (None, "ok"));
        assert_eq!(world.port.called(), ["a", "b"], "{error}");
        assert_eq!(world.port.times(), [Duration::ZERO; 2]);
    }
}

#[test]
fn a_providers_longer_wait_wins_and_one_that_outlives_the_request_is_not_waited_for() {
    let limited = |seconds| {
        Turn::Refuse(ModelError::RateLimited {
            retry_after: Some(Duration::from_secs(seconds)),
        })
    };
    let world = World::new();
    world.port.script([limited(30)]);
    run(&world, world.router.route(request(&["b"])));
    assert_eq!(world.port.called(), ["a", "a"]);
    assert_eq!(world.port.times()[1], Duration::from_secs(30));

    let world = World::new();
    world.port.script([limited(3_600)]);
    run(&world, world.router.route(request(&["b"])));
    assert_eq!(world.port.called(), ["a", "b"]);
    assert_eq!(world.port.times()[1], Duration::ZERO);
    assert!(world.published().contains(&"ai-fabric.rate_limit.hit"));
}

#[test]
fn a_switch_names_the_chains_head_the_model_left_and_the_model_taken() {
    let world = World::new();
    let switches = world.bus.subscribe::<FallbackTriggered>(10);
    world.port.script([
        Turn::Refuse(ModelError::UnknownModel),
        Turn::Refuse(ModelError::ContentRefused),
    ]);
    run(&world, world.router.route(request(&["missing", "b", "a"])));
    let switches: Vec<_> = std::iter::from_fn(|| switches.try_next())
        .map(|envelope| envelope.payload::<FallbackTriggered>().unwrap().clone())
        .collect();
    let named: Vec<_> = switches
        .iter()
        .map(|switch| {
            let FallbackTriggered {
                primary_model,
                from_model,
                fallback_model,
                reason,
                ..
            } = switch;
            (
                primary_model.as_str(),
                from_model.as_str(),
                fallback_model.as_str(),
                *reason,
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            ("a", "missing", "b", "MODEL_UNKNOWN"),
            ("a", "b", "a", "MODEL_CONTENT_REFUSED")
        ]
    );
}

#[test]
fn every_failure_says_what_follows_it_and_the_end_of_a_chain_says_what_stood_against_each() {
    let world = World::new();
    let failures = world.bus.subscribe::<ModelFailed>(10);
    let ends = world.bus.subscribe::<AllModelsFailed>(10);
    let busy = |seconds| {
        Turn::Refuse(ModelError::RateLimited {
            retry_after: Some(Duration::from_secs(seconds)),
        })
    };
    // The second wait would outlive the request, so it is none.
    world.port.script([
        busy(5),
        busy(3_600),
        Turn::Refuse(ModelError::BadRequest {
            message: "what a person wrote".to_owned(),
        }),
    ]);
    run(&world, world.router.route(request(&["b", "missing"])));
    let told: Vec<_> = std::iter::from_fn(|| failures.try_next())
        .map(|envelope| envelope.payload::<ModelFailed>().unwrap().clone())
        .map(|failed| (failed.code, failed.then, failed.retry_after_ms, failed.delay_ms))
        .collect();
    assert_eq!(
        told,
        [
            ("MODEL_RATE_LIMITED", "retry", Some(5_000), Some(5_000)),
            ("MODEL_RATE_LIMITED", "fallback", Some(3_600_000), None),
            ("MODEL_BAD_REQUEST", "fallback", None, None),
        ]
    );
    let end = ends.try_next().unwrap();
    let end = end.payload::<AllModelsFailed>().unwrap();
    assert_eq!((end.calls, end.skipped, end.code), (3, 1, "MODEL_UNKNOWN"));
    assert_eq!(
        end.reasons,
        "a: rate limited; b: bad request; missing: unknown model"
    );
    assert!(ends.try_next().is_none());
}

#[test]
fn the_failure_that_ends_an_answer_nobody_can_replace_says_that_nothing_follows() {
    let world = World::new();
    let failures = world.bus.subscribe::<ModelFailed>(10);
    world.port.script([Turn::Say(vec![text("half")], Ending::End)]);
    let request = RoutedRequest {
        may_restart: false,
        ..request(&["b"])
    };
    run(&world, world.router.route(request));
    let failed = failures.try_next().unwrap();
    let failed = failed.payload::<ModelFailed>().unwrap();
    assert_eq!(
        (failed.code, failed.then, failed.after_first_token),
        ("MODEL_CUT", "end", true)
    );
}

#[test]
fn an_answer_that_breaks_off_restarts_on_the_next_model_and_voids_what_was_said() {
    let world = World::new();
    world.port.script([
        Turn::Say(vec![text("half an ans")], Ending::Fail(ModelError::Cut)),
        answer("whole"),
    ]);
    let (events, error, stream) = run(&world, world.router.route(request(&["b"])));
    assert_eq!((error, said(&events).as_str()), (None, "whole"));
    assert!(events.contains(&RoutedEvent::Restarted {
        from: model("a"),
        to: model("b"),
        reason: "MODEL_CUT"
    }));
    let attempts = stream.attempts();
    assert_eq!(attempts[0].outcome, AttemptOutcome::Failed(ModelError::Cut));
    assert!(attempts[0].usage.estimated && attempts[0].usage.output_tokens > 0);
    assert_eq!(attempts[1].outcome, AttemptOutcome::Answered);
    assert_eq!(
        stream.spent().total(),
        attempts.iter().map(|attempt| attempt.usage.total()).sum::<u64>()
    );
}

#[test]
fn an_answer_that_cannot_be_replaced_ends_with_its_error() {
    let world = World::new();
    world.port.script([Turn::Say(vec![text("half")], Ending::End)]);
    let request = RoutedRequest {
        may_restart: false,
        ..request(&["b"])
    };
    let (events, error, _) = run(&world, world.router.route(request));
    assert_eq!(said(&events), "half");
    let interrupted = RouteError::Interrupted {
        model: model("a"),
        error: ModelError::Cut,
    };
    assert_eq!(error, Some(interrupted));
    assert_eq!(world.port.called(), ["a"]);
}

#[test]
fn before_the_first_token_even_what_cannot_be_replaced_walks_the_chain() {
    let world = World::new();
    world.port.script([
        Turn::Say(vec![ModelEvent::Ping], Ending::End),
        server_error(),
        server_error(),
    ]);
    let request = RoutedRequest {
        may_restart: false,
        ..request(&["b"])
    };
    let (events, error, _) = run(&world, world.router.route(request));
    assert_eq!((error, said(&events).as_str()), (None, "ok"));
    assert_eq!(world.port.called(), ["a", "a", "a", "b"]);
}

#[test]
fn the_last_models_interruption_uses_what_is_left_of_its_retries() {
    let world = World::new();
    let cut = || Turn::Say(vec![text("half")], Ending::Fail(ModelError::Cut));
    world.port.script([cut(), cut(), answer("whole")]);
    let (events, error, _) = run(&world, world.router.route(request(&[])));
    assert_eq!((error, said(&events).as_str()), (None, "whole"));
    assert_eq!(world.port.called(), ["a", "a", "a"]);
}

#[test]
fn silence_is_ended_by_three_deadlines() {
    let phases = |turn: Turn, deadline: u64| {
        let world = World::new();
        world.port.script([turn]);
        let mut request = request(&[]);
        request.chain.max_retries = 0;
        request.deadline = at(deadline);
        let (_, error, _) = run(&world, world.router.route(request));
        (errors(error), world.clock.monotonic())
    };
    let timeout = |phase| vec![ModelError::Timeout { phase }];
    let mute = Turn::Say(vec![ModelEvent::Ping], Ending::Silence);
    let begun = Turn::Say(vec![text("x")], Ending::Silence);
    assert_eq!(
        phases(mute.clone(), 600_000),
        (timeout(TimeoutPhase::FirstToken), at(30_000))
    );
    assert_eq!(
        phases(begun.clone(), 600_000),
        (timeout(TimeoutPhase::Idle), at(30_000))
    );
    assert_eq!(phases(begun, 10_000), (timeout(TimeoutPhase::Whole), at(10_000)));
    assert_eq!(phases(mute, 10_000), (timeout(TimeoutPhase::Whole), at(10_000)));
}

#[test]
fn an_answer_in_one_piece_has_a_deadline_for_its_first_token_where_its_provider_streams_all_the_same() {
    for (always_streams, phase, ended) in [
        (true, TimeoutPhase::FirstToken, at(30_000)),
        (false, TimeoutPhase::Whole, at(100_000)),
    ] {
        let world = World::new();
        world.port.always_streams.store(always_streams, Ordering::Relaxed);
        world.port.script([Turn::Say(Vec::new(), Ending::Silence)]);
        let mut request = request(&[]);
        request.chat.form = AnswerForm::Whole;
        request.chain.max_retries = 0;
        request.deadline = at(100_000);
        let (_, error, _) = run(&world, world.router.route(request));
        assert_eq!(errors(error), [ModelError::Timeout { phase }]);
        assert_eq!(world.clock.monotonic(), ended);
    }
}

#[test]
fn an_answer_that_has_stopped_is_not_voided_by_what_comes_after() {
    for ending in [Ending::Silence, Ending::Fail(ModelError::Cut)] {
        let world = World::new();
        world.port.script([Turn::Say(
            vec![text("all"), ModelEvent::Stop(StopReason::EndTurn)],
            ending,
        )]);
        let (events, error, _) = run(&world, world.router.route(request(&["b"])));
        assert_eq!((error, said(&events).as_str()), (None, "all"));
    }
}

#[test]
fn a_reader_that_leaves_is_charged_an_estimate_and_frees_its_place() {
    let world = World::new();
    world
        .port
        .script([Turn::Say(vec![text("some words were said")], Ending::Silence)]);
    let mut stream = world.router.route(request(&[]));
    for _ in 0..2 {
        assert!(stream.next().now_or_never().is_some());
    }
    let spent = stream.spent();
    assert!(spent.estimated && spent.input_tokens > 0 && spent.output_tokens > 0);
    assert_eq!(
        world
            .limiter
            .remaining_quota(&"p".parse().unwrap())
            .unwrap()
            .in_flight,
        1
    );
    drop(stream);
    assert_eq!(
        world
            .limiter
            .remaining_quota(&"p".parse().unwrap())
            .unwrap()
            .in_flight,
        0
    );
    assert_eq!(
        world.published(),
        ["ai-fabric.model.requested", "ai-fabric.model.failed"]
    );
    assert_eq!(world.clock.sleepers(), 0);
}

#[test]
fn what_is_said_after_an_early_report_of_usage_is_not_free() {
    let world = World::new();
    let early = ModelEvent::Usage(TokenUsage {
        input_tokens: 5,
        output_tokens: 1,
        estimated: false,
    });
    let said = vec![text("a"), early, text(&"word ".repeat(90))];
    world.port.script([Turn::Say(said, Ending::Silence)]);
    let mut stream = world.router.route(request(&[]));
    for _ in 0..3 {
        assert!(stream.next().now_or_never().is_some());
    }
    let spent = stream.spent();
    assert_eq!((spent.input_tokens, spent.output_tokens), (5, 101));
    assert!(spent.estimated);
    assert_eq!(stream.finish()[0].usage, spent);
}

#[test]
fn an_absurd_count_of_tokens_is_bounded() {
    let world = World::new();
    let absurd = ModelEvent::Usage(TokenUsage {
        input_tokens: u64::MAX,
        output_tokens: u64::MAX,
        estimated: false,
    });
    let said = vec![text("a"), absurd, ModelEvent::Stop(StopReason::EndTurn)];
    world.port.script([Turn::Say(said, Ending::End)]);
    let (_, error, stream) = run(&world, world.router.route(request(&[])));
    assert_eq!(error, None);
    assert_eq!(stream.spent().total(), 200_000_000);
}

#[test]
fn an_answer_without_end_is_given_up_however_small_its_pieces_are() {
    let start = |index| ModelEvent::ToolUseStart {
        index,
        id: String::new(),
        name: String::new(),
    };
    let large: Vec<ModelEvent> = vec![text(&"x".repeat(8 << 20)); 5];
    let empty: Vec<ModelEvent> = (0..600_000).map(start).collect();
    for said in [large, empty] {
        let pieces = said.len();
        let world = World::new();
        world.port.script([Turn::Say(said, Ending::Silence)]);
        let request = RoutedRequest {
            may_restart: false,
            ..request(&[])
        };
        let (events, error, _) = run(&world, world.router.route(request));
        let Some(RouteError::Interrupted { error, .. }) = error else {
            panic!("{error:?}");
        };
        assert!(matches!(error, ModelError::Malformed { .. }), "{error}");
        assert!(events.len() < pieces);
    }
}

#[test]
fn a_model_is_asked_for_no_more_than_it_can_give_and_not_for_what_it_cannot_hold() {
    let world = World::new();
    let mut provider = crate::support::provider("p", &["a", "b"]);
    provider.models[0].context_window = 5;
    provider.models[1].max_output_tokens = 40;
    world.registry.register(provider, world.port.clone()).unwrap();
    let (_, error, stream) = run(&world, world.router.route(request(&["b"])));
    assert_eq!(error, None);
    assert_eq!(
        (world.port.called(), world.port.outputs()),
        (vec!["b".to_owned()], vec![40])
    );
    assert_eq!(
        stream.attempts()[0].outcome,
        AttemptOutcome::Skipped(ModelError::ContextTooLong)
    );
}

#[test]
fn an_open_circuit_is_passed_by_without_a_call() {
    let circuit = CircuitConfig {
        failure_threshold: 2,
        ..CircuitConfig::default()
    };
    let world = World::with(RouterConfig::default(), circuit, ProviderRateLimit::default());
    world.port.script([server_error(), server_error()]);
    run(&world, world.router.route(request(&["b"])));
    assert_eq!(world.port.called(), ["a", "a", "b"]);
    assert!(world.published().contains(&"ai-fabric.circuit.opened"));
    run(&world, world.router.route(request(&["b"])));
    assert_eq!(world.port.called(), ["a", "a", "b", "b"]);
    world.clock.advance(Duration::from_secs(30));
    run(&world, world.router.route(request(&["b"])));
    assert_eq!(world.port.called().last().unwrap(), "a");
    assert!(world.published().contains(&"ai-fabric.circuit.closed"));
}

#[test]
fn an_outage_is_not_answered_with_a_storm() {
    let config = RouterConfig {
        retries_per_minute: 3,
        retry_percent: 20,
        ..RouterConfig::default()
    };
    let circuit = CircuitConfig {
        failure_threshold: 1_000,
        ..CircuitConfig::default()
    };
    let rate_limit = ProviderRateLimit {
        requests_per_minute: NonZeroU64::new(100),
        ..ProviderRateLimit::default()
    };
    let world = World::with(config, circuit, rate_limit);
    world.port.script((0..100).map(|_| server_error()));
    let mut no_delay = request(&["b"]);
    no_delay.chain.retry_delay = Duration::ZERO;
    for _ in 0..10 {
        let (_, error, _) = run(&world, world.router.route(no_delay.clone()));
        assert!(error.unwrap().recoverable());
    }
    // Ten requests and three retries; a fifth of ten would be two.
    assert_eq!(world.port.called().len(), 13);
    let left = world.limiter.remaining_quota(&"p".parse().unwrap()).unwrap();
    assert_eq!(left.requests, Some(87), "a call that was not made does not count");
}

#[test]
fn a_full_provider_is_waited_for_by_the_last_model_only() {
    let rate_limit = ProviderRateLimit {
        requests_per_minute: NonZeroU64::new(1),
        ..ProviderRateLimit::default()
    };
    let world = World::with(RouterConfig::default(), CircuitConfig::default(), rate_limit);
    run(&world, world.router.route(request(&[])));
    let (_, error, stream) = run(&world, world.router.route(request(&["b"])));
    assert_eq!(error, None);
    assert_eq!(world.port.called(), ["a", "b"]);
    assert_eq!(world.port.times()[1], Duration::from_secs(60));
    assert!(matches!(
        stream.attempts()[0].outcome,
        AttemptOutcome::Skipped(ModelError::RateLimited { retry_after: Some(_) })
    ));
    assert!(world.published().contains(&"ai-fabric.rate_limit.hit"));
}

#[test]
fn what_a_model_reports_corrects_its_later_estimates() {
    let world = World::new();
    let usage = TokenUsage {
        input_tokens: 400,
        output_tokens: 1,
        estimated: false,
    };
    let said = vec![
        text("x"),
        ModelEvent::Stop(StopReason::EndTurn),
        ModelEvent::Usage(usage),
    ];
    world.port.script([Turn::Say(said, Ending::End)]);
    let mut request = request(&[]);
    request.chat.messages = vec![ChatMessage::text(Role::User, "word ".repeat(200))];
    run(&world, world.router.route(request));
    assert!(world.estimator.factor(&model("a")) > 1.5);
    assert_eq!(world.circuits.snapshot().len(), 1);
}

#[test]
fn the_providers_window_is_settled_to_what_each_call_really_cost() {
    let rate_limit = ProviderRateLimit {
        tokens_per_minute: NonZeroU64::new(10_000),
        ..ProviderRateLimit::default()
    };
    let world = World::with(RouterConfig::default(), CircuitConfig::default(), rate_limit);
    let left = || {
        world
            .limiter
            .remaining_quota(&"p".parse().unwrap())
            .unwrap()
            .tokens
    };
    let usage = TokenUsage {
        input_tokens: 5,
        output_tokens: 2,
        estimated: false,
    };
    let said = vec![text("x"), ModelEvent::Usage(usage)];
    world.port.script([
        Turn::Refuse(ModelError::ContentRefused),
        Turn::Say(said.clone(), Ending::Fail(ModelError::Cut)),
        Turn::Say(
            [said, vec![ModelEvent::Stop(StopReason::EndTurn)]].concat(),
            Ending::End,
        ),
    ]);
    let (_, error, stream) = run(&world, world.router.route(request(&["b", "c"])));
    assert_eq!(error, None);
    assert_eq!(left(), Some(10_000 - 14));
    assert_eq!(stream.spent().total(), 14);
}

#[test]
fn a_slow_answer_is_not_a_silent_one() {
    let world = World::new();
    let mut pieces = vec![text("a"); 5];
    pieces.push(ModelEvent::Stop(StopReason::EndTurn));
    world
        .port
        .script([Turn::Say(pieces, Ending::Slowly(Duration::from_secs(20)))]);
    let (events, error, _) = run(&world, world.router.route(request(&[])));
    assert_eq!((error, said(&events)), (None, "aaaaa".to_owned()));
    assert_eq!(world.clock.monotonic(), at(120_000));
}
