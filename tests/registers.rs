//! The registers: who joined, who was let in, who watched, who did what; and that
//! nobody can change it unseen.

use crate::support::House;
use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::database::{BOTH, Database, open};
use crate::support::live::Live;
use domain::audit::{Entry, Head};
use domain::repository::{Registers as _, Rights as _};
use domain::role::Role;
use domain::viewing::{Purpose, Viewing, ViewingTransport};
use domain::{CameraId, Clock as _, HouseholdId, PersonId, SiteId, Timestamp, ViewingId};
use serde_json::{Value, json};
use sharp_eyes::audit::verify;
use sqlx::Executor as _;
use web::token::random;

async fn ok(answer: (reqwest::StatusCode, Value)) -> Value {
    assert!(answer.0.is_success(), "{answer:?}");
    answer.1
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_household_is_invited_approved_watches_and_is_in_the_register() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start_on(Database::Postgres).await;
    let camera = house.camera(&cameras.url("a")).await;
    let owner = house.sign_in_as(Role::Owner).await;
    let unit = json!({ "entrance_id": house.lobby, "label": "3-1-502" });
    let unit = ok(owner.post("/api/v1/units", unit).await).await;
    let household = ok(owner.post("/api/v1/households", json!({ "unit_id": unit["id"] })).await).await;
    let household = text(&household, "id");
    let invite = async || {
        let invitation = json!({ "household_id": household });
        text(&ok(owner.post("/api/v1/invitations", invitation).await).await, "token")
    };
    let join = |token: &str, login: &str| json!({ "token": token, "login": login, "name": "Zhang", "password": "a long password" });
    let token = invite().await;
    let mut zhang = house.client();
    let (status, problem) = zhang.post("/api/v1/join", join("0000", "zhang")).await;
    assert_eq!((status.as_u16(), &problem["type"]), (410, &json!("link-over")));
    let request = zhang.request(reqwest::Method::POST, "/api/v1/join").json(&join(&token, "zhang"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 201);
    zhang.take_cookie(&response);
    assert_eq!(
        zhang.post("/api/v1/join", join(&token, "li")).await.0.as_u16(),
        410,
        "an invitation is used once"
    );

    // Not approved yet: nothing is seen, and it is known what is waited for.
    assert_eq!(zhang.get("/api/v1/cameras").await.1["items"], json!([]));
    assert_eq!(Live::try_open(&zhang, &camera, "main").await.err(), Some(404));
    let mine = ok(zhang.get("/api/v1/approvals").await).await;
    assert_eq!(mine["items"][0]["state"], "requested");
    let approval = text(&mine["items"][0], "id");
    let decide = async |who: &Client, how: &str, body: Value| {
        who.post(&format!("/api/v1/approvals/{approval}/{how}"), body).await
    };
    assert_eq!(decide(&zhang, "grant", json!({})).await.0.as_u16(), 403, "nobody approves themselves");
    let (status, problem) = decide(&owner, "grant", json!({ "until": "2020-01-01T00:00:00Z" })).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/until")));
    let (status, problem) = decide(&owner, "grant", json!({ "schedule": [] })).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/schedule")));
    assert_eq!(ok(decide(&owner, "grant", json!({})).await).await["state"], "granted");

    // A second member inherits.
    let mut li = house.client();
    let request = li.request(reqwest::Method::POST, "/api/v1/join").json(&join(&invite().await, "li"));
    li.take_cookie(&request.send().await.unwrap());
    for member in [&zhang, &li] {
        assert_eq!(member.get("/api/v1/cameras").await.1["items"][0]["id"], json!(camera));
        Live::open(member, &camera).await.binary().await;
    }
    let allowed = ok(owner.get(&format!("/api/v1/cameras/{camera}/viewers-allowed")).await).await;
    assert_eq!(allowed["items"].as_array().unwrap().len(), 3, "{allowed}");
    let (_, me) = zhang.get("/api/v1/session").await;
    let as_zhang = format!("/api/v1/persons/{}/cameras", text(&me["person"], "id"));
    assert_eq!(ok(owner.get(&as_zhang).await).await["items"][0]["allowed"], true);

    // They read who watched: roles and times, their own name and no other.
    let register = ok(zhang.get(&format!("/api/v1/cameras/{camera}/viewings")).await).await;
    let rows = register["items"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["own"], &rows[0]["name"], &rows[0]["role"]),
        (&json!(false), &Value::Null, &json!("resident"))
    );
    assert_eq!((&rows[1]["own"], &rows[1]["name"]), (&json!(true), &json!("Zhang")));
    let (status, _) = zhang.get(&format!("/api/v1/cameras/{camera}/viewings?day=2020-01-01")).await;
    assert_eq!(status.as_u16(), 200);
    assert_eq!(zhang.get(&format!("/api/v1/cameras/{camera}/viewings?day=soon")).await.0.as_u16(), 422);

    // Revoked: refused with what the administrator wrote, for both.
    assert_eq!(ok(decide(&owner, "revoke", json!({ "reason": "moved" })).await).await["state"], "revoked");
    assert_eq!(decide(&owner, "revoke", json!({ "reason": "moved" })).await.0.as_u16(), 409);
    assert_eq!(li.get("/api/v1/cameras").await.1["items"], json!([]));
    assert_eq!(ok(owner.get(&as_zhang).await).await["items"][0]["denial"], "not_approved");

    // All of it is in the log, and the log is whole.
    assert_eq!(zhang.get("/api/v1/audit").await.0.as_u16(), 403);
    let log = ok(owner.get("/api/v1/audit?limit=500").await).await;
    let actions: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    for action in ["person.join", "approval.granted", "approval.revoked", "viewing.begin", "household.create"]
    {
        assert!(actions.contains(&action), "{action} is not in {actions:?}");
    }
    let published = ok(zhang.get("/api/v1/audit/head").await).await;
    let head = verify(&*house.store, vec![]).await.unwrap();
    assert!(head.seq >= published["seq"].as_i64().unwrap());
    assert!(!log.to_string().contains("a long password"));
}

