//! The house put together: the order of building and the order of closing.

use crate::admit::Doorkeeper;
use crate::alert_stream;
use crate::audit;
use crate::clock;
use crate::disk;
use crate::event_spool::{EventSpool, Recovered};
use crate::incidents;
use crate::lasting::Lasting;
use crate::mqtt;
use crate::notices;
use crate::notify;
use crate::notify::push_key::PushKey;
use crate::pictures::{self, Photographer};
use crate::pulse;
use crate::reconcile;
use crate::settings::{Mqtt, Settings, Webrtc};
use crate::spool::{LeftOpen, Spool};
use crate::sweep;
use crate::tls;
use domain::Clock;
use domain::event::door::DoorEvent;
use domain::health::Room;
use domain::repository::{self, Persons as _};
use relay::ingest::address::Policy;
use relay::rtsp::Limits;
use relay::{Decoder, Fleet, decoder, whep};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::seal::{Hold, KeyError, SealingKey};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use web::health::Health;
use web::password::Passwords;
use web::refused::Clerk;
use web::tls::Tls;

/// How long each step of the drain may take.
const DRAIN: Duration = Duration::from_secs(5);
/// After a failure it is asked again this soon whether another process has changed rights.
const LISTEN: Duration = Duration::from_millis(500);

/// Sockets come from the caller, so that tests own them too.
pub struct Listeners {
    /// For the app and the API.
    pub http: TcpListener,
    /// For RTSP players, if they may.
    pub rtsp: Option<TcpListener>,
    /// For browsers by WebRTC, if they may: UDP, and TCP for whom that does not reach.
    pub webrtc: Option<(UdpSocket, TcpListener)>,
}

