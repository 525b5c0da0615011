//! A registered video source.

use crate::{CameraId, PlaceId, Secret, SiteId, Timestamp, words};

words! {
    /// Which of a camera's feeds.
    StreamKind {
        /// The full picture.
        Main = "main",
        /// The small picture.
        Sub = "sub",
    }
}

words! {
    /// How the camera sends its packets.
    Transport {
        /// Inside the RTSP connection.
        Tcp = "tcp",
        /// Datagrams.
        Udp = "udp",
    }
}

words! {
    /// When a camera is pulled.
    Pull {
        /// While somebody watches.
        OnDemand = "on_demand",
        /// Always.
        Always = "always",
    }
}

words! {
    /// Who may be let see a camera at all.
    Visibility {
        /// Patrol only.
        Patrol = "patrol",
        /// Patrol and approved residents.
        Residents = "residents",
    }
}

/// A camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// Its id.
    pub id: CameraId,
    /// The site it belongs to.
    pub site_id: SiteId,
    /// Where it is.
    pub place_id: PlaceId,
    /// Its name.
    pub name: String,
    /// The full picture's address, without credentials.
    pub main_url: String,
    /// The small picture's address, without credentials.
    pub sub_url: Option<String>,
    /// The camera's login.
    pub username: Option<String>,
    /// The camera's password.
    pub password: Option<Secret>,
    /// Whether the password may be sent readably (Basic).
    pub allow_basic: bool,
    /// How packets travel.
    pub transport: Transport,
    /// When it is pulled.
    pub pull: Pull,
    /// What it is there for: the law wants this written.
    pub purpose: String,
    /// Who answers for it: the law wants this written.
    pub responsible_unit: String,
    /// Who may be let see it.
    pub visibility: Visibility,
    /// Why sound is taken; sound is off without a reason.
    pub audio_reason: Option<String>,
    /// Days a recording is kept at least and at most.
    pub retention: Retention,
    /// Where it stands: latitude and longitude in degrees.
    pub position: Option<Position>,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// Days a recording is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// At least.
    pub floor_days: u32,
    /// At most.
    pub ceiling_days: u32,
}

impl Default for Retention {
    /// Thirty days: the least the law allows in public places, and no more than that.
    fn default() -> Self {
        Self { floor_days: 30, ceiling_days: 30 }
    }
}

/// A point on the map, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
}

impl Camera {
    /// The address of one of its feeds.
    #[must_use]
    pub fn url(&self, stream: StreamKind) -> Option<&str> {
        match stream {
            StreamKind::Main => Some(&self.main_url),
            StreamKind::Sub => self.sub_url.as_deref(),
        }
    }
}

/// What stays of a camera that was removed, for those who read who watched it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The id it had.
    pub id: CameraId,
    /// The site it belonged to.
    pub site_id: SiteId,
    /// Its name; the id of one that was removed before names were kept.
    pub name: String,
    /// Who might be let see it.
    pub visibility: Visibility,
    /// When.
    pub removed_at: Timestamp,
}
