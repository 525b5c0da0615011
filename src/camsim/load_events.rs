//! Doors for the benchmark: many devices that post events and wait until each is durable,
//! and the least work that takes.

use super::{Failure, quantile};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Devices that post.
#[derive(clap::Args)]
pub(crate) struct Doors {
    /// The gateway's HTTP port.
    #[arg(long)]
    address: SocketAddr,
    /// A file with a device's token in each line.
    #[arg(long)]
    token_file: PathBuf,
    /// Connections, spread over the devices.
    #[arg(long)]
    count: usize,
    /// Events in one request.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// For how long.
    #[arg(long)]
    seconds: f64,
}

/// Writing with nothing around it.
#[derive(clap::Args)]
pub(crate) struct Append {
    /// A file on the disk that is measured.
    #[arg(long)]
    file: PathBuf,
    /// Events that share one wait for the disk.
    #[arg(long)]
    count: usize,
    /// For how long.
    #[arg(long)]
    seconds: f64,
}

/// What an event takes in a database, in bytes, index and all.
const EVENT: usize = 400;

fn request(doors: &Doors, token: &str, connection: usize, n: usize) -> String {
    // Another run's events are others.
    let run = std::process::id();
    let event = |m: usize| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{run}-{connection}-{n}-{m}\",\"source\":\"/door/{connection}\",\
             \"type\":\"sharpeyes.door.access.granted\",\"data\":{{\"direction\":\"in\",\"method\":\"card\"}}}}"
        )
    };
    let events: Vec<String> = (0..doors.batch).map(event).collect();
    let body = format!("[{}]", events.join(","));
    format!(
        "POST /ingest/v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/cloudevents-batch+json\r\nContent-Length: {}\r\n\r\n{body}",
        doors.address,
        body.len()
    )
}

/// Reads an answer; fails unless it is a yes to every event.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>, batch: usize) -> Result<(), Failure> {
    buffer.clear();
    loop {
        let head = buffer.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = head {
            let text = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).to_ascii_lowercase();
            let length =
                text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let length: usize = length.ok_or("an answer without a length")?;
            if let Some(body) = buffer.get(end + 4..end + 4 + length) {
                let body = String::from_utf8_lossy(body);
                if !text.starts_with("http/1.1 202") || body.matches("accepted").count() != batch {
                    return Err(format!("refused: {text} {body}").into());
                }
                return Ok(());
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err("closed".into());
        }
    }
}

/// Each connection posts again as soon as its last request is durable.
pub(crate) async fn doors(doors: Doors) -> Result<(), Failure> {
    let tokens = std::fs::read_to_string(&doors.token_file)?;
    let tokens: Vec<String> = tokens.lines().map(str::to_owned).collect();
    let (doors, times) = (Arc::new(doors), Arc::new(Mutex::new(Vec::new())));
    let begin = Instant::now() + Duration::from_secs(1);
    let until = begin + Duration::from_secs_f64(doors.seconds);
    let mut tasks: JoinSet<Result<(), Failure>> = JoinSet::new();
    for connection in 0..doors.count {
        let token = tokens.get(connection % tokens.len().max(1)).ok_or("there are no tokens")?.clone();
        let (doors, times) = (Arc::clone(&doors), Arc::clone(&times));
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(doors.address).await?;
            stream.set_nodelay(true)?;
            let (mut buffer, mut mine) = (Vec::new(), Vec::new());
            for n in 0.. {
                let sent = Instant::now();
                if sent >= until {
                    break;
                }
                stream.write_all(request(&doors, &token, connection, n).as_bytes()).await?;
                answer(&mut stream, &mut buffer, doors.batch).await?;
                // The first second warms up.
                if sent >= begin {
                    mine.push(sent.elapsed().as_secs_f64() * 1_000.0);
                }
            }
            times.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(mine);
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let mut times = std::mem::take(&mut *times.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let events = times.len() * doors.batch;
    println!(
        "{{\"events_per_second\": {}, \"p50_ms\": {}, \"p99_ms\": {}}}",
        events as f64 / doors.seconds,
        quantile(&mut times, 0.5),
        quantile(&mut times, 0.99)
    );
    Ok(())
}

/// Appends what so many events take and waits for the disk, again and again.
pub(crate) fn append(append: &Append) -> Result<(), Failure> {
    let result = append_to(&append.file, append);
    std::fs::remove_file(&append.file)?;
    result
}

fn append_to(path: &Path, append: &Append) -> Result<(), Failure> {
    let mut file = std::fs::File::create(path)?;
    let group = vec![0x5a; EVENT * append.count];
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed().as_secs_f64() < append.seconds {
        let sent = Instant::now();
        file.write_all(&group)?;
        file.sync_data()?;
        times.push(sent.elapsed().as_secs_f64() * 1_000.0);
    }
    println!(
        "{{\"events_per_second\": {}, \"p50_ms\": {}, \"p99_ms\": {}}}",
        (times.len() * append.count) as f64 / append.seconds,
        quantile(&mut times, 0.5),
        quantile(&mut times, 0.99)
    );
    Ok(())
}
