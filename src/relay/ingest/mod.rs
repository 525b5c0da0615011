//! Pulling one stream of one camera: wanted → open → pump → retry.
//!
//! One task per stream owns its publisher and is its only retry layer.

pub mod address;
pub mod backoff;
mod fence;
mod gauge;
mod opener;
mod pump;
mod repetition;
mod task;

pub use gauge::{Gauge, gauge};
pub use opener::OpenError;
pub use pump::REPEATS;
pub(crate) use task::abandoned;
pub use task::{Context, run};

use std::sync::Arc;

/// When a stream is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    /// While somebody watches, and 15 s longer.
    OnDemand,
    /// Always.
    Always,
}

/// How the camera sends its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Inside the RTSP connection.
    Tcp,
    /// Datagrams; the camera chooses where they come from, so this is explicit.
    Udp,
}

/// A camera password. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Password(pub Arc<str>);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// An account of a camera, with the password that is tried: another password is
/// another try.
pub(crate) type Account = (String, u16, Option<(String, Password)>);

impl Source {
    pub(crate) fn account(&self) -> Account {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        (host, self.url.port().unwrap_or(554), self.login.clone())
    }
}

/// Where a stream comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `rtsp://host[:port]/path`, without credentials.
    pub url: url::Url,
    /// The camera's login.
    pub login: Option<(String, Password)>,
    /// Whether the password may be sent readably (HTTP Basic).
    pub allow_basic: bool,
    /// How packets travel.
    pub transport: Transport,
    /// When to pull.
    pub pull: Pull,
    /// Whether sound is taken at all.
    pub audio: bool,
}
