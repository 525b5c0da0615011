//! From an open camera session into the publisher, until it ends.

use super::backoff::Outcome;
use super::opener::{Ending, Item, OpenError, Opened, first_line};
use super::repetition::Repetition;
use crate::hub::{Publisher, Sample, State};
use bytes::Bytes;
use media::{Params, Track, TrackParams};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Without a new picture for this long a stream is stale: everybody has been told two seconds
/// later (C33).
const STALE_AFTER: Duration = Duration::from_secs(8);
/// How a stream is said to be that is stale because its pictures show nothing new.
pub const REPEATS: &str = "the camera is connected but sends the same picture again and again";
const SILENT: &str = "the camera is connected but sends no picture";
/// Without a frame for this long the connection is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15);
/// Without a frame for this long, while what is held for the next one grows.
const UNFINISHED_AFTER: Duration = Duration::from_secs(4);
/// How much it must have grown: retina's buffer, which it begins with, has doubled.
const GROWTH: isize = 64 << 10;

/// Why pumping ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) reason: String,
    /// What it counts as when the next attempt is planned.
    pub(super) outcome: Outcome,
}

/// Pumps frames until the session ends by itself. What shows nothing new goes no further: to
/// viewers of every kind such a camera is silent.
pub(super) async fn run(mut session: Opened, publisher: &mut Publisher) -> Ended {
    publisher.restart();
    let mut outcome = Outcome::Failed;
    let (began, mut repetition) = (Instant::now(), Repetition::default());
    let (mut last_new, mut last_frame, mut held) = (began, began, session.held());
    let mut stale = false;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reason = loop {
        tokio::select! {
            item = session.next() => {
                let taken = item.map_err(reason);
                let taken = taken.and_then(|item| take(item, &session, publisher, |video, key, data| {
                    repetition.repeats(video, key, data, began.elapsed())
                }));
                match taken {
                    Ok(Taken::Other) => {}
                    Ok(Taken::Picture { new }) => {
                        (last_frame, held) = (Instant::now(), session.held());
                        if new {
                            if outcome == Outcome::Failed || stale {
                                publisher.set_state(State::Live, "");
                            }
                            (outcome, last_new, stale) = (Outcome::Lost, last_frame, false);
                        }
                    }
                    Err(Reason { text, hostile }) => {
                        // Pictures before do not earn it another try at once.
                        outcome = if hostile { Outcome::Failed } else { outcome };
                        break text;
                    }
                }
            }
            // To the moment: a second's tick may be a second late.
            () = tokio::time::sleep_until(last_new + STALE_AFTER), if !stale => {
                stale = true;
                let repeats = last_frame.duration_since(last_new) > STALE_AFTER / 2;
                publisher.set_state(State::Stale, if repeats { REPEATS } else { SILENT });
            }
            _ = tick.tick() => {
                publisher.set_held(usize::try_from(session.held()).unwrap_or(0));
                let silent = last_frame.elapsed();
                if silent >= UNFINISHED_AFTER && session.held() - held >= GROWTH {
                    outcome = Outcome::Failed;
                    break "the camera sends a picture that does not end".to_owned();
                }
                if silent >= GIVE_UP_AFTER {
                    break "the camera stopped sending".to_owned();
                }
            }
        }
    };
    Ended { reason, outcome }
}

/// What became of an item.
enum Taken {
    /// A picture; one that shows nothing new was not passed on.
    Picture {
        new: bool,
    },
    Other,
}

/// Why a session is ended.
struct Reason {
    text: String,
    /// Whether no camera that works would have given it.
    hostile: bool,
}

fn reason(ending: Ending) -> Reason {
    match ending {
        Ending::Closed => Reason { text: "the camera ended the stream".to_owned(), hostile: false },
        Ending::Broken(error) => Reason { text: first_line(&error), hostile: false },
        Ending::Full => {
            Reason { text: "the camera sent a picture of more than 4 MiB".to_owned(), hostile: true }
        }
    }
}

/// Handles one item. `repeats` judges a picture.
fn take(
    item: Item,
    session: &Opened,
    publisher: &mut Publisher,
    repeats: impl FnOnce(&TrackParams, bool, &Bytes) -> bool,
) -> Result<Taken, Reason> {
    match item {
        Item::Video { time, key, new_params, data } => {
            if new_params || publisher.params().video.is_none() {
                adopt(session, publisher).map_err(|text| Reason { text, hostile: true })?;
            }
            let Some(video) = &publisher.params().video else { return Ok(Taken::Other) };
            // retina knows IDR pictures only.
            let key = key || video.is_key(&data);
            let new = !repeats(video, key, &data);
            if new {
                publisher.push(Sample { track: Track::Video, key, time: time.ticks, data });
            }
            Ok(Taken::Picture { new })
        }
        Item::Audio { time, data } => {
            publisher.push(Sample { track: Track::Audio, key: false, time: time.ticks, data });
            Ok(Taken::Other)
        }
        Item::Other => Ok(Taken::Other),
    }
}

/// Takes over what the session says it sends.
pub(super) fn adopt(session: &Opened, publisher: &mut Publisher) -> Result<(), String> {
    let params: Option<Params> = session.params().map_err(|error: OpenError| error.to_string())?;
    if let Some(params) = params {
        publisher.set_params(params);
    }
    Ok(())
}
