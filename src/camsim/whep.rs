//! A WebRTC viewer without a browser: it connects, opens what is sent to it and
//! decodes nothing. The load of the benchmark and the viewer of the tests.

use bytes::Bytes;
use dimpl::{Dtls, Output, SrtpProfile};
use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, IceCreds, Sha1HmacProvider as _};
use media::rtp::feedback;
use media::rtp::srtp::{self, Opener, Profile, Sealer};
use relay::whep::Certificate;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Between two checks while connecting, and afterwards (RFC 7675 section 5.1).
const CHECK: Duration = Duration::from_millis(50);
const CONSENT: Duration = Duration::from_millis(2_500);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(20);
/// Our own source for feedback.
const OURS: u32 = 1;

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    DefaultSha1HmacProvider.sha1_hmac(key, parts)
}

/// A viewer that has something to offer.
pub struct Offer {
    certificate: Certificate,
    ice: IceCreds,
    /// The session description to send.
    pub sdp: String,
}

/// What an offer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Picture and sound, as browsers can play them.
    Everything,
    /// VP8: which nobody here sends.
    Vp8,
}

impl Offer {
    /// An offer like a browser's.
    pub fn new(wants: Wants) -> Result<Self, Failure> {
        let (certificate, ice) = (Certificate::generate()?, IceCreds::new());
        let digits: Vec<String> = certificate.fingerprint().iter().map(|b| format!("{b:02X}")).collect();
        let transport = format!(
            "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\n\
             a=setup:actpass\r\na=recvonly\r\na=rtcp-mux\r\n",
            ice.ufrag,
            ice.pass,
            digits.join(":")
        );
        let video = match wants {
            Wants::Vp8 => "a=rtpmap:96 VP8/90000\r\n",
            Wants::Everything => {
                "a=rtpmap:96 H264/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
                 a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
            }
        };
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n{transport}{video}\
             m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\na=mid:1\r\n{transport}a=rtpmap:111 opus/48000/2\r\n"
        );
        Ok(Self { certificate, ice, sdp })
    }

    /// A trickled fragment with these credentials.
    #[must_use]
    pub fn fragment(&self) -> String {
        format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", self.ice.ufrag, self.ice.pass)
    }
}

/// A track that the answer promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promised {
    /// Its synchronisation source.
    pub ssrc: u32,
    /// As in `a=rtpmap`.
    pub encoding: String,
    /// Its payload type.
    pub payload_type: u8,
}

/// An answer, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Answer {
    ufrag: String,
    password: String,
    /// Where to connect by UDP.
    pub udp: SocketAddr,
    /// Where to connect by TCP.
    pub tcp: Option<SocketAddr>,
    /// What is sent, in the offer's order.
    pub tracks: Vec<Promised>,
}

impl Answer {
    /// Reads an answer.
    pub fn parse(sdp: &str) -> Result<Self, Failure> {
        let value = |name: &str| {
            let line = sdp.lines().find_map(|line| line.strip_prefix(&format!("a={name}:")));
            line.map(str::to_owned).ok_or(format!("the answer has no {name}"))
        };
        let candidate = |kind: &str| {
            let lines = sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
            let words: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
            let words = words.iter().find(|words| words.get(2) == Some(&kind))?;
            Some(SocketAddr::new(words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?))
        };
        let track = |section: &str| {
            let line = |name: &str| section.lines().find_map(|line| line.strip_prefix(name));
            let (payload_type, encoding) = line("a=rtpmap:")?.split_once(' ')?;
            let ssrc = line("a=ssrc:")?.split(' ').next()?.parse().ok()?;
            Some(Promised { ssrc, encoding: encoding.to_owned(), payload_type: payload_type.parse().ok()? })
        };
        Ok(Self {
            ufrag: value("ice-ufrag")?,
            password: value("ice-pwd")?,
            udp: candidate("udp").ok_or("the answer has no candidate")?,
            tcp: candidate("tcp"),
            tracks: sdp.split("\r\nm=").skip(1).filter_map(track).collect(),
        })
    }

    /// New credentials, as the answer to an ICE restart gives them.
    pub fn restarted(&mut self, fragment: &str) {
        for line in fragment.lines() {
            if let Some(ufrag) = line.strip_prefix("a=ice-ufrag:") {
                ufrag.clone_into(&mut self.ufrag);
            } else if let Some(password) = line.strip_prefix("a=ice-pwd:") {
                password.clone_into(&mut self.password);
            }
        }
    }
}

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

