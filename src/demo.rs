//! The demo's world: one compound, one village, eight virtual cameras, doors,
//! an alarm button, ten households that defend each other, and people, in a fresh folder.

use crate::app::{BuildError, open_store};
use crate::clock::SystemClock;
use crate::settings::Settings;
use domain::approval::{Approval, CameraSet, State, Subject};
use domain::camera::{Camera, Pull, Retention, Transport, Visibility};
use domain::device::{Device, DeviceKind};
use domain::group::Group;
use domain::household::{Household, Unit};
use domain::incident::repository::Groups as _;
use domain::person::Person;
use domain::place::{Place, PlaceKind};
use domain::repository::{Cameras as _, Devices as _, Persons as _, Rights as _, Sites as _};
use domain::role::{Grant, Role};
use domain::site::{ResidentPolicy, Site, SiteKind};
use domain::{
    ApprovalId, CameraId, Clock as _, DeviceId, GrantId, GroupId, HouseholdId, PersonId, PlaceId, Secret,
    SiteId, Timestamp, UnitId,
};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::Store;
use web::password::Passwords;
use web::token::{self, random};

/// What `seed-demo` is told.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The folder to fill; it must not be there yet.
    #[arg(long, default_value = "data/demo")]
    folder: PathBuf,
    /// Where the app listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Where RTSP players connect.
    #[arg(long, default_value = "127.0.0.1:8554")]
    rtsp: SocketAddr,
    /// Where browsers connect by WebRTC.
    #[arg(long, default_value = "127.0.0.1:8189")]
    webrtc: SocketAddr,
    /// Where the virtual cameras are.
    #[arg(long, default_value = "127.0.0.1:8600")]
    cameras: SocketAddr,
}

