//! What riders are promised.

use super::bus::PLACES;
use super::tests::{pass, push, stream};
use super::*;
use crate::admission::Keeper;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use tokio::task::JoinSet;

/// Notes the number of every frame.
struct Reader {
    subscription: Subscription,
    seen: Vec<u8>,
    turns: usize,
    /// Gets off at frames of which this says so.
    stops_at: fn(u8) -> bool,
    _keeper: Keeper,
}

impl Rider for Reader {
    type Stop = Result<u8, Interrupted>;

    fn turn(&mut self) -> Option<Self::Stop> {
        self.turns += 1;
        loop {
            match self.subscription.try_next()? {
                Ok(Item::Frame(frame)) => {
                    self.seen.push(frame.data[0]);
                    if (self.stops_at)(frame.data[0]) {
                        return Some(Ok(frame.data[0]));
                    }
                }
                Ok(_) => {}
                Err(end) => return Some(Err(end)),
            }
        }
    }
}

fn reader(hub: &Hub, stops_at: fn(u8) -> bool) -> Reader {
    let (pass, keeper) = pass();
    Reader { subscription: hub.watch(pass), seen: Vec::new(), turns: 0, stops_at, _keeper: keeper }
}

fn buses(hub: &Hub) -> usize {
    hub.shared.buses.lock().unwrap().len()
}

/// Lets every task run that can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_frame_wakes_one_task_for_a_bus_full_of_viewers() {
    let (mut publisher, hub) = stream();
    let polls = Arc::new(AtomicUsize::new(0));
    let mut viewers = JoinSet::new();
    for _ in 0..2 * PLACES {
        let (hub, reader, polls) = (hub.clone(), reader(&hub, |_| false), Arc::clone(&polls));
        viewers.spawn(async move {
            let ride = hub.board(reader);
            let mut over = Box::pin(ride.over());
            std::future::poll_fn(|context| {
                polls.fetch_add(1, Ordering::Relaxed);
                over.as_mut().poll(context)
            })
            .await;
            drop(over);
            ride.leave().unwrap()
        });
    }
    settle().await;
    for n in 0..50 {
        push(&mut publisher, n);
        settle().await;
    }
    assert_eq!(buses(&hub), 2);
    assert_eq!(polls.load(Ordering::Relaxed), 2 * PLACES, "their own tasks sleep");
    drop(publisher);
    while let Some(viewer) = viewers.join_next().await {
        let (reader, stop) = viewer.unwrap();
        assert_eq!(reader.seen, (0..50).collect::<Vec<_>>());
        assert_eq!(stop, Some(Err(Interrupted::Ended)));
        assert!(
            reader.turns <= 52,
            "a turn for each frame, one at boarding and one for the end: {}",
            reader.turns
        );
    }
}

#[tokio::test]
async fn who_gets_off_goes_on_where_it_was_and_its_place_is_free() {
    let (mut publisher, hub) = stream();
    let mut first = reader(&hub, |n| n % 3 == 2);
    let others: Vec<_> = (1..PLACES).map(|_| hub.board(reader(&hub, |_| false))).collect();
    for n in 0..30 {
        let ride = hub.board(first);
        push(&mut publisher, n);
        settle().await;
        let stopped =
            std::future::poll_fn(|context| Poll::Ready(std::pin::pin!(ride.over()).poll(context).is_ready()));
        assert_eq!(stopped.await, n % 3 == 2);
        let stop;
        (first, stop) = ride.leave().unwrap();
        assert_eq!(stop, (n % 3 == 2).then_some(Ok(n)));
    }
    assert_eq!(first.seen, (0..30).collect::<Vec<_>>());
    settle().await;
    push(&mut publisher, 30);
    settle().await;
    assert_eq!(buses(&hub), 1, "left places are taken again");
    drop(others);
    push(&mut publisher, 31);
    settle().await;
    let again: Vec<_> = (0..PLACES).map(|_| hub.board(reader(&hub, |_| false))).collect();
    assert_eq!((again.len(), buses(&hub)), (PLACES, 1), "who is dropped has left");
}

#[tokio::test]
async fn a_bug_that_one_viewer_meets_ends_no_other() {
    let (mut publisher, hub) = stream();
    let unlucky = hub.board(reader(&hub, |n| {
        assert!(n < 3, "a bug");
        false
    }));
    let other = hub.board(reader(&hub, |_| false));
    for n in 0..6 {
        push(&mut publisher, n);
        settle().await;
    }
    unlucky.over().await;
    assert!(unlucky.leave().is_none());
    assert_eq!(other.leave().unwrap().0.seen, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_however_often_riders_get_on_and_off() {
    const FRAMES: usize = 4_000;
    let (mut publisher, hub) = stream();
    let mut viewers = JoinSet::new();
    for _ in 0..8 {
        let (hub, mut reader) = (hub.clone(), reader(&hub, |n| n % 7 == 0));
        viewers.spawn(async move {
            loop {
                let ride = hub.board(reader);
                ride.over().await;
                let stop;
                (reader, stop) = ride.leave().unwrap();
                match stop {
                    Some(Err(Interrupted::Ended)) => return reader.seen,
                    Some(Ok(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
    }
    tokio::task::yield_now().await;
    for n in 0..FRAMES {
        push(&mut publisher, u8::try_from(n % 256).unwrap());
        if n % 16 == 0 {
            // So that the slowest is not a ring behind.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    drop(publisher);
    let within = Duration::from_secs(60);
    while let Some(seen) = tokio::time::timeout(within, viewers.join_next()).await.expect("all hear the end")
    {
        let seen = seen.unwrap();
        assert!(seen.len() <= FRAMES && seen.last() == Some(&u8::try_from((FRAMES - 1) % 256).unwrap()));
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "a gap");
        assert!(seen.len() > FRAMES / 2, "{}", seen.len());
    }
}
