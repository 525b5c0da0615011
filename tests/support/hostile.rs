//! A camera that wants to hurt: it speaks as much RTSP as it must, and then it lies.

use crate::support::camera::{self, H264};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;

/// How it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It hangs up.
    Nothing,
    /// The description has 2⁶³ bytes, and they come.
    EndlessBody,
    /// The answer has header after header.
    EndlessHeaders,
    /// The answer has one header line.
    EndlessLine,
    /// The description has a million lines.
    MillionLines,
    /// The description comes at a byte a second.
    ByteASecond,
    /// The description promises pictures of 65,520 by 65,520.
    HugePicture,
    /// A later key picture does.
    HugeLater,
    /// An access unit of 1 GiB, as fast as it can be sent.
    HugeUnit,
    /// The same in fragments of one byte.
    Crumbs,
    /// An access unit without a marker, at a pace that keeps its size small for long.
    NoMarker,
    /// A message with a body of 2⁶³ bytes amid the pictures.
    BodyAmid,
    /// A message with one header line amid the pictures.
    LineAmid,
}

/// What is sent at most in one connection, where nothing ends it.
const MOST: usize = 1 << 30;
/// Good pictures before it lies in mid-stream.
const GOOD: u32 = 10;
const PAYLOAD: usize = 1_400;

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// When it was made.
    pub came: Instant,
    /// When the lie began.
    pub lied: Option<Instant>,
    /// When the gateway ended it.
    pub dropped: Option<Instant>,
}

/// The camera, on a thread of its own.
pub struct Hostile {
    pub address: SocketAddr,
    lie: watch::Sender<Lie>,
    visits: Arc<Mutex<Vec<Visit>>>,
}

impl Hostile {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (lie, lies) = watch::channel(Lie::Nothing);
        let visits = Arc::default();
        let noted = Arc::clone(&visits);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { serve(TcpListener::from_std(listener).unwrap(), lies, noted).await });
        });
        Self { address, lie, visits }
    }

    /// It lies so from now on, and forgets who was there.
    pub fn lie(&self, lie: Lie) {
        self.lie.send_replace(lie);
        self.visits.lock().unwrap().clear();
    }

    pub fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, mut lies: watch::Receiver<Lie>, visits: Arc<Mutex<Vec<Visit>>>) {
    loop {
        let lie = *lies.borrow_and_update();
        let accepting = async {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let n = {
                    let mut visits = visits.lock().unwrap();
                    visits.push(Visit { came: Instant::now(), lied: None, dropped: None });
                    visits.len() - 1
                };
                let note = |change: fn(&mut Visit)| {
                    if let Some(visit) = visits.lock().unwrap().get_mut(n) {
                        change(visit);
                    }
                };
                let mut talk = Talk { stream, lie, rest: Vec::new(), udp: None };
                if lie == Lie::Nothing {
                    continue;
                }
                // One at a time, as the gateway comes.
                let _ = talk.run(|| note(|visit| visit.lied = Some(Instant::now()))).await;
                note(|visit| visit.dropped = Some(Instant::now()));
            }
        };
        tokio::select! {
            () = accepting => {}
            changed = lies.changed() => if changed.is_err() { return },
        }
    }
}

/// One connection's conversation.
struct Talk {
    stream: TcpStream,
    lie: Lie,
    rest: Vec<u8>,
    /// A socket and where to, if packets go by UDP.
    udp: Option<UdpSocket>,
}

