//! What devices and people tell: door events, events of devices, and alarms.

pub mod alarm;
pub mod device;
pub mod door;

use crate::device::part;
use crate::event::alarm::{Alarm, AlarmKind, Opening, Point, opening};
use crate::event::device::DeviceEvent;
use crate::event::door::{DoorEvent, Quality};
use crate::incident::{Change, Incident, Timings};
use crate::{DeviceId, IncidentId, PlaceId, SiteId, Timestamp};
use std::time::Duration;

/// Which events of devices and doors are listed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// All alarms.
    Alarms,
    /// Alarms that came too late to be an incident.
    Late,
    /// What nobody else sees to: alarms that came too late to be an incident, and what devices
    /// say of their own condition.
    Desk,
}

/// What a device has told, whichever format it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// At a door.
    Door(DoorEvent),
    /// Anything else.
    Device(DeviceEvent),
}

impl Event {
    /// The alarm that it is, if it is one.
    #[must_use]
    pub fn alarm(&self) -> Option<AlarmKind> {
        match self {
            Self::Door(event) => event.kind.alarm(),
            Self::Device(event) => event.kind.alarm(),
        }
    }

    /// Its kind in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Door(event) => event.kind.word(),
            Self::Device(event) => event.kind.word(),
        }
    }

    /// Whether somebody may be asking for help by it, now or a while ago: it is taken however
    /// much else comes. What only says how things are is not.
    #[must_use]
    pub fn is_pressing(&self) -> bool {
        self.alarm().is_some() && self.quality() != Quality::State
    }

    /// How much it says about now.
    #[must_use]
    pub fn quality(&self) -> Quality {
        match self {
            Self::Door(event) => event.quality,
            Self::Device(event) => event.quality,
        }
    }

    /// The device's own time.
    #[must_use]
    pub fn device_time(&self) -> Option<Timestamp> {
        match self {
            Self::Door(event) => event.device_time,
            Self::Device(event) => event.device_time,
        }
    }

    /// When it arrived.
    #[must_use]
    pub fn received_at(&self) -> Timestamp {
        match self {
            Self::Door(event) => event.received_at,
            Self::Device(event) => event.received_at,
        }
    }

    /// The id that it is kept under.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Door(event) => event.id.as_str(),
            Self::Device(event) => event.id.as_str(),
        }
    }

    /// The site of its device.
    #[must_use]
    pub fn site(&self) -> &SiteId {
        self.origin().1
    }

    /// CloudEvents `source`, as the device sent it or its adapter read it.
    #[must_use]
    pub fn source(&self) -> &str {
        match self {
            Self::Door(event) => &event.source,
            Self::Device(event) => &event.source,
        }
    }

    /// Where it came from.
    #[must_use]
    pub fn origin(&self) -> (&DeviceId, &SiteId, &PlaceId) {
        match self {
            Self::Door(event) => (&event.device_id, &event.site_id, &event.place_id),
            Self::Device(event) => (&event.device_id, &event.site_id, &event.place_id),
        }
    }

    /// The event with what it leads to. `id` is the incident's, should it open one.
    #[must_use]
    pub fn taken(self, id: IncidentId, timings: &Timings) -> Taken {
        let kind = self.alarm();
        let leads_to = opening(self.quality(), self.device_time(), self.received_at());
        let raises = kind.zip(Some(leads_to)).and_then(|(kind, leads_to)| {
            let Opening::Incident { drill, late } = leads_to else { return None };
            let (device, site, place) = self.origin();
            let alarm = Alarm {
                kind,
                site_id: site.clone(),
                place_id: place.clone(),
                point: Point::Device { id: device.clone(), part: part(self.source()).map(str::to_owned) },
                drill,
                late,
                reporter: None,
                received_at: self.received_at(),
            };
            let opened = Incident::open(id, &alarm, None, timings);
            Some(Raises { alarm, opened })
        });
        Taken { event: self, raises }
    }
}

/// An event that is to be kept, with the alarm that it raises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The event.
    pub event: Event,
    /// Its alarm, if it raises one.
    pub raises: Option<Raises>,
}

/// An alarm that could not be kept for longer after it had arrived comes late.
pub const LATE: Duration = Duration::from_secs(60);

impl Taken {
    /// Whether it is an alarm that came too late to be an incident: it is in the operators' list.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.raises.is_none() && self.event.is_pressing()
    }

    /// The same where it could be kept only now: an alarm that has waited is late, however
    /// old it is. It was taken on, so nobody else knows of it, and it must not vanish.
    #[must_use]
    pub fn kept_at(mut self, now: Timestamp) -> Self {
        if let Some(raises) = &mut self.raises
            && now >= raises.alarm.received_at.after(LATE)
        {
            (raises.alarm.late, raises.opened.incident.late) = (true, true);
        }
        self
    }
}

/// An alarm of a device, and the incident that it opens unless it belongs to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raises {
    /// The alarm.
    pub alarm: Alarm,
    /// The incident's first version.
    pub opened: Change,
}
