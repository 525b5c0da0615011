//! The decision that a household, or a person, may watch a set of cameras.

use crate::schedule::Schedule;
use crate::{ApprovalId, CameraId, HouseholdId, PersonId, PlaceId, SiteId, Timestamp, words};

words! {
    /// Where an approval stands as it is kept. That it has expired is seen from its end.
    State {
        /// Somebody asks.
        Requested = "requested",
        /// Yes.
        Granted = "granted",
        /// No.
        Refused = "refused",
        /// No longer.
        Revoked = "revoked",
    }
}

/// Who may watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Every member of a household.
    Household(HouseholdId),
    /// One person.
    Person(PersonId),
}

/// Which cameras.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CameraSet {
    /// One.
    Camera(CameraId),
    /// All at a place and below it.
    Place(PlaceId),
    /// All of the site that residents may see.
    Site,
}

/// An approval, from its request to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The site whose administrators decide.
    pub site_id: SiteId,
    /// Who may watch.
    pub subject: Subject,
    /// Which cameras.
    pub cameras: CameraSet,
    /// Where it stands.
    pub state: State,
    /// From when.
    pub from: Timestamp,
    /// Until when. A right without an end is nobody's to give.
    pub until: Timestamp,
    /// Only then, if it is said.
    pub schedule: Option<Schedule>,
    /// What the one who asks says.
    pub message: String,
    /// Who asked.
    pub requested_by: PersonId,
    /// When.
    pub requested_at: Timestamp,
    /// Who decided last.
    pub decided_by: Option<PersonId>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
}

impl Approval {
    /// Whether it is granted and `now` is within it, schedule aside.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.state == State::Granted && self.from <= now && now < self.until
    }

    /// The word people are shown: a granted approval after its end is `expired`.
    #[must_use]
    pub fn shown_state(&self, now: Timestamp) -> &'static str {
        if self.state == State::Granted && self.until <= now { "expired" } else { self.state.word() }
    }

    /// Whether it names this camera, which is at `path` (its place, then upwards).
    #[must_use]
    pub fn covers(&self, site: &SiteId, camera: &CameraId, path: &[PlaceId]) -> bool {
        self.site_id == *site
            && match &self.cameras {
                CameraSet::Camera(own) => own == camera,
                CameraSet::Place(place) => path.contains(place),
                CameraSet::Site => true,
            }
    }
}
