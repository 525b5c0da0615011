//! The RTSP server: `rtsp://{login}:{key}@host/{camera}/{feed}` for players
//! that are no browsers.
//!
//! One task per connection; a session never leaves its connection or its
//! person. Who may watch what is the [`Gate`]'s to say.

mod connection;
mod delivery;
mod reader;
mod session;

use crate::WallClock;
use crate::admission::Admission;
use crate::hub::Hub;
use crate::seats::Seats;
use async_trait::async_trait;
use media::rtsp::digest::Ha1;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::{debug, warn};

/// Somebody who may try to log in.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The hashes of their key.
    pub ha1: Ha1,
    /// Who they are to the gate; opaque here.
    pub principal: Arc<str>,
}

/// Why a viewer is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such stream, or this viewer may not see it: the same to the viewer.
    NotFound,
    /// The gate cannot tell at the moment.
    Unavailable,
}

/// Decides who may watch. Implemented by the gateway's `admit.rs` and by `camsim`.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// The viewer behind a login. Unknown logins are answered like wrong keys.
    async fn viewer(&self, login: &str) -> Option<Viewer>;

    /// Admits a viewer to the stream at `path` (`camera/feed`, no slash in front).
    async fn admit(&self, viewer: Option<&Viewer>, path: &str) -> Result<(Admission, Hub), Refusal>;

    /// Whether viewers must log in at all.
    fn asks_for_login(&self) -> bool {
        true
    }
}

/// Limits of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 2_000, per_address: 500 }
    }
}

/// Serves RTSP on `listener` until `shutdown`, then ends all connections.
pub async fn serve(
    listener: TcpListener,
    gate: Arc<dyn Gate>,
    clock: WallClock,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    let seats = Seats::default();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    warn!("an rtsp connection's task panicked; only that viewer was affected");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if connections.len() >= limits.connections {
                        debug!(%peer, "rtsp connection refused: the server is full");
                        continue;
                    }
                    let Some(seat) = seats.take(peer.ip(), limits.per_address) else {
                        debug!(%peer, "rtsp connection refused: too many from one address");
                        continue;
                    };
                    let (gate, clock) = (Arc::clone(&gate), clock.clone());
                    connections.spawn(async move {
                        let _seat = seat;
                        serve_one(stream, peer, gate, clock).await;
                    });
                }
                // Out of file descriptors: wait for some to come back.
                Err(error) => {
                    warn!(%error, "rtsp accept failed");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn serve_one(stream: TcpStream, peer: SocketAddr, gate: Arc<dyn Gate>, clock: WallClock) {
    if let Err(error) = crate::tune(&stream) {
        debug!(%peer, %error, "socket options not set");
    }
    let reason = connection::Connection::new(stream, peer, gate, clock).run().await;
    debug!(%peer, reason, "rtsp connection ended");
}
