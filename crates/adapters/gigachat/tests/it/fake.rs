//! GigaChat on loopback: the exchange of keys and the chat, answered as the test says.

use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    head: String,
    pub(crate) body: String,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// This status with this type and body.
    Now(u16, &'static str, String),
    /// Nothing, with the connection open.
    Never,
}

/// A running server. It lives as long as the test's runtime.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

type Rule = dyn Fn(&Request, usize) -> Reply + Send + Sync;

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn is_exchange(&self) -> bool {
        self.path == "/oauth"
    }
}

impl Fake {
    /// The rule is given the request and how many of its path came before it.
    pub(crate) async fn start(rule: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
        };
        let (requests, rule): (_, Arc<Rule>) = (Arc::clone(&fake.requests), Arc::new(rule));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&requests), Arc::clone(&rule)));
            }
        });
        fake
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    /// How many times the key was exchanged, and how many calls for an answer there were.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let requests = self.requests.lock();
        let exchanges = requests.iter().filter(|request| request.is_exchange()).count();
        (exchanges, requests.len() - exchanges)
    }
}

async fn serve(mut connection: TcpStream, requests: Arc<Mutex<Vec<Request>>>, rule: Arc<Rule>) {
    let mut bytes = Vec::new();
    let request = loop {
        let mut chunk = [0; 4096];
        let count = connection.read(&mut chunk).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let request = Request {
            path: head.split(' ').nth(1).unwrap().to_owned(),
            head: head.to_owned(),
            body: body.to_owned(),
        };
        let length = request
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            break request;
        }
    };
    let reply = {
        let mut requests = requests.lock();
        let before = requests.iter().filter(|known| known.path == request.path).count();
        requests.push(request.clone());
        rule(&request, before)
    };
    match reply {
        Reply::Now(status, kind, body) => {
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: {kind}\r\n\r\n");
            connection.write_all([head, body].concat().as_bytes()).await.ok();
        }
        Reply::Never => std::future::pending().await,
    }
}
