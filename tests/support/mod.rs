//! A whole gateway in a temporary folder, with people as clients.

pub mod addresses;
pub mod alerts;
pub mod authenticator;
pub mod broker;
pub mod browser;
pub mod camera;
pub mod canary;
pub mod client;
pub mod clock;
pub mod database;
pub mod decoder;
pub mod dice;
pub mod fake;
pub mod folder;
pub mod foreign;
pub mod heartbeat;
pub mod hls;
pub mod hostile;
pub mod leaks;
pub mod live;
pub mod mailbox;
pub mod marks;
pub mod middle;
pub mod process;
pub mod statements;
pub mod steady;
pub mod whep;
pub mod wrapped;

use ::store::Store;
use client::Client;
use clock::TestClock;
use database::Database;
use domain::approval::{Approval, CameraSet, State, Subject};
use domain::camera::{Camera, Pull, Retention, Transport, Visibility};
use domain::device::{Device, DeviceKind};
use domain::household::{Household, Unit};
use domain::person::{Person, Session, SignedInBy};
use domain::place::{Place, PlaceKind};
use domain::repository::{
    Cameras as _, Devices as _, Persons as _, Registers as _, Rights as _, Sites as _, ViewingFilter,
};
use domain::role::{Grant, Role};
use domain::site::{ResidentPolicy, Site, SiteKind};
use domain::viewing::Viewing;
use domain::{
    ApprovalId, CameraId, Clock as _, DeviceId, GrantId, HouseholdId, PersonId, PlaceId, Secret, SessionId,
    SiteId, Timestamp, UnitId,
};
use folder::Folder;
use relay::hub::Hub;
use relay::{Decoder, Fleet};
use sharp_eyes::clock::SystemClock;
use sharp_eyes::{App, Listeners, Settings};
use sqlx::Connection as _;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{OnceCell, oneshot, watch};
use tokio::task::JoinHandle;
use web::password::Passwords;
use web::token::{self, random};

/// The hash of [`PASSWORD`], made once: it is slow by design.
async fn hash() -> Secret {
    static HASH: OnceCell<Secret> = OnceCell::const_new();
    HASH.get_or_init(async || Passwords::default().hash(Secret::new(PASSWORD)).await).await.clone()
}

/// A port that is free.
const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The password of everybody in the tests.
pub const PASSWORD: &str = "a long test password";

/// A running gateway with one site and two places.
pub struct House {
    pub http: SocketAddr,
    pub rtsp: SocketAddr,
    pub store: Arc<Store>,
    pub fleet: Arc<Fleet>,
    pub decoder: Arc<Decoder>,
    pub web: web::App,
    pub whep: relay::whep::Server,
    pub site: SiteId,
    pub gate: PlaceId,
    pub lobby: PlaceId,
    pub setup_token: Option<String>,
    pub settings: Settings,
    pub clock: TestClock,
    changes: watch::Sender<u64>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<bool>>,
    pub folder: Folder,
}

impl House {
    pub async fn start() -> Self {
        Self::start_on(Database::Sqlite).await
    }

    pub async fn start_on(database: Database) -> Self {
        Self::start_with(database, "").await
    }

    /// With more settings, as the text of a file.
    pub async fn start_with(database: Database, more: &str) -> Self {
        leaks::listen();
        let folder = Folder::new();
        let url = database.url(&folder).await;
        let settings = Settings::parse(&format!(
            "[database]\nurl = \"{url}\"\n[secrets]\nkey_file = \"{}\"\n\
             [audit]\nspool_file = \"{}\"\n[events]\nkeep_days = 0\nspool_file = \"{}\"\n\
             [cameras]\nallow_networks = [\"127.0.0.0/8\"]\n{}{more}",
            folder.path("key").display(),
            folder.path("spool").display(),
            folder.path("events.spool").display(),
            // Each of them a reserve of its own would be much.
            if more.contains("[disk]") { "" } else { "[disk]\nreserve_bytes = 0\n" }
        ))
        .unwrap();
        let mut house = Self::run(folder, settings, TestClock::default(), [FREE; 2]).await;
        house.furnish().await;
        house
    }

