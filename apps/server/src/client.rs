//! How commands find the running server and talk to its admin API.
//!
//! The server is found through `server.addr` in the data directory. A secret of the data directory goes to this machine
//! only: an address elsewhere gets what the environment holds for it.

use crate::again;
use crate::cli::ServerArgs;
use crate::data_dir::{self, ADMIN_TOKEN_FILE, API_KEY_FILE};
use crate::failure::Failure;
use crate::serve::ADDRESS_FILE;
use crate::texts::Texts;
use openclaw_core::Secret;
use openclaw_http_client::{Client, HttpClientConfig};
use reqwest::header::ACCEPT_LANGUAGE;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the admin API may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is shown of an answer that is not ours.
const SHOWN_CHARS: usize = 200;

/// A server to talk to.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Its address, without a slash at the end.
    pub(crate) url: String,
    /// Where this machine keeps the data.
    pub(crate) data_dir: PathBuf,
    /// The flag that named the data directory, as it is typed again in a hint.
    again: String,
    /// Whether its address was given and not found in the data directory.
    named: bool,
    texts: Texts,
}

/// A secret, and where it was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) secret: Secret,
    place: Place,
}

/// Where a secret was found.
#[derive(Clone, Debug)]
enum Place {
    /// The variable of this name, or the file it points to.
    Variable(String),
    /// This file of the data directory.
    File(PathBuf),
}

/// The admin API of a server.
#[derive(Debug)]
pub(crate) struct Admin {
    server: Server,
    token: Found,
    client: Client,
}

/// Which secret is wanted, and where it may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Credential {
    /// The admin token.
    Admin,
    /// The operator's API key.
    ApiKey,
}

/// Where the server keeps its data, as far as a client can know.
pub(crate) fn data_dir(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    match std::env::var_os("OPENCLAW_DATA_DIR").filter(|path| !path.is_empty()) {
        Some(path) => Ok(path.into()),
        None => Ok(data_dir::default_path(|name| std::env::var_os(name))?),
    }
}

/// An address as a client of this machine reaches it: a server that listens everywhere listens here too.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether no server answered.
pub(crate) fn is_unreachable(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Failure>()
        .is_some_and(Failure::is_unreachable)
}

/// Text of another's as it may be shown on a terminal: nothing that moves the cursor or changes colours.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// A text as one segment of a path or one value of a query.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':' | b',') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

// === impl Server ===

impl Server {
    /// What is said to whoever typed the command.
    pub(crate) fn texts(&self) -> Texts {
        self.texts
    }

    /// The server that was named, else the one that runs on the data directory.
    pub(crate) fn find(args: &ServerArgs) -> anyhow::Result<Self> {
        let data_dir = data_dir(args.data_dir.as_deref())?;
        let (again, texts) = (args.typed_again(), Texts::of(args));
        if let Some(url) = &args.url {
            let url = url.trim_end_matches('/').to_owned();
            if !url.starts_with("http://") && !url.starts_with("https://") {
                let what = texts.not_an_address(&url);
                return Err(
                    Failure::failed(what, again::with_value("--url", &format!("http://{url}"))).into(),
                );
            }
            return Ok(Self {
                url,
                data_dir,
                again,
                named: true,
                texts,
            });
        }
        let address = std::fs::read_to_string(data_dir.join(ADDRESS_FILE))
            .ok()
            .and_then(|text| text.trim().parse::<SocketAddr>().ok());
        match address {
            Some(address) => Ok(Self {
                url: format!("http://{}", reachable(address)),
                data_dir,
                again,
                named: false,
                texts,
            }),
            None => Err(Failure::unreachable(
                texts.no_server(&Texts::path(&data_dir)),
                format!("openclaw serve{again}"),
            )
            .into()),
        }
    }

    /// The failure of a server that does not answer.
    pub(crate) fn silent(&self) -> Failure {
        let next = if self.named {
            self.texts.silent_elsewhere()
        } else {
            format!("openclaw serve{}", self.again)
        };
        Failure::unreachable(self.texts.silent(&self.url), next)
    }

