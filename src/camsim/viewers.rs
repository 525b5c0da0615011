//! Many RTSP viewers in one task each that read and count but do not decode:
//! the load of the benchmark, and the stalled viewer of the tests.

use media::rtsp::digest;
use media::rtsp::message::{self, Message};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

/// A playing session that hands out raw interleaved packets.
pub struct Viewer {
    stream: TcpStream,
    /// RTP and RTCP, if they come by UDP.
    udp: Option<(UdpSocket, UdpSocket)>,
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
        Self::play_on(TcpStream::connect(address).await?, path, login).await
    }

    /// The same on a connection that is there already.
    pub async fn play_on(
        stream: TcpStream,
        path: &str,
        login: Option<(&str, &str)>,
    ) -> Result<Self, Failure> {
        Self::begin(stream, path, login, None).await
    }

    /// The same over UDP.
    pub async fn play_udp(
        address: SocketAddr,
        path: &str,
        login: Option<(&str, &str)>,
    ) -> Result<Self, Failure> {
        Self::begin(TcpStream::connect(address).await?, path, login, Some(port_pair(address).await?)).await
    }

    async fn begin(
        stream: TcpStream,
        path: &str,
        login: Option<(&str, &str)>,
        udp: Option<(UdpSocket, UdpSocket)>,
    ) -> Result<Self, Failure> {
        let address = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        let transport = match &udp {
            None => "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n".to_owned(),
            Some((rtp, rtcp)) => {
                let (rtp, rtcp) = (rtp.local_addr()?.port(), rtcp.local_addr()?.port());
                format!("Transport: RTP/AVP;unicast;client_port={rtp}-{rtcp}\r\n")
            }
        };
        let mut viewer = Self { stream, udp, buffer: Vec::new(), played: Instant::now() };
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
        let answer = viewer.request("SETUP", &track, &transport, proof).await?.ok("SETUP")?;
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

    /// The next packet; an error when the session's connection has ended.
    pub async fn packet(&mut self) -> std::io::Result<Packet> {
        if let Some((rtp, _)) = &self.udp {
            let mut bytes = vec![0; 2_048];
            loop {
                tokio::select! {
                    read = rtp.recv(&mut bytes) => {
                        bytes.truncate(read?);
                        return Ok(Packet { channel: 0, bytes });
                    }
                    read = self.stream.read_buf(&mut self.buffer) => if read? == 0 {
                        return Err(std::io::ErrorKind::UnexpectedEof.into());
                    },
                }
            }
        }
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

    /// Whether a datagram comes within `limit` although the session has ended.
    pub async fn comes_after_the_end(&self, limit: Duration) -> bool {
        let Some((rtp, _)) = &self.udp else { return false };
        tokio::time::timeout(limit, rtp.recv(&mut [0; 2_048])).await.is_ok()
    }

    /// The connection itself: what it brings is no longer looked at.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
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

/// An even port and the one above it (RFC 3550, section 11).
async fn port_pair(server: SocketAddr) -> std::io::Result<(UdpSocket, UdpSocket)> {
    let local = if server.is_ipv4() { "127.0.0.1" } else { "::1" };
    for _ in 0..50 {
        let rtp = UdpSocket::bind((local, 0)).await?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = UdpSocket::bind((local, port + 1)).await
        {
            return Ok((rtp, rtcp));
        }
    }
    Err(std::io::ErrorKind::AddrInUse.into())
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
