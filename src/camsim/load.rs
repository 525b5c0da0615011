//! `load`: what the benchmark needs besides the gateway: many viewers, and the
//! least work that any gateway must do, as a server of its own.

mod load_events;
mod load_web;
mod load_whep;

use camsim::viewers::{Viewer, frames};
use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Load for the benchmark. Prints one line of JSON.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Doors that post events and wait until each is durable.
    Doors(load_events::Doors),
    /// The least that takes: appending to a file and waiting for the disk.
    Append(load_events::Append),
    /// RTSP viewers that read for a while and count.
    Viewers {
        #[command(flatten)]
        target: Target,
        /// How many.
        #[arg(long)]
        count: usize,
        /// For how long, after all are connected and a second has passed.
        #[arg(long)]
        seconds: f64,
    },
    /// One RTSP viewer after another: the time from PLAY to the first whole frame.
    First {
        #[command(flatten)]
        target: Target,
        /// How many.
        #[arg(long)]
        count: usize,
    },
    /// WebRTC viewers that read for a while and count.
    WhepViewers {
        #[command(flatten)]
        target: load_whep::Target,
        /// How many.
        #[arg(long)]
        count: usize,
        /// For how long, after all are connected and two seconds have passed.
        #[arg(long)]
        seconds: f64,
    },
    /// One WebRTC viewer after another: the time from the offer to the first whole frame.
    WhepFirst {
        #[command(flatten)]
        target: load_whep::Target,
        /// How many.
        #[arg(long)]
        count: usize,
    },
    /// WebSocket viewers that read for a while and count.
    LiveViewers {
        #[command(flatten)]
        target: load_whep::Target,
        /// How many.
        #[arg(long)]
        count: usize,
        /// For how long, after all are connected and a second has passed.
        #[arg(long)]
        seconds: f64,
    },
    /// One WebSocket after another: the time from connecting to the first whole frame.
    LiveFirst(load_web::Tries),
    /// One HLS player after another: the time to the first part that can be shown.
    HlsFirst(load_web::Tries),
    /// Still pictures, decoded and cached.
    Stills(load_web::Tries),
    /// Sockets that say hello, read datagrams and count.
    UdpDrain {
        /// Whom to say hello to.
        #[arg(long)]
        address: SocketAddr,
        /// How many.
        #[arg(long)]
        count: usize,
        /// For how long, after all are known and two seconds have passed.
        #[arg(long)]
        seconds: f64,
    },
    /// A server that seals frames with AES-128-GCM for everybody who has said hello and
    /// does nothing else.
    UdpLimit {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
        /// Frames a second.
        #[arg(long)]
        fps: u32,
        /// Bytes in a frame.
        #[arg(long)]
        bytes: usize,
        /// A call for each packet, instead of one for the frame.
        #[arg(long)]
        each: bool,
    },
    /// Plain connections that read and count.
    Drain {
        /// Where to connect.
        #[arg(long)]
        address: SocketAddr,
        /// How many.
        #[arg(long)]
        count: usize,
        /// For how long, after all are connected and a second has passed.
        #[arg(long)]
        seconds: f64,
    },
    /// A server that writes frames to every connection and does nothing else.
    Limit {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
        /// Frames a second.
        #[arg(long)]
        fps: u32,
        /// Bytes in a frame.
        #[arg(long)]
        bytes: usize,
        /// Bytes in a write: the whole frame unless it is said.
        #[arg(long)]
        write: Option<usize>,
    },
}

#[derive(clap::Args)]
struct Target {
    /// The gateway's RTSP port.
    #[arg(long)]
    address: SocketAddr,
    /// `camera/main`.
    #[arg(long)]
    path: String,
    /// A file with the viewer key, as LOGIN:KEY.
    #[arg(long)]
    key_file: PathBuf,
}

impl Target {
    fn login(&self) -> Result<(String, String), Failure> {
        let text = std::fs::read_to_string(&self.key_file)?;
        let (login, key) = text.trim().split_once(':').ok_or("the key file holds LOGIN:KEY")?;
        Ok((login.to_owned(), key.to_owned()))
    }

    async fn play(&self, login: &(String, String)) -> Result<Viewer, Failure> {
        Viewer::play(self.address, &self.path, Some((&login.0, &login.1))).await
    }
}

