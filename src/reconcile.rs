//! Registry ⇒ which sources are pulled; their state ⇒ what people are told. One of
//! the two places where both planes meet; it turns rows into sources, states into
//! notices, and nothing else.

use crate::lasting::Lasting;
use domain::camera::{Camera, StreamKind};
use domain::notice::{self, Notice, Notify, Topic};
use domain::repository::{Repository, Result as Kept};
use domain::{CameraId, Clock};
use relay::hub::State;
use relay::ingest::Source;
use relay::{Fleet, StreamId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};
use web::source::{source, stream_id};

/// The registry is looked at this often even if nobody says that it changed.
const AT_LEAST: Duration = Duration::from_secs(60);
/// After a failure it is looked at again this soon.
const RETRY: Duration = Duration::from_secs(2);
/// How often the streams' states are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the fleet as the registry says, for ever.
pub async fn run(repository: Arc<dyn Repository>, fleet: Arc<Fleet>, mut changes: watch::Receiver<u64>) {
    let mut failing = Lasting::default();
    loop {
        changes.mark_unchanged();
        let pause = match once(&*repository, &fleet).await {
            Ok(()) => {
                if failing.ends() {
                    info!("registry is read again");
                }
                AT_LEAST
            }
            Err(error) => {
                if failing.begins() {
                    warn!(%error, "registry cannot be read; the streams stay as they are");
                }
                RETRY
            }
        };
        let _ = tokio::time::timeout(pause, changes.changed()).await;
    }
}

/// Makes the fleet what the registry says.
pub async fn once(repository: &dyn Repository, fleet: &Fleet) -> domain::repository::Result<()> {
    let cameras = repository.cameras().await?;
    let wanted: HashMap<StreamId, Result<Source, String>> =
        cameras.iter().flat_map(|camera| sources(camera, fleet)).collect();
    for id in fleet.ids() {
        if !wanted.contains_key(&id) {
            info!(stream = %id, "stream removed");
            fleet.remove(&id);
        }
    }
    for (id, source) in wanted {
        match source {
            Ok(source) => fleet.set(&id, source),
            Err(why) if fleet.refuse(&id, &why) => warn!(stream = %id, why, "stream refused"),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Where a camera's streams come from, or why not: the database may hold an address
/// that the API would not have taken, from another hand or under older rules.
fn sources<'a>(
    camera: &'a Camera,
    fleet: &'a Fleet,
) -> impl Iterator<Item = (StreamId, Result<Source, String>)> + 'a {
    [StreamKind::Main, StreamKind::Sub].into_iter().filter_map(|stream| {
        camera.url(stream)?;
        let source = source(camera, stream).ok_or_else(|| "the camera's address cannot be read".to_owned());
        let checked = source.and_then(|source| match fleet.policy().check_url(&source.url) {
            Ok(()) => Ok(source),
            Err(why) => Err(why.to_string()),
        });
        Some((stream_id(&camera.id, stream), checked))
    })
}

/// Tells of cameras that come and go, for ever. A camera is as the worse of its streams is:
/// whoever watches a wall of sub-streams knows nothing of the main one.
pub async fn tell(
    repository: Arc<dyn Repository>,
    way: Arc<dyn Notify>,
    fleet: Arc<Fleet>,
    clock: Arc<dyn Clock>,
) {
    let mut seen: HashMap<StreamId, &'static str> = HashMap::new();
    let mut failing = Lasting::default();
    let mut said: HashMap<String, &'static str> = HashMap::new();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let states = fleet.ids().into_iter().filter_map(|id| {
            let state = fleet.status(&id)?.state;
            let word = word(state).or(seen.get(&id).copied())?;
            Some((id, word))
        });
        seen = states.collect();
        let mut now: HashMap<String, &'static str> = HashMap::new();
        for (id, word) in &seen {
            let worst = now.entry(id.camera.to_string()).or_insert(word);
            if rank(word) > rank(worst) {
                *worst = word;
            }
        }
        for (camera, word) in &mut now {
            // What is seen for the first time is no news.
            let Some(before) = said.get(camera).copied().filter(|before| before != word) else { continue };
            let told = match notice(&*repository, &*clock, camera, word).await {
                Ok(Some(notice)) => notice::tell(&*way, &[notice]).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if told.is_ok() {
                failing.ends();
            }
            if let Err(error) = told {
                if failing.begins() {
                    warn!(camera, %error, "pages are not told of cameras yet");
                }
                *word = before;
            }
        }
        said = now;
    }
}

/// What a state means to people. A camera that is being asked is what it was before.
fn word(state: State) -> Option<&'static str> {
    match state {
        State::Idle | State::Live => Some("online"),
        State::Connecting => None,
        State::Stale => Some("stale"),
        State::Offline => Some("offline"),
        State::Refused => Some("refused"),
    }
}

/// How bad it is.
fn rank(word: &str) -> usize {
    ["online", "stale", "offline", "refused"].iter().position(|known| *known == word).unwrap_or(0)
}

/// The notice that a camera is so now; nothing if there is no such camera any more.
async fn notice(
    repository: &dyn Repository,
    clock: &dyn Clock,
    camera: &str,
    word: &str,
) -> Kept<Option<Notice>> {
    let Some(camera) = CameraId::parse(camera) else { return Ok(None) };
    let camera = repository.camera(&camera).await?;
    Ok(camera.map(|camera| Notice {
        at: clock.now(),
        topic: Topic::Camera,
        site_id: camera.site_id,
        place_id: Some(camera.place_id),
        object: camera.id.to_string(),
        word: word.to_owned(),
        drill: false,
    }))
}
