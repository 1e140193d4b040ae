//! The adapter against a GigaChat on loopback, with a clock moved by hand.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test they are called from"
)]

mod fake;

use fake::{Fake, Reply, Request};
use futures::StreamExt;
use futures::future::join_all;
use openclaw_ai_fabric::{ChatRequest, ModelError, ModelPort};
use openclaw_core::testing::{ManualClock, SeededRandom};
use openclaw_core::{ChatMessage, Clock, CorrelationId, ModelEvent, Role, Secret, StopReason};
use openclaw_gigachat::{GigaChatConfig, GigaChatModel, Scope};
use openclaw_http_client::HttpClientConfig;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

struct Setup {
    fake: Fake,
    clock: Arc<ManualClock>,
    model: GigaChatModel,
}

impl Setup {
    async fn new(rule: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let fake = Fake::start(rule).await;
        let clock = ManualClock::new();
        let mut config = GigaChatConfig::new("p".parse().unwrap(), Secret::new("a2V5OmhhcmQ="));
        config.base_url = format!("{}/api/v1", fake.address);
        config.auth_url = format!("{}/oauth", fake.address);
        config.scope = Scope::Business;
        let client = HttpClientConfig::default().build().unwrap();
        let random = Arc::new(SeededRandom::new(7));
        let model = GigaChatModel::new(config, client, Arc::clone(&clock) as _, random).unwrap();
        Self { fake, clock, model }
    }

    async fn ask(&self) -> Result<Vec<Result<ModelEvent, ModelError>>, ModelError> {
        let id = CorrelationId::new(self.clock.now(), &SeededRandom::new(1));
        let request = ChatRequest::new(vec![ChatMessage::text(Role::User, "Привет")], 64);
        let model = "GigaChat".parse().unwrap();
        let stream = self.model.stream(&model, &request, id).await?;
        let said = |event: &Result<ModelEvent, ModelError>| !matches!(event, Ok(ModelEvent::Ping));
        Ok(stream
            .filter(|event| std::future::ready(said(event)))
            .collect()
            .await)
    }

    /// Asks and is answered.
    async fn answered(&self) {
        let events = self.ask().await.unwrap();
        let stop = Ok(ModelEvent::Stop(StopReason::EndTurn));
        assert_eq!(events, [Ok(ModelEvent::TextDelta("да".into())), stop]);
    }
}

/// A token named by its number, good for half an hour from the beginning of the manual clock's time plus `minutes`.
fn token(number: usize, minutes: i64) -> Reply {
    let expires_at = 1_767_225_600_000 + minutes * 60_000;
    let body = format!("{{\"access_token\":\"token-{number}\",\"expires_at\":{expires_at}}}");
    Reply::Now(200, "application/json", body)
}

fn answer() -> Reply {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"да\"},\"index\":0,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    Reply::Now(200, "text/event-stream; charset=utf-8", body.into())
}

fn refusal(status: u16) -> Reply {
    let body = format!("{{\"status\":{status},\"message\":\"no\"}}");
    Reply::Now(status, "application/json", body)
}

/// Tokens for half an hour each, answers for whoever has one.
fn well(request: &Request, before: usize) -> Reply {
    if request.is_exchange() {
        token(before, 30 * (1 + i64::try_from(before).unwrap()))
    } else {
        answer()
    }
}

#[tokio::test]
async fn the_key_is_exchanged_once_and_the_token_is_sent_with_every_call() {
    let setup = Setup::new(well).await;
    setup.answered().await;
    setup.answered().await;
    let requests = setup.fake.requests();
    assert_eq!(setup.fake.counts(), (1, 2));
    assert_eq!(requests[0].header("authorization"), Some("Basic a2V5OmhhcmQ="));
    assert_eq!(requests[0].body, "scope=GIGACHAT_API_B2B");
    let id = requests[0].header("rquid").unwrap();
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");
    for request in &requests[1..] {
        assert_eq!(request.path, "/api/v1/chat/completions");
        assert_eq!(request.header("authorization"), Some("Bearer token-0"));
        assert_eq!(request.json()["messages"][0]["content"], "Привет");
        assert_eq!(
            (&request.json()["stream"], &request.json()["max_tokens"]),
            (&true.into(), &64.into())
        );
    }
}

#[tokio::test]
async fn however_many_come_at_once_one_exchange_is_made() {
    let setup = Setup::new(well).await;
    join_all((0..20).map(|_| setup.answered())).await;
    assert_eq!(setup.fake.counts(), (1, 20));
}

#[tokio::test]
async fn a_failed_exchange_is_shared_by_all_who_waited_and_tried_again_by_the_next() {
    let setup = Setup::new(|request, before| match before {
        0 if request.is_exchange() => refusal(500),
        _ => well(request, before),
    })
    .await;
    let failed = join_all((0..20).map(|_| setup.ask())).await;
    let expected = Err(ModelError::Server {
        status: 500,
        retry_after: None,
    });
    assert!(failed.iter().all(|outcome| *outcome == expected), "{failed:?}");
    assert_eq!(setup.fake.counts(), (1, 0));
    setup.answered().await;
    assert_eq!(setup.fake.counts(), (2, 1));
}

