//! What every handler can reach.

use crate::health::Health;
use crate::intake::{self, Inputs, KnownDevices, Later, Recent};
use crate::live::Admit;
use crate::passkey::Passkeys;
use crate::password::Passwords;
use crate::refused::Refusals;
use crate::setup::Setup;
use crate::sitting::Sittings;
use crate::stream::Streams;
use crate::throttle::Throttle;
use crate::tls::Tls;
use domain::access::{Standing, is_staff};
use domain::event::door::DoorEvent;
use domain::health::Room;
use domain::person::{SignedInBy, StaffPasskeys};
use domain::repository::Repository;
use domain::{Clock, Timestamp};
use ipnet::IpNet;
use relay::{Decoder, Fleet, whep};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;
use url::Url;

/// What the root package puts together.
pub struct Parts {
    /// What the house keeps.
    pub repository: Arc<dyn Repository>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// The streams, for their states and the address rules.
    pub fleet: Arc<Fleet>,
    /// Still pictures.
    pub decoder: Arc<Decoder>,
    /// Who may watch.
    pub admit: Arc<dyn Admit>,
    /// Where refusals are told, for the audit log.
    pub refusals: Refusals,
    /// Counts changes of registry and rights; whoever acts on them sleeps on it.
    pub changes: watch::Sender<u64>,
    /// Where door events go that were just kept, so that their pictures are taken. When
    /// it is full an event stays without a picture.
    pub happened: mpsc::Sender<DoorEvent>,
    /// Where events wait while the database is away.
    pub later: Arc<dyn Later>,
    /// How much room there is for what is kept.
    pub room: watch::Receiver<Room>,
    /// What is wrong with the house itself.
    pub health: Health,
    /// The newest notice's number; pages that listen sleep on it.
    pub bell: watch::Receiver<i64>,
    /// Told when there is a new notice, so that the bell rings at once.
    pub posted: Arc<Notify>,
    /// The key by which push services know the gateway, if browsers can be told.
    pub push_key: Option<String>,
    /// How people reach this gateway, if that is set.
    pub public_url: Option<PublicUrl>,
    /// TLS of the gateway's own, if it has it.
    pub tls: Option<Tls>,
    /// Whether who holds a role may do without a passkey.
    pub staff_passkeys: StaffPasskeys,
    /// Proxies whose word on a client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Port of the RTSP server, for the addresses people are shown.
    pub rtsp_port: Option<u16>,
    /// WebRTC, if it is on.
    pub whep: Option<whep::Server>,
    /// Cancelled when the gateway stops: live views end with a reason.
    pub closing: CancellationToken,
    /// Live views that are still being ended.
    pub viewers: TaskTracker,
}

/// The address in people's browsers.
#[derive(Clone, Debug)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// An `http` or `https` address; nothing for any other.
    #[must_use]
    pub fn new(url: Url) -> Option<Self> {
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(Self(url))
    }

    /// Whether browsers reach us through TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host by name or number.
    #[must_use]
    pub fn host(&self) -> Option<url::Host> {
        self.0.host().map(|host| host.to_owned())
    }

    /// Scheme, host and port as in an `Origin` header.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The name that passkeys are bound to and the origin they are used at. Browsers
    /// know passkeys only for a name (not an IP address), and over TLS or at localhost.
    #[must_use]
    pub fn passkey_place(&self) -> Option<(&str, String)> {
        let name = self.0.domain()?;
        (self.is_secure() || name == "localhost").then(|| (name, self.0.origin().ascii_serialization()))
    }

    /// Whether `origin` is this address.
    pub(crate) fn is_origin(&self, origin: &Url) -> bool {
        self.0.origin() == origin.origin()
    }
}

/// The state of the application. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What [`App`] points at.
pub struct Inner {
    pub(crate) parts: Parts,
    pub(crate) passwords: Passwords,
    pub(crate) setup: Setup,
    pub(crate) throttle: Throttle,
    pub(crate) sittings: Sittings,
    pub(crate) hls: relay::hls::Streams,
    pub(crate) streams: Streams,
    pub(crate) intake: intake::Counters,
    pub(crate) known_devices: KnownDevices,
    pub(crate) recent: Recent,
    pub(crate) inputs: Inputs,
    pub(crate) passkeys: Option<Passkeys>,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// The state from its parts. `passwords` is shared with whoever else hashes.
    #[must_use]
    pub fn new(parts: Parts, passwords: Passwords) -> Self {
        let passkeys = parts.public_url.as_ref().and_then(Passkeys::new);
        let (setup, throttle, sittings) = (Setup::default(), Throttle::default(), Sittings::default());
        let hls = relay::hls::Streams::new(parts.viewers.clone());
        let (known_devices, inputs) = (KnownDevices::default(), Inputs::default());
        let (streams, intake) = (Streams::default(), intake::Counters::default());
        Self(Arc::new(Inner {
            parts,
            passwords,
            setup,
            throttle,
            sittings,
            hls,
            streams,
            intake,
            known_devices,
            recent: Recent::default(),
            inputs,
            passkeys,
        }))
    }

    /// What devices have sent, counted.
    #[must_use]
    pub fn intake(&self) -> &intake::Counters {
        &self.intake
    }

    /// Makes the one-time token with which the first owner is created.
    #[must_use]
    pub fn open_setup(&self) -> String {
        self.setup.open()
    }
}

impl Inner {
    pub(crate) fn repository(&self) -> &dyn Repository {
        &*self.parts.repository
    }

    /// The time, as everything here counts it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// A door event was kept.
    pub(crate) fn happened(&self, event: DoorEvent) {
        if self.parts.happened.try_send(event).is_err() {
            debug!("a door event stays without a picture: too many at once");
        }
    }

    /// Says that registry or rights have changed. Called after the commit.
    pub(crate) fn changed(&self) {
        self.parts.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Says that there is something new for pages that listen. Called after the commit.
    pub(crate) fn posted(&self) {
        self.parts.posted.notify_one();
    }

    /// Whether a session that was begun so is only good for getting a passkey.
    pub(crate) fn needs_passkey(&self, standing: &Standing, by: SignedInBy) -> bool {
        let required = self.parts.staff_passkeys == StaffPasskeys::Required;
        required && by != SignedInBy::Passkey && is_staff(standing, self.now())
    }

    /// Whether browsers reach us through TLS, our own or a proxy's.
    pub(crate) fn is_secure(&self) -> bool {
        self.parts.tls.is_some() || self.parts.public_url.as_ref().is_some_and(PublicUrl::is_secure)
    }
}
