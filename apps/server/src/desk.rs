//! Where a command is answered: by the running server, else here, from the data directory and the configuration.
//!
//! Without a server the same admin API answers inside the command. Each question opens the store, is answered and closes
//! it again: the store's lock lets one process in at a time, and a person who is thinking holds up no server. Nothing is
//! taken in or sent out meanwhile.

use crate::cli::{ServeArgs, ServerArgs};
use crate::client::{self, Admin, refusal};
use crate::config::Loaded;
use crate::config::sections::StorageKind;
use crate::data_dir::{self, API_KEY_FILE};
use crate::failure::Failure;
use crate::http;
use crate::serve;
use crate::texts::Texts;
use crate::wire::{self, Purpose};
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use openclaw_core::Secret;
use openclaw_sqlite::OpenError;
use openclaw_system::SystemRandom;
use reqwest::Method;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

/// The database in a data directory.
pub(crate) const STORE_FILE: &str = "openclaw.db";

/// What answers.
pub(crate) enum Desk {
    Server(Box<Admin>),
    Here(Box<Here>),
}

/// What a question cannot be answered without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// What is stored.
    Store,
    /// The configuration alone: the store is not opened.
    Configuration,
}

/// The parts of a server that answer without one.
pub(crate) struct Here {
    loaded: Loaded,
    dir: PathBuf,
    api_key: Secret,
    texts: Texts,
}

// === impl Desk ===

impl Desk {
    /// The server when one answers; else this machine, which is said on standard error.
    pub(crate) fn find(args: &ServerArgs, config: Option<&Path>, needs: Needs) -> anyhow::Result<Self> {
        let found = Admin::find(args).and_then(|admin| {
            // A server that was killed leaves its address behind.
            admin.call(Method::GET, "metrics/concurrency", None)?;
            Ok(admin)
        });
        let silent = match found {
            Ok(admin) => return Ok(Self::Server(Box::new(admin))),
            Err(error) if args.url.is_none() && client::is_unreachable(&error) => error,
            Err(error) => return Err(error),
        };
        let from = ServeArgs {
            config: config.map(Path::to_owned),
            data_dir: args.data_dir.clone(),
            ..ServeArgs::default()
        };
        let mut loaded = serve::load(&from)?;
        let texts = Texts::new(loaded.language);
        let dir = serve::data_path(&loaded)?;
        match needs {
            Needs::Store => {
                if loaded.sections.storage.kind == StorageKind::Memory {
                    return Err(Failure::unreachable(texts.memory_only(), "openclaw serve").into());
                }
                if !dir.join(STORE_FILE).is_file() {
                    return Err(silent.context(texts.no_store(&Texts::path(&dir))));
                }
                say(&texts.working_on(&Texts::path(&dir)));
            }
            Needs::Configuration => {
                loaded.sections.storage.kind = StorageKind::Memory;
                say(&match serve::config_file(&from) {
                    Some(file) => texts.working_from_file(&Texts::path(&file)),
                    None => texts.working_without_file(),
                });
            }
        }
        // Nothing is taken in or sent out.
        loaded.secrets.telegram_token = None;
        loaded.secrets.max_token = None;
        let api_key = loaded
            .secrets
            .api_key
            .clone()
            .or_else(|| {
                let text = std::fs::read_to_string(dir.join(API_KEY_FILE)).ok()?;
                Some(Secret::new(text.trim()))
            })
            .unwrap_or_else(|| data_dir::new_api_key(&SystemRandom));
        Ok(Self::Here(Box::new(Here {
            loaded,
            dir,
            api_key,
            texts,
        })))
    }

    /// What is said to whoever typed the command.
    pub(crate) fn texts(&self) -> Texts {
        match self {
            Self::Server(admin) => admin.texts(),
            Self::Here(here) => here.texts,
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        match self {
            Self::Server(admin) => admin.call(method, path, body),
            Self::Here(here) => here.call(method, path, body),
        }
    }

    /// The same for what may take longer. Here a question has a limit of its own.
    pub(crate) fn call_within(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> anyhow::Result<Value> {
        match self {
            Self::Server(admin) => admin.call_within(method, path, body, patience),
            Self::Here(here) => here.call(method, path, body),
        }
    }
}

fn say(what: &str) {
    // Whoever closed standard error does not want to know.
    writeln!(std::io::stderr().lock(), "{what}").ok();
}

// === impl Here ===

impl Here {
    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.asked(method, path, body))
    }

    async fn asked(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let admin = data_dir::new_api_key(&SystemRandom);
        let visitors = data_dir::new_api_key(&SystemRandom);
        let built = wire::build(
            &self.loaded,
            &self.dir,
            &admin,
            &self.api_key,
            visitors,
            Purpose::Look,
        )
        .await
        .map_err(|error| self.not_built(error))?;
        let request = Request::builder()
            .method(method)
            .uri(format!("/admin/api/v1/{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", admin.expose()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))?;
        let answered = match http::router(Arc::clone(&built.app)).oneshot(request).await {
            Ok(response) => {
                let status = response.status();
                response
                    .into_body()
                    .collect()
                    .await
                    .map(|body| (status, body.to_bytes()))
            }
            Err(never) => match never {},
        };
        // What was changed is on the disk; the store is given up before anything is said.
        built.gateway.shut_down(Duration::ZERO).await;
        let (status, bytes) = answered?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let place = Texts::path(&self.dir);
        Err(refusal(self.texts, &place, path, status, &answer, &bytes).into())
    }

    fn not_built(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast_ref::<OpenError>() {
            Some(OpenError::InUse { dir }) => Failure::unreachable(
                self.texts.store_in_use(&Texts::path(dir)),
                self.texts.store_in_use_next(),
            )
            .into(),
            Some(_) | None => error,
        }
    }
}
