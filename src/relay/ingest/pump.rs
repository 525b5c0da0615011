//! From an open camera session into the publisher, until it ends.

use super::opener::{OpenError, Opened, first_line};
use crate::hub::{Publisher, Sample, State};
use bytes::Bytes;
use futures_util::StreamExt as _;
use media::{Params, Ticks, Track};
use retina::codec::CodecItem;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Without a frame for this long a stream is stale, and shown as stale.
pub(super) const STALE_AFTER: Duration = Duration::from_secs(10);
/// Without a frame for this long the connection is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15);
/// An access unit beyond this is no picture of a camera.
const MAX_FRAME: usize = 8 << 20;

/// Why pumping ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) reason: String,
    /// Whether the session had delivered a frame.
    pub(super) alive: bool,
}

/// Pumps frames until the session ends by itself.
pub(super) async fn run(mut session: Opened, publisher: &mut Publisher) -> Ended {
    publisher.restart();
    let mut alive = false;
    let mut last_frame = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reason = loop {
        tokio::select! {
            item = session.frames.next() => match take(item, &mut session, publisher) {
                Ok(false) => {}
                Ok(true) => {
                    if !alive || last_frame.elapsed() >= STALE_AFTER {
                        publisher.set_state(State::Live, "");
                    }
                    alive = true;
                    last_frame = Instant::now();
                }
                Err(reason) => break reason,
            },
            _ = tick.tick() => {
                let silent = last_frame.elapsed();
                if silent >= GIVE_UP_AFTER {
                    break "the camera stopped sending".to_owned();
                }
                if silent >= STALE_AFTER {
                    publisher.set_state(State::Stale, "the camera is connected but sends no picture");
                }
            }
        }
    };
    Ended { reason, alive }
}

/// Handles one item. True if it was a picture.
fn take(
    item: Option<Result<CodecItem, retina::Error>>,
    session: &mut Opened,
    publisher: &mut Publisher,
) -> Result<bool, String> {
    let item = match item {
        None => return Err("the camera ended the stream".to_owned()),
        Some(Err(error)) => return Err(first_line(&error)),
        Some(Ok(item)) => item,
    };
    match item {
        CodecItem::VideoFrame(frame) => {
            if frame.data().len() > MAX_FRAME {
                return Err("the camera sent a picture of more than 8 MiB".to_owned());
            }
            if frame.has_new_parameters() || publisher.params().video.is_none() {
                adopt(session, publisher)?;
            }
            // retina knows IDR pictures only.
            let key = publisher.params().video.as_ref().is_some_and(|video| video.is_key(frame.data()));
            let sample = Sample {
                track: Track::Video,
                key: key || frame.is_random_access_point(),
                time: Ticks(frame.timestamp().elapsed()),
                data: Bytes::from(frame.into_data()),
            };
            publisher.push(sample);
            Ok(true)
        }
        CodecItem::AudioFrame(frame) => {
            publisher.push(Sample {
                track: Track::Audio,
                key: false,
                time: Ticks(frame.timestamp().elapsed()),
                data: Bytes::copy_from_slice(frame.data()),
            });
            Ok(false)
        }
        // Analytics metadata of a camera is dropped on arrival.
        _ => Ok(false),
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