    /// Runs a gateway with its data in `folder`, HTTP and RTSP at `at`.
    async fn run(folder: Folder, settings: Settings, clock: TestClock, at: [SocketAddr; 2]) -> Self {
        let bind = async |at| tokio::net::TcpListener::bind(at).await.unwrap();
        let udp = tokio::net::UdpSocket::bind(FREE).await.unwrap();
        let (http, rtsp) = (bind(at[0]).await, Some(bind(at[1]).await));
        let listeners = Listeners { http, rtsp, webrtc: Some((udp, bind(FREE).await)) };
        let http = listeners.http.local_addr().unwrap();
        let rtsp = listeners.rtsp.as_ref().unwrap().local_addr().unwrap();
        let app = App::build(&settings, Arc::new(clock.clone())).await.unwrap();
        let (store, fleet, changes) = (Arc::clone(app.store()), Arc::clone(app.fleet()), app.changed());
        let (decoder, web) = (Arc::clone(app.decoder()), app.web().clone());
        let whep = app.whep().unwrap().clone();
        let setup_token = app.setup_token().map(str::to_owned);
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(app.run(listeners, async {
            let _ = stopped.await;
        }));
        Self {
            http,
            rtsp,
            store,
            fleet,
            decoder,
            web,
            whep,
            site: SiteId::from_random(random()),
            gate: PlaceId::from_random(random()),
            lobby: PlaceId::from_random(random()),
            setup_token,
            settings,
            clock,
            changes,
            stop: Some(stop),
            running: Some(running),
            folder,
        }
    }

    /// Stops and starts with the same data at the same addresses.
    pub async fn restart(self) -> Self {
        let (settings, clock, at) = (self.settings.clone(), self.clock.clone(), [self.http, self.rtsp]);
        let (site, gate, lobby) = (self.site.clone(), self.gate.clone(), self.lobby.clone());
        let mut again = Self::run(self.stop().await, settings, clock, at).await;
        (again.site, again.gate, again.lobby) = (site, gate, lobby);
        again
    }

    /// Starts with the data of one that was stopped, at other addresses.
    pub async fn again(
        folder: Folder,
        settings: Settings,
        clock: TestClock,
        (site, gate, lobby): (SiteId, PlaceId, PlaceId),
    ) -> Self {
        let mut again = Self::run(folder, settings, clock, [FREE; 2]).await;
        (again.site, again.gate, again.lobby) = (site, gate, lobby);
        again
    }

    async fn furnish(&mut self) {
        let now = self.clock.now();
        self.store
            .add_site(&Site {
                id: self.site.clone(),
                name: "幸福里".into(),
                kind: SiteKind::Compound,
                time_zone: "Asia/Shanghai".into(),
                resident_policy: ResidentPolicy::Approved,
                created_at: now,
            })
            .await
            .unwrap();
        for (id, name, kind) in
            [(&self.gate, "east gate", PlaceKind::Gate), (&self.lobby, "lobby 3", PlaceKind::Lobby)]
        {
            let place = Place {
                id: id.clone(),
                site_id: self.site.clone(),
                parent_id: None,
                name: name.into(),
                kind,
                created_at: now,
            };
            self.store.add_place(&place).await.unwrap();
        }
    }

    /// A site besides this one.
    pub async fn another_site(&self) -> SiteId {
        let site = Site {
            id: SiteId::from_random(random()),
            name: "another".into(),
            kind: SiteKind::Village,
            time_zone: "Asia/Shanghai".into(),
            resident_policy: ResidentPolicy::Approved,
            created_at: self.clock.now(),
        };
        self.store.add_site(&site).await.unwrap();
        site.id
    }

