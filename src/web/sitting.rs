//! Viewers that come back for each piece: HLS players and still pictures.
//!
//! A sitting is what such a viewer holds between two requests: one admission, one
//! row in the viewing register and the stream kept wanted. It belongs to the session
//! it was begun in, and ends when the right ends, when nothing was asked for a while,
//! or when the gateway stops. Every request asks for it again and is refused as soon
//! as the right has ended.

use crate::access::Who;
use crate::{App, Problem};
use domain::camera::StreamKind;
use domain::viewing::{Purpose, ViewingTransport};
use domain::{CameraId, SessionId};
use relay::Admission;
use relay::admission::End;
use relay::hub::{Hub, Interest};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Sittings that one session may hold at a time: a wall of cameras, and stills beside it.
const PER_SESSION: usize = 128;

/// How long somebody waits who holds as many: an unused one is over by then.
const QUIET: Duration = Duration::from_secs(20);

/// Who sits where.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    session: SessionId,
    camera: CameraId,
    stream: StreamKind,
    transport: ViewingTransport,
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
    _interest: Interest,
    asked_at: Mutex<Instant>,
}

impl Sitting {
    /// The stream.
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Counts bytes that were delivered.
    pub(crate) fn count(&self, bytes: usize) {
        self.pass.count(bytes);
    }

    /// Completes when the right ends: who waits for a piece waits for this, too.
    pub(crate) fn end(&self) -> impl Future<Output = End> + Send + 'static + use<> {
        self.pass.end()
    }

    fn asked(&self) -> MutexGuard<'_, Instant> {
        self.asked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken once, however many ask for it at the same time.
type Place = Arc<OnceCell<Arc<Sitting>>>;

/// All sittings.
#[derive(Default)]
pub(crate) struct Sittings(Mutex<HashMap<Key, Place>>);

impl Sittings {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
}

/// The sitting of this person, which is begun by the first request.
pub(crate) async fn sit(app: &App, who: &Who, wanted: Wanted) -> Result<Arc<Sitting>, Problem> {
    let Wanted { camera, stream, transport, purpose, quiet } = wanted;
    let key = Key { session: who.session.id.clone(), camera, stream, transport };
    // A second try, if the one that is found has just ended.
    for _ in 0..2 {
        let place = app.sittings.place(&key)?;
        let begin = async || {
            let (pass, hub) =
                app.parts.admit.admit(who, &key.camera, key.stream, key.transport, purpose).await?;
            let _interest = hub.want();
            let sitting = Arc::new(Sitting { pass, hub, _interest, asked_at: Mutex::new(Instant::now()) });
            let kept = keep(app.clone(), key.clone(), Arc::clone(&place), Arc::clone(&sitting), quiet);
            app.parts.viewers.spawn(kept);
            Ok::<_, Problem>(sitting)
        };
        let sitting = match place.get_or_try_init(begin).await {
            Ok(sitting) => Arc::clone(sitting),
            Err(refused) => {
                app.sittings.leave(&key, &place);
                return Err(refused);
            }
        };
        if sitting.pass.ended().is_none() {
            *sitting.asked() = Instant::now();
            return Ok(sitting);
        }
        app.sittings.leave(&key, &place);
    }
    Err(Problem::NotFound)
}

/// Holds the sitting until it is over.
async fn keep(app: App, key: Key, place: Place, sitting: Arc<Sitting>, quiet: Duration) {
    let end = sitting.end();
    let silence = async {
        loop {
            let until = *sitting.asked() + quiet;
            if until <= Instant::now() {
                break;
            }
            tokio::time::sleep_until(until).await;
        }
    };
    tokio::select! {
        _ = end => {}
        () = silence => {}
        () = app.parts.closing.cancelled() => {}
    }
    app.sittings.leave(&key, &place);
}
