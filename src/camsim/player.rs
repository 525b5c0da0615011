//! Sends a clip in real time, over and over, on one unbroken line of time.

use crate::Camera;
use crate::clip::{Clip, ClipSample};
use crate::control::Knobs;
use bytes::Bytes;
use media::{Ticks, Track};
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
    let mut pictures = Pictures::default();
    publisher.set_state(State::Live, "");
    loop {
        let switched = knobs.other_resolution.load(Ordering::Relaxed);
        let clip = camera.other.as_ref().filter(|_| switched).unwrap_or(&camera.clip);
        publisher.set_params(clip.params.clone());
        sent = round(clip, epoch, (sent, &mut pictures), switched, &mut publisher, &knobs).await;
    }
}

/// Sends the clip once, or until the other one is wanted at a key frame.
async fn round(
    clip: &Clip,
    epoch: Instant,
    (begin, pictures): (Duration, &mut Pictures),
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
        // Drawing takes its time: before the moment it is for.
        let data = pictures.next(clip, sample, number);
        tokio::time::sleep_until(epoch + at).await;
        if knobs.stalled.load(Ordering::Relaxed) {
            continue;
        }
        let shift = Ticks::from_duration(begin, rate).0;
        let fresh = Sample {
            track: sample.track,
            key: sample.key,
            time: Ticks(sample.present.0 + shift),
            data: if clip.stamped { stamped(&data) } else { data },
        };
        publisher.push(pictures.sent(fresh, knobs.repeats.load(Ordering::Relaxed)));
    }
    begin + clip.length
}

/// What was drawn and sent, over all rounds.
#[derive(Default)]
struct Pictures {
    drawn: u32,
    last: Option<(bool, Bytes)>,
}

impl Pictures {
    /// The bytes of a sample; `place` is its place in its round.
    fn next(&mut self, clip: &Clip, sample: &ClipSample, place: u32) -> Bytes {
        let Some(film) = &clip.film else { return sample.data.clone() };
        self.drawn = self.drawn.wrapping_add(1);
        film.picture(self.drawn, place)
    }

    /// What is sent now: what was meant to be, or with `again` the picture before.
    fn sent(&mut self, fresh: Sample, again: bool) -> Sample {
        match self.last.clone().filter(|_| again && fresh.track == Track::Video) {
            Some((key, data)) => Sample { key, data, ..fresh },
            None => {
                if fresh.track == Track::Video {
                    self.last = Some((fresh.key, fresh.data.clone()));
                }
                fresh
            }
        }
    }
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
