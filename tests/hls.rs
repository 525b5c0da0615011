//! People watch by HLS: playlists that keep to RFC 8216bis, parts that hold the camera's
//! frames, and an end when the right ends.

use crate::support::camera::{self, AAC, H264, H265};
use crate::support::foreign::{frame_crcs, run};
use crate::support::hls::{Player, lint};
use crate::support::live::Live;
use crate::support::{House, until, viewings};
use domain::CameraId;
use domain::camera::Pull;
use domain::role::Role;
use domain::viewing::{Purpose, ViewingTransport};
use relay::hub::Stats;
use reqwest::Method;
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn rows(house: &House, camera: &CameraId) -> Vec<domain::viewing::Viewing> {
    viewings(&house.store, camera).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_follows_a_stream_part_by_part_and_every_playlist_is_right() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut player = Player::open(&resident, &id).await;
    let map = lint(&player.text).maps[0].clone();
    let mut film = player.file(&map).await.unwrap();
    assert_eq!(&film[4..8], b"ftyp");
    let (mut seconds, mut parts) = (0.0, Vec::new());
    while seconds < 12.0 {
        let (part, bytes) = player.part().await.unwrap();
        assert_eq!(&bytes[4..8], b"moof");
        seconds += part.seconds;
        film.extend(bytes);
        parts.push(part);
    }
    // The clip has ten pictures a second and a key frame every two.
    assert!(parts.iter().all(|part| (part.seconds - 0.5).abs() < 1e-6), "{parts:?}");
    let begins: Vec<_> = parts.iter().filter(|part| part.place == 0).collect();
    assert!(begins.len() >= 5 && begins.iter().all(|part| part.independent));
    // What came is a film without a hole, as others decode it.
    let path = house.folder.path("film.mp4");
    std::fs::write(&path, &film).unwrap();
    let arguments =
        ["-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"];
    let output =
        run("ffprobe", &[&arguments[..], &[path.to_str().unwrap()]].concat(), Duration::from_secs(60)).await;
    let frames: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!((frames - seconds * 10.0).abs() < 1e-6, "{frames} frames in {seconds} s");
    // A whole segment is its parts.
    let (number, (_, name)) = lint(&player.text).segments.pop_last().unwrap();
    let mut whole = Vec::new();
    for part in lint(&player.text).parts.iter().filter(|part| part.segment == number) {
        whole.extend(player.file(&part.uri).await.unwrap());
    }
    assert_eq!(player.file(&name).await.unwrap(), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn playlists_and_parts_are_made_once_for_all_viewers() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut players = Vec::new();
    for _ in 0..10 {
        players.push(Player::open(&house.sign_in_as(Role::Resident).await, &id).await);
    }
    players.push(Player::open(&patrol, &id).await);
    let stats = house.hub(&id);
    let before = (Stats::get(&stats.stats().parts), Stats::get(&stats.stats().playlists));
    let watching = players.into_iter().map(|mut player| async move {
        let mut seen = HashSet::new();
        for _ in 0..8 {
            let (part, _) = player.part().await.unwrap();
            seen.insert(part.uri);
        }
        seen.len()
    });
    let seen = futures_util::future::join_all(watching).await;
    assert_eq!(seen, [8; 11]);
    let made = (Stats::get(&stats.stats().parts) - before.0, Stats::get(&stats.stats().playlists) - before.1);
    assert!(made.0 <= 12 && made.1 <= made.0, "parts and playlists made for eleven viewers: {made:?}");
    // Two tabs of one browser are one viewing.
    let (one, other) = tokio::join!(Player::try_open(&patrol, &id, ""), Player::try_open(&patrol, &id, ""));
    assert!(one.is_ok() && other.is_ok());
    let all = rows(&house, &id).await;
    assert_eq!(all.len(), 11, "one row for each viewer");
    assert!(all.iter().all(|row| row.transport == ViewingTransport::Hls));
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_gets_the_frames_of_the_camera() {
    for (clip, codec, filter) in [(H264, "h264", "0:v"), (H265, "hevc", "0:v"), (AAC, "aac", "0:a")] {
        let cameras = camera::start(&[("a", camera::clip(clip))]).await;
        let house = House::start().await;
        let id = house.camera_like(&cameras.url("a"), |c| c.audio_reason = Some("test".into())).await;
        let resident = house.sign_in_as(Role::Resident).await;
        // ffmpeg knows no parts: it wants a playlist with whole segments.
        let mut player = Player::open(&resident, &id).await;
        while lint(&player.text).segments.len() < 2 {
            player.part().await.unwrap();
        }
        let cookie = format!("Cookie: {}\r\n", resident.cookie.as_ref().unwrap());
        let url = format!("{}{}", resident.base, player.path("index.m3u8"));
        let got = frame_crcs(&["-headers", &cookie, "-i", &url], filter, codec, 60).await;
        let file = camera::media(clip);
        let all = frame_crcs(&["-i", file.to_str().unwrap()], filter, codec, 100_000).await;
        assert_eq!(got.len(), 60);
        let first = all.iter().position(|line| *line == got[0]).expect("the first frame is the clip's");
        for (n, line) in got.iter().enumerate() {
            assert_eq!(*line, all[(first + n) % all.len()], "{clip}: frame {n} after the first");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_stream_has_parts_at_once() {
    let clip = std::sync::Arc::new(camsim::clip::Clip::synthetic(25, 100, 4_000));
    let cameras = camera::start(&[("a", clip)]).await;
    let house = House::start().await;
    let id = house.camera_like(&cameras.url("a"), |camera| camera.pull = Pull::Always).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    // In the middle of a group of pictures of four seconds.
    until(|| Stats::get(&house.hub(&id).stats().frames) > 160).await;
    let mut player = Player::open(&patrol, &id).await;
    let playlist = lint(&player.text);
    assert!(playlist.parts.len() >= 2, "{}", player.text);
    assert!(playlist.parts[0].independent && playlist.segments.is_empty());
    let (part, bytes) = player.part().await.unwrap();
    assert_eq!((part.seconds, &bytes[4..8]), (0.48, &b"moof"[..]));
    // For the record: from the first request to the first part, for whoever is the only one
    // to watch by HLS, at twenty moments of a group of pictures.
    assert_eq!(patrol.delete("/api/v1/session").await, 204);
    let mut times = Vec::new();
    for n in 0..20 {
        tokio::time::sleep(Duration::from_millis(130 + n % 7 * 30)).await;
        let newcomer = house.sign_in_as(Role::Patrol).await;
        let began = tokio::time::Instant::now();
        Player::open(&newcomer, &id).await.part().await.unwrap();
        times.push(began.elapsed());
        assert_eq!(newcomer.delete("/api/v1/session").await, 204);
    }
    times.sort();
    println!("first part after {:?}, at most {:?}", times[10], times[19]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_waits_as_the_standard_says() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut player = Player::open(&resident, &id).await;
    player.part().await.unwrap();
    // The hint is what comes, and asking for it early is answered when it is there.
    let hint = player.load("").await.unwrap().hint;
    assert_eq!(&player.file(&hint).await.unwrap()[4..8], b"moof");
    // A whole segment that is not there yet.
    let now = player.load("").await.unwrap();
    let open = now.parts.last().unwrap().segment;
    let later = player.load(&format!("_HLS_msn={open}")).await.unwrap();
    assert!(later.segments.contains_key(&open));
    // Too far ahead, and a part of no segment.
    for directives in
        [format!("_HLS_msn={}", open + 9), "_HLS_part=1".into(), format!("_HLS_msn={}&_HLS_part=0", u64::MAX)]
    {
        let (status, problem) = resident.get(&player.media(&directives)).await;
        assert_eq!((status.as_u16(), &problem["type"]), (400, &json!("not-in-playlist")), "{directives}");
    }
    assert_eq!(player.load("_HLS_msn=many").await, Err(422));
    let nothing = [
        "part-9999999-0.m4s",
        "segment-9999999.m4s",
        "init-9999999.mp4",
        "other.m4s",
        "segment-01.m4s",
        "part-1-2-3.m4s",
    ];
    for name in nothing {
        assert_eq!(player.file(name).await.map(|bytes| bytes.len()), Err(404), "{name}");
    }
    // When the camera is silent the wait has an end.
    cameras.control().stall("a", true);
    let last = player.load("").await.unwrap();
    let waiting = player.load(&format!("_HLS_msn={}", last.parts.last().unwrap().segment + 1)).await;
    assert_eq!(waiting, Err(503));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_comes_back_and_one_that_changes_are_discontinuities() {
    let other = Some(camera::clip(camera::SUB));
    let one = camsim::Camera { path: "a".into(), clip: camera::clip(H264), other };
    let cameras = camsim::start("127.0.0.1:0".parse().unwrap(), vec![one], None).await.unwrap();
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut player = Player::open(&resident, &id).await;
    player.part().await.unwrap();
    cameras.control().drop_all();
    while lint(&player.text).breaks.is_empty() {
        player.part().await.unwrap();
    }
    assert_eq!(lint(&player.text).maps.len(), 1, "the same camera as before: {}", player.text);
    cameras.control().other_resolution("a", true);
    while lint(&player.text).maps.len() < 2 {
        player.part().await.unwrap();
    }
    let playlist = lint(&player.text);
    assert_eq!(playlist.breaks.len(), 2);
    // The new init segment is of the other size: 384 by 288 in the track header, 16.16.
    let init = player.file(&playlist.maps[1]).await.unwrap();
    assert!(init.windows(8).any(|bytes| bytes == [1, 128, 0, 0, 1, 32, 0, 0]));
    player.part().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_watch_slides_and_is_followed_by_deltas() {
    // Segments of 2 s: a quick way to more of them than a playlist holds.
    let cameras = camera::start(&[("a", camera::clip(camera::SUB))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut player = Player::open(&resident, &id).await;
    let first = lint(&player.text).first;
    while lint(&player.text).first == first {
        player.part().await.unwrap();
    }
    let delta = player.load("_HLS_skip=YES").await.unwrap();
    let full = player.load("").await.unwrap();
    assert!(delta.skipped > 0 && delta.first == full.first);
    for (number, segment) in &delta.segments {
        assert_eq!(full.segments.get(number), Some(segment));
    }
    assert_eq!(
        full.segments.keys().filter(|number| !delta.segments.contains_key(number)).count() as u64,
        delta.skipped
    );
    // What has left the playlist can be had for a while.
    assert!(player.file(&format!("segment-{first}.m4s")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_purpose_that_is_said_is_the_purpose_that_is_written() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    // Files alone begin no viewing.
    assert_eq!(patrol.get(&format!("/api/v1/cameras/{id}/main/hls/part-1-0.m4s")).await.0, 404);
    assert!(rows(&house, &id).await.is_empty());
    let mut player = Player::try_open(&patrol, &id, "?purpose=incident").await.ok().unwrap();
    player.part().await.unwrap();
    assert!(player.media("").ends_with("live.m3u8?purpose=incident"));
    let written: Vec<_> = rows(&house, &id).await.into_iter().map(|row| row.purpose).collect();
    assert_eq!(written, [Some(Purpose::Incident)]);
    assert_eq!(Player::try_open(&patrol, &id, "?purpose=looking").await.err(), Some(422));
    assert_eq!(Player::try_open(&patrol, &id, "?video=vp9").await.err(), Some(422));
    let resident = house.sign_in_as(Role::Resident).await;
    assert_eq!(Player::try_open(&resident, &id, "?purpose=patrol").await.err(), Some(422));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_played_is_said() {
    let cameras = camera::start(&[("h264", camera::clip(H264)), ("h265", camera::clip(H265))]).await;
    let house = House::start().await;
    let (h264, h265) = (house.camera(&cameras.url("h264")).await, house.camera(&cameras.url("h265")).await);
    let resident = house.sign_in_as(Role::Resident).await;
    let mut player = Player::try_open(&resident, &h264, "?video=h264").await.ok().unwrap();
    let (part, _) = player.part().await.unwrap();
    assert!(part.uri.ends_with(".m4s?video=h264") && player.media("").ends_with("live.m3u8?video=h264"));
    Player::open(&resident, &h265).await;
    let index = format!("/api/v1/cameras/{h265}/main/hls/index.m3u8");
    let (_, text) = resident.get(&index).await;
    assert!(text.as_str().unwrap().contains("CODECS=\"hvc1.1."), "{text}");
    // A camera that is away is waited for, and then its reason is told.
    let away = house.camera("rtsp://127.0.0.1:9/a").await;
    let (status, problem) = resident.get(&format!("/api/v1/cameras/{away}/main/hls/index.m3u8")).await;
    assert_eq!(status, 503);
    assert!(problem["detail"].as_str().unwrap().len() > 10, "{problem}");
}

/// C17: what one session may load, another may not, nor the same one after its end.
#[tokio::test(flavor = "multi_thread")]
async fn c17_names_of_parts_are_worth_nothing_to_others() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut player = Player::open(&resident, &id).await;
    let (part, _) = player.part().await.unwrap();
    let names = [part.uri.clone(), lint(&player.text).maps[0].clone(), lint(&player.text).hint];
    let neighbour = house.signed_in(&house.person("neighbour").await).await;
    // They may watch, but have not begun to.
    let other = house.sign_in_as(Role::Resident).await;
    let paths: Vec<String> = names.iter().map(|name| player.path(name)).collect();
    // Names that were given to nobody are as good as names of others.
    let guess = |n: u64| part.uri.replace(|c: char| c.is_ascii_digit(), &(n % 10).to_string());
    for (who, expected) in [(house.client(), 401), (neighbour, 404), (other, 404)] {
        let tries = (0..8u64).map(|task| {
            let (who, paths, guess) = (who.clone(), paths.clone(), player.path(&guess(task)));
            tokio::spawn(async move {
                for n in 0..420 {
                    let path = paths.get(n % 4).unwrap_or(&guess);
                    let got = who.request(Method::GET, path).send().await.unwrap().status();
                    assert_eq!(got, expected, "{path}");
                }
            })
        });
        for task in tries.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
    assert_eq!(player.file(&part.uri).await.map(|bytes| bytes.is_empty()), Ok(false));
    // After the end.
    assert_eq!(resident.delete("/api/v1/session").await, 204);
    for _ in 0..400 {
        for name in &names {
            assert_eq!(player.file(name).await, Err(401));
        }
    }
    assert_eq!(rows(&house, &id).await.len(), 1, "none of them was let in");
}

/// C01: who waits for a playlist or a part is answered when the right ends.
#[tokio::test(flavor = "multi_thread")]
async fn c01_blocked_requests_end_with_the_right() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let owner = house.sign_in_as(Role::Owner).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut player = Player::open(&resident, &id).await;
    player.part().await.unwrap();
    // Nothing more comes, so that all of them wait.
    cameras.control().stall("a", true);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let now = player.load("").await.unwrap();
    let next = now.parts.last().unwrap();
    let waiting = [
        player.media(&format!("_HLS_msn={}&_HLS_part={}", next.segment, next.place + 1)),
        player.media(&format!("_HLS_msn={}", next.segment)),
        player.path(&now.hint),
    ];
    let waiting = waiting.map(|path| {
        let resident = resident.clone();
        tokio::spawn(async move { (resident.get(&path).await.0, tokio::time::Instant::now()) })
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(waiting.iter().all(|task| !task.is_finished()), "they wait");
    let (status, _) = owner.patch(&format!("/api/v1/cameras/{id}"), json!({ "visibility": "patrol" })).await;
    assert_eq!(status, 200);
    let ended = tokio::time::Instant::now();
    for task in waiting {
        let (status, at) = task.await.unwrap();
        assert_eq!(status, 404);
        assert!(at.saturating_duration_since(ended) < Duration::from_secs(2));
    }
    assert_eq!(player.load("").await.err(), Some(404));
}

/// Asks for a file and reads nothing of the answer, with as small a window as there is.
async fn stalled(client: &crate::support::client::Client, path: &str) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(client.address).await.unwrap();
    let cookie = client.cookie.as_ref().unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n", client.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Bytes that can still be read, and whether the end was a reset.
async fn rest(mut stream: tokio::net::TcpStream) -> (usize, bool) {
    let (mut read, mut buffer) = (0, vec![0; 64 << 10]);
    loop {
        match tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await.expect("it ends")
        {
            Ok(0) => return (read, false),
            Ok(n) => read += n,
            Err(_) => return (read, true),
        }
    }
}

/// C01: what has left the gateway, and the kernel still holds for who takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn c01_small_answers_in_the_kernel_end_with_the_right() {
    let small =
        camera::start(&[("part", camera::synthetic(25, 50, 3_000)), ("still", camera::clip(H264))]).await;
    let house = crate::support::decoder::house("").await;
    let (part, still) = (house.camera(&small.url("part")).await, house.camera(&small.url("still")).await);
    let (resident, patrol) = (house.sign_in_as(Role::Resident).await, house.sign_in_as(Role::Patrol).await);
    let mut player = Player::open(&resident, &part).await;
    let (newest, bytes) = player.part().await.unwrap();
    let picture = format!("/api/v1/cameras/{still}/snapshot.jpg?width=640");
    let whole = patrol.request(Method::GET, &picture).send().await.unwrap().bytes().await.unwrap().len();
    assert!(bytes.len() > 32 << 10 && whole > 32 << 10, "{} and {whole}", bytes.len());
    let part = stalled(&resident, &player.path(&newest.uri)).await;
    let still = stalled(&resident, &picture).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(resident.delete("/api/v1/session").await, 204);
    tokio::time::sleep(Duration::from_secs(2)).await;
    for stream in [part, still] {
        let (read, reset) = rest(stream).await;
        assert!(reset && read < 16 << 10, "{read} bytes came after the end of the right");
    }
}

/// … and a connection that is in use for something else by then is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_gone_on_to_something_else_is_not_cut() {
    let cameras = camera::start(&[("a", camera::synthetic(25, 50, 1_000))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let (owner, resident) = (house.sign_in_as(Role::Owner).await, house.sign_in_as(Role::Resident).await);
    let mut player = Player::open(&resident, &id).await;
    let (newest, _) = player.part().await.unwrap();
    let mut connection = stalled(&resident, &player.path(&newest.uri)).await;
    assert!(answer(&mut connection).await.len() > 10_000);
    let ask = format!(
        "GET /api/v1/session HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n",
        resident.address,
        resident.cookie.as_ref().unwrap()
    );
    connection.write_all(ask.as_bytes()).await.unwrap();
    assert!(!answer(&mut connection).await.is_empty());
    let (status, _) = owner.patch(&format!("/api/v1/cameras/{id}"), json!({ "visibility": "patrol" })).await;
    assert_eq!(status, 200);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(player.load("").await.err(), Some(404));
    connection.write_all(ask.as_bytes()).await.unwrap();
    assert!(!answer(&mut connection).await.is_empty());
}

/// The body of an answer that says its length.
async fn answer(connection: &mut tokio::net::TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    loop {
        assert!(connection.read_buf(&mut read).await.unwrap() > 0, "it ended early");
        let Some(head) = read.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if read.len() >= head + 4 + length.parse::<usize>().unwrap() {
            return read.split_off(head + 4);
        }
    }
}

/// C01, C29: a segment that is on its way to a reader who takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn c29_a_reader_who_takes_nothing_is_cut_off_and_nobody_else_notices() {
    // Segments of eight megabytes.
    let clip = std::sync::Arc::new(camsim::clip::Clip::synthetic(25, 50, 160_000));
    let cameras = camera::start(&[("a", clip)]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let (slow, revoked) = (house.sign_in_as(Role::Resident).await, house.sign_in_as(Role::Resident).await);
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut healthy = Player::open(&patrol, &id).await;
    let mut page = Live::open(&patrol, &id).await;
    while lint(&healthy.text).segments.is_empty() {
        healthy.part().await.unwrap();
    }
    let newest = |player: &Player| player.path(&lint(&player.text).segments.pop_last().unwrap().1.1);
    for client in [&slow, &revoked] {
        Player::open(client, &id).await;
    }
    // Who takes nothing at all is cut off within ten seconds.
    let stream = stalled(&slow, &newest(&healthy)).await;
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_secs(13) {
        healthy.part().await.unwrap();
    }
    page.binary().await;
    let (read, reset) = rest(stream).await;
    assert!(reset && read < 2 << 20, "{read} bytes were queued");
    // Who loses the right meanwhile, at once, with what was still to be sent.
    let stream = stalled(&revoked, &newest(&healthy)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(revoked.delete("/api/v1/session").await, 204);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (read, reset) = rest(stream).await;
    assert!(reset && read < 512 << 10, "{read} bytes came after the end of the right");
}
