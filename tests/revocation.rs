//! C01: a right that is withdrawn ends every open picture, on every transport,
//! for every reason there is; nobody else notices.

use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::live::{Heard, Live};
use crate::support::{House, until};
use camsim::viewers::{Viewer, frames};
use domain::approval::Subject;
use domain::person::Person;
use domain::repository::{Persons as _, Rights as _};
use domain::role::Role;
use domain::{CameraId, Clock as _, HouseholdId};
use serde_json::json;
use sharp_eyes::clock::SystemClock;
use std::time::Duration;
use tokio::time::Instant;

/// From the API's answer to the last byte, at most.
const PROMISE: Duration = Duration::from_secs(2);
const TRIALS: usize = 20;

/// Why a resident's right ends. Each is done as people do it, through the API,
/// where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    ApprovalRevoked,
    ApprovalExpired,
    MovedOut,
    MemberLeft,
    AccountDisabled,
    SignedOut,
    KeyDeleted,
    CameraHidden,
    PolicyOff,
    IncidentClosed,
}

const REASONS: [Reason; 10] = [
    Reason::ApprovalRevoked,
    Reason::ApprovalExpired,
    Reason::MovedOut,
    Reason::MemberLeft,
    Reason::AccountDisabled,
    Reason::SignedOut,
    Reason::KeyDeleted,
    Reason::CameraHidden,
    Reason::PolicyOff,
    Reason::IncidentClosed,
];

struct Stage {
    house: House,
    owner: Client,
    camera: CameraId,
}

struct Resident {
    person: Person,
    client: Client,
    household: HouseholdId,
    approval: String,
}

impl Stage {
    async fn resident(&self, reason: Reason) -> Resident {
        let login = format!("r-{}", web::token::hex(&web::token::random::<6>()));
        let person = self.house.person(&login).await;
        let household = self.house.household(&login).await;
        self.house.store.add_member(&household, &person.id, SystemClock.now()).await.unwrap();
        let mut approval = self.house.approval(Subject::Household(household.clone()), &person);
        if reason == Reason::ApprovalExpired {
            approval.until = SystemClock.now().after(Duration::from_millis(1_500));
        }
        self.house.store.add_approval(&approval).await.unwrap();
        let client = self.house.signed_in(&person).await;
        Resident { person, client, household, approval: approval.id.to_string() }
    }

    async fn policy(&self, policy: &str) {
        let path = format!("/api/v1/sites/{}", self.house.site);
        assert_eq!(self.owner.patch(&path, json!({ "resident_policy": policy })).await.0, 200);
    }

    async fn sql(&self, sql: &'static str) {
        let url = format!("sqlite:{}", self.house.folder.path("test.db").display());
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        sqlx::query(sql).bind(self.house.site.as_str()).execute(&pool).await.unwrap();
        pool.close().await;
        self.house.changed();
    }

    /// What must hold before anybody watches.
    async fn prepare(&self, reason: Reason) {
        if reason == Reason::IncidentClosed {
            self.sql("insert into incidents (id, site_id, opened_at) values ('i', $1, 1)").await;
            self.policy("incident").await;
        }
    }

    /// Ends the right; answers when the API has.
    async fn end(&self, reason: Reason, who: &Resident, key: &str) -> Instant {
        let camera = format!("/api/v1/cameras/{}", self.camera);
        let done = match reason {
            Reason::ApprovalRevoked => {
                let path = format!("/api/v1/approvals/{}/revoke", who.approval);
                self.owner.post(&path, json!({ "reason": "moved away" })).await.0.as_u16()
            }
            Reason::ApprovalExpired => 200,
            Reason::MovedOut => {
                self.owner.delete(&format!("/api/v1/households/{}", who.household)).await.as_u16()
            }
            Reason::MemberLeft => {
                let path = format!("/api/v1/households/{}/members/{}", who.household, who.person.id);
                self.owner.delete(&path).await.as_u16()
            }
            Reason::AccountDisabled => {
                let path = format!("/api/v1/persons/{}", who.person.id);
                self.owner.patch(&path, json!({ "disabled": true })).await.0.as_u16()
            }
            Reason::SignedOut => who.client.delete("/api/v1/session").await.as_u16(),
            Reason::KeyDeleted => who.client.delete(&format!("/api/v1/viewer-keys/{key}")).await.as_u16(),
            Reason::CameraHidden => {
                self.owner.patch(&camera, json!({ "visibility": "patrol" })).await.0.as_u16()
            }
            Reason::PolicyOff => {
                self.policy("off").await;
                200
            }
            Reason::IncidentClosed => {
                self.sql("update incidents set closed_at = 2 where site_id = $1").await;
                200
            }
        };
        assert!([200, 204].contains(&done), "{reason:?}: {done}");
        let now = Instant::now();
        // It ends by itself, up to 1.5 s after it was given.
        if reason == Reason::ApprovalExpired { now + Duration::from_millis(1_500) } else { now }
    }

    /// Puts back what the next trial needs.
    async fn restore(&self, reason: Reason) {
        match reason {
            Reason::CameraHidden => {
                let path = format!("/api/v1/cameras/{}", self.camera);
                self.owner.patch(&path, json!({ "visibility": "residents" })).await;
            }
            Reason::PolicyOff => self.policy("approved").await,
            Reason::IncidentClosed => {
                self.policy("approved").await;
                self.sql("delete from incidents where site_id = $1").await;
            }
            _ => {}
        }
    }