fn viewing(n: i64) -> Viewing {
    Viewing {
        id: ViewingId::from_random(random()),
        person_id: PersonId::from_random(random()),
        role: Role::Patrol,
        camera_id: CameraId::from_random(random()),
        stream: domain::camera::StreamKind::Main,
        transport: ViewingTransport::WebSocket,
        // Rows from before purposes are in the same chain.
        purpose: (n % 2 == 0).then_some(Purpose::Patrol),
        started_at: Timestamp(n),
        ended_at: None,
        bytes: 0,
    }
}

/// C19: a thousand ways to lie, each found.
#[tokio::test(flavor = "multi_thread")]
async fn c19_every_tampering_is_found() {
    let (store, folder) = open(Database::Sqlite).await;
    let site = SiteId::from_random(random());
    for n in 0..20 {
        let entry = Entry {
            at: Timestamp(n),
            actor: Some(PersonId::from_random(random())),
            site_id: Some(site.clone()),
            action: "camera.update".into(),
            object: format!("camera-{n}"),
            detail: json!({ "fields": ["name"] }).to_string(),
        };
        store.record(&entry).await.unwrap();
        let viewing = viewing(n);
        store.begin_viewing(&viewing, &site).await.unwrap();
        if n % 3 != 0 {
            store.end_viewing(&viewing.id, Timestamp(n + 100), 1_000).await.unwrap();
        }
    }
    let head = verify(&store, vec![]).await.unwrap();
    let file = folder.path("test.db");
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect(&format!("sqlite:{}", file.display())).await.unwrap();
    for table in ["audit", "viewings", "audit_head"] {
        let sql = format!("create table honest_{table} as select * from {table}");
        pool.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
    let length = head.seq;
    for trial in 0..1_000u32 {
        let [kind, a, b, ..] = random::<16>();
        let (seq, row) = (1 + i64::from(a) % length, 1 + i64::from(b) % 20);
        let tamper = match kind % 16 {
            0 => format!("update audit set detail = detail || ' ' where seq = {seq}"),
            1 => format!("update audit set at = at + 1 where seq = {seq}"),
            2 => format!("update audit set actor = null where seq = {seq}"),
            3 => format!("update audit set action = 'x' where seq = {seq}"),
            4 => format!("update audit set object = 'x' where seq = {seq}"),
            5 => format!("update audit set site_id = 'ffffffffffffffffffffffffffffffff' where seq = {seq}"),
            6 => format!("update audit set hash = randomblob(32) where seq = {seq}"),
            7 => format!("delete from audit where seq = {seq}"),
            // Cut off, with the head put right.
            8 => format!(
                "delete from audit where seq >= {seq}; update audit_head set seq = {seq} - 1, \
                 hash = coalesce((select hash from audit where seq = {seq} - 1), zeroblob(32))"
            ),
            9 => format!("insert into audit select {length} + 1, at, actor, site_id, action, object, detail, hash from audit where seq = {seq}"),
            10 => {
                let other = 1 + (seq % length);
                format!(
                    "update audit set seq = -1 where seq = {seq}; update audit set seq = {seq} where seq = {other}; \
                     update audit set seq = {other} where seq = -1"
                )
            }
            11 => format!("delete from viewings where seq = {row}"),
            12 => format!("update viewings set person_id = 'ffffffffffffffffffffffffffffffff' where seq = {row}"),
            13 => format!("update viewings set bytes = bytes + 1, ended_at = coalesce(ended_at, 1) where seq = {row}"),
            14 if trial % 2 == 0 => format!("update viewings set started_at = started_at - 1 where seq = {row}"),
            14 => format!("update viewings set purpose = 'incident' where seq = {row}"),
            _ => "insert into viewings (id, person_id, role, camera_id, stream, transport, started_at) \
                  select 'ffffffffffffffffffffffffffffffff', person_id, role, camera_id, stream, transport, 1 \
                  from viewings limit 1".to_owned(),
        };
        pool.execute(sqlx::AssertSqlSafe(tamper.clone())).await.unwrap();
        let found = verify(&store, vec![head]).await;
        assert!(found.is_err(), "trial {trial} was not found: {tamper}");
        let restore = ["audit", "viewings", "audit_head"]
            .map(|table| format!("delete from {table}; insert into {table} select * from honest_{table};"))
            .concat();
        pool.execute(sqlx::AssertSqlSafe(restore)).await.unwrap();
    }
    assert_eq!(verify(&store, vec![head]).await.unwrap(), head);
    let elsewhere = Head { hash: [1; 32], ..head };
    assert!(verify(&store, vec![elsewhere]).await.is_err(), "written anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_make_one_chain() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        let store = std::sync::Arc::new(store);
        let site = SiteId::from_random(random());
        let writers = (0..40).map(|n| {
            let (store, site) = (std::sync::Arc::clone(&store), site.clone());
            tokio::spawn(async move { store.begin_viewing(&viewing(n), &site).await })
        });
        for writer in futures_util::future::join_all(writers).await {
            writer.unwrap().unwrap();
        }
        assert_eq!(verify(&*store, vec![]).await.unwrap().seq, 40, "{database:?}");
    }
}

/// Somebody watches all the time; the check must not take that for a cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_beside_those_who_write_finds_nothing() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        let store = std::sync::Arc::new(store);
        let site = SiteId::from_random(random());
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let (store, site, stop) =
                    (std::sync::Arc::clone(&store), site.clone(), std::sync::Arc::clone(&stop));
                tokio::spawn(async move {
                    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                        let viewing = viewing(2);
                        store.begin_viewing(&viewing, &site).await.unwrap();
                        store.end_viewing(&viewing.id, Timestamp(9), 7).await.unwrap();
                    }
                })
            })
            .collect();
        let (mut checks, mut end) = (0, 0);
        while checks < 40 || end < 200 {
            end = verify(&*store, vec![]).await.unwrap().seq;
            checks += 1;
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
    }
}

