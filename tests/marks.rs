//! Virtual cameras whose pictures say which they are, as decoders that are not ours see
//! them.

use crate::support::camera;
use crate::support::folder::Folder;
use crate::support::foreign::run;
use crate::support::marks::{Unpacker, marks};
use camsim::clip::Clip;
use camsim::mark::Mark;
use camsim::screen::{Screen, Shown};
use std::sync::Arc;
use std::time::Duration;

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

/// What `camsim::screen` takes for a picture is what a decoder that is not ours shows.
#[tokio::test(flavor = "multi_thread")]
async fn the_screen_of_the_tests_shows_what_ffmpeg_shows() {
    let cameras = camera::start(&[("a", Arc::new(Clip::marked(4_711, 50, 120)))]).await;
    let mut viewer = camsim::viewers::Viewer::play(cameras.address(), "a", None).await.unwrap();
    let (mut unpacker, mut screen, mut seen, mut file) =
        (Unpacker::default(), Screen::default(), Vec::new(), Vec::new());
    while seen.len() < 300 {
        let packet = viewer.packet().await.unwrap();
        if packet.channel != 0 {
            continue;
        }
        let packet = packet.bytes;
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        for nal in unpacker.push(sequence, &packet[12..]) {
            file.extend([0, 0, 0, 1]);
            file.extend(&nal);
            match screen.show(&nal) {
                Some(Shown::Mark(mark)) => seen.push(Some(mark)),
                Some(shown) => panic!("{shown:?}"),
                None => {}
            }
        }
    }
    let folder = Folder::new();
    let path = folder.path("a.h264");
    std::fs::write(&path, file).unwrap();
    let input = ["-f", "h264", "-i", path.to_str().unwrap(), "-fps_mode", "passthrough"];
    assert_eq!(marks(&input, 256, 128).await, seen);
}
