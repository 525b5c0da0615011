//! A WebSocket whose pictures go past the library that speaks the protocol.
//!
//! The library copies each message into a buffer of the connection before it writes it.
//! A frame's message is the same for all its viewers, so it is handed to the kernel as it is.

use crate::Problem;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Buf as _, Bytes};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::task::TaskTracker;

/// A browser has nothing to say but pings and its goodbye.
const FROM_BROWSER: usize = 1_024;
/// What is read at a time, and zeroed before each look whether something is there: with
/// the usual 128 KiB that costs a fifth of all work.
const READ: usize = 512;

/// A request that asks for a WebSocket.
pub(crate) struct Asked {
    response: Response,
    upgrade: OnUpgrade,
}

impl Asked {
    /// Reads the request's head.
    pub(crate) fn new(mut request: Request) -> Result<Self, Problem> {
        let response = create_response_with_body(&request, Body::empty).map_err(|_| Problem::NotWebSocket)?;
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(Problem::NotWebSocket)?;
        Ok(Self { response, upgrade })
    }

    /// Accepts; `serve` begins when the answer has gone out, as one of `viewers`.
    pub(crate) fn accept<S>(
        self,
        viewers: &TaskTracker,
        serve: impl FnOnce(Socket) -> S + Send + 'static,
    ) -> Response
    where
        S: Future<Output = ()> + Send,
    {
        let Self { response, upgrade } = self;
        viewers.spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            serve(Socket::new(TokioIo::new(upgraded)).await).await;
        });
        response
    }
}

/// The gateway's end of a WebSocket.
pub(crate) struct Socket<S = TokioIo<Upgraded>> {
    library: WebSocketStream<S>,
    /// Whether the library may hold bytes that go before ours.
    behind: bool,
    /// What is left of the message that is being written.
    left: Bytes,
    /// The one that follows it, after what the library has to say.
    next: Bytes,
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    async fn new(stream: S) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ)
            .max_message_size(Some(FROM_BROWSER))
            .max_frame_size(Some(FROM_BROWSER));
        let library = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        Self { library, behind: false, left: Bytes::new(), next: Bytes::new(), unflushed: false }
    }

    /// The next message. Safe to drop and call again; the library answers pings.
    pub(crate) async fn recv(&mut self) -> Option<Result<Message, Error>> {
        // It may write, and must not write into the middle of a message.
        if let Err(error) = self.finish().await {
            return Some(Err(error));
        }
        let heard = self.library.next().await;
        self.behind = true;
        heard
    }

    /// Sends a message other than a picture.
    pub(crate) async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.finish().await?;
        self.behind = true;
        self.library.send(message).await?;
        self.behind = false;
        Ok(())
    }

    /// Sends a message that has its head ([`media::websocket`]). If it is dropped before it
    /// is done, the next call of any kind finishes the message.
    pub(crate) async fn send_whole(&mut self, message: Bytes) -> Result<(), Error> {
        // Kept before anything is waited for.
        if !self.next.is_empty() {
            self.finish().await?;
        }
        self.next = message;
        self.finish().await
    }

    /// Writes what is left of the messages that were given to it. Safe to drop and call again.
    pub(crate) async fn finish(&mut self) -> Result<(), Error> {
        loop {
            while !self.left.is_empty() {
                let written = self.library.get_mut().write(&self.left).await?;
                if written == 0 {
                    return Err(io::Error::from(io::ErrorKind::WriteZero).into());
                }
                self.unflushed = true;
                self.left.advance(written);
            }
            if self.unflushed {
                // TLS keeps what the kernel did not take.
                self.library.get_mut().flush().await?;
                self.unflushed = false;
            }
            if self.next.is_empty() {
                return Ok(());
            }
            if self.behind {
                self.library.flush().await?;
                self.behind = false;
            }
            self.left = std::mem::take(&mut self.next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::task::JoinSet;

    #[tokio::test]
    async fn pictures_and_pongs_do_not_get_into_each_other_however_often_sending_is_given_up() {
        let trial = tokio::time::timeout(Duration::from_secs(60), pictures_amid_pings());
        trial.await.expect("what was sent was not understood");
    }

    async fn pictures_amid_pings() {
        const PICTURES: u8 = 200;
        let (ours, theirs) = tokio::io::duplex(50);
        let mut socket = Socket::new(ours).await;
        let client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        let (mut say, mut hear) = client.split();
        let (mut saying, mut hearing) = (JoinSet::new(), JoinSet::new());
        saying.spawn(async move {
            for n in 0..100u8 {
                say.send(Message::Ping(vec![n].into())).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        hearing.spawn(async move {
            let (mut pictures, mut pongs) = (Vec::new(), 0);
            loop {
                match hear.next().await {
                    Some(Ok(Message::Binary(picture))) => {
                        assert!(picture.iter().all(|byte| *byte == picture[0]));
                        pictures.push((picture[0], picture.len()));
                    }
                    Some(Ok(Message::Pong(_))) => pongs += 1,
                    Some(Ok(Message::Close(_))) => return (pictures, pongs),
                    other => panic!("{other:?}"),
                }
            }
        });
        let mut given_up = 0;
        for n in 0..PICTURES {
            let picture = media::websocket::message(&[n; 300]);
            if tokio::time::timeout(Duration::ZERO, socket.send_whole(picture)).await.is_err() {
                given_up += 1;
                // There is room again for what the library would say; hearing finishes it, too.
                tokio::time::sleep(Duration::from_millis(1)).await;
                let _ = tokio::time::timeout(Duration::from_millis(20), socket.recv()).await;
                socket.finish().await.unwrap();
            }
            if n % 4 == 0 {
                let _ = tokio::time::timeout(Duration::from_millis(1), socket.recv()).await;
            }
        }
        while saying.try_join_next().is_none() {
            let _ = tokio::time::timeout(Duration::from_millis(1), socket.recv()).await;
        }
        socket.send(Message::Close(None)).await.unwrap();
        let _ = socket.recv().await;
        let (pictures, pongs) = hearing.join_next().await.unwrap().unwrap();
        let sent: Vec<_> = (0..PICTURES).map(|n| (n, 300)).collect();
        assert_eq!(pictures, sent);
        assert!(pongs > 0 && given_up > 0, "{pongs} pongs, {given_up} given up");
    }
}
