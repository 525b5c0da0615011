//! The viewing register: every stream that somebody opened.

use crate::camera::StreamKind;
use crate::role::Role;
use crate::{CameraId, PersonId, Timestamp, ViewingId, words};

words! {
    /// How a stream was delivered.
    ViewingTransport {
        /// Live fMP4 over WebSocket.
        WebSocket = "websocket",
        /// RTSP.
        Rtsp = "rtsp",
        /// WebRTC.
        Whep = "whep",
        /// Low-latency HLS.
        Hls = "hls",
        /// Still pictures, one after the other.
        Snapshot = "snapshot",
        /// Pictures of door events.
        DoorPicture = "door_picture",
    }
}

words! {
    /// Why somebody watches. There is no word for looking around.
    Purpose {
        /// A resident watches what they were approved for.
        ResidentView = "resident_view",
        /// Watching over the site on patrol or at the desk.
        Patrol = "patrol",
        /// Grid work: seeing to a matter in one's zone.
        GridWork = "grid_work",
        /// Something happens, or is said to.
        Incident = "incident",
        /// Whether the camera works and looks where it should.
        Maintenance = "maintenance",
    }
}

impl Purpose {
    /// Why somebody with this role watches, unless they say otherwise.
    #[must_use]
    pub fn usual(role: Role) -> Self {
        match role {
            Role::Resident => Self::ResidentView,
            Role::Patrol | Role::DutyOperator => Self::Patrol,
            Role::GridWorker1 | Role::GridWorker2 | Role::GridWorker3 => Self::GridWork,
            // An auditor watches nothing; the match is whole all the same.
            Role::Owner | Role::Administrator | Role::Auditor => Self::Maintenance,
        }
    }

    /// Whether somebody with this role may watch for this.
    #[must_use]
    pub fn fits(self, role: Role) -> bool {
        match role {
            Role::Resident | Role::Auditor => self == Self::usual(role),
            Role::Owner | Role::Administrator => self != Self::ResidentView,
            _ => self == Self::usual(role) || self == Self::Incident,
        }
    }
}

/// One person watching one stream once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewing {
    /// Its id.
    pub id: ViewingId,
    /// Who.
    pub person_id: PersonId,
    /// By which role.
    pub role: Role,
    /// What.
    pub camera_id: CameraId,
    /// Which feed.
    pub stream: StreamKind,
    /// How.
    pub transport: ViewingTransport,
    /// Why; nothing in rows from before it was asked.
    pub purpose: Option<Purpose>,
    /// From when.
    pub started_at: Timestamp,
    /// Until when; open while it is not known.
    pub ended_at: Option<Timestamp>,
    /// Bytes that were delivered, once it has ended.
    pub bytes: u64,
}

impl Viewing {
    /// The chain's word for the beginning of a viewing.
    pub const BEGAN: &str = "viewing.begin";
    /// The chain's word for its end.
    pub const ENDED: &str = "viewing.end";

    /// What the chain keeps of the beginning: everything but the id, as JSON. All
    /// of it are words and ids, which need no escapes.
    #[must_use]
    pub fn begin_detail(&self) -> String {
        // Rows without one were sealed without one.
        let purpose = self.purpose.map_or_else(String::new, |p| format!("\"purpose\":\"{}\",", p.word()));
        format!(
            "{{\"person\":\"{}\",\"role\":\"{}\",\"camera\":\"{}\",\"stream\":\"{}\",\"transport\":\"{}\",{purpose}\"started_at\":{}}}",
            self.person_id,
            self.role.word(),
            self.camera_id,
            self.stream.word(),
            self.transport.word(),
            self.started_at.0
        )
    }

    /// What the chain keeps of the end.
    #[must_use]
    pub fn end_detail(at: Timestamp, bytes: u64) -> String {
        format!("{{\"ended_at\":{},\"bytes\":{bytes}}}", at.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Words as _;

    #[test]
    fn every_role_has_a_usual_purpose_that_fits_it() {
        for role in Role::WORDS.iter().filter_map(|word| Role::from_word(word)) {
            assert!(Purpose::usual(role).fits(role), "{role:?}");
            let resident = Purpose::ResidentView.fits(role);
            assert_eq!(resident, role == Role::Resident, "{role:?}");
        }
        assert!(Purpose::Incident.fits(Role::Patrol) && Purpose::Incident.fits(Role::Owner));
        assert!(!Purpose::Incident.fits(Role::Resident) && !Purpose::Maintenance.fits(Role::Patrol));
        assert_eq!(Purpose::from_word("general_interest"), None);
    }

    #[test]
    fn a_row_from_before_purposes_is_sealed_as_it_was() {
        let mut viewing = Viewing {
            id: ViewingId::from_random([1; 16]),
            person_id: PersonId::from_random([2; 16]),
            role: Role::Patrol,
            camera_id: CameraId::from_random([3; 16]),
            stream: StreamKind::Main,
            transport: ViewingTransport::Rtsp,
            purpose: None,
            started_at: Timestamp(7),
            ended_at: None,
            bytes: 0,
        };
        assert!(!viewing.begin_detail().contains("purpose"));
        viewing.purpose = Some(Purpose::Incident);
        assert!(viewing.begin_detail().ends_with("\"purpose\":\"incident\",\"started_at\":7}"));
    }
}
