//! Virtual cameras from the clips in `tests/media`.

use camsim::clip::Clip;
use camsim::{Camera, Cameras};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const H264: &str = "crossroad-h264.mp4";
pub const SUB: &str = "crossroad-sub-h264.mp4";
pub const H265: &str = "crossroad-h265.mp4";
pub const AAC: &str = "gate-h264-aac.mp4";

pub fn media(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media").join(name)
}

pub fn clip(name: &str) -> Arc<Clip> {
    Arc::new(Clip::read(&media(name)).unwrap())
}

/// Frames of exact size and rate, which no decoder could read.
pub fn synthetic(fps: u32, gop: u32, bytes: usize) -> Arc<Clip> {
    Arc::new(Clip::synthetic(fps, gop, bytes))
}

/// Cameras at the paths that are given, on one port.
pub async fn start(cameras: &[(&str, Arc<Clip>)]) -> Cameras {
    start_with_login(cameras, None).await
}

pub async fn start_with_login(cameras: &[(&str, Arc<Clip>)], login: Option<(&str, &str)>) -> Cameras {
    let cameras = cameras
        .iter()
        .map(|(path, clip)| Camera { path: (*path).into(), clip: Arc::clone(clip), other: None })
        .collect();
    let login = login.map(|(name, password)| (name.to_owned(), password.to_owned()));
    camsim::start("127.0.0.1:0".parse().unwrap(), cameras, login).await.unwrap()
}