/// Why the demo cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder.
    #[error("{0}: {1}")]
    File(String, io::Error),
    /// The gateway's own reasons.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The database.
    #[error(transparent)]
    Repository(#[from] domain::repository::Error),
    /// The settings that were written.
    #[error(transparent)]
    Settings(#[from] crate::settings::Error),
}

/// A virtual camera: place, name, path of the main stream, whether it has a
/// sub-stream, whether residents may see it, whether it has sound.
struct Row(usize, &'static str, &'static str, bool, Visibility, bool);

const CAMERAS: &[Row] = &[
    Row(0, "东门 East gate", "gate", true, Visibility::Residents, true),
    Row(1, "中心十字路口 Central crossroads", "crossroad", true, Visibility::Residents, false),
    Row(2, "3号楼大厅 Building 3 lobby", "lobby", true, Visibility::Residents, false),
    Row(3, "停车场 Car park (H.265)", "parking", false, Visibility::Residents, false),
    Row(3, "停车场岗亭 Car park booth", "booth", true, Visibility::Patrol, false),
    Row(4, "村口 Village entrance", "village-gate", true, Visibility::Residents, false),
    Row(5, "村中路口 Village crossroads", "village-crossroad", true, Visibility::Residents, false),
    Row(6, "村委会门前 Committee office", "committee", true, Visibility::Patrol, false),
];

const PLACES: &[(usize, &str, PlaceKind)] = &[
    (0, "东门 East gate", PlaceKind::Gate),
    (0, "中心十字路口 Central crossroads", PlaceKind::Crossroads),
    (0, "3号楼大厅 Building 3 lobby", PlaceKind::Lobby),
    (0, "停车场 Car park", PlaceKind::Parking),
    (1, "村口 Village entrance", PlaceKind::Gate),
    (1, "村中路口 Village crossroads", PlaceKind::Crossroads),
    (1, "村委会 Committee office", PlaceKind::Office),
];

/// The flats of the resident's neighbours: `neighbour1@demo` lives in the first.
const NEIGHBOURS: &[&str] =
    &["3-1-101", "3-1-102", "3-1-201", "3-1-202", "3-1-302", "3-1-401", "3-1-402", "3-1-501", "3-1-601"];

/// Fills the folder: settings, database, accounts, device tokens, camera login.
pub async fn seed(arguments: &Arguments) -> Result<(), Error> {
    let folder = &arguments.folder;
    let file = |name: &str| folder.join(name);
    let io = |path: &Path| {
        let name = path.display().to_string();
        move |error| Error::File(name, error)
    };
    fs::create_dir_all(folder.parent().unwrap_or(folder)).map_err(io(folder))?;
    fs::create_dir(folder).map_err(io(folder))?;
    let config = settings(arguments);
    fs::write(file("config.toml"), &config).map_err(io(&file("config.toml")))?;
    let store = open_store(&Settings::parse(&config)?).await?;

    let world = World { store, passwords: Passwords::default(), now: SystemClock.now() };
    let sites = world.sites().await?;
    let places = world.places(&sites).await?;
    let camera_password = token::hex(&random::<8>());
    world.cameras(&sites, &places, arguments.cameras, &camera_password).await?;
    let accounts = world.people(&sites, &places).await?;
    let devices = world.devices(&sites, &places).await?;
    world.store.close().await;

    for (name, text) in [
        ("accounts.json", Value::Object(accounts).to_string()),
        ("devices.json", Value::Object(devices).to_string()),
        ("camera-login", format!("demo:{camera_password}")),
    ] {
        let path = file(name);
        let mut out =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(io(&path))?;
        writeln!(out, "{text}").map_err(io(&path))?;
    }
    Ok(())
}

fn settings(arguments: &Arguments) -> String {
    let folder = arguments.folder.display();
    format!(
        "[http]\nlisten = \"{}\"\n\n[rtsp]\nlisten = \"{}\"\n\n[webrtc]\nlisten = \"{}\"\n\n[database]\nurl = \"sqlite:{folder}/sharp-eyes.db\"\n\n\
         [secrets]\nkey_file = \"{folder}/sealing.key\"\n\n\
         [cameras]\n# The virtual cameras are on this machine.\nallow_networks = [\"127.0.0.0/8\"]\n",
        arguments.http, arguments.rtsp, arguments.webrtc
    )
}

struct World {
    store: Store,
    passwords: Passwords,
    now: Timestamp,
}

impl World {
    async fn sites(&self) -> Result<Vec<SiteId>, Error> {
        let mut ids = Vec::new();
        for (name, kind) in
            [("幸福里小区 Xingfuli", SiteKind::Compound), ("柳河村 Liuhe village", SiteKind::Village)]
        {
            let site = Site {
                id: SiteId::from_random(random()),
                name: name.into(),
                kind,
                time_zone: "Asia/Shanghai".into(),
                resident_policy: ResidentPolicy::Approved,
                created_at: self.now,
            };
            self.store.add_site(&site).await?;
            ids.push(site.id);
        }
        Ok(ids)
    }

    async fn places(&self, sites: &[SiteId]) -> Result<Vec<PlaceId>, Error> {
        let mut ids = Vec::new();
        for (site, name, kind) in PLACES {
            let place = Place {
                id: PlaceId::from_random(random()),
                site_id: pick(sites, *site),
                parent_id: None,
                name: (*name).into(),
                kind: *kind,
                created_at: self.now,
            };
            self.store.add_place(&place).await?;
            ids.push(place.id);
        }
        Ok(ids)
    }

    async fn cameras(
        &self,
        sites: &[SiteId],
        places: &[PlaceId],
        at: SocketAddr,
        password: &str,
    ) -> Result<(), Error> {
        for Row(place, name, path, has_sub, visibility, has_sound) in CAMERAS {
            let site = PLACES.get(*place).map_or(0, |(site, ..)| *site);
            let camera = Camera {
                id: CameraId::from_random(random()),
                site_id: pick(sites, site),
                place_id: pick(places, *place),
                name: (*name).into(),
                main_url: format!("rtsp://{at}/{path}"),
                sub_url: has_sub.then(|| format!("rtsp://{at}/{path}-sub")),
                username: Some("demo".into()),
                password: Some(Secret::new(password)),
                allow_basic: false,
                transport: Transport::Tcp,
                pull: Pull::OnDemand,
                purpose: "公共安全 public safety".into(),
                responsible_unit: "物业服务中心 property office".into(),
                visibility: *visibility,
                audio_reason: has_sound.then(|| "演示 demo: the bundled clip has sound".into()),
                retention: Retention::default(),
                position: None,
                created_at: self.now,
            };
            self.store.add_camera(&camera).await?;
        }
        Ok(())
    }

    /// Login → password.
    async fn people(&self, sites: &[SiteId], places: &[PlaceId]) -> Result<Map<String, Value>, Error> {
        let mut accounts = Map::new();
        let mut ids = Vec::new();
        for (login, name, roles) in [
            ("owner@demo", "王主任", vec![(Role::Owner, None)]),
            ("patrol@demo", "李巡逻", vec![(Role::Patrol, Some(0)), (Role::Patrol, Some(1))]),
            ("resident@demo", "张阿姨", vec![]),
            ("newcomer@demo", "新住户", vec![]),
        ] {
            let person = self.person(&mut accounts, login, name).await?;
            for (role, site) in roles {
                let grant = Grant {
                    id: GrantId::from_random(random()),
                    person_id: person.clone(),
                    role,
                    site_id: site.map(|n| pick(sites, n)),
                    zone: None,
                    from: self.now,
                    until: None,
                };
                self.store.add_grant(&grant).await?;
            }
            ids.push(person);
        }
        // The resident's household is approved, the newcomer's not yet.
        let site = pick(sites, 0);
        let owner = pick(&ids, 0);
        let mut homes = Vec::new();
        for (label, member, approved) in [("3-1-502", pick(&ids, 2), true), ("3-1-301", pick(&ids, 3), false)]
        {
            let household = self.household(&site, &pick(places, 2), label).await?;
            self.store.add_member(&household, &member, self.now).await?;
            homes.push((household.clone(), member.clone()));
            let approval = Approval {
                id: ApprovalId::from_random(random()),
                site_id: site.clone(),
                subject: Subject::Household(household),
                cameras: CameraSet::Site,
                state: if approved { State::Granted } else { State::Requested },
                from: self.now,
                until: self.now.after(Duration::from_secs(365 * 24 * 3_600)),
                schedule: None,
                message: String::new(),
                requested_by: member,
                requested_at: self.now,
                decided_by: approved.then(|| owner.clone()),
                decided_at: approved.then_some(self.now),
                reason: None,
                renews: None,
            };
            self.store.add_approval(&approval).await?;
        }
        for (n, label) in (1..).zip(NEIGHBOURS) {
            let login = format!("neighbour{n}@demo");
            let person = self.person(&mut accounts, &login, &format!("邻居{n}")).await?;
            let household = self.household(&site, &pick(places, 2), label).await?;
            self.store.add_member(&household, &person, self.now).await?;
            homes.push((household, person));
        }
        self.group(&site, &homes).await?;
        Ok(accounts)
    }

    /// Somebody with a random password, which goes into `accounts`.
    async fn person(
        &self,
        accounts: &mut Map<String, Value>,
        login: &str,
        name: &str,
    ) -> Result<PersonId, Error> {
        let password = token::hex(&random::<6>());
        let person = Person {
            id: PersonId::from_random(random()),
            login: login.into(),
            name: name.into(),
            locale: "zh-CN".into(),
            password_hash: self.passwords.hash(Secret::new(password.as_str())).await,
            disabled: false,
            created_at: self.now,
        };
        self.store.add_person(&person).await?;
        accounts.insert(login.into(), json!(password));
        Ok(person.id)
    }

    /// All of these households receive each other's alarms.
    async fn group(&self, site: &SiteId, homes: &[(HouseholdId, PersonId)]) -> Result<(), Error> {
        let group = Group {
            id: GroupId::from_random(random()),
            site_id: site.clone(),
            name: "3号楼1单元联防组 Building 3 joint defence".into(),
            created_at: self.now,
            ended_at: None,
            members: Vec::new(),
        };
        self.store.add_group(&group).await?;
        for (household, person) in homes {
            self.store.join_group(&group.id, household, person, self.now).await?;
        }
        Ok(())
    }

    async fn household(&self, site: &SiteId, entrance: &PlaceId, label: &str) -> Result<HouseholdId, Error> {
        let unit = Unit {
            id: UnitId::from_random(random()),
            site_id: site.clone(),
            entrance_id: entrance.clone(),
            label: label.into(),
            created_at: self.now,
        };
        let household = Household {
            id: HouseholdId::from_random(random()),
            unit_id: unit.id.clone(),
            from: self.now,
            until: None,
        };
        self.store.add_unit(&unit).await?;
        self.store.add_household(&household).await?;
        Ok(household.id)
    }

    /// Name → id and token.
    async fn devices(&self, sites: &[SiteId], places: &[PlaceId]) -> Result<Map<String, Value>, Error> {
        let mut devices = Map::new();
        for (key, name, place, kind) in [
            ("east-gate-door", "东门门禁 East gate door", 0, DeviceKind::Door),
            ("building-3-door", "3号楼门禁 Building 3 door", 2, DeviceKind::Door),
            ("booth-button", "岗亭报警按钮 Booth alarm button", 3, DeviceKind::Button),
        ] {
            let token = token::new();
            let device = Device {
                id: DeviceId::from_random(random()),
                site_id: pick(sites, 0),
                place_id: pick(places, place),
                name: name.into(),
                kind,
                token_hash: Some(token::hash(&token)),
                household_id: None,
                parts: Vec::new(),
                mqtt_topic: None,
                pull: None,
                created_at: self.now,
            };
            self.store.add_device(&device).await?;
            devices.insert(key.into(), json!({ "id": device.id, "token": token }));
        }
        Ok(devices)
    }
}

/// The tables above name each other by position.
fn pick<T: Clone>(list: &[T], n: usize) -> T {
    list.get(n).cloned().expect("the demo's tables name rows that are there")
}