impl Talk {
    /// Ends when the gateway has gone.
    async fn run(&mut self, lies: impl Fn()) -> io::Result<()> {
        loop {
            let request = self.request().await?;
            let header = |name: &str| {
                let line = request.lines().find(|line| line.to_lowercase().starts_with(name));
                line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
            };
            let (method, sequence) = (request.split(' ').next().unwrap_or_default(), header("cseq"));
            let head = format!("RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\nSession: 1\r\n");
            match method {
                "DESCRIBE" => {
                    let head = format!("{head}Content-Type: application/sdp\r\n");
                    lies();
                    self.describe(&head).await?;
                }
                "SETUP" => {
                    let asked = header("transport").to_owned();
                    let mut granted = asked.clone();
                    if let Some((_, ports)) = asked.split_once("client_port=") {
                        let port = ports.split(['-', ';']).next().and_then(|port| port.parse().ok());
                        let port: u16 = port.ok_or(io::ErrorKind::InvalidData)?;
                        let socket = UdpSocket::bind("127.0.0.1:0").await?;
                        socket.connect(("127.0.0.1", port)).await?;
                        let own = socket.local_addr()?.port();
                        granted = format!("{asked};server_port={own}-{}", own.wrapping_add(1));
                        self.udp = Some(socket);
                    }
                    self.write(format!("{head}Transport: {granted}\r\n\r\n").as_bytes()).await?;
                }
                "PLAY" => {
                    self.write(format!("{head}\r\n").as_bytes()).await?;
                    return self.play(lies).await;
                }
                _ => self.write(format!("{head}\r\n").as_bytes()).await?,
            }
        }
    }

    async fn request(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                let request = self.rest.drain(..end + 4).collect();
                return String::from_utf8(request).map_err(|_| io::ErrorKind::InvalidData.into());
            }
            if self.stream.read_buf(&mut self.rest).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends the same again and again.
    async fn flood(&mut self, bytes: &[u8]) -> io::Result<()> {
        let chunk = bytes.repeat((64 << 10) / bytes.len());
        for _ in 0..MOST / chunk.len() {
            self.write(&chunk).await?;
        }
        self.gone().await
    }

    /// Waits until the gateway has gone.
    async fn gone(&mut self) -> io::Result<()> {
        while self.stream.read_buf(&mut self.rest).await? > 0 {}
        Ok(())
    }