/// Why the gateway does not start; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1}; is another program using the port?")]
    Listen(std::net::SocketAddr, io::Error),
    /// A folder for the data cannot be made.
    #[error("the folder {0} cannot be made: {1}")]
    Folder(String, io::Error),
    /// The sealing key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No certificate can be made for WebRTC.
    #[error("a certificate for webrtc cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// There is no certificate to serve.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// Nothing can leave the house.
    #[error(transparent)]
    Notify(#[from] notify::Error),
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The database was opened but does not answer.
    #[error("the database: {0}")]
    Repository(#[from] domain::repository::Error),
}

impl Listeners {
    /// Binds what the settings say.
    pub async fn bind(settings: &Settings) -> Result<Self, BuildError> {
        let bind = async |address| {
            TcpListener::bind(address).await.map_err(|error| BuildError::Listen(address, error))
        };
        let rtsp = match settings.rtsp {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let webrtc = match &settings.webrtc {
            Some(Webrtc { listen, .. }) => {
                let udp =
                    UdpSocket::bind(*listen).await.map_err(|error| BuildError::Listen(*listen, error))?;
                Some((udp, bind(*listen).await?))
            }
            None => None,
        };
        Ok(Self { http: bind(settings.http).await?, rtsp, webrtc })
    }
}

/// A gateway that is built but does not serve yet.
pub struct App {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    spool: Arc<Spool>,
    left_open: Option<LeftOpen>,
    event_spool: Arc<EventSpool>,
    fleet: Arc<Fleet>,
    decoder: Arc<Decoder>,
    doorkeeper: Arc<Doorkeeper>,
    clerk: Clerk,
    web: web::App,
    whep: Option<whep::Server>,
    public_addresses: Vec<IpAddr>,
    changes: watch::Sender<u64>,
    bell: watch::Sender<i64>,
    happened: mpsc::Sender<DoorEvent>,
    events: mpsc::Receiver<DoorEvent>,
    posted: Arc<Notify>,
    ways: notify::Ways,
    mqtt: Option<Mqtt>,
    closing: CancellationToken,
    viewers: TaskTracker,
    setup_token: Option<String>,
    tls: Option<Tls>,
    certificates: Option<tls::Keeper>,
    anchor: Option<PathBuf>,
    keep_events: Option<Duration>,
    disk: Option<disk::Watcher>,
    room: watch::Receiver<Room>,
    health: Health,
}

/// Opens what is kept, making folders and key where they are not there yet.
pub async fn open_store(settings: &Settings) -> Result<Store, BuildError> {
    open_store_holding(settings, Hold::Shared).await
}

/// The same, with the sealing key for everybody or for nobody else.
pub async fn open_store_holding(settings: &Settings, hold: Hold) -> Result<Store, BuildError> {
    make_folders(settings)?;
    let sealing = SealingKey::load_or_create(&settings.key_file, hold)?;
    Ok(Store::open(&settings.database, sealing).await?)
}

/// Makes the folders of key and database where they are not there yet.
fn make_folders(settings: &Settings) -> Result<(), BuildError> {
    let folder_of = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.map_or(Ok(()), |folder| {
            std::fs::create_dir_all(folder)
                .map_err(|error| BuildError::Folder(folder.display().to_string(), error))
        })
    };
    folder_of(&settings.key_file)?;
    if let Some(file) = settings.database.strip_prefix("sqlite:") {
        folder_of(Path::new(file))?;
    }
    Ok(())
}

/// What is written at the start. A database that takes nothing keeps nobody from watching: what
/// waits in a spool, and viewings that a crash left open, are tried again by the spool's own task.
fn or_later<T: Default>(done: repository::Result<T>) -> repository::Result<T> {
    match done {
        Err(error @ repository::Error::Unavailable(_)) => {
            warn!(%error, "what was left from before cannot be written yet; what waits is tried again");
            Ok(T::default())
        }
        done => done,
    }
}

impl App {
    /// Builds the gateway: store, streams, doorkeeper, web.
    pub async fn build(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let (certificates, tls) = tls::Keeper::open(settings, Arc::clone(&clock))?.unzip();
        make_folders(settings)?;
        let (health, room) = (Health::default(), watch::Sender::new(Room::Ample));
        let watched = room.subscribe();
        let place = disk::place(&settings.database, settings.event_spool.as_deref());
        // On a disk that is full the database opens only into what the reserve gives up.
        let doubt = disk::Doubt::default();
        let disk = settings.disk.clone().zip(place).map(|(limits, path)| {
            disk::Watcher::new(path, limits, room, health.clone(), Arc::clone(&clock), doubt.clone())
        });
        let store = Arc::new(open_store(settings).await?);
        let spool = Arc::new(Spool::new(settings.spool.clone(), doubt.clone()));
        let mut left_open = or_later(spool.left_open(&*store, clock.now()).await)?;
        let spooled = or_later(spool.catch_up(&*store, &mut left_open).await)?;
        if spooled > 0 {
            info!(viewings = spooled, "viewings from the spool are sealed into the register");
        }
        let event_spool = Arc::new(EventSpool::new(settings.event_spool.clone(), Arc::clone(&clock), doubt));
        let mut waited = Recovered::default();
        or_later(event_spool.recover(&*store, &mut waited).await)?;
        if waited.kept > 0 {
            info!(events = waited.kept, "events from the spool are kept");
        }
        let changes = watch::Sender::new(0);
        let (bell, posted) = (watch::Sender::new(0), Arc::new(Notify::new()));
        let decoder = Arc::new(Decoder::new(decoding(settings)));
        let fleet = Arc::new(Fleet::new(
            Policy::new(settings.allow_networks.clone()),
            settings.ring,
            clock::wall(),
            Arc::clone(&decoder),
        ));
        reconcile::once(&*store, &fleet).await?;
        let (refusals, clerk) = web::refused::channel();
        let doorkeeper = Arc::new(Doorkeeper::new(
            Arc::clone(&store) as _,
            Arc::clone(&clock),
            Arc::clone(&fleet),
            refusals.clone(),
            changes.subscribe(),
            Arc::clone(&spool),
        ));
        let (closing, viewers) = (CancellationToken::new(), TaskTracker::new());
        let whep = match &settings.webrtc {
            Some(_) => Some(whep::Server::new(
                whep::Certificate::generate()?,
                whep::Limits::default(),
                closing.clone(),
                viewers.clone(),
            )),
            None => None,
        };
        let (happened, events) = mpsc::channel(pictures::WAITING);
        let push_key = match &settings.notify.push {
            Some(push) => {
                Some(Arc::new(PushKey::load_or_create(&push.key_file).map_err(notify::Error::Key)?))
            }
            None => None,
        };
        let origin = settings.public_url.as_ref().map(web::PublicUrl::origin);
        let ways = notify::Ways::new(&settings.notify, push_key.clone(), origin, &clock)?;
        let parts = web::Parts {
            room: watched.clone(),
            health: health.clone(),
            repository: Arc::clone(&store) as _,
            clock: Arc::clone(&clock),
            fleet: Arc::clone(&fleet),
            decoder: Arc::clone(&decoder),
            admit: Arc::clone(&doorkeeper) as _,
            refusals,
            changes: changes.clone(),
            happened: happened.clone(),
            later: Arc::clone(&event_spool) as _,
            bell: bell.subscribe(),
            posted: Arc::clone(&posted),
            push_key: push_key.as_ref().map(|key| key.public()),
            public_url: settings.public_url.clone(),
            tls: tls.clone(),
            staff_passkeys: settings.staff_passkeys,
            trusted_proxies: settings.trusted_proxies.clone(),
            rtsp_port: settings.rtsp.map(|address| address.port()),
            whep: whep.clone(),
            closing: closing.clone(),
            viewers: viewers.clone(),
        };
        let web = web::App::new(parts, Passwords::default());
        let setup_token = (!store.anybody().await?).then(|| web.open_setup());
        Ok(Self {
            store,
            clock,
            spool,
            left_open,
            event_spool,
            fleet,
            decoder,
            doorkeeper,
            clerk,
            web,
            whep,
            public_addresses: settings.webrtc.as_ref().map_or_else(Vec::new, |w| w.public_addresses.clone()),
            changes,
            bell,
            happened,
            events,
            posted,
            ways,
            mqtt: settings.mqtt.clone(),
            closing,
            viewers,
            setup_token,
            tls,
            certificates,
            anchor: settings.anchor.clone(),
            keep_events: settings.keep_events,
            disk,
            room: watched,
            health,
        })
    }

    /// The one-time token for the first owner, while nobody is registered.
    #[must_use]
    pub fn setup_token(&self) -> Option<&str> {
        self.setup_token.as_deref()
    }

    /// TLS of the gateway's own, if it has it.
    #[must_use]
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The streams.
    #[must_use]
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// What needs decoding.
    #[must_use]
    pub fn decoder(&self) -> &Arc<Decoder> {
        &self.decoder
    }

    /// WebRTC, for its counters, unless it is switched off.
    #[must_use]
    pub fn whep(&self) -> Option<&whep::Server> {
        self.whep.as_ref()
    }

    /// The HTTP face, for its counters.
    #[must_use]
    pub fn web(&self) -> &web::App {
        &self.web
    }

    /// What is kept.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Says that something was changed in the store by other means than the API.
    pub fn changed(&self) -> watch::Sender<u64> {
        self.changes.clone()
    }

    /// Serves until `shutdown`, then drains. False if it stopped by itself.
    pub async fn run(self, listeners: Listeners, shutdown: impl Future<Output = ()>) -> bool {
        let mut tasks = JoinSet::new();
        let accepting = CancellationToken::new();
        let router = web::router::build(&self.web);
        tasks.spawn(web::serve::run(listeners.http, router, self.tls, accepting.clone()));
        if let Some(listener) = listeners.rtsp {
            let (gate, stop) = (Arc::clone(&self.doorkeeper), accepting.clone());
            tasks.spawn(async move {
                let stop = stop.cancelled();
                relay::rtsp::serve(listener, gate, clock::wall(), Limits::default(), stop).await;
            });
        }
        if let (Some(server), Some((udp, tcp))) = (self.whep, listeners.webrtc) {
            let (addresses, stop) = (self.public_addresses, accepting.clone());
            tasks.spawn(async move {
                let addresses = reached_at(addresses, &udp);
                if let Err(error) = server.serve(udp, Some(tcp), addresses, stop.cancelled()).await {
                    error!(%error, "webrtc cannot be served");
                }
            });
        }
        let mut reconciler = JoinSet::new();
        reconciler.spawn(reconcile::run(
            Arc::clone(&self.store) as _,
            Arc::clone(&self.fleet),
            self.changes.subscribe(),
        ));

        reconciler.spawn(sweep::run(
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            self.keep_events,
            self.health.clone(),
        ));
        let photographer = Photographer {
            repository: Arc::clone(&self.store) as _,
            clock: Arc::clone(&self.clock),
            doorkeeper: Arc::clone(&self.doorkeeper),
            decoder: Arc::clone(&self.decoder),
            room: self.room,
        };
        reconciler.spawn(photographer.run(self.events));
        reconciler.spawn(self.spool.run(Arc::clone(&self.store) as _, self.left_open));
        reconciler.spawn(self.event_spool.run(
            Arc::clone(&self.store) as _,
            Arc::clone(&self.posted),
            self.changes.clone(),
            self.happened,
        ));
        reconciler.spawn(alert_stream::run(
            self.web.clone(),
            Arc::clone(&self.store) as _,
            Arc::clone(&self.fleet),
            self.changes.subscribe(),
        ));
        if let Some(settings) = self.mqtt {
            let repository = Arc::clone(&self.store) as _;
            let listener =
                mqtt::Listener::new(settings, self.web.clone(), repository, self.changes.subscribe());
            reconciler.spawn(listener.run());
        }
        let pulse = watch::Sender::new(());
        reconciler.spawn(listen(Arc::clone(&self.store), self.changes, pulse.subscribe()));
        reconciler.spawn(incidents::run(
            Arc::clone(&self.store) as _,
            Arc::clone(&self.clock),
            Arc::clone(&self.posted),
            pulse.subscribe(),
        ));
        reconciler.spawn(self.ways.run(
            Arc::clone(&self.store) as _,
            Arc::clone(&self.clock),
            self.bell.subscribe(),
            pulse.subscribe(),
            self.health,
        ));
        let (told, beats) = (self.posted, pulse.subscribe());
        reconciler.spawn(notices::ring(Arc::clone(&self.store) as _, told, beats, self.bell));
        if let Err(error) = pulse::begin(self.store.traces(), pulse) {
            error!(%error, "no thread can be begun: what other processes change is not heard");
        }
        reconciler.spawn(reconcile::tell(
            Arc::clone(&self.store) as _,
            Arc::clone(&self.store) as _,
            Arc::clone(&self.fleet),
            Arc::clone(&self.clock),
        ));
        if let Some(disk) = self.disk {
            reconciler.spawn(disk.run(Arc::clone(&self.store) as _));
        }
        if let Some(certificates) = self.certificates {
            reconciler.spawn(certificates.run());
        }
        if let Some(path) = self.anchor {
            reconciler.spawn(audit::anchor(Arc::clone(&self.store) as _, path));
        }
        let (mut clerk, noted) = (JoinSet::new(), CancellationToken::new());
        clerk.spawn(self.clerk.run(Arc::clone(&self.store) as _, Arc::clone(&self.clock), noted.clone()));
        let asked = tokio::select! {
            () = shutdown => {
                info!("stopping");
                true
            }
            Some(ended) = tasks.join_next() => {
                error!(?ended, "a server has ended by itself");
                false
            }
            Some(ended) = reconciler.join_next() => {
                error!(?ended, "a task of the house has ended by itself");
                false
            }
        };

        // 1. Stop accepting: HTTP finishes what it has begun, RTSP players are cut off.
        accepting.cancel();
        // 2. End viewers with a reason.
        self.closing.cancel();
        self.viewers.close();
        step("viewers", self.viewers.wait()).await;
        step("servers", async { while tasks.join_next().await.is_some() {} }).await;
        // 3. Stop the cameras.
        reconciler.shutdown().await;
        step("cameras", self.fleet.close()).await;
        step("decode processes", self.decoder.close()).await;
        // 4. Write down what has ended; flush events; 5. close the store.
        step("register", self.doorkeeper.close()).await;
        noted.cancel();
        step("refusals", async { while clerk.join_next().await.is_some() {} }).await;
        step("store", self.store.close()).await;
        asked
    }
}

/// How much is decoded, and by which program: the one that is set, or the one beside
/// this one.
fn decoding(settings: &Settings) -> decoder::Limits {
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("sharp-eyes-decode"));
    let program = settings.decode.program.clone().or_else(beside).filter(|path| path.is_file());
    if program.is_none() {
        warn!(
            "sharp-eyes-decode is not installed: there are no still pictures, and nothing is converted for \
             browsers that cannot play what a camera sends; decode.program says where it is"
        );
    }
    decoder::Limits { program, stills: settings.decode.stills, conversions: settings.decode.conversions }
}