impl Wire {
    fn peer(&self) -> std::io::Result<SocketAddr> {
        match self {
            Self::Udp(socket) => socket.peer_addr(),
            Self::Tcp(stream, _) => stream.peer_addr(),
        }
    }

    /// Answers what the gateway asks, if it does.
    async fn reply(&mut self, packet: &[u8], ice: &IceCreds) -> std::io::Result<bool> {
        match answer_to(packet, ice, self.peer()?) {
            Some(answer) => self.send(&answer).await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn send(&mut self, packet: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(packet).await.map(|_| ()),
            Self::Tcp(stream, _) => {
                let length = u16::try_from(packet.len()).unwrap_or(0).to_be_bytes();
                stream.write_all(&[&length[..], packet].concat()).await
            }
        }
    }

    /// The next packet. Safe to drop and call again.
    async fn receive(&mut self, packet: &mut Vec<u8>) -> std::io::Result<()> {
        packet.clear();
        match self {
            Self::Udp(socket) => {
                packet.reserve(2_048);
                // A port that is not open yet, or not any more, is no end of UDP.
                while let Err(error) = socket.recv_buf(packet).await {
                    if error.kind() != std::io::ErrorKind::ConnectionRefused {
                        return Err(error);
                    }
                }
            }
            Self::Tcp(stream, buffer) => loop {
                if let Some((length, rest)) = buffer.split_first_chunk::<2>() {
                    let length = usize::from(u16::from_be_bytes(*length));
                    if let Some(whole) = rest.get(..length) {
                        packet.extend_from_slice(whole);
                        buffer.drain(..2 + length);
                        return Ok(());
                    }
                }
                if stream.read_buf(buffer).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            },
        }
        Ok(())
    }
}

/// An RTP packet as it was before it was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its source.
    pub ssrc: u32,
    /// Its number, with how often it has wrapped in the upper bits.
    pub sequence: u64,
    /// Its time.
    pub timestamp: u32,
    /// Whether a frame ends with it.
    pub marker: bool,
    /// What it carries.
    pub payload: Bytes,
    /// The whole of it, sealed.
    pub sealed: Bytes,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// Media.
    Packet(Packet),
    /// A sender report: source, time of the packet clock.
    Report(u32, u32),
    /// The end, said by the gateway.
    Bye,
}

struct Keys {
    sealer: Sealer,
    opener: Opener,
}

/// A viewer that is connected.
pub struct Viewer {
    wire: Wire,
    dtls: Dtls,
    keys: Keys,
    ice: IceCreds,
    answer: Answer,
    checked: Instant,
    buffer: Vec<u8>,
    /// Of each source: the first number, the newest, and how many came.
    seen: Vec<(u32, u64, u64, u64)>,
    ready: VecDeque<Came>,
    /// Bytes of media that came, as datagrams or as what was in them.
    pub bytes: u64,
    /// Checks are not sent any more: as if the viewer were gone.
    pub mute: bool,
}

/// The answer to a check of the gateway's, if it is one.
fn answer_to(packet: &[u8], ice: &IceCreds, from: SocketAddr) -> Option<Vec<u8>> {
    let message = StunMessage::parse(packet).ok().filter(StunMessage::is_binding_request)?;
    if !message.verify(ice.pass.as_bytes(), hmac) {
        return None;
    }
    let reply = StunMessage::binding_reply(message.trans_id(), from);
    let mut buffer = [0; 256];
    let length = reply.to_bytes(Some(ice.pass.as_bytes()), &mut buffer, hmac).ok()?;
    buffer.get(..length).map(<[u8]>::to_vec)
}

fn check(ice: &IceCreds, answer: &Answer, nominate: bool) -> Vec<u8> {
    let username = format!("{}:{}", answer.ufrag, ice.ufrag);
    let message = StunMessage::binding_request(&username, TransId::new(), true, 7, 1, nominate);
    let mut buffer = [0; 512];
    let length = message.to_bytes(Some(answer.password.as_bytes()), &mut buffer, hmac).unwrap_or(0);
    buffer.get(..length).unwrap_or_default().to_vec()
}

