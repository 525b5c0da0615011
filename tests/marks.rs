//! Virtual cameras whose pictures say which they are, as decoders that are not ours see
//! them.

use crate::support::camera;
use crate::support::folder::Folder;
use crate::support::foreign::run;
use camsim::clip::Clip;
use camsim::mark::{self, Mark};
use std::sync::Arc;
use std::time::Duration;

/// What the pictures that ffmpeg decodes say; they are `width` by `height` then.
async fn marks(arguments: &[&str], width: usize, height: usize) -> Vec<Option<Mark>> {
    let decode = ["-f", "rawvideo", "-pix_fmt", "gray", "-"];
    let output =
        run("ffmpeg", &[&["-v", "error"], arguments, &decode].concat(), Duration::from_secs(60)).await;
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks_exact(width * height).map(|luma| mark::read(luma, width, height)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_sees_every_frame_of_a_marked_camera_and_which_camera_it_is() {
    let clips = [("a", Arc::new(Clip::marked(7, 25, 50))), ("b", Arc::new(Clip::marked(65_535, 25, 30)))];
    let cameras = camera::start(&clips).await;
    for (path, number) in [("a", 7), ("b", 65_535)] {
        let url = cameras.url(path);
        let input = ["-rtsp_transport", "tcp", "-i", &url, "-fps_mode", "passthrough", "-frames:v", "200"];
        let seen = marks(&input, 256, 128).await;
        assert_eq!(seen.len(), 200);
        let first = seen[0].expect("the first picture has a mark").frame;
        for (n, mark) in (0..).zip(&seen) {
            assert_eq!(*mark, Some(Mark { camera: number, frame: first + n }));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_survive_scaling_jpeg_and_other_codecs() {
    let cameras = camera::start(&[("a", Arc::new(Clip::marked(1_234, 25, 25)))]).await;
    let (url, folder) = (cameras.url("a"), Folder::new());
    let camera = ["-rtsp_transport", "tcp", "-i", url.as_str()];
    for (name, encoder, scale, size) in [
        ("small.jpg", ["-q:v", "8"], "scale=160:80", (160, 80)),
        ("large.jpg", ["-q:v", "20"], "scale=640:320", (640, 320)),
        ("h264.mp4", ["-c:v", "libx264"], "scale=128:64", (128, 64)),
        ("h265.mp4", ["-c:v", "libx265"], "scale=256:128", (256, 128)),
    ] {
        let file = folder.path(name);
        let file = file.to_str().unwrap();
        let frames = if name.ends_with("jpg") { "1" } else { "25" };
        let quiet = ["-x265-params", "log-level=none"];
        let quiet = if name == "h265.mp4" { &quiet[..] } else { &[] };
        let made =
            [&["-v", "error"], &camera[..], &["-vf", scale, "-frames:v", frames], &encoder, quiet, &[file]]
                .concat();
        let output = run("ffmpeg", &made, Duration::from_secs(60)).await;
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let seen = marks(&["-i", file], size.0, size.1).await;
        assert_eq!(seen.len().to_string(), frames, "{name}");
        assert!(seen.iter().all(|mark| mark.is_some_and(|mark| mark.camera == 1_234)), "{name}: {seen:?}");
    }
}
