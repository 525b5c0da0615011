//! Browsers without WebRTC for the benchmark: fMP4 over WebSocket, low-latency HLS and
//! still pictures, over plain HTTP.

use super::load_whep::{Target, wall_micros};
use super::{Failure, quantile, report_when};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Somebody who tries one time after another.
#[derive(clap::Args)]
pub(crate) struct Tries {
    #[command(flatten)]
    target: Target,
    /// How often.
    #[arg(long)]
    count: usize,
}

/// The opcode of a binary message (RFC 6455 section 5.2).
const BINARY: u8 = 2;
/// The widths that still pictures have, in pixels.
const WIDTHS: [u16; 5] = [160, 320, 640, 960, 1280];

/// A WebSocket that only listens. It answers no ping, which the gateway bears for 50 s.
struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    async fn open(target: &Target, cookie: &str) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {}/main/live HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            target.path, target.address
        );
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = Vec::new();
        loop {
            if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).into_owned();
                buffer.drain(..end + 4);
                if !head.starts_with("HTTP/1.1 101") {
                    return Err(format!("refused: {head}").into());
                }
                return Ok(Self { stream, buffer });
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err("closed".into());
            }
        }
    }

    /// The next message: its opcode and what is in it. Safe to drop and call again.
    async fn message(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        loop {
            let (opcode, length, rest) = match self.buffer.as_slice() {
                [first, 126, a, b, rest @ ..] => (first & 15, u64::from(u16::from_be_bytes([*a, *b])), rest),
                [first, 127, rest @ ..] if rest.len() >= 8 => {
                    let (length, rest) = rest.split_at(8);
                    (first & 15, length.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)), rest)
                }
                [first, length @ ..=125, rest @ ..] => (first & 15, u64::from(*length), rest),
                _ => (0, u64::MAX, &[][..]),
            };
            if let Some(message) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
                let (message, rest) = (message.to_vec(), rest.len() - message.len());
                self.buffer.drain(..self.buffer.len() - rest);
                return Ok((opcode, message));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next fragment.
    async fn fragment(&mut self) -> std::io::Result<Vec<u8>> {
        loop {
            let (opcode, message) = self.message().await?;
            if opcode == BINARY && message.get(4..8) == Some(b"moof") {
                return Ok(message);
            }
        }
    }

    /// Reads and counts bytes until `until`.
    async fn drain(&mut self, until: Instant) -> std::io::Result<u64> {
        let (mut buffer, mut bytes) = (vec![0; 256 << 10], 0);
        while let Ok(read) = tokio::time::timeout_at(until, self.stream.read(&mut buffer)).await {
            match read? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => bytes += read as u64,
            }
        }
        Ok(bytes)
    }
}

/// How long a fragment was under way, in milliseconds: synthetic cameras write the time
/// behind the first byte of the frame.
fn under_way(fragment: &[u8]) -> Option<f64> {
    let data = fragment.windows(4).position(|w| w == b"mdat")? + 4;
    let stamp = std::str::from_utf8(fragment.get(data + 5..data + 21)?).ok()?;
    let sent = u64::from_str_radix(stamp, 16).ok()?;
    Some(wall_micros().saturating_sub(sent) as f64 / 1_000.0)
}

/// WebSocket viewers that read for a while and count; one in twenty looks how long
/// frames were under way.
pub(crate) async fn viewers(target: &Target, count: usize, seconds: f64) -> Result<(), Failure> {
    let cookie = target.cookie()?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(Socket::open(target, &cookie).await?);
    }
    // The last GOP of the late ones does not count.
    let begin = Instant::now() + Duration::from_secs(1);
    let end = begin + Duration::from_secs_f64(seconds);
    let times = Arc::<Mutex<Vec<f64>>>::default();
    let mut tasks = JoinSet::new();
    for (n, mut socket) in all.into_iter().enumerate() {
        let times = Arc::clone(&times);
        tasks.spawn(async move {
            if n % 20 > 0 {
                socket.drain(begin).await?;
                return socket.drain(end).await;
            }
            let mut bytes = 0;
            while let Ok(fragment) = tokio::time::timeout_at(end, socket.fragment()).await {
                let fragment = fragment?;
                if Instant::now() < begin {
                    continue;
                }
                // With the header of its message.
                bytes += fragment.len() as u64 + 4;
                if let (Some(time), Ok(mut times)) = (under_way(&fragment), times.lock()) {
                    times.push(time);
                }
            }
            Ok(bytes)
        });
    }
    let times = move || {
        let mut times = times.lock().map(|times| times.clone()).unwrap_or_default();
        let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        format!(", \"latency_p50_ms\": {p50:.2}, \"latency_p99_ms\": {p99:.2}, \"frames\": {}", times.len())
    };
    report_when(begin, tasks, count, times).await
}

