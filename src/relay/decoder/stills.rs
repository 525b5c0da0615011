//! Still pictures: each key frame of a stream is decoded once for each width, for all
//! who look, and the last picture is kept for when the camera has none.

use super::child::Trouble;
use super::pool::NoProcess;
use super::{Counters, Decoder};
use crate::hub::Hub;
use crate::{Admission, StreamId};
use bytes::Bytes;
use media::job::{Order, Picture};
use media::{Frame, Track};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long a stream that is just beginning is waited for.
const FIRST_PICTURE: Duration = Duration::from_secs(5);
/// How long a picture is kept that no newer one replaces: after that nobody wants it,
/// and it shows where people live.
const KEPT: Duration = Duration::from_secs(3_600);

/// Frames and bytes that one picture may rest on.
const MOST_UNITS: usize = 300;
const MOST_BYTES: usize = 6 << 20;

/// The widths there are, in pixels: whoever asks for something in between gets the next
/// larger one, so that all share it.
pub const WIDTHS: [u16; 6] = [160, 320, 640, 960, 1280, 1920];

/// One of [`WIDTHS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Width(u16);

impl Width {
    /// The width that shows at least `pixels`, or the largest.
    #[must_use]
    pub fn at_least(pixels: u16) -> Self {
        Self(WIDTHS.into_iter().find(|width| *width >= pixels).unwrap_or(1920))
    }

    /// In pixels.
    #[must_use]
    pub fn pixels(self) -> u16 {
        self.0
    }
}

/// A still picture.
#[derive(Clone, Debug)]
pub struct Still {
    /// The JPEG.
    pub jpeg: Bytes,
    /// When its frame came from the camera.
    pub arrived_at: Instant,
}

/// Why there is no picture, as a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStill {
    /// The stream brings none.
    #[error("no picture at the moment: {0}")]
    NoFrame(Arc<str>),
    /// It cannot be decoded.
    #[error("no picture at the moment: {0}")]
    NotDecoded(Trouble),
    /// Many want one at the same time.
    #[error("too many pictures are wanted at the same time; try again in a moment")]
    Busy,
}

/// The last picture of a stream in one width, and what became of the newest key frame.
#[derive(Default)]
struct Last {
    still: Option<Still>,
    tried: Option<(Weak<Frame>, Option<Trouble>)>,
}

/// Who decodes holds the lock; who wants the same waits for it.
type Place = Arc<tokio::sync::Mutex<Last>>;

/// The last pictures of all streams.
#[derive(Default)]
pub(super) struct Stills(Mutex<HashMap<(StreamId, Width), Kept>>);

struct Kept {
    place: Place,
    asked_at: Instant,
}

impl Stills {
    fn lock(&self) -> MutexGuard<'_, HashMap<(StreamId, Width), Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, id: &StreamId, width: Width) -> Place {
        let now = Instant::now();
        let mut kept = self.lock();
        kept.retain(|_, kept| now.saturating_duration_since(kept.asked_at) < KEPT);
        let new = || Kept { place: Place::default(), asked_at: now };
        let kept = kept.entry((id.clone(), width)).or_insert_with(new);
        kept.asked_at = now;
        Arc::clone(&kept.place)
    }

    /// Forgets the pictures of a stream that is no more.
    pub(super) fn forget(&self, id: &StreamId) {
        self.lock().retain(|(stream, _), _| stream != id);
    }
}

