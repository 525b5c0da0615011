//! WebRTC for the benchmark: viewers by WHEP, and the least that must be done for
//! them: sealing every packet, and one call a frame and viewer.

use super::{Failure, quantile, report_when};
use camsim::whep::{Answer, Came, Offer, Viewer, Wants};
use clap::Args;
use media::rtp::srtp::{self, Profile, Sealer};
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::Instant;

#[derive(Args)]
pub(crate) struct Target {
    /// The gateway's HTTP port.
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// Where the camera is, like `/api/v1/cameras/ID`; for WebRTC of any gateway, where
    /// offers go.
    #[arg(long)]
    pub(crate) path: String,
    /// A file with the session's cookie, as NAME=VALUE; empty for a gateway without.
    #[arg(long)]
    cookie_file: PathBuf,
}

impl Target {
    /// Opens one session.
    async fn watch(&self, cookie: &str) -> Result<Viewer, Failure> {
        let offer = Offer::new(Wants::Everything)?;
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{}",
            self.path,
            self.address,
            offer.sdp.len(),
            offer.sdp
        );
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        let (head, body) = response.split_once("\r\n\r\n").ok_or("no answer")?;
        if !head.starts_with("HTTP/1.1 201") {
            return Err(format!("refused: {}", head.lines().next().unwrap_or_default()).into());
        }
        Viewer::connect(offer, &Answer::parse(body)?).await
    }

    pub(crate) fn cookie(&self) -> Result<String, Failure> {
        Ok(std::fs::read_to_string(&self.cookie_file)?.trim().to_owned())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the camera's stamps are wall time, and both are on one machine"
)]
pub(crate) fn wall_micros() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// How long a frame was under way, in milliseconds: synthetic cameras write the time
/// into it.
fn under_way(fragment: &[u8]) -> Option<f64> {
    // Behind the two bytes of the first fragment's header.
    if fragment.get(1)? & 0x80 == 0 {
        return None;
    }
    let stamp = std::str::from_utf8(fragment.get(2..18)?).ok()?;
    let sent = u64::from_str_radix(stamp, 16).ok()?;
    Some(wall_micros().saturating_sub(sent) as f64 / 1_000.0)
}

/// Viewers that read for a while and count; one in ten opens what comes and looks how
/// long it was under way.
pub(crate) async fn viewers(target: &Target, count: usize, seconds: f64) -> Result<(), Failure> {
    let cookie = target.cookie()?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(target.watch(&cookie).await?);
    }
    // The last GOP of the late ones does not count.
    let begin = Instant::now() + Duration::from_secs(2);
    let end = begin + Duration::from_secs_f64(seconds);
    let times = Arc::<Mutex<Vec<f64>>>::default();
    let mut tasks = JoinSet::new();
    for (n, mut viewer) in all.into_iter().enumerate() {
        let times = Arc::clone(&times);
        tasks.spawn(async move {
            if n % 10 > 0 {
                viewer.drain(begin).await?;
                return viewer.drain(end).await;
            }
            let mut before = None;
            let mut first = None;
            while let Ok(came) = tokio::time::timeout_at(end, viewer.next()).await {
                let Came::Packet(packet) = came? else { continue };
                if Instant::now() < begin {
                    continue;
                }
                before.get_or_insert(viewer.bytes - packet.sealed.len() as u64);
                first = under_way(&packet.payload).or(first);
                if packet.marker
                    && let (Some(time), Ok(mut times)) = (first.take(), times.lock())
                {
                    times.push(time);
                }
            }
            Ok(viewer.bytes - before.unwrap_or(viewer.bytes))
        });
    }
    let times = move || {
        let mut times = times.lock().map(|times| times.clone()).unwrap_or_default();
        let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        format!(", \"latency_p50_ms\": {p50:.2}, \"latency_p99_ms\": {p99:.2}, \"frames\": {}", times.len())
    };
    report_when(begin, tasks, count, times).await
}

