//! `openclaw send`: a message from the terminal, the answer streamed.

use crate::cli::SendArgs;
use crate::data_dir::{self, API_KEY_FILE};
use crate::serve::ADDRESS_FILE;
use anyhow::{Context, bail};
use openclaw_http_client::{Client, HttpClientConfig};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Sends the message and prints the answer.
pub(crate) fn run(args: &SendArgs) -> anyhow::Result<u8> {
    let text = if args.text == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input cannot be read")?;
        text
    } else {
        args.text.clone()
    };
    let data_dir = data_dir(args.data_dir.as_deref())?;
    let url = match &args.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => running_server(&data_dir)?,
    };
    let key = api_key(&data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(send(&url, &key, &args.model, &text))
}

/// Where the server keeps its data, as far as a client can know.
pub(crate) fn data_dir(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    match std::env::var_os("OPENCLAW_DATA_DIR") {
        Some(path) => Ok(path.into()),
        None => Ok(data_dir::default_path(|name| std::env::var_os(name))?),
    }
}

/// The address of the server that runs on a data directory.
pub(crate) fn running_server(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join(ADDRESS_FILE);
    let address = std::fs::read_to_string(&path)
        .with_context(|| format!("no server runs on {}\n  next  openclaw serve", data_dir.display()))?;
    Ok(format!(
        "http://{}",
        address
            .trim()
            .replace("0.0.0.0", "127.0.0.1")
            .replace("[::]", "[::1]")
    ))
}

fn api_key(data_dir: &Path) -> anyhow::Result<String> {
    if let Ok(key) = std::env::var("OPENCLAW_API_KEY") {
        return Ok(key.trim().to_owned());
    }
    let path = data_dir.join(API_KEY_FILE);
    let key = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "{} cannot be read\n  next  set OPENCLAW_API_KEY to the server's key",
            path.display()
        )
    })?;
    Ok(key.trim().to_owned())
}

async fn send(url: &str, key: &str, model: &str, text: &str) -> anyhow::Result<u8> {
    let client: Client = HttpClientConfig::default().build()?;
    let body = serde_json::json!({
        "model": model,
        "stream": true,
        "messages": [{ "role": "user", "content": text }],
    });
    let request = client
        .post(format!("{url}/v1/chat/completions"))
        .bearer_auth(key)
        .json(&body);
    let mut response = request
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("{url} does not answer\n  next  openclaw serve"))?;
    if !response.status().is_success() {
        let status = response.status();
        let error: serde_json::Value = response.json().await.unwrap_or_default();
        bail!(
            "{}",
            error["error"]["message"].as_str().unwrap_or(status.as_str())
        );
    }
    let mut out = std::io::stdout().lock();
    let mut line = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        for byte in piece {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            if let Some(data) = line.strip_prefix(b"data: ") {
                if data == b"[DONE]" {
                    writeln!(out)?;
                    return Ok(0);
                }
                let event: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
                if let Some(message) = event["error"]["message"].as_str() {
                    writeln!(out)?;
                    bail!("{message}");
                }
                write!(
                    out,
                    "{}",
                    event["choices"][0]["delta"]["content"]
                        .as_str()
                        .unwrap_or_default()
                )?;
                out.flush()?;
            }
            line.clear();
        }
    }
    writeln!(out)?;
    bail!("the answer was cut off")
}
