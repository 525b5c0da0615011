//! The decision that a household, or a person, may watch a set of cameras.

use crate::repository::ApprovalFilter;
use crate::schedule::Schedule;
use crate::{ApprovalId, CameraId, HouseholdId, PersonId, PlaceId, SiteId, Timestamp, words};
use std::time::Duration;

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
        /// Nobody asks any more: who asked has left, moved out or been switched off.
        Withdrawn = "withdrawn",
        /// A later approval has taken its place.
        Renewed = "renewed",
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
    /// The approval whose place it is to take.
    pub renews: Option<ApprovalId>,
}

/// An approval that ends within this time lapses soon: time to ask again.
pub const SOON: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Why a request was withdrawn, as a word that every language can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// The household has moved out.
    MovedOut,
    /// Who asked has left the household.
    Left,
    /// The account of who asked was switched off.
    Disabled,
}

impl Withdrawal {
    /// The reason that is kept.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::MovedOut => "moved_out",
            Self::Left => "left",
            Self::Disabled => "disabled",
        }
    }
}

/// Every word that a list can be asked for: those of [`Approval::shown_state`], and
/// `lapsing` for those that lapse soon.
pub const ASKED: [&str; 8] =
    ["requested", "granted", "refused", "revoked", "withdrawn", "renewed", "expired", "lapsing"];

impl ApprovalFilter {
    /// All of a site.
    #[must_use]
    pub fn of(site: SiteId) -> Self {
        let (begun_by, ends_after, ends_by) = (Timestamp(i64::MAX), Timestamp(i64::MIN), Timestamp(i64::MAX));
        Self { site, state: None, begun_by, ends_after, ends_by }
    }

    /// Those that are shown by one of the words of [`ASKED`] at `now`. Nothing for another word.
    #[must_use]
    pub fn shown_as(self, word: &str, now: Timestamp) -> Option<Self> {
        let state = Some(State::Granted);
        Some(match word {
            "granted" => Self { state, ends_after: now, ..self },
            "expired" => Self { state, ends_by: now, ..self },
            "lapsing" => Self { state, begun_by: now, ends_after: now, ends_by: now.after(SOON), ..self },
            other => Self { state: Some(State::from_word(other)?), ..self },
        })
    }

    /// Whether an approval is one of them.
    #[must_use]
    pub fn has(&self, approval: &Approval) -> bool {
        approval.site_id == self.site
            && self.state.is_none_or(|state| state == approval.state)
            && approval.from <= self.begun_by
            && self.ends_after < approval.until
            && approval.until <= self.ends_by
    }
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

    /// Whether it is in force and ends soon.
    #[must_use]
    pub fn lapses_soon(&self, now: Timestamp) -> bool {
        self.in_force(now) && self.until <= now.after(SOON)
    }

    /// A request to go on where this one ends: the same people and cameras, and
    /// the same hours, so that asking again never asks for more.
    #[must_use]
    pub fn renewal(&self, id: ApprovalId, by: PersonId, until: Timestamp, now: Timestamp) -> Self {
        Self {
            id,
            state: State::Requested,
            from: now,
            until,
            message: String::new(),
            requested_by: by,
            requested_at: now,
            decided_by: None,
            decided_at: None,
            reason: None,
            renews: Some(self.id.clone()),
            ..self.clone()
        }
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