/// One viewer after another: the time from the offer to the first whole frame.
pub(crate) async fn first(target: &Target, count: usize) -> Result<(), Failure> {
    let cookie = target.cookie()?;
    let mut warm = target.watch(&cookie).await?;
    let mut keep_warm = JoinSet::new();
    keep_warm.spawn(async move { warm.drain(Instant::now() + Duration::from_secs(3_600)).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut times = Vec::new();
    for n in 0..count {
        // Spread over the group of pictures.
        tokio::time::sleep(Duration::from_millis(37 + (n as u64 * 131) % 400)).await;
        let began = Instant::now();
        let mut viewer = target.watch(&cookie).await?;
        while !viewer.packet().await?.marker {}
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    println!("{{\"p50_ms\": {p50:.3}, \"p99_ms\": {p99:.3}, \"count\": {count}}}");
    Ok(())
}

/// Datagrams' readers that count.
pub(crate) async fn drain(address: SocketAddr, count: usize, seconds: f64) -> Result<(), Failure> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(address).await?;
        socket.send(b"hello").await?;
        sockets.push(socket);
    }
    let begin = Instant::now() + Duration::from_secs(2);
    let end = begin + Duration::from_secs_f64(seconds);
    let mut tasks = JoinSet::new();
    for socket in sockets {
        tasks.spawn(async move {
            let (mut buffer, mut bytes) = ([0; 2_048], 0);
            while let Ok(read) = tokio::time::timeout_at(end, socket.recv(&mut buffer)).await {
                let read = read?;
                if Instant::now() >= begin {
                    bytes += read as u64;
                }
            }
            Ok(bytes)
        });
    }
    report_when(begin, tasks, count, String::new).await
}

/// A server that seals a frame for everybody who has said hello and sends it in one
/// call, or in one a packet, and does nothing else.
pub(crate) async fn limit(
    listen: SocketAddr,
    fps: u32,
    bytes: usize,
    segmented: bool,
) -> Result<(), Failure> {
    const PACKET: usize = 1_172;
    let socket = UdpSocket::bind(listen).await?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    state.set_send_buffer_size(UdpSockRef::from(&socket), 4 << 20)?;
    let keying = [7; Profile::Aes128Gcm.keying_len()];
    let (client, _) = srtp::split(Profile::Aes128Gcm, &keying).ok_or("keys of a strange length")?;
    let sealer = Sealer::new(client).ok_or("no keys")?;
    let frame = vec![0x5a; bytes.max(1)];
    let mut tick = tokio::time::interval(Duration::from_secs(1) / fps.max(1));
    let (mut viewers, mut sequence): (Vec<SocketAddr>, u16) = (Vec::new(), 0);
    let (mut hello, mut sealed) = ([0; 64], Vec::new());
    loop {
        tokio::select! {
            heard = socket.recv_from(&mut hello) => viewers.push(heard?.1),
            _ = tick.tick() => {
                for viewer in &viewers {
                    sealed.clear();
                    for part in frame.chunks(PACKET) {
                        sequence = sequence.wrapping_add(1);
                        let [high, low] = sequence.to_be_bytes();
                        sealer.rtp(&[0x80, 96, high, low, 0, 0, 0, 0, 0, 0, 0, 1], 0, part, &mut sealed);
                    }
                    let packet = PACKET + 12 + 16;
                    let send = |contents, segment_size| {
                        let transmit = Transmit { destination: *viewer, ecn: None, contents, segment_size, src_ip: None };
                        // What the socket does not take is lost: this is a limit, not a gateway.
                        let _ = socket.try_io(Interest::WRITABLE, || {
                            state.try_send(UdpSockRef::from(&socket), &transmit)
                        });
                    };
                    if segmented {
                        send(&sealed, Some(packet));
                    } else {
                        sealed.chunks(packet).for_each(|packet| send(packet, None));
                    }
                }
            }
        }
    }
}