    /// Time from the end of the right to the last byte, by WebSocket and by RTSP.
    async fn trial(&self, reason: Reason) -> (Option<Duration>, Option<Duration>) {
        self.prepare(reason).await;
        let who = self.resident(reason).await;
        let key = who.client.key().await;
        let path = format!("{}/main", self.camera);
        let login = Some((key.login.as_str(), key.key.as_str()));
        let mut player = Viewer::play(self.house.rtsp, &path, login).await.unwrap();
        let mut page = Live::open(&who.client, &self.camera).await;
        player.packet().await.unwrap();
        page.binary().await;

        let reading = async {
            let mut last = Instant::now();
            loop {
                match page.next().await {
                    Heard::Binary(_) => last = Instant::now(),
                    Heard::Text(_) => {}
                    Heard::Closed(code) => return (last, code),
                }
            }
        };
        let playing = async {
            let mut last = Instant::now();
            while player.packet().await.is_ok() {
                last = Instant::now();
            }
            last
        };
        let (by_page, by_player) = (reason != Reason::KeyDeleted, reason != Reason::SignedOut);
        let limit = PROMISE + Duration::from_secs(3);
        let (ended, page_end, player_end) = tokio::join!(
            self.end(reason, &who, &key.id),
            async { if by_page { tokio::time::timeout(limit, reading).await.ok() } else { None } },
            async { if by_player { tokio::time::timeout(limit, playing).await.ok() } else { None } },
        );
        assert_eq!(
            (page_end.is_some(), player_end.is_some()),
            (by_page, by_player),
            "{reason:?} did not end it"
        );
        if let Some((_, code)) = page_end {
            assert!(matches!(code, Some(4001 | 4002)), "{reason:?}: closed with {code:?}");
        }
        // And it does not begin anew.
        if by_page {
            let again = Live::try_open(&who.client, &self.camera, "main").await.err();
            assert!(matches!(again, Some(401 | 404)), "{reason:?}: {again:?}");
        }
        if by_player {
            assert!(Viewer::play(self.house.rtsp, &path, login).await.is_err(), "{reason:?}");
        }
        self.restore(reason).await;
        let after = |last: Instant| last.saturating_duration_since(ended);
        (page_end.map(|(last, _)| after(last)), player_end.map(after))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c01_a_withdrawn_right_ends_every_picture_within_two_seconds() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start_on(Database::Sqlite).await;
    let camera = house.camera(&cameras.url("a")).await;
    let owner = house.sign_in_as(Role::Owner).await;
    let guard = house.sign_in_as(Role::Patrol).await.key().await;
    let path = format!("{camera}/main");
    let login = Some((guard.login.as_str(), guard.key.as_str()));
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(Viewer::play(house.rtsp, &path, login).await.unwrap());
    }
    let stage = Stage { house, owner, camera };
    let hub = stage.house.hub(&stage.camera);
    let frames_now = || relay::hub::Stats::get(&hub.stats().frames);
    let first = frames_now();
    let watching = others.into_iter().map(|mut viewer| {
        tokio::spawn(async move { (frames(&mut viewer, 60, Duration::from_secs(120)).await, viewer) })
    });
    let watching: Vec<_> = watching.collect();

    let (mut pages, mut players) = (Vec::new(), Vec::new());
    for reason in REASONS {
        let (mut worst, trials) =
            (Duration::ZERO, if reason == Reason::ApprovalExpired { 3 } else { TRIALS });
        for _ in 0..trials {
            let (page, player) = stage.trial(reason).await;
            worst = worst.max(page.unwrap_or_default()).max(player.unwrap_or_default());
            pages.extend(page);
            players.extend(player);
        }
        println!("{reason:?}: last byte at most {worst:?} after the answer");
        assert!(worst <= PROMISE, "{reason:?}: {worst:?}");
    }
    for (transport, mut times) in [("websocket", pages), ("rtsp", players)] {
        times.sort();
        println!(
            "{transport}: median {:?}, worst {:?} of {}",
            times[times.len() / 2],
            times[times.len() - 1],
            times.len()
        );
    }
    until(|| frames_now() > first + 60).await;
    for task in watching {
        let (stamps, _viewer) = task.await.unwrap();
        assert_eq!(stamps.len(), 60);
        assert!(stamps.windows(2).all(|w| w[1].wrapping_sub(w[0]) == 9_000), "another viewer was disturbed");
    }
}

/// C02: the signal is lost; the lease makes it good.
#[tokio::test(flavor = "multi_thread")]
async fn c02_a_lost_signal_is_made_good_before_the_lease_is_over() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut live = Live::open(&resident, &id).await;
    live.binary().await;
    let (_, me) = resident.get("/api/v1/session").await;
    let me = domain::PersonId::parse(me["person"]["id"].as_str().unwrap()).unwrap();
    // Behind everybody's back: nothing is said.
    let began = Instant::now();
    house.store.remove_credentials(&me).await.unwrap();
    let code = tokio::time::timeout(Duration::from_secs(30), live.closed()).await;
    assert!(matches!(code, Ok(Some(4001 | 4002))), "{code:?} after {:?}", began.elapsed());
}