    /// The secret for this server: the environment's, else, on this machine, the data directory's.
    pub(crate) fn secret(&self, credential: Credential) -> anyhow::Result<Found> {
        let (variable, file) = credential.places();
        let texts = self.texts;
        let found = |secret: &str, place| Found {
            secret: Secret::new(secret.trim()),
            place,
        };
        let set = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        if let Some(secret) = set(variable) {
            return Ok(found(&secret, Place::Variable(variable.to_owned())));
        }
        let file_variable = format!("{variable}_FILE");
        if let Some(path) = set(&file_variable) {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                let what = texts.unreadable(&path, &texts.no_file(&error));
                Failure::not_allowed(what, texts.set_to_servers(variable))
            })?;
            return Ok(found(&text, Place::Variable(file_variable)));
        }
        if !self.is_here() {
            let what = texts.elsewhere(&self.url, variable);
            return Err(Failure::not_allowed(what, texts.set_to_servers(variable)).into());
        }
        let path = self.data_dir.join(file);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(found(&text, Place::File(path))),
            Err(error) => {
                let what = texts.unreadable(&Texts::path(&path), &texts.no_file(&error));
                Err(Failure::not_allowed(what, texts.set_or_data_dir(variable)).into())
            }
        }
    }

    /// The failure of a secret that the server does not take: whose it was, and what to do.
    pub(crate) fn refuses(&self, credential: Credential, found: &Found) -> Failure {
        let (variable, file) = credential.places();
        let texts = self.texts;
        let (name, other) = match credential {
            Credential::Admin => (texts.admin_token(), texts.set_to_servers(variable)),
            Credential::ApiKey => (texts.api_key(), texts.make_a_key(variable)),
        };
        let own = self.data_dir.join(file);
        let (place, next) = match &found.place {
            Place::Variable(set) if self.is_here() && own.is_file() => {
                (set.clone(), texts.unset_or(set, &Texts::path(&own), &other))
            }
            Place::Variable(set) => (set.clone(), other),
            Place::File(path) => (Texts::path(path), texts.data_dir_or(&other)),
        };
        Failure::not_allowed(texts.not_taken(&self.url, &name, &place), next)
    }

    fn is_here(&self) -> bool {
        let host = reqwest::Url::parse(&self.url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        host.is_some_and(|host| {
            let bare = host.trim_matches(['[', ']']);
            host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        })
    }
}

// === impl Credential ===

impl Credential {
    /// The variable and the file of the data directory.
    fn places(self) -> (&'static str, &'static str) {
        match self {
            Self::Admin => ("OPENCLAW_ADMIN_TOKEN", ADMIN_TOKEN_FILE),
            Self::ApiKey => ("OPENCLAW_API_KEY", API_KEY_FILE),
        }
    }
}

// === impl Admin ===

impl Admin {
    /// The same where a running server is the only place to ask, with `what` is asked for in the failure's words.
    pub(crate) fn live(args: &ServerArgs, what: impl FnOnce(Texts) -> String) -> anyhow::Result<Self> {
        Self::find(args).map_err(|error| match is_unreachable(&error) {
            true => {
                let texts = Texts::of(args);
                error.context(texts.only_live(&what(texts)))
            }
            false => error,
        })
    }

    /// The admin API of the server that the arguments mean.
    pub(crate) fn find(args: &ServerArgs) -> anyhow::Result<Self> {
        let server = Server::find(args)?;
        let token = server.secret(Credential::Admin)?;
        let client = HttpClientConfig::default().build()?;
        Ok(Self {
            server,
            token,
            client,
        })
    }

    /// What is said to whoever typed the command.
    pub(crate) fn texts(&self) -> Texts {
        self.server.texts
    }

    /// Asks, and waits for the answer.
    pub(crate) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.call_within(method, path, body, PATIENCE)
    }

    /// The same for what may take longer.
    pub(crate) fn call_within(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> anyhow::Result<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.request(method, path, body, patience))
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> anyhow::Result<Value> {
        let url = format!("{}/admin/api/v1/{path}", self.server.url);
        let mut request = self
            .client
            .request(method, url)
            .bearer_auth(self.token.secret.expose())
            // What the server says of its configuration is for whoever typed the command.
            .header(ACCEPT_LANGUAGE, self.server.texts.language().as_str());
        if let Some(body) = body {
            request = request.json(body);
        }
        let asked = async {
            let response = request.send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        let (status, bytes) = match tokio::time::timeout(patience, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => return Err(self.server.silent().into()),
        };
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        Err(self.refused(path, status, &answer, &bytes).into())
    }

    fn refused(&self, path: &str, status: StatusCode, answer: &Value, bytes: &[u8]) -> Failure {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                self.server.refuses(Credential::Admin, &self.token)
            }
            _ => refusal(self.server.texts, &self.server.url, path, status, answer, bytes),
        }
    }
}

