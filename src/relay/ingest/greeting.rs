//! The first words with a camera, before its password is anywhere near.
//!
//! retina answers a Basic challenge when nothing else is offered, which would
//! show the password to whoever sits at the camera's address. So the camera is
//! asked for its challenge first, without credentials and with hard limits; it
//! also turns away what does not speak RTSP at all.

use super::OpenError;
use media::rtsp::message::{self, Message};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How a camera wants to be logged in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// It answers without a login.
    None,
    /// Digest is offered.
    Digest,
    /// Only Basic is offered.
    BasicOnly,
}

/// Asks `address` to describe `uri` without a login.
pub(super) async fn challenge(address: SocketAddr, uri: &str) -> Result<Challenge, OpenError> {
    let mut stream = TcpStream::connect(address).await.map_err(OpenError::unreachable)?;
    let request = format!(
        "DESCRIBE {uri} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\nUser-Agent: sharp-eyes\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(OpenError::unreachable)?;
    let mut buffer = Vec::with_capacity(2_048);
    let response = loop {
        match message::parse(&buffer) {
            Ok(Some((Message::Response(response), _))) => break response,
            Ok(Some((_, used))) => drop(buffer.drain(..used)),
            Ok(None) => {
                let read = stream.read_buf(&mut buffer).await.map_err(OpenError::unreachable)?;
                if read == 0 {
                    return Err(OpenError::Protocol("the camera closed the connection".into()));
                }
            }
            Err(malformed) => return Err(OpenError::Protocol(malformed.to_string().into())),
        }
    };
    // A lingering close would make the camera wait for us; it has said all we need.
    let _ = tokio::time::timeout(Duration::from_millis(100), stream.shutdown()).await;
    if response.status != 401 {
        return Ok(Challenge::None);
    }
    let offers = |scheme: &str| {
        let all = response.headers.all("WWW-Authenticate").join(", ").to_ascii_lowercase();
        all.split([',', ' ']).any(|word| word == scheme)
    };
    Ok(if offers("digest") { Challenge::Digest } else { Challenge::BasicOnly })
}
