//! The floor: a reverse proxy that does nothing but pass bytes on to one upstream.
//!
//! `relay [LISTEN] [UPSTREAM]`, by default `relay 127.0.0.1:9101 127.0.0.1:9100`.
//!
//! The same HTTP stack as the server's (hyper, a pooled client), no parsing, no limits, no store. A gateway's cost
//! divided by this one's is how far it is from what the machine allows.

use anyhow::{Context, Result};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;

type Body = BoxBody<Bytes, hyper::Error>;

async fn pass(
    client: Client<HttpConnector, Incoming>,
    upstream: String,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let bad_gateway = || {
        let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = format!("http://{upstream}{path}").parse::<Uri>() else {
        return Ok(bad_gateway());
    };
    *request.uri_mut() = uri;
    request.headers_mut().remove(HOST);
    Ok(match client.request(request).await {
        Ok(response) => response.map(|body| body.boxed()),
        Err(_refused) => bad_gateway(),
    })
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program that says where it listens")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:9101".to_owned());
    let upstream = arguments.next().unwrap_or_else(|| "127.0.0.1:9100".to_owned());
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(4096)
        .build(connector);
    let address = listen
        .parse()
        .with_context(|| format!("not an address with a port: {listen}"))?;
    let listener = openclaw_testkit::listen(address).with_context(|| format!("cannot listen on {listen}"))?;
    eprintln!("relay on {}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (client, upstream) = (client.clone(), upstream.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| pass(client.clone(), upstream.clone(), request));
            // A connection its client broke is the client's affair.
            let _broken = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}
