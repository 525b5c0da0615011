//! The hub's promises, one by one.

use super::*;
use crate::admission::{Issuer, Keeper};
use bytes::Bytes;
use media::{Codec, Ticks, Track, TrackParams};

fn clock() -> WallClock {
    WallClock::new(|| Duration::from_secs(1_000))
}

fn params(rate: u32) -> Params {
    Params { video: None, audio: Some(Arc::new(TrackParams::audio(Codec::Pcma, rate, 1))) }
}

pub(super) fn stream() -> (Publisher, Hub) {
    let (mut publisher, hub) = hub(Budget::default(), &clock());
    publisher.set_params(params(8_000));
    (publisher, hub)
}

pub(super) fn push(publisher: &mut Publisher, n: u8) {
    publisher.push(Sample {
        track: Track::Audio,
        key: true,
        time: Ticks(i64::from(n) * 160),
        data: Bytes::from(vec![n; 4]),
    });
}

pub(super) fn pass() -> (Admission, Keeper) {
    Issuer::new().grant(Duration::from_secs(30))
}

async fn frame(sub: &mut Subscription) -> u8 {
    loop {
        if let Item::Frame(frame) = sub.next().await.expect("a frame") {
            return frame.data[0];
        }
    }
}

#[tokio::test]
async fn params_come_before_the_frames_made_under_them() {
    let (mut publisher, hub) = stream();
    push(&mut publisher, 1);
    let (pass, _keeper) = pass();
    let mut sub = hub.watch(pass);
    assert!(matches!(sub.next().await, Ok(Item::State(_))));
    assert!(matches!(sub.next().await, Ok(Item::Params(_))));
    assert!(matches!(sub.next().await, Ok(Item::Frame(_))));
    publisher.set_params(params(16_000));
    push(&mut publisher, 2);
    let Ok(Item::Params(new)) = sub.next().await else { panic!("no params") };
    assert_eq!(new.audio.as_ref().unwrap().clock_rate, 16_000);
    assert_eq!(frame(&mut sub).await, 2);
}

#[tokio::test]
async fn a_waiting_viewer_is_woken_by_a_frame_and_by_the_end() {
    let (mut publisher, hub) = stream();
    let (pass, _keeper) = pass();
    let mut sub = hub.watch(pass);
    let reader = async {
        let first = frame(&mut sub).await;
        loop {
            if let Err(end) = sub.next().await {
                return (first, end);
            }
        }
    };
    let writer = async {
        tokio::task::yield_now().await;
        push(&mut publisher, 7);
        tokio::task::yield_now().await;
        drop(publisher);
    };
    let (result, ()) = tokio::join!(reader, writer);
    assert_eq!(result, (7, Interrupted::Ended));
}

#[tokio::test]
async fn a_revoked_viewer_gets_no_frame_more() {
    let (mut publisher, hub) = stream();
    let (pass, keeper) = pass();
    let mut sub = hub.watch(pass);
    push(&mut publisher, 1);
    push(&mut publisher, 2);
    assert_eq!(frame(&mut sub).await, 1);
    keeper.revoke();
    assert!(matches!(sub.next().await, Err(Interrupted::Revoked)));
    assert!(matches!(sub.next().await, Err(Interrupted::Revoked)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_viewer_ends_with_its_lease() {
    let (_publisher, hub) = stream();
    let (pass, _keeper) = pass();
    let mut sub = hub.watch(pass);
    while let Ok(item) = sub.next().await {
        assert!(!matches!(item, Item::Frame(_)));
    }
    assert!(matches!(sub.next().await, Err(Interrupted::Expired)));
}

#[tokio::test]
async fn interest_counts_viewers() {
    let (_publisher, hub) = stream();
    let interest = hub.interest();
    let (pass, keeper) = pass();
    let sub = hub.watch(pass);
    assert_eq!(*interest.borrow(), 1);
    let (pass, wanted) = sub.pause();
    assert_eq!(*interest.borrow(), 1, "a paused viewer keeps the stream");
    drop((pass, wanted));
    assert_eq!(*interest.borrow(), 0);
    assert!(!keeper.is_held());
}

#[tokio::test]
async fn a_change_of_state_reaches_the_viewer_once() {
    let (publisher, hub) = stream();
    let (pass, _keeper) = pass();
    let mut sub = hub.watch(pass);
    publisher.set_state(State::Offline, "the camera does not answer");
    publisher.set_state(State::Offline, "the camera does not answer");
    let Ok(Item::State(status)) = sub.next().await else { panic!("no state") };
    assert_eq!((status.state, &*status.detail), (State::Offline, "the camera does not answer"));
    assert!(sub.try_next().is_none());
}

#[tokio::test]
async fn wire_forms_are_built_once_for_all_viewers() {
    let (mut publisher, hub) = stream();
    let mut subs: Vec<_> = (0..20).map(|_| hub.watch(pass().0)).collect();
    push(&mut publisher, 1);
    for sub in &mut subs {
        loop {
            if let Item::Frame(frame) = sub.next().await.unwrap() {
                frame.rtsp_image(|n| Stats::add(&hub.stats().copied_bytes, n));
                break;
            }
        }
    }
    assert_eq!(Stats::get(&hub.stats().copied_bytes), 4 + 12 + 4);
}

#[tokio::test]
async fn a_tap_reads_without_wanting_and_is_told_of_a_new_session_once() {
    let (mut publisher, hub) = stream();
    push(&mut publisher, 1);
    let mut tap = hub.tap();
    assert_eq!(*hub.interest().borrow(), 0);
    push(&mut publisher, 2);
    publisher.restart();
    push(&mut publisher, 3);
    push(&mut publisher, 4);
    drop(publisher);
    let mut read = Vec::new();
    loop {
        match tap.next().await {
            Ok(Item::Frame(frame)) => read.push(Some(frame.data[0])),
            Ok(_) => {}
            Err(Interrupted::Lagged { .. }) => read.push(None),
            Err(end) => break assert_eq!(end, Interrupted::Ended),
        }
    }
    assert_eq!(read, [Some(1), Some(2), None, Some(3), Some(4)]);
}

#[tokio::test]
async fn a_cut_before_the_first_frame_cuts_nothing() {
    let (mut publisher, hub) = stream();
    let mut tap = hub.tap();
    publisher.restart();
    push(&mut publisher, 1);
    loop {
        match tap.next().await.unwrap() {
            Item::Frame(_) => break,
            Item::Params(_) | Item::State(_) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_another_source_is_shown_again() {
    let (mut publisher, hub) = stream();
    publisher.set_origin("rtsp://one/a");
    push(&mut publisher, 1);
    publisher.set_origin("rtsp://one/a");
    assert_eq!(hub.source_since(), hub.shared.epoch, "it is where it was");
    let (pass, _keeper) = pass();
    let (mut before, mut tap) = (hub.watch(pass), hub.tap());
    assert_eq!(frame(&mut before).await, 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    publisher.set_origin("rtsp://two/a");
    assert!(hub.source_since() > hub.shared.epoch && hub.params().is_none());
    // What is made of the stream is made anew.
    assert_eq!(tap.next().await.err(), Some(Interrupted::Ended));
    publisher.set_params(params(8_000));
    push(&mut publisher, 2);
    // Who watches stays, and who comes sees nothing of before.
    let (pass, _keeper) = Issuer::new().grant(Duration::from_secs(30));
    assert_eq!(frame(&mut before).await, 2);
    assert_eq!(frame(&mut hub.watch(pass)).await, 2);
    assert!(matches!(hub.tap().next().await, Ok(Item::State(_))));
}
