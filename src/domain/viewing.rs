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
}
