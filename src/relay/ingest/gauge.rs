//! Looking at a camera for a few seconds: what it sends and how often, before it
//! is registered.

use super::Source;
use super::address::Policy;
use super::opener::{Ending, Item, OpenError, open};
use media::Params;
use std::time::Duration;
use tokio::time::Instant;

/// How long opening may take.
const OPENING: Duration = Duration::from_secs(8);
/// How long pictures are counted, unless a whole group of them has been seen.
const COUNTING: Duration = Duration::from_secs(5);

/// What was seen.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// What the frames carry.
    pub params: Params,
    /// The sound the camera offers, taken or not, as SDP names it.
    pub audio: Option<String>,
    /// Pictures a second, if there were enough to tell.
    pub fps: Option<f64>,
    /// From one key picture to the next; nothing if none followed in time.
    pub gop: Option<Duration>,
}

/// Opens a source, looks, and lets go of it.
pub async fn gauge(source: &Source, policy: &Policy) -> Result<Gauge, OpenError> {
    let opened = tokio::time::timeout(OPENING, open(source, policy)).await;
    let mut session = opened.map_err(|_| OpenError::TimedOut)??;
    let end = Instant::now() + COUNTING;
    let (mut times, mut keys) = (Vec::new(), Vec::new());
    while let Ok(item) = tokio::time::timeout_at(end, session.next()).await {
        let (time, key, data) = match item {
            Ok(Item::Video { time, key, data, .. }) => (time.seconds, key, data),
            Ok(Item::Audio { .. } | Item::Other) => continue,
            Err(Ending::Closed) => break,
            Err(Ending::Broken(error)) => return Err(OpenError::retina(&error)),
            Err(Ending::Full) => return Err(OpenError::Endless),
        };
        let params = session.params()?.unwrap_or_default();
        if key || params.video.is_some_and(|video| video.is_key(&data)) {
            keys.push(time);
        }
        times.push(time);
        if keys.len() > 1 && times.len() > 5 {
            break;
        }
    }
    let params = session.params()?.unwrap_or_default();
    let seconds = |times: &[f64]| times.last().zip(times.first()).map_or(0.0, |(last, first)| last - first);
    let (passed, steps) = (seconds(&times), times.len().saturating_sub(1));
    let fps = u32::try_from(steps).ok().filter(|steps| *steps > 1 && passed > 0.0);
    Ok(Gauge {
        params,
        audio: session.offered_audio(),
        fps: fps.map(|steps| f64::from(steps) / passed),
        gop: (keys.len() > 1).then(|| Duration::try_from_secs_f64(seconds(&keys)).ok()).flatten(),
    })
}
