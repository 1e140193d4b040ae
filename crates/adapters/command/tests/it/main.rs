//! The adapter with real programs: the shell.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test they are called from"
)]

use futures::StreamExt;
use openclaw_ai_fabric::{ChatRequest, ModelError, ModelPort, ModelStream};
use openclaw_command::{CommandConfig, CommandModel, OutputFormat};
use openclaw_core::{ChatMessage, Clock, CorrelationId, ModelEvent, ModelId, Role, Secret, StopReason};
use openclaw_system::{SystemClock, SystemRandom};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

fn shell(script: &str) -> CommandConfig {
    let mut config = CommandConfig::new("p".parse().unwrap(), "sh");
    config.arguments = vec!["-c".into(), script.into()];
    config
}

async fn open(config: CommandConfig, text: &str) -> Result<ModelStream, ModelError> {
    let id = CorrelationId::new(SystemClock::new().now(), &SystemRandom);
    let request = ChatRequest::new(vec![ChatMessage::text(Role::User, text)], 64);
    let model: ModelId = "m".parse().unwrap();
    CommandModel::new(config)
        .unwrap()
        .stream(&model, &request, id)
        .await
}

async fn ask(config: CommandConfig, text: &str) -> (String, Result<StopReason, ModelError>) {
    let events: Vec<_> = open(config, text).await.unwrap().collect().await;
    let mut said = String::new();
    let mut end = None;
    for event in events {
        assert_eq!(end, None, "nothing follows the end");
        match event {
            Ok(ModelEvent::TextDelta(text)) => said += &text,
            Ok(ModelEvent::Stop(reason)) => end = Some(Ok(reason)),
            Err(error) => end = Some(Err(error)),
            Ok(_) => {}
        }
    }
    (said, end.unwrap())
}

#[tokio::test]
async fn a_program_reads_the_conversation_and_its_words_are_the_answer() {
    let (said, end) = ask(shell("cat"), "Hello").await;
    assert_eq!(end, Ok(StopReason::EndTurn));
    let line: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(line["messages"][0]["content"], "Hello");
    assert_eq!(line["maxOutputTokens"], 64);
    assert!(said.ends_with('\n'));
}

#[tokio::test]
async fn json_lines_are_decoded() {
    let mut config = shell(r#"echo '{"text":"Hi"}'; echo '{"type":"stop","reason":"max_tokens"}'"#);
    config.output = OutputFormat::JsonLines;
    assert_eq!(ask(config, "x").await, ("Hi".into(), Ok(StopReason::MaxTokens)));
}

#[tokio::test]
async fn a_conversation_larger_than_any_pipe_is_read_while_the_answer_is_written() {
    let text = "long ".repeat(400_000);
    let (said, end) = ask(shell("cat; echo >&2; cat >/dev/null"), &text).await;
    assert_eq!(end, Ok(StopReason::EndTurn));
    assert!(said.len() > text.len());
}

#[tokio::test]
async fn a_program_that_does_not_read_its_request_may_answer() {
    let text = "long ".repeat(400_000);
    assert_eq!(
        ask(shell("echo ok"), &text).await,
        ("ok\n".into(), Ok(StopReason::EndTurn))
    );
}

#[tokio::test]
async fn a_program_that_fails_has_not_answered_whatever_it_said() {
    let script = "echo half; echo secret-complaint >&2; exit 3";
    let (said, end) = ask(shell(script), "x").await;
    let message = "the program ended with exit code 3".to_owned();
    assert_eq!(
        (said.as_str(), end),
        ("half\n", Err(ModelError::InStream { message }))
    );
    let (_, end) = ask(shell("kill -9 $$"), "x").await;
    let message = "the program was ended by signal 9".to_owned();
    assert_eq!(end, Err(ModelError::InStream { message }));
}

#[tokio::test]
async fn complaints_never_hold_a_program_up() {
    let script = "head -c 1000000 /dev/zero >&2; echo done";
    assert_eq!(
        ask(shell(script), "x").await,
        ("done\n".into(), Ok(StopReason::EndTurn))
    );
}

#[tokio::test]
async fn output_beyond_the_bound_is_an_error_and_ends_the_program() {
    let mut config = shell("yes");
    config.max_output_bytes = 1_000;
    let (said, end) = ask(config, "x").await;
    assert_eq!(said.len(), 1_000);
    assert!(matches!(end, Err(ModelError::Malformed { .. })));
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_no_connection() {
    let config = CommandConfig::new("p".parse().unwrap(), "/nowhere/hush");
    let Err(error) = open(config, "x").await else {
        panic!("it started");
    };
    assert!(matches!(error, ModelError::Connect { .. }));
    assert!(!error.to_string().contains("hush"), "{error}");
}

/// The program and the child it started hold a connection each; when both are gone the listener's side reads an end.
#[tokio::test]
async fn a_reader_that_leaves_kills_the_program_and_its_children() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; echo up; sleep 600' & bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; sleep 600'"
    );
    let mut stream = open(shell(&script), "x").await.unwrap();
    let (mut first, _) = listener.accept().await.unwrap();
    let (mut second, _) = listener.accept().await.unwrap();
    assert!(stream.next().await.is_some());
    drop(stream);
    for connection in [&mut first, &mut second] {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(60), connection.read_to_end(&mut rest));
        // A reset is an end, too.
        let _read = end.await.expect("the connection ends");
    }
}

#[tokio::test]
async fn a_program_sees_its_own_variables_and_not_the_servers_keys() {
    let mut config = shell("printf '%s|%s|%s' \"$MY_KEY\" \"$CARGO_MANIFEST_DIR\" {model}");
    config.environment = vec![("MY_KEY".into(), Secret::new("mine"))];
    assert!(!format!("{config:?}").contains("mine"));
    // Cargo's variable stands for one of the server's own.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert_eq!(ask(config, "x").await.0, "mine||m");
}

#[test]
fn every_fault_of_a_configuration_is_named_and_no_value_is_shown() {
    let mut config = CommandConfig::new("p".parse().unwrap(), "");
    config.arguments = vec!["a\0b".into()];
    config.environment = vec![
        ("A=B".into(), Secret::new("hush")),
        ("C".into(), Secret::new("hush\0")),
    ];
    config.max_output_bytes = 0;
    let error = CommandModel::new(config).unwrap_err();
    assert_eq!(error.violations.len(), 5);
    assert!(!error.to_string().contains("hush"));
}
