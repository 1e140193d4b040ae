//! `openclaw health`: the exit code says whether the server is well. For health checks of containers, which have neither
//! a shell nor curl. It asks the open paths, so it needs no token.

use crate::cli::ServerArgs;
use crate::client::{Server, printable};
use crate::failure::Failure;
use crate::print;
use crate::texts::Texts;
use clap::Args;
use openclaw_http_client::HttpClientConfig;
use reqwest::StatusCode;
use serde_json::Value;
use std::time::Duration;

/// How long an answer may take. Docker gives a check 30 s, Kubernetes 1 s by default.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Only whether the process answers
    #[arg(long, conflicts_with = "ready")]
    pub(crate) live: bool,
    /// Only whether messages are taken, without the list of checks
    #[arg(long)]
    pub(crate) ready: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// As JSON
    #[arg(long, conflicts_with_all = ["live", "ready"])]
    pub(crate) json: bool,
}

/// Carries out the command; the exit code: 0 well, 1 not, 69 when nobody answers.
pub(crate) fn run(args: &HealthArgs) -> anyhow::Result<u8> {
    let server = Server::find(&args.server)?;
    let texts = Texts::of(&args.server);
    let next = texts.health_next();
    if args.live {
        return match ask(&server, "/livez")? {
            (StatusCode::OK, _) => print(&texts.health_alive(&server.url)),
            (status, _) => {
                let what = texts.health_not_alive(&server.url, status.as_u16());
                Err(Failure::failed(what, next).into())
            }
        };
    }
    if args.json {
        let (status, text) = ask(&server, "/health")?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        print(&format!("{answer:#}\n"))?;
        return Ok(u8::from(status != StatusCode::OK || answer["ready"] != true));
    }
    let path = if args.ready { "/readyz" } else { "/readyz?verbose" };
    let (status, text) = ask(&server, path)?;
    print(&printable(&text))?;
    match status {
        StatusCode::OK => Ok(0),
        _ => Err(Failure::failed(texts.health_not_ready(&server.url), next).into()),
    }
}

fn ask(server: &Server, path: &str) -> anyhow::Result<(StatusCode, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = HttpClientConfig::default().build()?;
    let asked = async {
        let response = client.get(format!("{}{path}", server.url)).send().await?;
        let status = response.status();
        Ok::<_, reqwest::Error>((status, response.text().await?))
    };
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await }) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(server.silent().into()),
    }
}
