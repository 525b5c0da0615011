//! Many RTSP viewers in one task each that read and count but do not decode:
//! the load of the benchmark, and the stalled viewer of the tests.

use media::rtsp::digest;
use media::rtsp::message::{self, Message};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A playing session that hands out raw interleaved packets.
pub struct Viewer {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// When PLAY was sent.
    pub played: Instant,
}

/// One interleaved packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The channel it came on.
    pub channel: u8,
    /// The RTP or RTCP packet.
    pub bytes: Vec<u8>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Viewer {
    /// Opens `rtsp://host:port/path` and plays its picture over TCP.
    pub async fn play(address: SocketAddr, path: &str, login: Option<(&str, &str)>) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut viewer = Self { stream, buffer: Vec::new(), played: Instant::now() };
        let url = format!("rtsp://{address}/{path}");
        let mut nonce = String::new();
        if login.is_some() {
            let answer = viewer.request("DESCRIBE", &url, "", None).await?;
            let challenge = answer.headers.get("WWW-Authenticate").ok_or("no challenge")?;
            nonce = challenge
                .split("nonce=\"")
                .nth(1)
                .and_then(|s| s.split('"').next())
                .ok_or("no nonce")?
                .into();
        }
        let proof = login.map(|(name, key)| (name, key, nonce.as_str()));
        viewer.request("DESCRIBE", &url, "Accept: application/sdp\r\n", proof).await?.ok("DESCRIBE")?;
        let track = format!("{url}/track=video");
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
        let answer = viewer.request("SETUP", &track, transport, proof).await?.ok("SETUP")?;
        let session = answer.headers.get("Session").and_then(|s| s.split(';').next()).ok_or("no session")?;
        let session = format!("Session: {session}\r\n");
        viewer.played = Instant::now();
        viewer.request("PLAY", &url, &session, proof).await?.ok("PLAY")?;
        Ok(viewer)
    }

    async fn request(
        &mut self,
        method: &str,
        url: &str,
        headers: &str,
        login: Option<(&str, &str, &str)>,
    ) -> Result<message::Response, Failure> {
        let authorization = login.map(|(name, key, nonce)| {
            let response = digest::respond(&digest::Ha1::new(name, key), nonce, method, url);
            format!(
                "Authorization: Digest username=\"{name}\", realm=\"{}\", nonce=\"{nonce}\", uri=\"{url}\", \
                 algorithm=SHA-256, response=\"{response}\"\r\n",
                digest::REALM
            )
        });
        let text = format!(
            "{method} {url} RTSP/1.0\r\nCSeq: 1\r\n{headers}{}\r\n",
            authorization.unwrap_or_default()
        );
        self.stream.write_all(text.as_bytes()).await?;
        loop {
            if let Some((message, used)) = message::parse(&self.buffer)? {
                self.buffer.drain(..used);
                if let Message::Response(response) = message {
                    return Ok(response);
                }
            } else if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("closed".into());
            }
        }
    }

    /// The next interleaved packet.
    pub async fn packet(&mut self) -> std::io::Result<Packet> {
        loop {
            if let [b'$', channel, high, low, rest @ ..] = self.buffer.as_slice() {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if let Some(bytes) = rest.get(..length) {
                    let packet = Packet { channel: *channel, bytes: bytes.to_vec() };
                    self.buffer.drain(..4 + length);
                    return Ok(packet);
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads and counts bytes until `until`, without looking at them.
    pub async fn drain(&mut self, until: Instant) -> std::io::Result<u64> {
        let mut buffer = vec![0; 256 << 10];
        let mut bytes = 0;
        loop {
            match tokio::time::timeout_at(until, self.stream.read(&mut buffer)).await {
                Err(_) => return Ok(bytes),
                Ok(read) => match read? {
                    0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                    n => bytes += n as u64,
                },
            }
        }
    }
}

trait OkOr: Sized {
    fn ok(self, what: &str) -> Result<Self, Failure>;
}

impl OkOr for message::Response {
    fn ok(self, what: &str) -> Result<Self, Failure> {
        if self.status == 200 { Ok(self) } else { Err(format!("{what}: status {}", self.status).into()) }
    }
}

/// RTP timestamps of the next `wanted` whole frames, or of those that came within `limit`.
pub async fn frames(viewer: &mut Viewer, wanted: usize, limit: Duration) -> Vec<u32> {
    let mut stamps = Vec::new();
    let end = Instant::now() + limit;
    while stamps.len() < wanted {
        let Ok(Ok(packet)) = tokio::time::timeout_at(end, viewer.packet()).await else { break };
        if let [_, marked, _, _, a, b, c, d, ..] = packet.bytes.as_slice()
            && packet.channel == 0
            && marked & 0x80 != 0
        {
            stamps.push(u32::from_be_bytes([*a, *b, *c, *d]));
        }
    }
    stamps
}
