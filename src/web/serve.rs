//! The HTTP server: connections with limits, so that nobody can sit on all of them.

use crate::tls::{Greeting, Tls};
use crate::wire::{Cut, Wire};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use relay::seats::{Seat, Seats};
use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::{debug, warn};

/// Connections in all.
const CONNECTIONS: usize = 4_000;
/// Connections from one address. A whole office behind one address watches too.
const PER_ADDRESS: usize = 500;
/// How long a request's headers may take; also how long an idle connection is kept.
const HEADERS: Duration = Duration::from_secs(10);
/// The longest headers, in bytes.
const HEAD: usize = 16 << 10;

/// Who is at the other end of the connection, and their seat: an upgraded
/// connection keeps it. With what the connection is cut.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) seat: Arc<Seat>,
    pub(crate) cut: Cut,
}

/// Serves until `stop`, then lets requests that have begun end. With `tls` nothing
/// of the router is reached without it.
pub async fn run(listener: TcpListener, router: Router, tls: Option<Tls>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    let seats = Seats::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    warn!("an http connection's task panicked; only that connection was affected");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let seat = seats.take(address.ip(), PER_ADDRESS).filter(|_| connections.len() < CONNECTIONS);
                    let Some(seat) = seat else {
                        debug!(peer = %address, "http connection refused: too many");
                        continue;
                    };
                    let peer = Peer { address, seat: Arc::new(seat), cut: Cut::default() };
                    connections.spawn(connection(stream, router.clone(), tls.clone(), peer, stop.clone()));
                }
                // Out of file descriptors: wait for some to come back.
                Err(error) => {
                    warn!(%error, "http accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    router: Router,
    tls: Option<Tls>,
    peer: Peer,
    stop: CancellationToken,
) {
    // Fragments leave when they are written, and a slow browser's backlog stays
    // in the hub and not in the kernel.
    if let Err(error) = relay::tune(&stream) {
        debug!(peer = %peer.address, %error, "socket options not set");
    }
    let address = peer.address;
    let stream = Wire::new(stream, peer.cut.clone());
    // The seat is taken before the handshake and kept by whatever follows.
    let seat = Arc::clone(&peer.seat);
    let app = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        peer.cut.asked();
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
    let Some(tls) = tls else { return http(stream, app, address, stop).await };
    let greeting = tokio::select! {
        greeting = tls.greet(stream) => greeting,
        () = stop.cancelled() => return,
    };
    match greeting {
        Ok(Greeting::Secure(stream)) => http(stream, app, address, stop).await,
        Ok(Greeting::Plain(stream)) => {
            let plain = service_fn(move |request| ready(Ok::<_, Infallible>(tls.answer_plain(&request))));
            http(stream, plain, address, stop).await;
        }
        Err(error) => debug!(peer = %address, %error, "tls handshake failed"),
    }
    drop(seat);
}

async fn http<I, S>(io: I, service: S, address: SocketAddr, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEAD);
    let serving = http.serve_connection(TokioIo::new(io), service).with_upgrades();
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        debug!(peer = %address, %error, "http connection ended");
    }
}