impl Viewer {
    /// Connects by UDP to where the answer says.
    pub async fn connect(offer: Offer, answer: &Answer) -> Result<Self, Failure> {
        Self::connect_at(offer, answer, answer.udp).await
    }

    /// Connects by UDP at another address: through something in between.
    pub async fn connect_at(offer: Offer, answer: &Answer, at: SocketAddr) -> Result<Self, Failure> {
        let local = if at.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(local).await?;
        socket.connect(at).await?;
        // As much as a browser has at least, so that a busy machine loses nothing.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(1 << 20);
        Self::begin(offer, answer, Wire::Udp(socket)).await
    }

    /// Connects by TCP.
    pub async fn connect_tcp(offer: Offer, answer: &Answer) -> Result<Self, Failure> {
        let stream = TcpStream::connect(answer.tcp.ok_or("the answer has no TCP")?).await?;
        Self::connect_on(stream, offer, answer).await
    }

    /// The same by a connection that is there already.
    pub async fn connect_on(stream: TcpStream, offer: Offer, answer: &Answer) -> Result<Self, Failure> {
        Self::begin(offer, answer, Wire::Tcp(stream, Vec::new())).await
    }

    /// Its connection, if it came by one.
    #[must_use]
    pub fn into_stream(self) -> Option<TcpStream> {
        match self.wire {
            Wire::Tcp(stream, _) => Some(stream),
            Wire::Udp(_) => None,
        }
    }

    async fn begin(offer: Offer, answer: &Answer, wire: Wire) -> Result<Self, Failure> {
        tokio::time::timeout(CONNECT, Self::shake_hands(offer, answer, wire)).await?
    }

    async fn shake_hands(offer: Offer, answer: &Answer, mut wire: Wire) -> Result<Self, Failure> {
        let mut buffer = Vec::new();
        loop {
            wire.send(&check(&offer.ice, answer, true)).await?;
            let received = tokio::time::timeout(CHECK, wire.receive(&mut buffer)).await;
            if matches!(received, Ok(Ok(()))) && buffer.first().is_some_and(|first| *first < 4) {
                break;
            }
            if let Ok(Err(error)) = received {
                return Err(error.into());
            }
        }
        // For as long as connecting may take: a busy machine may answer late.
        let config = dimpl::Config::builder().flight_start_rto(Duration::from_millis(200)).flight_retries(6);
        let config = Arc::new(config.build()?);
        let mut dtls = Dtls::new_auto(config, offer.certificate.for_dtls(), Instant::now().into_std());
        dtls.set_active(true);
        let mut keys = None;
        loop {
            let due = poll(&mut dtls, &mut wire, &mut keys).await?;
            if let Some(keys) = keys.take() {
                return Ok(Self {
                    wire,
                    dtls,
                    keys,
                    ice: offer.ice,
                    answer: answer.clone(),
                    checked: Instant::now(),
                    buffer,
                    seen: Vec::new(),
                    ready: VecDeque::new(),
                    bytes: 0,
                    mute: false,
                });
            }
            tokio::select! {
                received = wire.receive(&mut buffer) => {
                    received?;
                    wire.reply(&buffer, &offer.ice).await?;
                    dtls.handle_timeout(Instant::now().into_std())?;
                    if buffer.first().is_some_and(|first| (20..64).contains(first)) {
                        dtls.handle_packet(&buffer)?;
                    }
                }
                () = tokio::time::sleep_until(due) => dtls.handle_timeout(Instant::now().into_std())?,
            }
        }
    }

    /// What was promised.
    #[must_use]
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Bytes that were sent to this viewer, by its own account: what came, and for what
    /// a busy machine has lost in between, as much a packet as the others had.
    #[must_use]
    pub fn sent(&self) -> u64 {
        let came: u64 = self.seen.iter().map(|(_, _, _, count)| count).sum();
        let all: u64 = self.seen.iter().map(|(_, first, newest, _)| newest - first + 1).sum();
        self.bytes * all / came.max(1)
    }

