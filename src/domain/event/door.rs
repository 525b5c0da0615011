//! Door events.

use crate::event::alarm::AlarmKind;
use crate::{CameraId, DeviceId, DoorEventId, PlaceId, SiteId, Timestamp, words};
use std::time::Duration;

words! {
    /// What happened at the door. The words are the CloudEvents types without
    /// the `sharpeyes.` in front.
    DoorEventKind {
        /// Somebody was let in.
        Granted = "door.access.granted",
        /// Somebody was not let in.
        Denied = "door.access.denied",
        /// The permission was used.
        Taken = "door.access.taken",
        /// The permission was not used.
        NotTaken = "door.access.not_taken",
        /// The door opened.
        Opened = "door.opened",
        /// The door closed.
        Closed = "door.closed",
        /// The door was forced.
        Forced = "door.forced",
        /// The door stands open for too long.
        HeldOpen = "door.held_open",
        /// Somebody tampers with it.
        Tamper = "door.tamper",
        /// It does not work.
        Fault = "door.fault",
        /// Its mode changed.
        Mode = "door.mode",
        /// Somebody was forced to open it.
        Duress = "door.duress",
    }
}

words! {
    /// How much an event says about now.
    Quality {
        /// It has just happened.
        Live = "live",
        /// It was kept while the line was down.
        Backlog = "backlog",
        /// An initial or retained value; nothing happened.
        State = "state",
        /// An exercise.
        Drill = "drill",
    }
}

/// A door event as it is kept. Card numbers, names and pictures of the device's
/// own are never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorEvent {
    /// Its id.
    pub id: DoorEventId,
    /// CloudEvents `source`, as the device sent it.
    pub source: String,
    /// CloudEvents `id`: unique together with device and source.
    pub event_id: String,
    /// The device.
    pub device_id: DeviceId,
    /// The device's site.
    pub site_id: SiteId,
    /// Where it happened.
    pub place_id: PlaceId,
    /// Whether residents are not told of it: nobody knows where that part of the device is.
    pub staff_only: bool,
    /// What happened.
    pub kind: DoorEventKind,
    /// How much it says about now.
    pub quality: Quality,
    /// `in` or `out`, if the device says it.
    pub direction: Option<String>,
    /// `card`, `code`, `button`, `remote`, …, if the device says it.
    pub method: Option<String>,
    /// Why access was denied, if the device says it.
    pub reason: Option<String>,
    /// The device's own time.
    pub device_time: Option<Timestamp>,
    /// When it arrived: order and timers rest on this.
    pub received_at: Timestamp,
}

impl DoorEvent {
    /// Who may know of it, as far as that is the event's matter.
    #[must_use]
    pub fn audience(&self) -> Audience {
        match (self.kind, self.staff_only) {
            (DoorEventKind::Duress, _) => Audience::Silent,
            (_, true) => Audience::Staff,
            (_, false) => Audience::All,
        }
    }
}

/// Who may know of something at a door, of those who may read of that door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody, residents as well.
    All,
    /// Whoever has it by a role, and not by living there.
    Staff,
    /// The same without those who live behind that door: whoever forces somebody may be looking
    /// at that telephone.
    Silent,
}

/// Where to look for a door event: the camera at the door, from shortly before until after
/// it, and how it looked just then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// The event.
    pub door_event_id: DoorEventId,
    /// The camera at its place.
    pub camera_id: CameraId,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// When the picture was taken, if there is one.
    pub taken_at: Option<Timestamp>,
}

/// A bookmark begins so long before its event, …
pub const BEFORE: Duration = Duration::from_secs(10);
/// … and ends so long after it.
pub const AFTER: Duration = Duration::from_secs(60);

impl DoorEventKind {
    /// Whether somebody is at the door when it happens.
    #[must_use]
    pub fn is_seen(self) -> bool {
        !matches!(self, Self::Taken | Self::NotTaken | Self::Closed | Self::Fault | Self::Mode)
    }

    /// The alarm that it is, if it is one.
    #[must_use]
    pub fn alarm(self) -> Option<AlarmKind> {
        match self {
            Self::Duress => Some(AlarmKind::Duress),
            Self::Forced => Some(AlarmKind::Intrusion),
            Self::Tamper => Some(AlarmKind::Tamper),
            _ => None,
        }
    }
}

/// What became of an event that was sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is durable.
    Accepted,
    /// It was durable already.
    Duplicate,
}
