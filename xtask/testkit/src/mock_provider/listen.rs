//! Connections, plain and under TLS.

use super::Shared;
use super::serve::handle;
use anyhow::{Context, Result};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Serves until the task is aborted; the connections end with it.
pub(super) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else {
                    // Out of file descriptors, most likely: leave the processor to those who can close some.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                shared.counters.connections.fetch_add(1, Relaxed);
                shared.changed.notify_waiters();
                connections.spawn(connection(socket, tls.clone(), Arc::clone(&shared)));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn connection(socket: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // Without it a small answer waits for the next acknowledgement; a socket that refuses is closing.
    let _refused = socket.set_nodelay(true);
    match tls {
        None => serve(socket, shared).await,
        Some(tls) => {
            // A caller who does not trust the certificate leaves here.
            if let Ok(socket) = tls.accept(socket).await {
                serve(socket, shared).await;
            }
        }
    }
}

async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let service = service_fn(|request| handle(Arc::clone(&shared), request));
    // A connection the client broke is what tests do on purpose.
    let _broken = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

/// TLS for 127.0.0.1 with a certificate nobody has vouched for, and that certificate as PEM.
pub(crate) fn self_signed() -> Result<(TlsAcceptor, String)> {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).context("no certificate")?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("no version of TLS")?
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .context("the certificate does not fit its key")?;
    Ok((TlsAcceptor::from(Arc::new(config)), signed.cert.pem()))
}