/// What an answer that is an error means to whoever typed the command. `place` is who answered.
pub(crate) fn refusal(
    texts: Texts,
    place: &str,
    path: &str,
    status: StatusCode,
    answer: &Value,
    bytes: &[u8],
) -> Failure {
    let said = match answer["detail"].as_str() {
        Some(detail) => texts.server_said(&printable(detail)),
        None => {
            let text = String::from_utf8_lossy(bytes);
            let short: String = text.chars().take(SHOWN_CHARS).collect();
            texts.answered(place, status.as_u16(), &printable(short.trim()))
        }
    };
    match status {
        // More than one tenant, of which the words name all.
        StatusCode::BAD_REQUEST if path.starts_with("budgets/") => {
            Failure::failed(said, "openclaw budget report --by tenant")
        }
        StatusCode::NOT_FOUND if answer["code"].is_null() => {
            Failure::failed(texts.other_version(place), "openclaw version")
        }
        StatusCode::NOT_FOUND | StatusCode::CONFLICT => Failure::failed(said, look_first(path)),
        StatusCode::UNPROCESSABLE_ENTITY if answer["code"] == "CONFIG_INVALID" => {
            Failure::config(said, texts.mend_and_reload())
        }
        _ => Failure::failed(said, "openclaw status"),
    }
}

/// The command that shows what there is.
fn look_first(path: &str) -> &'static str {
    match path.split('/').next() {
        Some("keys") => "openclaw keys list",
        Some("workers") => "openclaw workers list",
        Some("queue") => "openclaw queue show",
        // What a question about models can miss is a tenant, unless a model is tested.
        Some("budgets" | "models") if !path.starts_with("models/test") => {
            "openclaw budget report --by tenant"
        }
        Some("models") => "openclaw models list",
        _ => "openclaw status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server {
            url: url.to_owned(),
            data_dir: PathBuf::from("/nowhere"),
            again: String::new(),
            named: false,
            texts: Texts::default(),
        }
    }

    #[test]
    fn the_data_directorys_secrets_are_for_this_machine_only() {
        for here in ["http://127.0.0.1:3000", "http://localhost:1", "http://[::1]:3000"] {
            assert!(server(here).is_here(), "{here}");
        }
        for elsewhere in [
            "http://example.org",
            "http://127.0.0.1.example.org",
            "http://localhost.evil:1",
            "http://10.0.0.1",
            "http://127.0.0.1@example.org",
            "nonsense",
        ] {
            assert!(!server(elsewhere).is_here(), "{elsewhere}");
        }
    }

    #[test]
    fn a_refused_secret_names_its_place_and_the_way_out() {
        let found = |place| Found {
            secret: Secret::new("hush"),
            place,
        };
        let dir = tempfile::tempdir().unwrap();
        let server = Server {
            data_dir: dir.path().to_owned(),
            ..server("http://127.0.0.1:1")
        };
        let variable = found(Place::Variable("OPENCLAW_API_KEY".to_owned()));
        let said = |server: &Server, found: &Found| server.refuses(Credential::ApiKey, found).to_string();
        let without = said(&server, &variable);
        assert!(
            without.contains("the API key in OPENCLAW_API_KEY\n  next  set OPENCLAW_API_KEY")
                && without.contains("openclaw keys create"),
            "{without}"
        );
        std::fs::write(dir.path().join(API_KEY_FILE), "key").unwrap();
        assert!(said(&server, &variable).contains("next  unset OPENCLAW_API_KEY, and the one in "));
        let file = said(&server, &found(Place::File("/d/api.key".into())));
        assert!(
            file.contains("in /d/api.key\n  next  give that server's --data-dir"),
            "{file}"
        );
        assert!(![without, file].concat().contains("hush"));
    }

    #[test]
    fn a_server_that_listens_everywhere_is_reached_here() {
        let shown = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(shown("0.0.0.0:3000"), "127.0.0.1:3000");
        assert_eq!(shown("[::]:3000"), "[::1]:3000");
        assert_eq!(shown("10.0.0.0:3000"), "10.0.0.0:3000");
    }

    #[test]
    fn nothing_of_a_name_becomes_another_path() {
        assert_eq!(escaped("telegram:5:5"), "telegram:5:5");
        assert_eq!(escaped("../a b?c=ж"), "..%2Fa%20b%3Fc%3D%D0%B6");
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_shown() {
        assert_eq!(printable("a\u{1b}[31mb\r\n\tc\u{7}\u{9b}"), "a[31mb\n\tc");
    }
}
