//! Alarms: an event that asks for help, from a person's phone or from a device.

use crate::event::door::Quality;
use crate::{DeviceId, HouseholdId, PersonId, PlaceId, SiteId, Timestamp, words};
use std::time::Duration;

words! {
    /// What help is asked for. An alarm has a kind and a point, and nobody's name.
    AlarmKind {
        /// Somebody is in danger.
        Panic = "panic",
        /// It burns.
        Fire = "fire",
        /// Somebody is ill or hurt.
        Medical = "medical",
        /// Somebody is where nobody should be.
        Intrusion = "intrusion",
        /// Somebody tampers with a device.
        Tamper = "tamper",
        /// Somebody is being forced: a silent alarm.
        Duress = "duress",
    }
}

impl AlarmKind {
    /// Whether nothing of it may show on a resident's phone: whoever forces them may
    /// be looking at it. That is why neighbours are not called either.
    #[must_use]
    pub fn is_silent(self) -> bool {
        self == Self::Duress
    }

    /// Whether somebody may die of it: the highest severity. Whoever is called is called by
    /// every way there is, and nobody is left alone.
    #[must_use]
    pub fn is_grave(self) -> bool {
        matches!(self, Self::Panic | Self::Fire | Self::Medical | Self::Duress)
    }

    /// Whether a person can raise it; tampering is for devices to notice.
    #[must_use]
    pub fn is_pressed(self) -> bool {
        self != Self::Tamper
    }
}

/// Where help is wanted: what repeated alarms are put together by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    /// At a household's home.
    Household(HouseholdId),
    /// At a device.
    Device {
        /// Which.
        id: DeviceId,
        /// Which part of it, as [`crate::device::part`] says: two inputs of a panel are two flats.
        part: Option<String>,
    },
    /// At a place of the site: somebody on duty says so.
    Place(PlaceId),
}

impl Point {
    /// The point as it is kept.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Household(id) => format!("household:{id}"),
            Self::Device { id, part: None } => format!("device:{id}"),
            Self::Device { id, part: Some(part) } => format!("device:{id}:{part}"),
            Self::Place(id) => format!("place:{id}"),
        }
    }

    /// The point of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word.split_once(':')? {
            ("household", id) => HouseholdId::parse(id).map(Self::Household),
            ("device", rest) => {
                let (id, part) = rest.split_once(':').map_or((rest, None), |(id, part)| (id, Some(part)));
                Some(Self::Device { id: DeviceId::parse(id)?, part: part.map(str::to_owned) })
            }
            ("place", id) => PlaceId::parse(id).map(Self::Place),
            _ => None,
        }
    }

    /// The household, if it is one's home.
    #[must_use]
    pub fn household(&self) -> Option<&HouseholdId> {
        match self {
            Self::Household(id) => Some(id),
            _ => None,
        }
    }
}

/// An alarm as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What help is asked for.
    pub kind: AlarmKind,
    /// The point's site.
    pub site_id: SiteId,
    /// The place where the point is: a household's entrance, a device's place.
    pub place_id: PlaceId,
    /// Where exactly.
    pub point: Point,
    /// Whether it is practice.
    pub drill: bool,
    /// Whether it comes late: it was kept while the line was down.
    pub late: bool,
    /// Who raised it, if it was a person.
    pub reporter: Option<PersonId>,
    /// When it arrived. All timers rest on this, none on a device's clock.
    pub received_at: Timestamp,
}

/// Alarms of one kind from one point that are no further apart are one incident.
pub const MERGE: Duration = Duration::from_secs(5 * 60);

/// A kept alarm that is younger opens an incident, late as it is.
pub const BACKLOG: Duration = Duration::from_secs(10 * 60);

/// What an alarm from a device leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// An incident.
    Incident {
        /// Whether it is practice.
        drill: bool,
        /// Whether it comes late.
        late: bool,
    },
    /// An entry in the operator's list.
    Listed,
    /// Nothing: it says how things are, not that something has happened.
    Nothing,
}

/// What an alarm of this quality leads to. `happened_at` is the device's own time.
#[must_use]
pub fn opening(quality: Quality, happened_at: Option<Timestamp>, received_at: Timestamp) -> Opening {
    match quality {
        Quality::Live => Opening::Incident { drill: false, late: false },
        Quality::Drill => Opening::Incident { drill: true, late: false },
        Quality::State => Opening::Nothing,
        // Without a time of its own nobody can say that it is old, and a press for help must not vanish.
        Quality::Backlog if happened_at.is_none_or(|at| received_at < at.after(BACKLOG)) => {
            Opening::Incident { drill: false, late: true }
        }
        Quality::Backlog => Opening::Listed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_reads_back() {
        let id = [3; 16];
        for point in [
            Point::Household(HouseholdId::from_random(id)),
            Point::Device { id: DeviceId::from_random(id), part: None },
            Point::Device { id: DeviceId::from_random(id), part: Some("/site:1/door-03".into()) },
            Point::Place(PlaceId::from_random(id)),
        ] {
            assert_eq!(Point::from_word(&point.word()), Some(point));
        }
        for bad in ["", "household", "household:x", "person:03030303030303030303030303030303"] {
            assert_eq!(Point::from_word(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_an_alarm_leads_to_depends_on_how_much_it_says_about_now() {
        let now = Timestamp(1_000_000_000_000);
        let incident = |drill, late| Opening::Incident { drill, late };
        let old = Some(now.before(BACKLOG));
        let young = Some(now.before(BACKLOG - Duration::from_secs(1)));
        for (quality, at, leads_to) in [
            (Quality::Live, old, incident(false, false)),
            (Quality::Drill, young, incident(true, false)),
            (Quality::State, young, Opening::Nothing),
            (Quality::Backlog, young, incident(false, true)),
            (Quality::Backlog, None, incident(false, true)),
            (Quality::Backlog, old, Opening::Listed),
        ] {
            assert_eq!(opening(quality, at, now), leads_to, "{quality:?} {at:?}");
        }
    }
}