#[tokio::test]
async fn a_caller_that_leaves_in_the_middle_of_an_exchange_holds_nobody_up() {
    let setup = Setup::new(|request, before| match before {
        0 if request.is_exchange() => Reply::Never,
        _ => well(request, before),
    })
    .await;
    {
        let asking = std::pin::pin!(setup.ask());
        let arrived = std::pin::pin!(async {
            while setup.fake.counts().0 == 0 {
                tokio::task::yield_now().await;
            }
        });
        futures::future::select(asking, arrived).await;
    }
    setup.answered().await;
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all_and_the_call_repeated_once() {
    let setup = Setup::new(|request, before| match request.header("authorization") {
        Some("Bearer token-0") => refusal(401),
        _ => well(request, before),
    })
    .await;
    join_all((0..5).map(|_| setup.answered())).await;
    assert_eq!(setup.fake.counts(), (2, 10));
}

#[tokio::test]
async fn a_key_that_gets_no_accepted_token_is_unauthorized_after_two_tries() {
    let setup = Setup::new(|request, before| {
        if request.is_exchange() {
            token(before, 30)
        } else {
            refusal(401)
        }
    })
    .await;
    assert_eq!(setup.ask().await, Err(ModelError::Unauthorized { status: 401 }));
    assert_eq!(setup.fake.counts(), (2, 2));
    let setup = Setup::new(|_, _| refusal(400)).await;
    assert_eq!(setup.ask().await, Err(ModelError::Unauthorized { status: 400 }));
    assert_eq!(setup.fake.counts(), (1, 0));
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_time_and_never_used_after_its_life() {
    let setup = Setup::new(well).await;
    setup.answered().await;
    setup.clock.advance(23 * MINUTE);
    setup.answered().await;
    assert_eq!(setup.fake.counts(), (1, 2));
    // Past 90 % of its life, whatever chance said.
    setup.clock.advance(5 * MINUTE);
    join_all((0..5).map(|_| setup.answered())).await;
    assert_eq!(setup.fake.counts(), (2, 7));
    setup.clock.advance(120 * MINUTE);
    setup.answered().await;
    assert_eq!(setup.fake.counts(), (3, 8));
    let last = setup
        .fake
        .requests()
        .last()
        .unwrap()
        .header("authorization")
        .map(str::to_owned);
    assert_eq!(last.as_deref(), Some("Bearer token-2"));
}

#[tokio::test]
async fn a_renewal_that_fails_or_hangs_is_no_failure_while_the_old_token_is_good() {
    for trouble in [refusal(500), Reply::Never] {
        let hangs = matches!(trouble, Reply::Never);
        let setup = Setup::new(move |request, before| match before {
            1 if request.is_exchange() => trouble.clone(),
            _ => well(request, before),
        })
        .await;
        setup.answered().await;
        setup.clock.advance(28 * MINUTE);
        let patience = async {
            if hangs {
                while setup.fake.counts().0 < 2 {
                    tokio::task::yield_now().await;
                }
                setup.clock.advance(Duration::from_secs(2));
            }
        };
        futures::future::join(setup.answered(), patience).await;
        // Not tried again by the very next call.
        setup.answered().await;
        assert_eq!(setup.fake.counts(), (2, 3));
        setup.clock.advance(Duration::from_secs(20));
        setup.answered().await;
        assert_eq!(setup.fake.counts(), (3, 4));
    }
}

#[tokio::test]
async fn refusals_are_told_apart_and_show_neither_key_nor_token() {
    for (status, expected) in [
        (402, ModelError::QuotaExhausted { message: "no".into() }),
        (404, ModelError::UnknownModel),
        (429, ModelError::RateLimited { retry_after: None }),
    ] {
        let setup = Setup::new(move |request, before| {
            if request.is_exchange() {
                well(request, before)
            } else {
                refusal(status)
            }
        })
        .await;
        assert_eq!(setup.ask().await, Err(expected));
        let shown = format!("{:?}", setup.model);
        assert!(!shown.contains("a2V5") && !shown.contains("token-0"), "{shown}");
    }
}

#[tokio::test]
async fn the_models_are_listed() {
    let setup = Setup::new(|request, before| match request.path.as_str() {
        "/api/v1/models" => {
            let body = r#"{"object":"list","data":[{"id":"GigaChat-2"},{"id":"GigaChat-2-Max"}]}"#;
            Reply::Now(200, "application/json", body.into())
        }
        _ => well(request, before),
    })
    .await;
    let models = vec!["GigaChat-2".parse().unwrap(), "GigaChat-2-Max".parse().unwrap()];
    assert_eq!(setup.model.models().await, Ok(Some(models)));
}

#[test]
fn every_fault_of_a_configuration_is_named_and_no_secret_is_shown() {
    let mut config = GigaChatConfig::new("p".parse().unwrap(), Secret::new("hu\nsh"));
    config.base_url = "https://u:hush@x".into();
    config.auth_url = String::new();
    config.headers = vec![("bad name".into(), Secret::new("hush"))];
    let client = HttpClientConfig::default().build().unwrap();
    let random = Arc::new(SeededRandom::new(7));
    let error = GigaChatModel::new(config, client, ManualClock::new(), random).unwrap_err();
    assert_eq!(error.violations.len(), 4);
    assert!(!error.to_string().contains("hush"));
    assert!(
        "GIGACHAT_API_CORP"
            .parse::<Scope>()
            .is_ok_and(|scope| scope == Scope::Corporate)
    );
    assert!(
        "pers"
            .parse::<Scope>()
            .is_ok_and(|scope| scope == Scope::Personal)
    );
    assert!("other".parse::<Scope>().is_err());
}
