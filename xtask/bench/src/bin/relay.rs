//! The floor: a reverse proxy that does nothing but pass bytes to one upstream.
//!
//! usage: relay LISTEN UPSTREAM        e.g. relay 127.0.0.1:9101 127.0.0.1:9100
//!
//! Same HTTP stack as a Rust gateway would use (hyper server, pooled hyper client), no parsing, no
//! limits, no store. A gateway's cost divided by this one's is how far it is from what the machine allows.

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use tokio::net::TcpListener;

type Body = http_body_util::combinators::BoxBody<Bytes, hyper::Error>;

async fn pass(
    client: Client<HttpConnector, Incoming>,
    upstream: String,
    mut req: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let path = req.uri().path_and_query().map_or("/", |p| p.as_str());
    let uri: Uri = format!("http://{upstream}{path}")
        .parse()
        .expect("upstream address and path make a URI");
    *req.uri_mut() = uri;
    req.headers_mut().remove("host");
    Ok(match client.request(req).await {
        Ok(res) => res.map(|b| b.boxed()),
        Err(_) => {
            let mut res = Response::new(http_body_util::Empty::new().map_err(|e| match e {}).boxed());
            *res.status_mut() = StatusCode::BAD_GATEWAY;
            res
        }
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let listen = args.next().unwrap_or("127.0.0.1:9101".into());
    let upstream = args.next().unwrap_or("127.0.0.1:9100".into());
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(4096)
        .build(connector);
    let listener = TcpListener::bind(&listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, upstream) = (client.clone(), upstream.clone());
        tokio::spawn(async move {
            let service = service_fn(|req| pass(client.clone(), upstream.clone(), req));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