    /// Registers a camera at the gate that residents may see.
    pub async fn camera(&self, main_url: &str) -> CameraId {
        self.camera_like(main_url, |_| {}).await
    }

    /// Registers a camera after `change` has had its way with it.
    pub async fn camera_like(&self, main_url: &str, change: impl FnOnce(&mut Camera)) -> CameraId {
        let mut camera = camera_at(&self.site, &self.gate, main_url);
        change(&mut camera);
        self.store.add_camera(&camera).await.unwrap();
        self.changed();
        let id = web::source::stream_id(&camera.id, domain::camera::StreamKind::Main);
        until(|| self.fleet.hub(&id).is_some()).await;
        camera.id
    }

    /// Says that the store was changed behind the API's back.
    pub fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    /// Does something to the database behind everybody's back.
    pub async fn sql(&self, sql: &str) {
        let mut connection = sqlx::AnyConnection::connect(&self.settings.database).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Counts something in the database behind everybody's back.
    pub async fn sql_count(&self, sql: &str) -> i64 {
        let mut connection = sqlx::AnyConnection::connect(&self.settings.database).await.unwrap();
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await;
        connection.close().await.unwrap();
        count.unwrap()
    }

    pub fn hub(&self, camera: &CameraId) -> Hub {
        let id = web::source::stream_id(camera, domain::camera::StreamKind::Main);
        self.fleet.hub(&id).expect("the camera is registered")
    }

    /// Somebody who may sign in and nothing more.
    pub async fn person(&self, login: &str) -> Person {
        let person = Person {
            id: PersonId::from_random(random()),
            login: login.into(),
            name: format!("name of {login}"),
            locale: "zh-CN".into(),
            password_hash: hash().await,
            disabled: false,
            created_at: self.clock.now(),
        };
        self.store.add_person(&person).await.unwrap();
        person
    }

    /// Signs in as a new person with this role. Residents live at the lobby, in
    /// a household that is approved for the whole site.
    pub async fn sign_in_as(&self, role: Role) -> Client {
        let login = format!("{}-{}", role.word(), token::hex(&random::<4>()));
        let person = self.person(&login).await;
        if role == Role::Resident {
            let household = self.household(&login).await;
            self.store.add_member(&household, &person.id, self.clock.now()).await.unwrap();
            self.store.add_approval(&self.approval(Subject::Household(household), &person)).await.unwrap();
        } else {
            self.store.add_grant(&self.grant(&person, role)).await.unwrap();
        }
        self.signed_in(&person).await
    }

    /// A browser in which this person is signed in.
    pub async fn signed_in(&self, person: &Person) -> Client {
        let (token, now) = (token::new(), self.clock.now());
        leaks::secret(&token);
        let session = Session {
            id: SessionId::from_random(random()),
            person_id: person.id.clone(),
            token_hash: token::hash(&token),
            by: SignedInBy::Password,
            user_agent: "test".into(),
            created_at: now,
            seen_at: now,
            expires_at: now.after(std::time::Duration::from_secs(3_600)),
        };
        assert!(self.store.add_session(&session, &person.password_hash).await.unwrap());
        let mut client = self.client();
        client.cookie = Some(format!("session={token}"));
        client
    }

    /// A role for this site, for good.
    pub fn grant(&self, person: &Person, role: Role) -> Grant {
        Grant {
            id: GrantId::from_random(random()),
            person_id: person.id.clone(),
            role,
            site_id: (role != Role::Owner).then(|| self.site.clone()),
            zone: None,
            from: self.clock.now(),
            until: None,
        }
    }

    /// A household in a unit of its own, with its entrance at the lobby.
    pub async fn household(&self, label: &str) -> HouseholdId {
        let unit = Unit {
            id: UnitId::from_random(random()),
            site_id: self.site.clone(),
            entrance_id: self.lobby.clone(),
            label: label.into(),
            created_at: self.clock.now(),
        };
        let household = Household {
            id: HouseholdId::from_random(random()),
            unit_id: unit.id.clone(),
            from: self.clock.now(),
            until: None,
        };
        self.store.add_unit(&unit).await.unwrap();
        self.store.add_household(&household).await.unwrap();
        household.id
    }

    /// A granted approval for the whole site, for a day.
    pub fn approval(&self, subject: Subject, requested_by: &Person) -> Approval {
        let now = self.clock.now();
        Approval {
            id: ApprovalId::from_random(random()),
            site_id: self.site.clone(),
            subject,
            cameras: CameraSet::Site,
            state: State::Granted,
            from: now,
            until: now.after(std::time::Duration::from_secs(24 * 3_600)),
            schedule: None,
            message: String::new(),
            requested_by: requested_by.id.clone(),
            requested_at: now,
            decided_by: None,
            decided_at: None,
            reason: None,
            renews: None,
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.http)
    }

    /// A door at `place` and its token.
    pub async fn door(&self, place: &PlaceId) -> (DeviceId, String) {
        self.device(place, DeviceKind::Door).await
    }

    /// Registers a device; answers it and its token.
    pub async fn device(&self, place: &PlaceId, kind: DeviceKind) -> (DeviceId, String) {
        let token = token::new();
        leaks::secret(&token);
        let device = Device {
            id: DeviceId::from_random(random()),
            site_id: self.site.clone(),
            place_id: place.clone(),
            name: "door".into(),
            kind,
            token_hash: Some(token::hash(&token)),
            household_id: None,
            parts: Vec::new(),
            mqtt_topic: None,
            pull: None,
            created_at: self.clock.now(),
        };
        self.store.add_device(&device).await.unwrap();
        (device.id, token)
    }

    /// The address of a camera's main stream for a player with this key.
    pub fn player_url(&self, key: &client::Key, camera: &CameraId) -> String {
        format!("rtsp://{}:{}@{}/{camera}/main", key.login, key.key, self.rtsp)
    }

    /// Stops the gateway as a signal would and waits for it.
    pub async fn stop(mut self) -> Folder {
        drop(self.stop.take());
        assert!(self.running.take().unwrap().await.unwrap(), "it did not stop by itself");
        std::mem::take(&mut self.folder)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        leaks::look_into(&self.folder.path(""));
        leaks::look_into_database(&self.settings.database);
        leaks::assert_nothing_leaked();
    }
}

pub fn camera_at(site: &SiteId, place: &PlaceId, main_url: &str) -> Camera {
    Camera {
        id: CameraId::from_random(random()),
        site_id: site.clone(),
        place_id: place.clone(),
        name: "gate camera".into(),
        main_url: main_url.into(),
        sub_url: None,
        username: None,
        password: None,
        allow_basic: false,
        transport: Transport::Tcp,
        pull: Pull::OnDemand,
        purpose: "public safety".into(),
        responsible_unit: "property office".into(),
        visibility: Visibility::Residents,
        audio_reason: None,
        retention: Retention::default(),
        position: None,
        created_at: SystemClock.now(),
    }
}

/// Everybody who ever watched a camera, the newest first.
pub async fn viewings(store: &Store, camera: &CameraId) -> Vec<Viewing> {
    let (since, until) = (Timestamp(0), Timestamp(i64::MAX));
    let filter = ViewingFilter {
        camera: camera.clone(),
        since,
        until,
        after: None,
        no_incident_since: None,
        limit: 500,
    };
    let rows = store.viewings(&filter).await.unwrap();
    rows.into_iter().map(|(_, viewing)| viewing).collect()
}

/// Waits until something holds, and fails if it does not within 20 s.
pub async fn until(holds: impl FnMut() -> bool) {
    until_within(std::time::Duration::from_secs(20), holds).await;
}

pub async fn until_within(limit: std::time::Duration, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(limit, waiting).await.expect("it should have come true");
}