impl Decoder {
    /// The newest still picture of a stream, for who may see it; the last one there was
    /// if the camera brings none now. The caller keeps the stream wanted.
    pub async fn still(
        &self,
        id: &StreamId,
        hub: &Hub,
        pass: &Admission,
        width: Width,
    ) -> Result<Still, NoStill> {
        let place = self.stills.place(id, width);
        let frame = match tokio::time::timeout(FIRST_PICTURE, hub.key_frame(pass)).await {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(status)) => Err(NoStill::NoFrame(status.detail)),
            Err(_) => Err(NoStill::NoFrame("the camera has not sent a whole one yet".into())),
        };
        let mut last = place.lock().await;
        let result = match frame {
            Ok(frame) => self.decoded(&mut last, &frame, hub.arrived_at(&frame), width).await,
            Err(why) => Err(why),
        };
        let since = hub.source_since();
        last.still.take_if(|still| still.arrived_at.elapsed() >= KEPT || still.arrived_at <= since);
        match (result, &last.still) {
            (Ok(still), _) => Ok(still),
            // Its age says that it is an older one.
            (Err(NoStill::NoFrame(_) | NoStill::NotDecoded(_)), Some(still)) => Ok(still.clone()),
            (Err(why), _) => Err(why),
        }
    }

    /// A picture of the moment that is `ago`, for who may see it: the first frame since, with
    /// all that it rests on, as far as the stream still has them. Nobody shares it. The
    /// caller keeps the stream wanted.
    pub async fn moment(
        &self,
        hub: &Hub,
        pass: Admission,
        width: Width,
        ago: Duration,
    ) -> Result<Still, NoStill> {
        let moment = Instant::now().checked_sub(ago);
        let key = match tokio::time::timeout(FIRST_PICTURE, hub.key_frame(&pass)).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(status)) => return Err(NoStill::NoFrame(status.detail)),
            Err(_) => return Err(NoStill::NoFrame("the camera has not sent a whole one yet".into())),
        };
        let mut frames = hub.watch(pass).peek();
        frames.retain(|frame| frame.track == Track::Video);
        if frames.first().is_none_or(|frame| !frame.key) {
            frames = vec![key];
        }
        let since = frames.iter().position(|frame| moment.is_none_or(|at| hub.arrived_at(frame) >= at));
        frames.truncate(since.map_or(frames.len(), |first| first + 1));
        // Of a group that is too long for one picture the beginning will do.
        let mut bytes = 0;
        let fits = frames.iter().take(MOST_UNITS).take_while(|frame| {
            bytes += frame.data.len();
            bytes <= MOST_BYTES
        });
        let fits = fits.count().max(1);
        frames.truncate(fits);
        match self.last_of(hub, &frames, width).await {
            // It may be more than one process is let decode; the key frame alone never is.
            Err(NoStill::NotDecoded(_)) if frames.len() > 1 => {
                frames.truncate(1);
                self.last_of(hub, &frames, width).await
            }
            done => done,
        }
    }

    /// The last of these frames; the first one is a key frame.
    async fn last_of(&self, hub: &Hub, frames: &[Arc<Frame>], width: Width) -> Result<Still, NoStill> {
        let Some(last) = frames.last() else { return Err(NoStill::NotDecoded(Trouble::Died)) };
        let arrived_at = hub.arrived_at(last);
        let picture = frames.first().and_then(|frame| frame.track_params()).and_then(Picture::of);
        let picture = picture.ok_or(NoStill::NoFrame("the camera sends sound only".into()))?;
        let units = frames.iter().map(|frame| frame.data.clone()).collect();
        match self.pool.still(&Order::Still { picture, width: width.pixels(), units }).await {
            Ok(jpeg) => {
                Counters::add(&self.counters().decoded);
                Ok(Still { jpeg, arrived_at })
            }
            Err(NoProcess::Busy) => Err(NoStill::Busy),
            Err(NoProcess::Trouble(trouble)) => Err(NoStill::NotDecoded(trouble)),
        }
    }

    async fn decoded(
        &self,
        last: &mut Last,
        frame: &Arc<Frame>,
        arrived_at: Instant,
        width: Width,
    ) -> Result<Still, NoStill> {
        if let Some((tried, trouble)) = &last.tried
            && Weak::ptr_eq(tried, &Arc::downgrade(frame))
        {
            return match (trouble, &last.still) {
                // A picture that broke the process is not given to another one.
                (Some(trouble), _) => Err(NoStill::NotDecoded(trouble.clone())),
                (None, Some(still)) => {
                    Counters::add(&self.counters().cached);
                    Ok(still.clone())
                }
                (None, None) => Err(NoStill::NotDecoded(Trouble::Died)),
            };
        }
        let picture = frame.track_params().and_then(Picture::of);
        let picture = picture.ok_or(NoStill::NoFrame("the camera sends sound only".into()))?;
        let order = Order::Still { picture, width: width.pixels(), units: vec![frame.data.clone()] };
        match self.pool.still(&order).await {
            Ok(jpeg) => {
                Counters::add(&self.counters().decoded);
                let still = Still { jpeg, arrived_at };
                *last = Last { still: Some(still.clone()), tried: Some((Arc::downgrade(frame), None)) };
                Ok(still)
            }
            Err(NoProcess::Busy) => Err(NoStill::Busy),
            Err(NoProcess::Trouble(trouble)) => {
                last.tried = Some((Arc::downgrade(frame), Some(trouble.clone())));
                Err(NoStill::NotDecoded(trouble))
            }
        }
    }

    /// Forgets the pictures of a stream that is no more.
    pub fn forget(&self, id: &StreamId) {
        self.stills.forget(id);
    }
}