    async fn describe(&mut self, head: &str) -> io::Result<()> {
        let sets =
            if self.lie == Lie::HugePicture { [huge_sps(), real_sets()[1].clone()] } else { real_sets() };
        let sets = sets.map(|set| STANDARD.encode(set)).join(",");
        let sdp = format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
             a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}\r\na=control:track1\r\n"
        );
        let whole = format!("{head}Content-Length: {}\r\n\r\n{sdp}", sdp.len());
        match self.lie {
            Lie::EndlessBody => {
                self.write(format!("{head}Content-Length: 9223372036854775808\r\n\r\n").as_bytes()).await?;
                self.flood(b"a=more:and more\r\n").await
            }
            Lie::EndlessHeaders => {
                self.write(head.as_bytes()).await?;
                self.flood(b"X-More: and more\r\n").await
            }
            Lie::EndlessLine => {
                self.write(format!("{head}X-More: ").as_bytes()).await?;
                self.flood(b"and more ").await
            }
            Lie::MillionLines => {
                let lines = "a=x:y\r\n".repeat(1_000_000);
                let length = sdp.len() + lines.len();
                self.write(format!("{head}Content-Length: {length}\r\n\r\n{sdp}{lines}").as_bytes()).await
            }
            Lie::ByteASecond => {
                for byte in whole.as_bytes() {
                    self.write(&[*byte]).await?;
                    let pause = tokio::time::timeout(Duration::from_secs(1), self.gone());
                    if let Ok(gone) = pause.await {
                        return gone.and(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
                Ok(())
            }
            _ => self.write(whole.as_bytes()).await,
        }
    }

    async fn play(&mut self, lies: impl Fn()) -> io::Result<()> {
        let mut rtp = Rtp { sequence: 0, time: 0 };
        for n in 0..GOOD {
            let mut picture = vec![0x5a; 500];
            picture[0] = if n == 0 { 0x65 } else { 0x41 };
            let packet = rtp.packet(true, &picture);
            self.packets(&packet).await?;
            rtp.time += 4_500;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        lies();
        match self.lie {
            Lie::BodyAmid => {
                self.write(b"RTSP/1.0 200 OK\r\nCSeq: 900\r\nContent-Length: 9223372036854775808\r\n\r\n")
                    .await?;
                self.flood(b"more and ").await
            }
            Lie::LineAmid => {
                self.write(b"RTSP/1.0 200 OK\r\nCSeq: 900\r\nX-More: ").await?;
                self.flood(b"more and ").await
            }
            Lie::HugeLater => {
                let packets = [huge_sps(), real_sets()[1].clone(), vec![0x65; 100]];
                for (n, nal) in packets.iter().enumerate() {
                    let packet = rtp.packet(n + 1 == packets.len(), nal);
                    self.packets(&packet).await?;
                }
                self.gone().await
            }
            Lie::Crumbs => self.unit(&mut rtp, 1, Duration::ZERO).await,
            Lie::NoMarker => self.unit(&mut rtp, PAYLOAD, Duration::from_millis(25)).await,
            // A camera sends datagrams no faster than they are read, or they are lost and with them the lie.
            _ if self.udp.is_some() => self.unit(&mut rtp, PAYLOAD, Duration::from_millis(1)).await,
            _ => self.unit(&mut rtp, PAYLOAD, Duration::ZERO).await,
        }
    }

    /// An access unit that does not end, eight fragments of `size` at a time.
    async fn unit(&mut self, rtp: &mut Rtp, size: usize, pace: Duration) -> io::Result<()> {
        let mut fragment = vec![0x5a; 2 + size];
        (fragment[0], fragment[1]) = (0x7c, 0x85);
        for n in 0..MOST / size / 8 {
            // Where a datagram was lost the gateway waits for the next unit: here it is.
            if self.udp.is_some() && n > 0 && n % 500 == 0 {
                rtp.time += 4_500;
                fragment[1] = 0x85;
            }
            let mut eight = Vec::new();
            for _ in 0..8 {
                eight.extend(rtp.packet(false, &fragment));
                fragment[1] = 0x05;
            }
            self.packets(&eight).await?;
            if !pace.is_zero() {
                let pause = tokio::time::timeout(pace, self.gone());
                if let Ok(gone) = pause.await {
                    return gone;
                }
            }
        }
        self.gone().await
    }

    /// Sends interleaved packets as they are, or each as a datagram.
    async fn packets(&mut self, mut interleaved: &[u8]) -> io::Result<()> {
        let Some(socket) = &self.udp else { return self.stream.write_all(interleaved).await };
        while let [b'$', _, high, low, rest @ ..] = interleaved {
            let (packet, next) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            // Nobody listens any more: the connection says so, too.
            let _ = socket.send(packet).await;
            interleaved = next;
        }
        Ok(())
    }
}

struct Rtp {
    sequence: u16,
    time: u32,
}

impl Rtp {
    /// An interleaved packet on channel 0.
    fn packet(&mut self, marker: bool, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(12 + payload.len()).unwrap().to_be_bytes();
        let mut packet = vec![b'$', 0, length[0], length[1], 0x80, if marker { 0xe0 } else { 0x60 }];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.time.to_be_bytes());
        packet.extend([0, 0, 0, 1]);
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }
}

/// SPS and PPS of a real clip.
fn real_sets() -> [Vec<u8>; 2] {
    let clip = camera::clip(H264);
    let sets: Vec<_> = clip.params.video.as_ref().unwrap().parameter_sets().map(<[u8]>::to_vec).collect();
    sets.try_into().unwrap()
}

/// A parameter set of 65,520 by 65,520 pixels (ITU-T H.264, 7.3.2.1.1): with a macroblock more
/// the sides do not fit 16 bits, and retina refuses it itself.
fn huge_sps() -> Vec<u8> {
    let golomb = |n: u32| {
        let code = format!("{:b}", n + 1);
        "0".repeat(code.len() - 1) + &code
    };
    let (numbers, side) = ([0, 0, 2, 1].map(golomb).concat(), golomb(4_094));
    // No gaps; whole frames, direct inference; no cropping, nothing more, the stop bit.
    let bits = format!("{numbers}0{side}{side}11001");
    let mut sps = vec![0x67, 66, 0, 62];
    for byte in bits.as_bytes().chunks(8) {
        let byte = format!("{:0<8}", std::str::from_utf8(byte).unwrap());
        sps.push(u8::from_str_radix(&byte, 2).unwrap());
    }
    sps
}