#[test]
fn a_line_that_a_power_cut_left_half_written_does_not_spoil_the_anchor() {
    let folder = crate::support::folder::Folder::new();
    let path = folder.path("anchor");
    let head = |n: u8| Head { seq: i64::from(n), hash: [n; 32] };
    sharp_eyes::audit::note(&path, &head(1)).unwrap();
    sharp_eyes::audit::note(&path, &head(2)).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let read = || sharp_eyes::audit::read_anchor(&path);
    for left in 1..sharp_eyes::audit::line(&head(3)).len() {
        let half = &sharp_eyes::audit::line(&head(3))[..left];
        std::fs::write(&path, [&whole[..], half.as_bytes()].concat()).unwrap();
        assert_eq!(read().unwrap(), [head(1), head(2)], "{half:?}");
        // The next one begins on a line of its own.
        sharp_eyes::audit::note(&path, &head(4)).unwrap();
        assert_eq!(read().unwrap(), [head(1), head(2), head(4)], "{half:?}");
    }
    std::fs::write(&path, "1 abc\n2 def\n").unwrap();
    assert!(read().is_err(), "a whole line that is no head was not left by a power cut");
    std::fs::write(&path, "x".repeat(1_000)).unwrap();
    assert!(sharp_eyes::audit::note(&path, &head(5)).is_err(), "another file is left alone");
    assert_eq!(std::fs::read(&path).unwrap().len(), 1_000);
}

