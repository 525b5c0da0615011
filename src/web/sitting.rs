//! Viewers that come back for each piece: HLS players and still pictures.
//!
//! A sitting is what such a viewer holds between two requests: one admission, one
//! row in the viewing register and, if it is live, the stream kept wanted. It belongs to the session
//! it was begun in, and ends when the right ends, when nothing was asked for a while,
//! or when the gateway stops. Every request asks for it again and is refused as soon
//! as the right has ended; what is on its way then is cut off.

use crate::access::Who;
use crate::wire::{Answered, Cut};
use crate::{App, Problem};
use domain::camera::StreamKind;
use domain::viewing::{Purpose, ViewingTransport};
use domain::{CameraId, SessionId};
use relay::admission::End;
use relay::hub::{Hub, Interest};
use relay::{Admission, hls};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Sittings that one session may hold at a time: a wall of cameras, and stills beside it.
const PER_SESSION: usize = 128;
/// Requests of one session that may wait at a time: a wall of cameras, each of whose
/// players waits for a playlist and a part.
const WAITING: usize = 64;
/// Forms of a stream that one viewer is given: as the camera sends it, and converted.
const FORMS: usize = 2;

/// How long somebody waits who holds as many: an unused one is over by then.
const QUIET: Duration = Duration::from_secs(20);
/// A reader who takes nothing for this long does not watch live.
const STALLED: Duration = Duration::from_secs(8);
/// Answers of one sitting that have left the gateway and are remembered, until their connection
/// asks again or is closed: the kernel may hold them for a reader who takes little. More are asked
/// for only by who reads them.
const LINGERING: usize = 64;
/// How often that is looked after.
const LOOK: Duration = Duration::from_secs(2);

/// Who sits where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) session: SessionId,
    pub(crate) camera: CameraId,
    pub(crate) stream: StreamKind,
    pub(crate) transport: ViewingTransport,
}

/// What somebody wants to watch piece by piece.
pub(crate) struct Wanted {
    pub(crate) camera: CameraId,
    pub(crate) stream: StreamKind,
    pub(crate) transport: ViewingTransport,
    pub(crate) purpose: Option<Purpose>,
    /// Without a request for this long the sitting is over.
    pub(crate) quiet: Duration,
}

/// The right of one viewer to the next piece.
pub(crate) struct Sitting {
    pass: Admission,
    hub: Hub,
    _interest: Option<Interest>,
    /// Packaged for this viewer, among others, until they leave.
    forms: Mutex<Vec<Arc<hls::Stream>>>,
    use_of_it: Mutex<Use>,
}

/// How a sitting is used.
struct Use {
    asked_at: Instant,
    /// Requests that are being answered, and the connections they can be cut off at.
    answers: HashMap<u64, Answer>,
    next: u64,
    /// Answers that have left the gateway; the oldest goes when there are too many.
    sent: VecDeque<Answered>,
}

struct Answer {
    cut: Option<Cut>,
    moved_at: Instant,
}

impl Sitting {
    fn new((pass, hub): (Admission, Hub), transport: ViewingTransport) -> Self {
        let use_of_it =
            Use { asked_at: Instant::now(), answers: HashMap::new(), next: 0, sent: VecDeque::new() };
        // What is kept of a door event needs no camera.
        let _interest = (transport != ViewingTransport::DoorPicture).then(|| hub.want());
        Self { pass, hub, _interest, forms: Mutex::default(), use_of_it: Mutex::new(use_of_it) }
    }

    /// The stream.
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The right itself, for what asks to see it.
    pub(crate) fn pass(&self) -> &Admission {
        &self.pass
    }

    /// Counts bytes that were delivered.
    pub(crate) fn count(&self, bytes: usize) {
        self.pass.count(bytes);
    }

    /// Completes when the right ends: who waits for a piece waits for this, too.
    pub(crate) fn end(&self) -> impl Future<Output = End> + Send + 'static + use<> {
        self.pass.end()
    }

    /// Keeps a stream packaged for as long as the sitting lasts.
    pub(crate) fn hold(&self, stream: &Arc<hls::Stream>) {
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if !forms.iter().any(|form| Arc::ptr_eq(form, stream)) {
            if forms.len() >= FORMS {
                forms.remove(0);
            }
            forms.push(Arc::clone(stream));
        }
    }

    /// The sitting is not over while somebody stays. With a connection to cut, that is
    /// done when they take nothing, or when the right ends.
    pub(crate) fn stay(self: &Arc<Self>, cut: Option<&Cut>) -> Stay {
        let mut usage = self.usage();
        let number = usage.next;
        usage.next += 1;
        usage.answers.insert(number, Answer { cut: cut.cloned(), moved_at: Instant::now() });
        drop(usage);
        Stay { sitting: Arc::clone(self), number }
    }

    fn usage(&self) -> MutexGuard<'_, Use> {
        self.use_of_it.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when the sitting lasts at least.
    fn lasts_until(&self, quiet: Duration) -> Instant {
        let usage = self.usage();
        let from = if usage.answers.is_empty() { usage.asked_at } else { Instant::now() };
        from + quiet
    }

    /// Cuts the connections that have not moved for this long.
    fn cut(&self, still_for: Duration) {
        for answer in self.usage().answers.values() {
            if let Some(cut) = answer.cut.as_ref().filter(|_| answer.moved_at.elapsed() >= still_for) {
                cut.cut();
            }
        }
    }

    /// Cuts what the kernel may still hold.
    fn cut_sent(&self) {
        for answer in self.usage().sent.drain(..) {
            answer.cut();
        }
    }
}