async fn viewers(target: Target, count: usize, seconds: f64) -> Result<(), Failure> {
    let login = target.login()?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(target.play(&login).await?);
    }
    // The last GOP of the late ones does not count.
    let begin = Instant::now() + Duration::from_secs(1);
    let end = begin + Duration::from_secs_f64(seconds);
    let mut tasks = JoinSet::new();
    for mut viewer in all {
        tasks.spawn(async move {
            viewer.drain(begin).await?;
            viewer.drain(end).await
        });
    }
    report_when(begin, tasks, count, String::new).await
}

async fn drain(address: SocketAddr, count: usize, seconds: f64) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(address).await?);
    }
    let begin = Instant::now() + Duration::from_secs(1);
    let end = begin + Duration::from_secs_f64(seconds);
    for mut stream in streams {
        tasks.spawn(async move {
            let mut buffer = vec![0; 256 << 10];
            let mut bytes = 0u64;
            while let Ok(read) = tokio::time::timeout_at(end, stream.read(&mut buffer)).await {
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

/// Says `ready` when counting begins, then the sum of bytes, and what `more` there is.
async fn report_when(
    begin: Instant,
    mut tasks: JoinSet<std::io::Result<u64>>,
    count: usize,
    more: impl FnOnce() -> String,
) -> Result<(), Failure> {
    tokio::time::sleep_until(begin).await;
    println!("ready");
    let (mut bytes, mut least) = (0, u64::MAX);
    while let Some(done) = tasks.join_next().await {
        let read = done??;
        bytes += read;
        least = least.min(read);
    }
    println!("{{\"viewers\": {count}, \"bytes\": {bytes}, \"least\": {least}{}}}", more());
    Ok(())
}

async fn first(target: Target, count: usize) -> Result<(), Failure> {
    let login = target.login()?;
    // One that keeps the stream warm.
    let mut warm = target.play(&login).await?;
    frames(&mut warm, 2, Duration::from_secs(20)).await;
    let mut keep_warm = JoinSet::new();
    keep_warm.spawn(async move { warm.drain(Instant::now() + Duration::from_secs(3_600)).await });
    let mut times = Vec::new();
    for n in 0..count {
        // Spread over the group of pictures.
        tokio::time::sleep(Duration::from_millis(37 + (n as u64 * 131) % 400)).await;
        let mut viewer = target.play(&login).await?;
        let got = frames(&mut viewer, 1, Duration::from_secs(20)).await;
        if got.is_empty() {
            return Err("no frame came".into());
        }
        times.push(viewer.played.elapsed().as_secs_f64() * 1_000.0);
    }
    let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    println!("{{\"p50_ms\": {p50:.3}, \"p99_ms\": {p99:.3}, \"count\": {count}}}");
    Ok(())
}

/// What `part` of the values are not above; sorts them.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() as f64 * part) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

async fn limit(listen: SocketAddr, fps: u32, bytes: usize, write: Option<usize>) -> Result<(), Failure> {
    let listener = TcpListener::bind(listen).await?;
    let frame = vec![0x5a; bytes.max(1)];
    let mut tick = tokio::time::interval(Duration::from_secs(1) / fps.max(1));
    let mut viewers: Vec<TcpStream> = Vec::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                viewers.push(stream);
            }
            _ = tick.tick() => {
                // A reader that is full loses the rest: this is a limit, not a gateway.
                viewers.retain(|viewer| {
                    frame.chunks(write.unwrap_or(bytes).max(1)).all(|part| match viewer.try_write(part) {
                        Ok(_) => true,
                        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
                    })
                });
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Doors(doors) => load_events::doors(doors).await,
        Command::Append(append) => load_events::append(&append),
        Command::Viewers { target, count, seconds } => viewers(target, count, seconds).await,
        Command::First { target, count } => first(target, count).await,
        Command::WhepViewers { target, count, seconds } => load_whep::viewers(&target, count, seconds).await,
        Command::WhepFirst { target, count } => load_whep::first(&target, count).await,
        Command::LiveViewers { target, count, seconds } => load_web::viewers(&target, count, seconds).await,
        Command::LiveFirst(tries) => load_web::first(&tries).await,
        Command::HlsFirst(tries) => load_web::hls_first(&tries).await,
        Command::Stills(tries) => load_web::stills(&tries).await,
        Command::UdpDrain { address, count, seconds } => load_whep::drain(address, count, seconds).await,
        Command::UdpLimit { listen, fps, bytes, each } => load_whep::limit(listen, fps, bytes, !each).await,
        Command::Drain { address, count, seconds } => drain(address, count, seconds).await,
        Command::Limit { listen, fps, bytes, write } => limit(listen, fps, bytes, write).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("load: {why}");
            ExitCode::FAILURE
        }
    }
}