/// What a page of the audit log tells: each entry's number, action and object.
async fn told(client: &Client, query: &str) -> Vec<(i64, String, String)> {
    let log = ok(client.get(&format!("/api/v1/audit?{query}")).await).await;
    let entries = log["items"].as_array().unwrap().iter();
    entries
        .map(|entry| (entry["seq"].as_i64().unwrap(), text(entry, "action"), text(entry, "object")))
        .collect()
}

/// Somebody with this role who lives in this household as well.
async fn living_at(house: &House, home: &HouseholdId, role: Role) -> Client {
    let person = house.person(&format!("{}-{}", role.word(), web::token::new())).await;
    house.store.add_member(home, &person.id, house.clock.now()).await.unwrap();
    house.store.add_grant(&house.grant(&person, role)).await.unwrap();
    house.signed_in(&person).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_tells_nobody_of_a_silent_alarm_at_their_home_until_it_is_over() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let camera = house.camera("rtsp://127.0.0.1:9/a").await;
        let site = format!("site_id={}&limit=500", house.site);
        let home = house.household("3-1-502").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let others = [house.sign_in_as(Role::Auditor).await, house.sign_in_as(Role::Administrator).await];
        let owner = house.sign_in_as(Role::Owner).await;
        let at_home = [
            living_at(&house, &home, Role::Auditor).await,
            living_at(&house, &home, Role::Administrator).await,
        ];
        let owner_at_home = living_at(&house, &home, Role::Owner).await;
        let neighbour = house.household("3-1-503").await;
        let next_door = living_at(&house, &neighbour, Role::Auditor).await;
        let watch = async |purpose, role| {
            house.clock.jump(1_000_000);
            let viewing = Viewing {
                id: ViewingId::from_random(random()),
                person_id: PersonId::from_random(random()),
                role,
                camera_id: camera.clone(),
                stream: domain::camera::StreamKind::Main,
                transport: ViewingTransport::WebSocket,
                purpose: Some(purpose),
                started_at: house.clock.now(),
                ended_at: None,
                bytes: 0,
            };
            house.store.begin_viewing(&viewing, &house.site).await.unwrap();
            house.store.end_viewing(&viewing.id, house.clock.now(), 1).await.unwrap();
            viewing.id.to_string()
        };
        let alarm = async |client: &Client, kind: &str| {
            let press = json!({ "kind": kind, "household_id": home });
            text(&ok(client.post("/api/v1/alarms", press).await).await, "incident_id")
        };
        let before = watch(Purpose::Incident, Role::DutyOperator).await;
        let loud = alarm(&at_home[0], "panic").await;
        let silent = alarm(&at_home[0], "duress").await;
        let path = format!("/api/v1/incidents/{silent}");
        assert_eq!(desk.act(&path, "ack", json!({ "version": 1 })).await.0.as_u16(), 200);
        let watched = watch(Purpose::Incident, Role::DutyOperator).await;
        let patrol = watch(Purpose::Patrol, Role::Patrol).await;

        // Whoever does not live there is told of everything.
        let whole = told(&owner, "limit=500").await;
        let of_site = told(&others[0], &site).await;
        for (client, query) in [(&others[1], &*site), (&next_door, &*site)] {
            assert_eq!(told(client, query).await, of_site, "{database:?}");
        }
        let about = |entries: &[(i64, String, String)], object: &str| {
            entries.iter().filter(|(_, _, of)| of == object).count()
        };
        assert_eq!((about(&whole, &silent), about(&of_site, &silent)), (2, 2), "{whole:?}");
        assert_eq!((about(&whole, &watched), about(&of_site, &watched)), (2, 1));
        // Who does: of all but the alarm, and that is all that is missing.
        let hides = |(_, _, object): &&(i64, String, String)| *object != silent && *object != watched;
        let rest =
            |entries: &[(i64, String, String)]| entries.iter().filter(hides).cloned().collect::<Vec<_>>();
        for client in &at_home {
            assert_eq!(told(client, &site).await, rest(&of_site), "{database:?}");
        }
        let shown = told(&owner_at_home, "limit=500").await;
        assert_eq!(shown, rest(&whole), "{database:?}");
        for object in [&loud, &before, &patrol] {
            assert!(about(&shown, object) > 0, "{database:?}");
        }
        // Pages are as full as without it, and go on from each other.
        let first = told(&at_home[0], &site.replace("limit=500", "limit=2")).await;
        assert_eq!(first, rest(&of_site)[..2], "{database:?}");
        let next = format!("site_id={}&limit=2&cursor={}", house.site, first[1].0);
        assert_eq!(told(&at_home[0], &next).await, rest(&of_site)[2..], "{database:?}");

        // Of one that cannot be read nobody knows whose it is: whoever has a home hears nothing.
        house.sql(&format!("update incidents set step = '?' || step where id = '{silent}'")).await;
        let status = async |client: &Client| client.get(&format!("/api/v1/audit?{site}")).await.0.as_u16();
        assert!(status(&at_home[0]).await >= 500, "{database:?}");
        assert_eq!(told(&others[0], &site).await, of_site, "{database:?}");
        house.sql(&format!("update incidents set step = substr(step, 2) where id = '{silent}'")).await;

        // The chain is whole all the time, and it is shown when it is over.
        assert!(verify(&*house.store, Vec::new()).await.is_ok(), "{database:?}");
        let over = json!({ "version": 2, "note": "help was there" });
        assert_eq!(desk.act(&path, "false_alarm", over).await.0.as_u16(), 200);
        let of_site = told(&others[0], &site).await;
        assert_eq!(about(&of_site, &silent), 3, "{database:?}");
        for client in &at_home {
            assert_eq!(told(client, &site).await, of_site, "{database:?}");
        }
        assert_eq!(told(&owner_at_home, "limit=500").await, told(&owner, "limit=500").await);
        house.stop().await;
    }
}