/// A request that is being answered.
pub(crate) struct Stay {
    sitting: Arc<Sitting>,
    number: u64,
}

impl Stay {
    /// So many bytes more were taken.
    pub(crate) fn moved(&self, bytes: usize) {
        self.sitting.count(bytes);
        if let Some(answer) = self.sitting.usage().answers.get_mut(&self.number) {
            answer.moved_at = Instant::now();
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut usage = self.sitting.usage();
        let now = Instant::now();
        usage.asked_at = now;
        let answered = usage.answers.remove(&self.number).and_then(|answer| answer.cut);
        let Some(cut) = answered else { return };
        if usage.sent.len() >= LINGERING {
            usage.sent.pop_front();
        }
        usage.sent.push_back(cut.answered());
        drop(usage);
        // It may have ended while the last of it was handed over.
        if self.sitting.pass.ended().is_some() {
            self.sitting.cut_sent();
        }
    }
}

/// A place that is taken once, however many ask for it at the same time.
type Place = Arc<OnceCell<Arc<Sitting>>>;

/// All sittings.
#[derive(Clone, Default)]
pub(crate) struct Sittings {
    places: Arc<Mutex<HashMap<Key, Place>>>,
    waiting: Arc<Mutex<HashMap<SessionId, usize>>>,
}

/// A request that waits for something to be made.
pub(crate) struct Waiting(Sittings, SessionId);

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.1);
            }
        }
    }
}

impl Sittings {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, key: &Key) -> Result<Place, Problem> {
        let mut places = self.lock();
        if !places.contains_key(key)
            && places.keys().filter(|k| k.session == key.session).count() >= PER_SESSION
        {
            return Err(Problem::TooMany(QUIET));
        }
        Ok(Arc::clone(places.entry(key.clone()).or_default()))
    }

    fn leave(&self, key: &Key, place: &Place) {
        let mut places = self.lock();
        if places.get(key).is_some_and(|now| Arc::ptr_eq(now, place)) {
            places.remove(key);
        }
    }

    /// Lets a request wait, if not too many of its session do.
    pub(crate) fn wait(&self, session: &SessionId) -> Result<Waiting, Problem> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(session.clone()).or_default();
        if *count >= WAITING {
            return Err(Problem::TooMany(Duration::from_secs(1)));
        }
        *count += 1;
        Ok(Waiting(self.clone(), session.clone()))
    }

    /// The sitting that has been begun at `key`, if it still lasts.
    pub(crate) fn find(&self, key: &Key) -> Result<Arc<Sitting>, Problem> {
        let place = self.lock().get(key).cloned();
        let sitting = place.as_ref().and_then(|place| place.get());
        let sitting = sitting.filter(|sitting| sitting.pass.ended().is_none()).ok_or(Problem::NotFound)?;
        sitting.usage().asked_at = Instant::now();
        Ok(Arc::clone(sitting))
    }

    /// The sitting at `key`, which `admit` begins if nobody has. A task on `tasks` ends it.
    async fn sit<F: Future<Output = Result<(Admission, Hub), Problem>>>(
        &self,
        key: Key,
        quiet: Duration,
        tasks: &TaskTracker,
        closing: &CancellationToken,
        admit: impl Fn() -> F,
    ) -> Result<Arc<Sitting>, Problem> {
        // A second try, if the one that is found has just ended.
        for _ in 0..2 {
            let place = self.place(&key)?;
            let begin = async {
                let sitting = Arc::new(Sitting::new(admit().await?, key.transport));
                let kept = Kept {
                    sittings: self.clone(),
                    key: key.clone(),
                    place: Arc::clone(&place),
                    sitting: Arc::clone(&sitting),
                };
                tasks.spawn(kept.run(quiet, closing.clone()));
                Ok::<_, Problem>(sitting)
            };
            let sitting = match place.get_or_try_init(|| begin).await {
                Ok(sitting) => Arc::clone(sitting),
                Err(refused) => {
                    self.leave(&key, &place);
                    return Err(refused);
                }
            };
            if sitting.pass.ended().is_none() {
                sitting.usage().asked_at = Instant::now();
                return Ok(sitting);
            }
            self.leave(&key, &place);
        }
        Err(Problem::NotFound)
    }
}

/// The sitting of this person, which is begun by the first request.
pub(crate) async fn sit(app: &App, who: &Who, wanted: Wanted) -> Result<Arc<Sitting>, Problem> {
    let Wanted { camera, stream, transport, purpose, quiet } = wanted;
    let admit = || app.parts.admit.admit(who, &camera, stream, transport, purpose);
    let key = Key { session: who.session.id.clone(), camera: camera.clone(), stream, transport };
    app.sittings.sit(key, quiet, &app.parts.viewers, &app.parts.closing, admit).await
}

/// A sitting that is held until it is over.
struct Kept {
    sittings: Sittings,
    key: Key,
    place: Place,
    sitting: Arc<Sitting>,
}

impl Kept {
    async fn run(self, quiet: Duration, closing: CancellationToken) {
        let sitting = &self.sitting;
        let silence = async {
            loop {
                let until = sitting.lasts_until(quiet);
                if until <= Instant::now() {
                    break;
                }
                tokio::time::sleep_until(until).await;
            }
        };
        let stalled = async {
            let mut look = tokio::time::interval(LOOK);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                look.tick().await;
                sitting.cut(STALLED);
            }
        };
        tokio::select! {
            _ = sitting.end() => sitting.cut_sent(),
            () = silence => {}
            () = stalled => {}
            () = closing.cancelled() => {}
        }
        self.sittings.leave(&self.key, &self.place);
        sitting.cut(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests;
