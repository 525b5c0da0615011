//! Registry ⇒ which sources are pulled. One of the two places where both
//! planes meet; it turns rows into sources and nothing else.

use domain::camera::{Camera, StreamKind};
use domain::repository::Repository;
use relay::ingest::Source;
use relay::{Fleet, StreamId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};
use web::source::{source, stream_id};

/// The registry is looked at this often even if nobody says that it changed.
const AT_LEAST: Duration = Duration::from_secs(60);
/// After a failure it is looked at again this soon.
const RETRY: Duration = Duration::from_secs(2);

/// Keeps the fleet as the registry says, for ever.
pub async fn run(repository: Arc<dyn Repository>, fleet: Arc<Fleet>, mut changes: watch::Receiver<u64>) {
    loop {
        changes.mark_unchanged();
        let pause = match once(&*repository, &fleet).await {
            Ok(()) => AT_LEAST,
            Err(error) => {
                warn!(%error, "registry cannot be read; the streams stay as they are");
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