/// Keeps the stream warm for half a minute at least.
async fn warm(target: &Target, cookie: &str) -> Result<JoinSet<std::io::Result<u64>>, Failure> {
    let mut socket = Socket::open(target, cookie).await?;
    socket.fragment().await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { socket.drain(Instant::now() + Duration::from_secs(3_600)).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    Ok(tasks)
}

/// Spread over the group of pictures.
async fn pause(n: usize) {
    tokio::time::sleep(Duration::from_millis(37 + (n as u64 * 131) % 400)).await;
}

fn report(name: &str, times: &mut [f64]) -> String {
    let (p50, p99) = (quantile(times, 0.5), quantile(times, 0.99));
    format!("\"{name}p50_ms\": {p50:.3}, \"{name}p99_ms\": {p99:.3}, \"{name}count\": {}", times.len())
}

/// One WebSocket after another: the time from connecting to the first whole frame.
pub(crate) async fn first(Tries { target, count }: &Tries) -> Result<(), Failure> {
    let cookie = target.cookie()?;
    let _warm = warm(target, &cookie).await?;
    let mut times = Vec::new();
    for n in 0..*count {
        pause(n).await;
        let began = Instant::now();
        Socket::open(target, &cookie).await?.fragment().await?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    println!("{{{}}}", report("", &mut times));
    Ok(())
}

/// The head and the body of what is at `path` below the target. Over HTTP/1.0, whose
/// answers end with their connection.
async fn get(target: &Target, cookie: &str, path: &str) -> Result<(String, Vec<u8>), Failure> {
    let mut stream = TcpStream::connect(target.address).await?;
    let request = format!(
        "GET {}/{path} HTTP/1.0\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n",
        target.path, target.address
    );
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    let end = response.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no answer")?;
    let body = response.split_off(end + 4);
    let head = String::from_utf8(response)?;
    if !head.lines().next().is_some_and(|line| line.contains(" 200")) {
        return Err(format!("{path} is refused: {head}{}", String::from_utf8_lossy(&body)).into());
    }
    Ok((head, body))
}

/// One HLS player after another: the time from opening the index to the last byte of the
/// first part that can be shown, with both playlists and the init segment.
pub(crate) async fn hls_first(Tries { target, count }: &Tries) -> Result<(), Failure> {
    let cookie = target.cookie()?;
    let _warm = warm(target, &cookie).await?;
    let text = |(_, body): (String, Vec<u8>)| String::from_utf8(body);
    let mut times = Vec::new();
    for n in 0..*count {
        pause(n).await;
        let began = Instant::now();
        let index = text(get(target, &cookie, "main/hls/index.m3u8").await?)?;
        let media = index.lines().find(|line| !line.starts_with('#')).ok_or("an index without a playlist")?;
        let playlist = text(get(target, &cookie, &format!("main/hls/{media}")).await?)?;
        let uri = |line: &str| line.split("URI=\"").nth(1)?.split('"').next().map(str::to_owned);
        let map = playlist.lines().rfind(|line| line.starts_with("#EXT-X-MAP:")).and_then(uri);
        let part = playlist.lines().rfind(|line| line.contains("INDEPENDENT=YES")).and_then(uri);
        for uri in [map.ok_or("no init segment")?, part.ok_or("no part that can be shown alone")?] {
            get(target, &cookie, &format!("main/hls/{uri}")).await?;
        }
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    println!("{{{}}}", report("", &mut times));
    Ok(())
}

/// Still pictures: of each new key frame every width once, which is decoded, and once
/// more, which is there.
pub(crate) async fn stills(Tries { target, count }: &Tries) -> Result<(), Failure> {
    let cookie = target.cookie()?;
    let _warm = warm(target, &cookie).await?;
    let still = async |width: u16| {
        let began = Instant::now();
        let (head, _) = get(target, &cookie, &format!("snapshot.jpg?width={width}")).await?;
        let modified = head.lines().find(|line| line.starts_with("last-modified")).map(str::to_owned);
        Ok::<_, Failure>((began.elapsed().as_secs_f64() * 1_000.0, modified))
    };
    let (mut cold, mut cached, mut newest) = (Vec::new(), Vec::new(), None);
    while cold.len() < *count {
        // The smallest is asked for until it is of a new key frame.
        let (took, modified) = still(WIDTHS[0]).await?;
        if modified == newest {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        newest = modified;
        cold.push(took);
        for width in WIDTHS.into_iter().skip(1) {
            cold.push(still(width).await?.0);
        }
        for width in WIDTHS {
            cached.push(still(width).await?.0);
        }
    }
    println!("{{{}, {}}}", report("cold_", &mut cold), report("cached_", &mut cached));
    Ok(())
}
