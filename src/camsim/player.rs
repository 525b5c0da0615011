//! Sends a clip in real time, over and over, on one unbroken line of time.

use crate::Camera;
use crate::clip::Clip;
use crate::control::Knobs;
use bytes::Bytes;
use media::Ticks;
use relay::hub::{Publisher, Sample, State};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

pub(crate) async fn run(camera: Camera, mut publisher: Publisher, knobs: Arc<Knobs>) {
    let epoch = Instant::now();
    // Frame n of a marked clip is sent n-1 frames after this: who knows it can tell how long
    // a picture was under way.
    let begins = u64::try_from(crate::wall().as_micros()).unwrap_or(u64::MAX);
    info!(path = camera.path, begins, "camera begins, in microseconds of wall time");
    // Time already sent, over all rounds and clips.
    let mut sent = Duration::ZERO;
    // Pictures that were drawn.
    let mut drawn = 0;
    publisher.set_state(State::Live, "");
    loop {
        let switched = knobs.other_resolution.load(Ordering::Relaxed);
        let clip = camera.other.as_ref().filter(|_| switched).unwrap_or(&camera.clip);
        publisher.set_params(clip.params.clone());
        sent = round(clip, epoch, (sent, &mut drawn), switched, &mut publisher, &knobs).await;
    }
}

/// Sends the clip once, or until the other one is wanted at a key frame.
async fn round(
    clip: &Clip,
    epoch: Instant,
    (begin, drawn): (Duration, &mut u32),
    switched: bool,
    publisher: &mut Publisher,
    knobs: &Knobs,
) -> Duration {
    for (number, sample) in (0..).zip(&clip.samples) {
        let rate = clip.rate(sample.track);
        let at = begin + sample.decode.to_duration(rate);
        if number > 0 && sample.key && knobs.other_resolution.load(Ordering::Relaxed) != switched {
            return at;
        }
        let data = match &clip.film {
            Some(film) => {
                *drawn = drawn.wrapping_add(1);
                film.picture(*drawn, number)
            }
            None => sample.data.clone(),
        };
        tokio::time::sleep_until(epoch + at).await;
        if knobs.stalled.load(Ordering::Relaxed) {
            continue;
        }
        let shift = Ticks::from_duration(begin, rate).0;
        publisher.push(Sample {
            track: sample.track,
            key: sample.key,
            time: Ticks(sample.present.0 + shift),
            data: if clip.stamped { stamped(&data) } else { data },
        });
    }
    begin + clip.length
}

/// A frame with the moment in it: behind its length and its first byte.
fn stamped(data: &Bytes) -> Bytes {
    let mut data = data.to_vec();
    let stamp = format!("{:016x}", crate::wall().as_micros());
    if let Some(place) = data.get_mut(5..21) {
        place.copy_from_slice(stamp.as_bytes());
    }
    data.into()
}
