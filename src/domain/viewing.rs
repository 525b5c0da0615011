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
        format!(
            "{{\"person\":\"{}\",\"role\":\"{}\",\"camera\":\"{}\",\"stream\":\"{}\",\"transport\":\"{}\",\"started_at\":{}}}",
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
