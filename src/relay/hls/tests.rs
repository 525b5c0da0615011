//! What a packaged stream promises those who wait for it.

use super::*;
use crate::WallClock;
use crate::hub::{Publisher, Sample, Stats, hub};
use media::gop::Budget;
use media::{Codec, Params, Ticks, Track, TrackParams};

fn stream() -> (Publisher, Hub) {
    let (mut publisher, hub) = hub(Budget::default(), &WallClock::new(|| Duration::from_secs(1_000)));
    let record = [1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 5, 0x67, 0x4d, 0x40, 0x1f, 9, 1, 0, 2, 0x68, 0xee];
    let video = TrackParams::h264(&record, 768, 576).unwrap();
    publisher.set_params(Params { video: Some(Arc::new(video)), audio: None });
    (publisher, hub)
}

/// Ten pictures a second, a key frame every two.
fn film(publisher: &mut Publisher, numbers: std::ops::Range<i64>) {
    for n in numbers {
        let (key, time) = (n % 20 == 0, Ticks(n * 9_000));
        publisher.push(Sample { track: Track::Video, key, time, data: Bytes::from(vec![0; 100]) });
    }
}

fn first(text: &Bytes) -> u64 {
    let text = std::str::from_utf8(text).unwrap();
    text.split("MEDIA-SEQUENCE:").nth(1).unwrap().lines().next().unwrap().parse().unwrap()
}

fn wanting(segment: u64, part: u64) -> Directives {
    Directives { segment: Some(segment), part: Some(part), skip: false }
}

#[tokio::test(start_paused = true)]
async fn a_warm_stream_has_a_playlist_at_once_and_its_viewers_share_it() {
    let (mut publisher, hub) = stream();
    film(&mut publisher, 0..18);
    let streams = Streams::new(TaskTracker::new());
    let viewers: Vec<_> = (0..20).map(|_| streams.of(&hub, "")).collect();
    let mut texts = Vec::new();
    for viewer in &viewers {
        texts.push(viewer.playlist(Directives::default()).await.unwrap());
    }
    assert!(texts.iter().all(|text| text == &texts[0]));
    let number = first(&texts[0]);
    assert_eq!(viewers[0].file(Name::Part(number, 0)).await.unwrap().len(), 1);
    // Everybody waits for the next part; it is made once, and so is the playlist.
    let waiting = viewers.iter().map(|viewer| viewer.playlist(wanting(number, 3)));
    let waiting = futures_util::future::join_all(waiting);
    let filming = async {
        tokio::task::yield_now().await;
        film(&mut publisher, 18..21);
    };
    let (texts, ()) = tokio::join!(waiting, filming);
    assert!(texts.iter().all(|text| text.as_ref().unwrap() == texts[0].as_ref().unwrap()));
    assert_eq!(Stats::get(&hub.stats().parts), 4);
    assert_eq!(Stats::get(&hub.stats().playlists), 2);
}

#[tokio::test(start_paused = true)]
async fn the_packager_stops_with_the_last_viewer_and_goes_on_counting_with_the_next() {
    let (mut publisher, hub) = stream();
    film(&mut publisher, 0..60);
    let tasks = TaskTracker::new();
    let streams = Streams::new(tasks.clone());
    let (one, other) = (streams.of(&hub, ""), streams.of(&hub, ""));
    let before = first(&one.playlist(Directives::default()).await.unwrap());
    assert_eq!(tasks.len(), 1);
    assert_eq!(*hub.interest().borrow(), 1, "whoever watches it wants the stream");
    drop(one);
    tokio::task::yield_now().await;
    assert_eq!(tasks.len(), 1);
    drop(other);
    tasks.close();
    tasks.wait().await;
    assert_eq!(*hub.interest().borrow(), 0);
    tokio::time::advance(Duration::from_secs(6)).await;
    film(&mut publisher, 60..120);
    let again = streams.of(&hub, "");
    assert!(first(&again.playlist(Directives::default()).await.unwrap()) > before + 3);
    // Another query is another playlist of the same stream.
    let other = streams.of(&hub, "?video=h264");
    let text = other.playlist(Directives::default()).await.unwrap();
    assert!(std::str::from_utf8(&text).unwrap().contains(".m4s?video=h264\""));
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_a_reason() {
    let (mut publisher, hub) = stream();
    let streams = Streams::new(TaskTracker::new());
    let stream = streams.of(&hub, "");
    publisher.set_state(crate::hub::State::Offline, "the camera does not answer");
    let late = stream.playlist(Directives::default()).await;
    assert_eq!(late, Err(Refusal::Late("the camera does not answer".into())));
    film(&mut publisher, 0..60);
    let number = first(&stream.playlist(Directives::default()).await.unwrap());
    assert_eq!(stream.playlist(wanting(number + 9, 0)).await, Err(Refusal::TooFar));
    let part_alone = Directives { part: Some(1), ..Directives::default() };
    assert_eq!(stream.playlist(part_alone).await, Err(Refusal::TooFar));
    assert_eq!(stream.file(Name::Part(number + 9, 0)).await, Err(Refusal::Nothing));
    // Three target durations, and no longer.
    let began = tokio::time::Instant::now();
    let asked = stream.playlist(Directives { segment: Some(number + 3), ..Directives::default() }).await;
    assert!(matches!(asked, Err(Refusal::Late(_))), "{asked:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(12));
    let waiting = stream.playlist(wanting(number + 3, 0));
    let ending = async { drop(publisher) };
    let (ended, ()) = tokio::join!(waiting, ending);
    assert_eq!(ended, Err(Refusal::Ended));
    assert!(!Arc::ptr_eq(&stream, &streams.of(&hub, "")), "an ended one is not handed out again");
}

#[tokio::test(start_paused = true)]
async fn sound_alone_cannot_be_played() {
    let (mut publisher, hub) = hub(Budget::default(), &WallClock::new(Duration::default));
    let audio = Some(Arc::new(TrackParams::audio(Codec::Pcma, 8_000, 1)));
    publisher.set_params(Params { video: None, audio });
    let sample = Sample { track: Track::Audio, key: true, time: Ticks(0), data: Bytes::from_static(b"abcd") };
    publisher.push(sample);
    let streams = Streams::new(TaskTracker::new());
    let stream = streams.of(&hub, "");
    assert_eq!(stream.index("live.m3u8").await, Err(Refusal::Unplayable));
}
