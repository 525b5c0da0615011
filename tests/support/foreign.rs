//! Programs that are not ours: FFmpeg and GStreamer.

use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

/// Runs a program to its end, within `limit`.
pub async fn run(program: &str, arguments: &[&str], limit: Duration) -> Output {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not start ({error}); scripts/setup test installs it"));
    let output = tokio::time::timeout(limit, child.wait_with_output()).await;
    output.unwrap_or_else(|_| panic!("{program} {arguments:?} took longer than {limit:?}")).unwrap()
}

/// The lines FFmpeg's framecrc prints for `input`: one a frame, `size, crc`.
///
/// Parameter sets, delimiters and SEI are left out, because a stream repeats
/// them where a file does not; what remains are the pictures themselves.
pub async fn frame_crcs(input: &[&str], map: &str, codec: &str, frames: usize) -> Vec<String> {
    let filter = match codec {
        "h264" => "h264_mp4toannexb,filter_units=remove_types=6-9",
        "hevc" => "hevc_mp4toannexb,filter_units=remove_types=32-35|39-40",
        _ => "null",
    };
    let (count, kind) = (frames.to_string(), if map.contains('v') { "v" } else { "a" });
    let (bsf, count_option) = (format!("-bsf:{kind}"), format!("-frames:{kind}"));
    let mut arguments = vec!["-v", "error"];
    arguments.extend_from_slice(input);
    arguments.extend(["-map", map, "-c", "copy", &bsf, filter, &count_option, &count, "-f", "framecrc", "-"]);
    let output = run("ffmpeg", &arguments, Duration::from_secs(60)).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let crcs: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            format!("{} {}", fields[4], fields[5])
        })
        .collect();
    assert!(!crcs.is_empty(), "ffmpeg read nothing: {}", String::from_utf8_lossy(&output.stderr));
    crcs
}

/// A GStreamer RTSP server on a free port, from `tests/support/gst_server.py`.
pub struct GstServer {
    pub url: String,
    _child: Child,
}

impl GstServer {
    /// Serves `launch`, a pipeline description that ends in a payloader `pay0`.
    pub async fn start(launch: &str) -> Self {
        use tokio::io::{AsyncBufReadExt as _, BufReader};
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/gst_server.py");
        // Debian's own python, where Debian's python3-gi is.
        let mut child = Command::new("/usr/bin/python3")
            .args([script, launch])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
        let port = port.expect("the server says its port").unwrap().expect("the server is running");
        Self { url: format!("rtsp://127.0.0.1:{}/test", port.trim()), _child: child }
    }
}
