//! `camsim`: virtual cameras from clips, on one port.

use camsim::clip::Clip;
use camsim::{Camera, control};
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Virtual cameras: RTSP from MP4 clips.
#[derive(Parser)]
struct Arguments {
    /// Where the cameras listen.
    #[arg(long, default_value = "127.0.0.1:8600")]
    listen: SocketAddr,
    /// Where orders are taken, one a line (`stall east-gate on`, `refuse on`, `drop`, …).
    #[arg(long)]
    control: Option<SocketAddr>,
    /// A file with the login all cameras ask for, as NAME:PASSWORD.
    #[arg(long)]
    login_file: Option<PathBuf>,
    /// A camera, as PATH=CLIP.mp4 or PATH=CLIP.mp4,OTHER.mp4 (the other resolution),
    /// or PATH=synthetic:FPS:GOP:BYTES, or PATH=marked:CAMERA:FPS:GOP, whose pictures say
    /// which they are.
    #[arg(long = "camera", required = true)]
    cameras: Vec<String>,
}

fn camera(text: &str) -> Result<Camera, String> {
    let (path, clips) = text.split_once('=').ok_or(format!("{text}: not PATH=CLIP"))?;
    let mut clips = clips.split(',').map(|name| clip(name).map(Arc::new));
    let first = clips.next().ok_or(format!("{text}: no clip"))??;
    Ok(Camera { path: path.to_owned(), clip: first, other: clips.next().transpose()? })
}

fn clip(name: &str) -> Result<Clip, String> {
    if let Some(text) = name.strip_prefix("marked:") {
        let numbers: Vec<u32> = text.split(':').filter_map(|n| n.parse().ok()).collect();
        return match numbers.as_slice() {
            [camera, fps, gop] if *fps > 0 && *gop > 0 => {
                let camera =
                    u16::try_from(*camera).map_err(|_| format!("{name}: a camera is at most 65535"))?;
                Ok(Clip::marked(camera, *fps, *gop))
            }
            _ => Err(format!("{name}: not marked:CAMERA:FPS:GOP")),
        };
    }
    let Some(numbers) = name.strip_prefix("synthetic:") else {
        return Clip::read(&PathBuf::from(name)).map_err(|error| error.to_string());
    };
    let numbers: Vec<u32> = numbers.split(':').filter_map(|n| n.parse().ok()).collect();
    let [fps, gop, bytes] = numbers.as_slice() else {
        return Err(format!("{name}: not synthetic:FPS:GOP:BYTES"));
    };
    Ok(Clip::synthetic(*fps, *gop, usize::try_from(*bytes).unwrap_or(usize::MAX)))
}

fn login(file: &std::path::Path) -> Result<(String, String), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (name, password) = text.trim().split_once(':').ok_or("the login file holds NAME:PASSWORD")?;
    Ok((name.to_owned(), password.to_owned()))
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let cameras = arguments.cameras.iter().map(|text| camera(text)).collect::<Result<Vec<_>, _>>()?;
    let login = arguments.login_file.map(|file| login(&file)).transpose()?;
    let count = cameras.len();
    let running = camsim::start(arguments.listen, cameras, login)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    tracing::info!(address = %running.address(), count, "cameras are running");
    let orders = async {
        if let Some(address) = arguments.control {
            let listener = TcpListener::bind(address).await.map_err(|e| format!("{address}: {e}"))?;
            control::listen(listener, Arc::clone(running.control())).await;
        }
        std::future::pending::<Result<(), String>>().await
    };
    tokio::select! {
        ended = orders => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            ExitCode::FAILURE
        }
    }
}