    /// Where this viewer is.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        match &self.wire {
            Wire::Udp(socket) => socket.local_addr(),
            Wire::Tcp(stream, _) => stream.local_addr(),
        }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, packet: &[u8]) -> std::io::Result<()> {
        self.wire.send(packet).await
    }

    /// Uses the credentials of an ICE restart from now on.
    pub async fn restart(&mut self, offer: &Offer, fragment: &str) -> std::io::Result<()> {
        self.ice = offer.ice.clone();
        self.answer.restarted(fragment);
        self.wire.send(&check(&self.ice, &self.answer, true)).await
    }

    /// A check that asks for media, as it could be sent from anywhere.
    #[must_use]
    pub fn check(&self) -> Vec<u8> {
        check(&self.ice, &self.answer, true)
    }

    /// Comes from another port from now on, as from another network: it is checked until
    /// the gateway knows that it is there.
    pub async fn roam(&mut self) -> std::io::Result<()> {
        let to = self.wire.peer()?;
        let socket = UdpSocket::bind(SocketAddr::new(self.local_addr()?.ip(), 0)).await?;
        socket.connect(to).await?;
        self.wire = Wire::Udp(socket);
        let limit = Instant::now() + CONNECT;
        while Instant::now() < limit {
            self.wire.send(&self.check()).await?;
            let end = Instant::now() + CHECK;
            while let Ok(received) = tokio::time::timeout_at(end, self.wire.receive(&mut self.buffer)).await {
                received?;
                if self.wire.reply(&self.buffer, &self.ice).await? {
                    return Ok(());
                }
            }
        }
        Err(std::io::ErrorKind::TimedOut.into())
    }

    /// Loses its TCP connection and comes back by another, after a while.
    pub async fn reconnect(&mut self, after: Duration) -> std::io::Result<()> {
        let to = self.wire.peer()?;
        if let Wire::Tcp(stream, _) = &mut self.wire {
            stream.shutdown().await?;
        }
        tokio::time::sleep(after).await;
        self.wire = Wire::Tcp(TcpStream::connect(to).await?, Vec::new());
        self.wire.send(&self.check()).await
    }

    /// Says that packets from `first` on are lost; `mask` as in RFC 4585 section 6.2.1.
    pub async fn nack(&mut self, ssrc: u32, first: u16, mask: u16) -> std::io::Result<()> {
        self.feed_back(&feedback::nack(OURS, ssrc, first, mask)).await
    }

    /// Asks for a key frame.
    pub async fn pli(&mut self, ssrc: u32) -> std::io::Result<()> {
        self.feed_back(&feedback::pli(OURS, ssrc)).await
    }

    async fn feed_back(&mut self, what: &[u8]) -> std::io::Result<()> {
        let sealed = self.keys.sealer.rtcp(&[&feedback::empty_report(OURS), what].concat());
        self.wire.send(&sealed.unwrap_or_default()).await
    }

    /// Reads on, and keeps up consent. Safe to drop and call again.
    async fn receive(&mut self) -> std::io::Result<()> {
        loop {
            if !self.mute && self.checked.elapsed() >= CONSENT {
                self.checked = Instant::now();
                self.wire.send(&check(&self.ice, &self.answer, true)).await?;
            }
            let next = if self.mute { Instant::now() + CONSENT } else { self.checked + CONSENT };
            tokio::select! {
                received = self.wire.receive(&mut self.buffer) => received?,
                () = tokio::time::sleep_until(next) => continue,
            }
            if !self.wire.reply(&self.buffer, &self.ice).await? {
                return Ok(());
            }
        }
    }

    /// What comes next.
    pub async fn next(&mut self) -> std::io::Result<Came> {
        loop {
            if let Some(came) = self.ready.pop_front() {
                return Ok(came);
            }
            self.receive().await?;
            let packet = std::mem::take(&mut self.buffer);
            match packet.as_slice() {
                [20..=63, ..] => {
                    let _ = self.dtls.handle_packet(&packet);
                    let mut buffer = vec![0; 2_048];
                    loop {
                        match self.dtls.poll_output(&mut buffer) {
                            Output::CloseNotify => self.ready.push_back(Came::Bye),
                            Output::Timeout(_) | Output::BufferTooSmall { .. } => break,
                            _ => {}
                        }
                    }
                }
                [128..=191, 192..=223, ..] => {
                    if let Some(plain) = self.keys.opener.rtcp(&packet) {
                        self.report(&plain);
                    }
                }
                [128..=191, ..] => {
                    self.bytes += packet.len() as u64;
                    let opened = self.open(&packet);
                    self.ready.extend(opened.map(Came::Packet));
                }
                _ => {}
            }
            self.buffer = packet;
        }
    }

    fn report(&mut self, plain: &[u8]) {
        if let [_, 200, _, _, a, b, c, d, _, _, _, _, _, _, _, _, e, f, g, h, ..] = plain {
            let word = |bytes: [u8; 4]| u32::from_be_bytes(bytes);
            self.ready.push_back(Came::Report(word([*a, *b, *c, *d]), word([*e, *f, *g, *h])));
        }
        let ready = &mut self.ready;
        feedback::read(plain, |said| {
            if said == feedback::Feedback::Bye {
                ready.push_back(Came::Bye);
            }
        });
    }

    /// RFC 3711 section 3.3.1: the number nearest to the newest.
    fn open(&mut self, packet: &[u8]) -> Option<Packet> {
        let header: &[u8; 12] = packet.first_chunk()?;
        let [_, kind, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *header;
        let (sequence, ssrc) = (u16::from_be_bytes([s0, s1]), u32::from_be_bytes([r0, r1, r2, r3]));
        let newest = self.seen.iter().find(|(source, ..)| *source == ssrc).map(|(_, _, newest, _)| *newest);
        let base = newest.unwrap_or(u64::from(sequence));
        let ahead = i64::from(sequence.wrapping_sub((base & 0xffff) as u16) as i16);
        let number = base.checked_add_signed(ahead)?;
        let payload = self.keys.opener.rtp(packet, u32::try_from(number >> 16).ok()?)?;
        match self.seen.iter_mut().find(|(source, ..)| *source == ssrc) {
            Some((_, _, newest, count)) => (*newest, *count) = (number.max(*newest), *count + 1),
            None => self.seen.push((ssrc, number, number, 1)),
        }
        Some(Packet {
            ssrc,
            sequence: number,
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            marker: kind & 0x80 != 0,
            payload: payload.into(),
            sealed: Bytes::copy_from_slice(packet),
        })
    }

    /// The next packet of media; an error when it has ended.
    pub async fn packet(&mut self) -> std::io::Result<Packet> {
        loop {
            match self.next().await? {
                Came::Packet(packet) => return Ok(packet),
                Came::Report(..) => {}
                Came::Bye => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Reads and counts bytes until `until`, without opening them.
    pub async fn drain(&mut self, until: Instant) -> std::io::Result<u64> {
        let mut bytes = 0;
        while let Ok(received) = tokio::time::timeout_at(until, self.receive()).await {
            received?;
            bytes += self.buffer.len() as u64;
        }
        Ok(bytes)
    }

    /// Whether media comes within `limit` although the session has ended.
    pub async fn comes_after_the_end(&mut self, limit: Duration) -> bool {
        let coming = async {
            loop {
                match self.next().await {
                    Ok(Came::Packet(_)) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        tokio::time::timeout(limit, coming).await.unwrap_or(false)
    }
}

/// Sends what DTLS has to say; when it wants to be asked again.
async fn poll(dtls: &mut Dtls, wire: &mut Wire, keys: &mut Option<Keys>) -> Result<Instant, Failure> {
    let mut buffer = vec![0; 4_096];
    loop {
        match dtls.poll_output(&mut buffer) {
            Output::Packet(packet) => {
                let packet = packet.to_vec();
                wire.send(&packet).await?;
            }
            Output::KeyingMaterial(material, profile) => {
                let profile = match profile {
                    SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1,
                    SrtpProfile::AEAD_AES_128_GCM => Profile::Aes128Gcm,
                    _ => Profile::Aes256Gcm,
                };
                let (client, server) = srtp::split(profile, &material).ok_or("keys of a strange length")?;
                *keys = Sealer::new(client)
                    .zip(Opener::new(server))
                    .map(|(sealer, opener)| Keys { sealer, opener });
            }
            Output::Timeout(at) => return Ok(Instant::from_std(at)),
            Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
            Output::CloseNotify => return Err("closed while connecting".into()),
            _ => {}
        }
    }
}

/// Whether a payload of H.264 begins a picture that a decoder can start at: its
/// parameter sets, alone or with others in one packet.
#[must_use]
pub fn begins_key_frame(payload: &[u8]) -> bool {
    match payload {
        [first, ..] if first & 0x1f == 24 => payload.get(3).is_some_and(|nal| nal & 0x1f == 7),
        [first, ..] => first & 0x1f == 7,
        [] => false,
    }
}
