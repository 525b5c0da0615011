//! Virtual cameras: RTSP from clips, with digest login and misbehaviour that is
//! switched on and off while they run.
//!
//! Any number of paths share one port. `clip` reads MP4, `film` draws pictures that
//! say which they are (`mark`), `screen` looks at them, `player` sends them in real time, `front` is the port that can refuse, stall and lie, `control`
//! takes the orders. Used by the demo, the tests and the benchmark; never by
//! the gateway.

pub mod clip;
pub mod control;
mod film;
mod front;
pub mod mark;
mod player;
pub mod screen;
pub mod viewers;
pub mod whep;

use async_trait::async_trait;
use clip::Clip;
use control::{Control, Knobs};
use media::rtsp::digest::Ha1;
use relay::admission::{Admission, Issuer};
use relay::hub::Hub;
use relay::rtsp::{Gate, Limits, Refusal, Viewer};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// One virtual camera.
#[derive(Clone, Debug)]
pub struct Camera {
    /// Its path on the port, without a slash in front.
    pub path: String,
    /// What it sends.
    pub clip: Arc<Clip>,
    /// What it sends while its resolution is switched.
    pub other: Option<Arc<Clip>>,
}

/// A running set of cameras on one port. Dropping it stops them.
pub struct Cameras {
    address: SocketAddr,
    control: Arc<Control>,
    hubs: Arc<HashMap<String, Hub>>,
    _stop: tokio_util::sync::DropGuard,
    _tasks: JoinSet<()>,
}

/// Starts `cameras` on `listen`. `login` is what they ask for, if anything.
pub async fn start(
    listen: SocketAddr,
    cameras: Vec<Camera>,
    login: Option<(String, String)>,
) -> std::io::Result<Cameras> {
    let clock = relay::WallClock::new(wall);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (mut hubs, mut knobs) = (HashMap::new(), HashMap::new());
    for camera in cameras {
        let knob = Arc::new(Knobs::default());
        let (publisher, hub) = relay::hub::hub(media::gop::Budget::default(), &clock);
        hubs.insert(camera.path.clone(), hub);
        knobs.insert(camera.path.clone(), Arc::clone(&knob));
        tasks.spawn(player::run(camera, publisher, knob));
    }
    let hubs = Arc::new(hubs);
    let control = Arc::new(Control::new(knobs));

    let inner = TcpListener::bind("127.0.0.1:0").await?;
    let inner_address = inner.local_addr()?;
    let gate = Arc::new(Doorway {
        hubs: Arc::clone(&hubs),
        control: Arc::clone(&control),
        login,
        issuer: Issuer::new(),
    });
    let limits = Limits { connections: 5_000, per_address: 5_000 };
    tasks.spawn({
        let stop = stop.clone();
        async move { relay::rtsp::serve(inner, gate, clock, limits, stop.cancelled()).await }
    });

    let front = TcpListener::bind(listen).await?;
    let address = front.local_addr()?;
    tasks.spawn(front::run(front, address, inner_address, Arc::clone(&control), stop.clone()));
    Ok(Cameras { address, control, hubs, _stop: stop.drop_guard(), _tasks: tasks })
}

impl Cameras {
    /// Where they listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `rtsp://address/path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("rtsp://{}/{path}", self.address)
    }

    /// The switches.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Logins that were tried, right or wrong.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.control.logins.load(Ordering::Relaxed)
    }

    /// The stream of the camera at `path`, for its counters.
    #[must_use]
    pub fn hub(&self, path: &str) -> Option<&Hub> {
        self.hubs.get(path)
    }
}

#[expect(clippy::disallowed_methods, reason = "camsim is a program of its own; this is its one clock")]
fn wall() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// A camera's own idea of who may watch: whoever knows the password.
struct Doorway {
    hubs: Arc<HashMap<String, Hub>>,
    control: Arc<Control>,
    login: Option<(String, String)>,
    issuer: Issuer,
}

#[async_trait]
impl Gate for Doorway {
    async fn viewer(&self, login: &str) -> Option<Viewer> {
        self.control.logins.fetch_add(1, Ordering::Relaxed);
        let (name, password) = self.login.as_ref().filter(|(name, _)| name == login)?;
        let changed = self.control.password_changed();
        let key = if changed { "changed" } else { password.as_str() };
        Some(Viewer { ha1: Ha1::new(name, key), principal: name.as_str().into() })
    }

    async fn admit(&self, _: Option<&Viewer>, path: &str) -> Result<(Admission, Hub), Refusal> {
        let hub = self.hubs.get(path).ok_or(Refusal::NotFound)?;
        let (pass, _keeper) = self.issuer.grant(Duration::from_secs(365 * 24 * 3_600));
        Ok((pass, hub.clone()))
    }

    fn asks_for_login(&self) -> bool {
        self.login.is_some()
    }
}
