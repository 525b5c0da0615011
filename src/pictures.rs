//! Door events ⇒ how it looked: the camera at the door is bookmarked, with a picture of
//! that moment. An event is durable before this hears of it, and stays without a picture
//! where there is no camera, no decode process, or too much at once.

use crate::admit::Doorkeeper;
use domain::camera::Camera;
use domain::event::door::{AFTER, BEFORE, Bookmark, DoorEvent, Quality};
use domain::health::Room;
use domain::repository::{Repository, Result};
use domain::{Clock, Timestamp};
use relay::Decoder;
use relay::decoder::Width;
use relay::hub::{Hub, State};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};
use web::bucket::{Buckets, Rate};

/// Events that may wait for their picture. When it is full further ones get none.
pub const WAITING: usize = 64;
/// Pictures that are taken at the same time.
const AT_ONCE: usize = 4;
/// Pictures of one place: nobody goes through a door more often, but a contact may flutter.
const PER_PLACE: Rate = Rate { burst: 10, every: Duration::from_millis(500) };
/// A picture that was taken later shows who came after.
const NEAR: Duration = Duration::from_secs(6);
/// How wide they are, in pixels: a phone's screen.
const WIDTH: u16 = 640;

/// What it takes to take one.
pub struct Photographer {
    /// Where events and pictures are.
    pub repository: Arc<dyn Repository>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Who lets the house look.
    pub doorkeeper: Arc<Doorkeeper>,
    /// What makes pictures.
    pub decoder: Arc<Decoder>,
    /// How much room there is for them.
    pub room: watch::Receiver<Room>,
}

impl Photographer {
    /// Takes the pictures of events until nobody sends any more.
    pub async fn run(self, mut events: mpsc::Receiver<DoorEvent>) {
        let (this, mut at_work, places) = (Arc::new(self), JoinSet::new(), Buckets::default());
        loop {
            tokio::select! {
                Some(_) = at_work.join_next() => {}
                event = events.recv(), if at_work.len() < AT_ONCE => {
                    let Some(event) = event else { break };
                    if !is_pictured(&event) || places.take(&event.place_id, PER_PLACE).is_err() {
                        continue;
                    }
                    let this = Arc::clone(&this);
                    at_work.spawn(async move {
                        if let Err(error) = this.take(&event).await {
                            warn!(%error, event = %event.id, "the picture of a door event cannot be kept");
                        }
                    });
                }
            }
        }
    }

    async fn take(&self, event: &DoorEvent) -> Result<()> {
        let cameras = self.repository.cameras().await?;
        let here = cameras.iter().filter(|camera| camera.place_id == event.place_id);
        let looking = here.filter_map(|camera| Some((camera, self.doorkeeper.look(&camera.id)?)));
        // One that is pulled anyway, or else the first by name.
        let chosen = looking.min_by_key(|(camera, (_, hub))| (!is_live(hub), camera.name.clone()));
        let Some((camera, (pass, hub))) = chosen else { return Ok(()) };
        // Where room is short, it is for what cannot be done without.
        if *self.room.borrow() != Room::Ample {
            return self.repository.add_bookmark(&bookmark(event, camera, None), None).await;
        }
        let _wanted = hub.want();
        // One that has waited for the database is of a moment that the stream may still have.
        let waited = u64::try_from(self.clock.now().0 - event.received_at.0).unwrap_or(0);
        let ago = Duration::from_micros(waited);
        match self.decoder.moment(&hub, pass, Width::at_least(WIDTH), ago).await {
            Ok(still) => {
                let taken_at = self.clock.now().before(still.arrived_at.elapsed());
                let near = taken_at <= event.received_at.after(NEAR);
                let bookmark = bookmark(event, camera, near.then_some(taken_at));
                self.repository.add_bookmark(&bookmark, near.then_some(&still.jpeg)).await
            }
            Err(why) => {
                debug!(%why, event = %event.id, "a door event stays without a picture");
                self.repository.add_bookmark(&bookmark(event, camera, None), None).await
            }
        }
    }
}

/// What was kept while the line was down shows nothing of its moment now.
fn is_pictured(event: &DoorEvent) -> bool {
    // Nor is there anything to see where nobody knows where that part of the device is.
    event.kind.is_seen() && !event.staff_only && matches!(event.quality, Quality::Live | Quality::Drill)
}

fn is_live(hub: &Hub) -> bool {
    hub.status().state == State::Live
}

fn bookmark(event: &DoorEvent, camera: &Camera, taken_at: Option<Timestamp>) -> Bookmark {
    Bookmark {
        door_event_id: event.id.clone(),
        camera_id: camera.id.clone(),
        from: event.received_at.before(BEFORE),
        until: event.received_at.after(AFTER),
        taken_at,
    }
}