/// Where browsers are told to come: as it is set, or where the socket listens, or at
/// every address this machine has.
fn reached_at(public: Vec<IpAddr>, socket: &UdpSocket) -> Vec<IpAddr> {
    if !public.is_empty() {
        return public;
    }
    let local = socket.local_addr().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip());
    if !local.is_unspecified() {
        return vec![local];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let reachable = |interface: &if_addrs::Interface| match interface.ip() {
        IpAddr::V4(ip) => !ip.is_link_local(),
        IpAddr::V6(ip) => local.is_ipv6() && !ip.is_unicast_link_local(),
    };
    let (loopback, mut others): (Vec<_>, Vec<_>) =
        interfaces.into_iter().filter(reachable).partition(|interface| interface.is_loopback());
    if others.is_empty() {
        others = loopback;
    }
    others.iter().map(if_addrs::Interface::ip).collect()
}

/// Passes on that another process has changed rights: `sharp-eyes admin` on this machine.
async fn listen(store: Arc<Store>, changes: watch::Sender<u64>, mut pulse: watch::Receiver<()>) {
    let (mut heard, mut deaf) = (None, Lasting::default());
    loop {
        pulse.mark_unchanged();
        match store.signal().await {
            Ok(count) => {
                if deaf.ends() {
                    info!("changes of other processes are heard again");
                }
                if heard.replace(count).is_some_and(|before| before != count) {
                    changes.send_modify(|n| *n = n.wrapping_add(1));
                }
                if pulse.changed().await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if deaf.begins() {
                    warn!(%error, "changes of other processes are not heard; leases still end");
                }
                tokio::time::sleep(LISTEN).await;
            }
        }
    }
}

async fn step(name: &str, work: impl Future<Output = ()>) {
    if tokio::time::timeout(DRAIN, work).await.is_err() {
        warn!(step = name, "a step of the drain took too long and was left");
    }
}
