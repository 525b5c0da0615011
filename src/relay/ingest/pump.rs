//! From an open camera session into the publisher, until it ends.

use super::backoff::Outcome;
use super::opener::{Ending, Item, OpenError, Opened, first_line};
use crate::hub::{Publisher, Sample, State};
use media::{Params, Track};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Without a frame for this long a stream is stale, and shown as stale.
pub(super) const STALE_AFTER: Duration = Duration::from_secs(10);
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

/// Pumps frames until the session ends by itself.
pub(super) async fn run(mut session: Opened, publisher: &mut Publisher) -> Ended {
    publisher.restart();
    let mut outcome = Outcome::Failed;
    let (mut last_frame, mut held) = (Instant::now(), session.held());
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reason = loop {
        tokio::select! {
            item = session.next() => match item.map_err(reason).and_then(|item| take(item, &session, publisher)) {
                Ok(false) => {}
                Ok(true) => {
                    if outcome == Outcome::Failed || last_frame.elapsed() >= STALE_AFTER {
                        publisher.set_state(State::Live, "");
                    }
                    outcome = Outcome::Lost;
                    (last_frame, held) = (Instant::now(), session.held());
                }
                Err(Reason { text, hostile }) => {
                    // Pictures before do not earn it another try at once.
                    outcome = if hostile { Outcome::Failed } else { outcome };
                    break text;
                }
            },
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
                if silent >= STALE_AFTER {
                    publisher.set_state(State::Stale, "the camera is connected but sends no picture");
                }
            }
        }
    };
    Ended { reason, outcome }
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

/// Handles one item. True if it was a picture.
fn take(item: Item, session: &Opened, publisher: &mut Publisher) -> Result<bool, Reason> {
    match item {
        Item::Video { time, key, new_params, data } => {
            if new_params || publisher.params().video.is_none() {
                adopt(session, publisher).map_err(|text| Reason { text, hostile: true })?;
            }
            // retina knows IDR pictures only.
            let key = key || publisher.params().video.as_ref().is_some_and(|video| video.is_key(&data));
            publisher.push(Sample { track: Track::Video, key, time: time.ticks, data });
            Ok(true)
        }
        Item::Audio { time, data } => {
            publisher.push(Sample { track: Track::Audio, key: false, time: time.ticks, data });
            Ok(false)
        }
        Item::Other => Ok(false),
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
