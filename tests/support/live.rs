//! A browser's live view, without the browser.

use super::client::Client;
use domain::CameraId;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// A connection with or without TLS.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

pub struct Live {
    socket: WebSocketStream<Box<dyn Wire>>,
}

/// What came.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Text(Value),
    Binary(Vec<u8>),
    /// With the close code.
    Closed(Option<u16>),
}

impl Live {
    pub async fn open(client: &Client, camera: &CameraId) -> Self {
        // A busy machine's register may take longer than a viewing waits for it: as a page does, again.
        for _ in 0..20 {
            match Self::try_open(client, camera, "main").await {
                Err(503) => tokio::time::sleep(Duration::from_millis(250)).await,
                opened => return opened.unwrap_or_else(|status| panic!("status {status}")),
            }
        }
        panic!("nothing can be watched")
    }

    /// Opens, or answers the status of the refusal.
    pub async fn try_open(client: &Client, camera: &CameraId, stream: &str) -> Result<Self, u16> {
        Self::try_open_at(client, &format!("{camera}/{stream}/live")).await
    }

    /// The same for a purpose.
    pub async fn try_open_for(client: &Client, camera: &CameraId, purpose: &str) -> Result<Self, u16> {
        Self::try_open_at(client, &format!("{camera}/main/live?purpose={purpose}")).await
    }

    /// The same for what follows `cameras/` in the address.
    pub async fn try_open_at(client: &Client, path: &str) -> Result<Self, u16> {
        let url = format!("{}/api/v1/cameras/{path}", client.base.replace("http", "ws"));
        let mut request = url.into_client_request().unwrap();
        if let Some(cookie) = &client.cookie {
            request.headers_mut().insert("cookie", cookie.parse().unwrap());
        }
        // 0 stands for a gateway that is not there.
        let stream = TcpStream::connect(client.address).await.map_err(|_| 0u16)?;
        let wire: Box<dyn Wire> = if client.base.starts_with("https:") {
            let name = ServerName::try_from(request.uri().host().unwrap().to_owned()).unwrap();
            Box::new(TlsConnector::from(Arc::clone(&client.trust)).connect(name, stream).await.unwrap())
        } else {
            Box::new(stream)
        };
        match client_async(request, wire).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(_) => Err(0),
        }
    }

    pub async fn say(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub async fn next(&mut self) -> Heard {
        let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await;
        match next.expect("something should have come") {
            Some(Ok(Message::Text(text))) => Heard::Text(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Binary(bytes))) => Heard::Binary(bytes.to_vec()),
            Some(Ok(Message::Close(frame))) => Heard::Closed(frame.map(|frame| frame.code.into())),
            Some(Ok(Message::Ping(_))) => Heard::Text(Value::Null),
            Some(Ok(Message::Pong(_))) => Heard::Text(json!({ "type": "pong" })),
            Some(Ok(other)) => panic!("unexpected {other:?}"),
            Some(Err(_)) | None => Heard::Closed(None),
        }
    }

    /// The next fragment or init segment.
    pub async fn binary(&mut self) -> Vec<u8> {
        loop {
            match self.next().await {
                Heard::Binary(bytes) => return bytes,
                Heard::Text(_) => {}
                Heard::Closed(code) => panic!("closed with {code:?}"),
            }
        }
    }

    /// The next text of this type.
    pub async fn text(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Heard::Text(text) if text["type"] == kind => return text,
                Heard::Closed(code) => panic!("closed with {code:?}"),
                _ => {}
            }
        }
    }

    /// The close code, whatever comes before it.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Heard::Closed(code) = self.next().await {
                return code;
            }
        }
    }
}
