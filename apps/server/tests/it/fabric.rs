//! Models from outside: providers of every kind, found and configured, tools in both directions, a registry that changes
//! while the server runs, and what operators ask of models and budgets.

mod budgets;
mod fakes;
mod found;
mod kinds;
mod operators;
mod reload;

use crate::setup::LONG;
use openclaw_testkit::{HttpClient, Reply, ServerProcess, ServerSetup};
use serde_json::{Value, json};
use std::path::Path;
use tokio::process::Command;

/// A server on a directory with this `openclaw.toml`.
async fn configured(
    directory: &Path,
    file: &str,
    change: impl FnOnce(ServerSetup) -> ServerSetup,
) -> ServerProcess {
    std::fs::write(directory.join("openclaw.toml"), file).unwrap();
    let setup = ServerSetup::new(crate::BINARY).data_dir(directory);
    change(setup).start().await.unwrap()
}

/// The operator's client of `/v1`.
fn client(server: &ServerProcess) -> HttpClient {
    let key = server.api_key().unwrap();
    server.http().unwrap().with_bearer(&key).unwrap()
}

/// The client of the admin API.
fn admin(server: &ServerProcess) -> HttpClient {
    let token = server.admin_token().unwrap();
    server.http().unwrap().with_bearer(&token).unwrap()
}

async fn ask(client: &HttpClient, model: &str) -> Reply {
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
    post(client, &body).await
}

async fn post(client: &HttpClient, body: &Value) -> Reply {
    client
        .post("/v1/chat/completions")
        .json(body)
        .within(LONG)
        .send()
        .await
        .unwrap()
}

#[track_caller]
fn said(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json().unwrap();
    answer["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Runs a command on the server's data directory: its exit code and what it printed.
async fn run(server: &ServerProcess, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(crate::BINARY);
    command
        .args(arguments)
        .env_clear()
        .env("HOME", server.data_dir())
        .env("OPENCLAW_DATA_DIR", server.data_dir())
        .env("OPENCLAW__AI_FABRIC__LOCAL_OLLAMA", "http://127.0.0.1:1")
        .kill_on_drop(true);
    let output = tokio::time::timeout(LONG, command.output())
        .await
        .unwrap()
        .unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text.push_str(&String::from_utf8(output.stderr).unwrap());
    (output.status.code().unwrap_or(-1), text)
}

/// Waits until the server's log holds these words.
async fn logged(server: &ServerProcess, words: &str) {
    logged_times(server, words, 1).await;
}

/// Waits until the server's log holds these words so many times.
async fn logged_times(server: &ServerProcess, words: &str, times: usize) {
    let waiting = async {
        while server.log().matches(words).count() < times {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, waiting)
        .await
        .unwrap_or_else(|_| panic!("{words:?} in:\n{}", server.log()));
}
