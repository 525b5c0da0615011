//! The people who are filmed read who watched: all of it, over midnight, and after
//! the camera is gone.

use crate::support::client::Client;
use crate::support::database::{BOTH, Database};
use crate::support::{House, camera_at};
use domain::camera::{StreamKind, Visibility};
use domain::repository::{Registers as _, Rights as _, Sites as _};
use domain::role::Role;
use domain::viewing::{Purpose, Viewing, ViewingTransport};
use domain::{CameraId, Clock as _, PersonId, Timestamp, ViewingId};
use serde_json::{Value, json};
use sharp_eyes::audit::verify;
use web::token::random;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

async fn watched(house: &House, camera: &CameraId, from: &str, until: Option<&str>) {
    let viewing = Viewing {
        id: ViewingId::from_random(random()),
        person_id: PersonId::from_random(random()),
        role: Role::Patrol,
        camera_id: camera.clone(),
        stream: StreamKind::Main,
        transport: ViewingTransport::WebSocket,
        purpose: Some(Purpose::Patrol),
        started_at: at(from),
        ended_at: None,
        bytes: 0,
    };
    house.store.begin_viewing(&viewing, &house.site).await.unwrap();
    if let Some(until) = until {
        house.store.end_viewing(&viewing.id, at(until), 1).await.unwrap();
    }
}

/// All pages of a day: when each viewing began, and how many pages there were.
async fn pages(client: &Client, camera: &CameraId, day: &str, limit: u32) -> (Vec<String>, usize) {
    let (mut began, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let path = format!("/api/v1/cameras/{camera}/viewings?day={day}&limit={limit}{cursor}");
        let (status, page) = client.get(&path).await;
        assert_eq!(status.as_u16(), 200, "{page}");
        pages += 1;
        let items = page["items"].as_array().unwrap();
        began.extend(items.iter().map(|row| row["started_at"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { return (began, pages) };
        cursor = format!("&cursor={next}");
    }
}

async fn on(client: &Client, camera: &CameraId, day: &str) -> Vec<String> {
    pages(client, camera, day, 500).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_more_than_a_page_is_read_to_its_end() {
    let house = House::start().await;
    let camera = house.camera("rtsp://127.0.0.1:9/a").await;
    let resident = house.sign_in_as(Role::Resident).await;
    // Two begin at each moment: a page may end between them.
    let begin = at("2026-11-25T01:00:00Z").0;
    house
        .sql(&format!(
            "insert into viewings (id, person_id, role, camera_id, stream, transport, started_at, ended_at)
             with recursive n(i) as (select 0 union all select i + 1 from n where i < 1100)
             select printf('%032x', i), printf('%032x', i), 'patrol', '{camera}', 'main', 'rtsp',
                {begin} + (i / 2) * 1000000, {begin} + 9000000000 from n"
        ))
        .await;
    let (began, count) = pages(&resident, &camera, "2026-11-25", 500).await;
    assert_eq!((began.len(), count), (1_101, 3));
    assert!(began.is_sorted_by(|a, b| at(a) >= at(b)), "the newest first");
    let (again, count) = pages(&resident, &camera, "2026-11-25", 367).await;
    assert_eq!((again == began, count), (true, 4), "no row twice, none left out");
    let path = format!("/api/v1/cameras/{camera}/viewings?cursor=soon");
    assert_eq!(resident.get(&path).await.0.as_u16(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_watched_for_a_silent_alarm_is_shown_to_residents_when_it_is_over() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let camera = house.camera("rtsp://127.0.0.1:9/a").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let auditor = house.sign_in_as(Role::Auditor).await;
        let neighbour = house.sign_in_as(Role::Resident).await;
        // Who is forced is on duty, too, and whoever forces them may look at that page.
        let forced = house.person("forced").await;
        let home = house.household("3-1-502").await;
        house.store.add_member(&home, &forced.id, house.clock.now()).await.unwrap();
        house.store.add_grant(&house.grant(&forced, Role::Patrol)).await.unwrap();
        let forced = house.signed_in(&forced).await;
        let watch = async |purpose| {
            house.clock.jump(1_000_000);
            let viewing = Viewing {
                id: ViewingId::from_random(random()),
                person_id: PersonId::from_random(random()),
                role: Role::DutyOperator,
                camera_id: camera.clone(),
                stream: StreamKind::Main,
                transport: ViewingTransport::WebSocket,
                purpose: Some(purpose),
                started_at: house.clock.now(),
                ended_at: None,
                bytes: 0,
            };
            house.store.begin_viewing(&viewing, &house.site).await.unwrap();
        };
        let seen = async |client: &Client| {
            let (status, page) = client.get(&format!("/api/v1/cameras/{camera}/viewings")).await;
            assert_eq!(status.as_u16(), 200, "{page}");
            let rows = page["items"].as_array().unwrap().iter();
            rows.map(|row| row["purpose"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        watch(Purpose::Incident).await;
        let (_, receipt) =
            forced.post("/api/v1/alarms", json!({ "kind": "duress", "household_id": home })).await;
        watch(Purpose::Incident).await;
        watch(Purpose::Patrol).await;
        for client in [&neighbour, &forced] {
            assert_eq!(seen(client).await, ["patrol", "incident"], "{database:?}: that of before");
        }
        for client in [&desk, &auditor] {
            assert_eq!(seen(client).await, ["patrol", "incident", "incident"], "{database:?}");
        }
        let path = format!("/api/v1/incidents/{}", receipt["incident_id"].as_str().unwrap());
        desk.act(&path, "ack", json!({ "version": 1 })).await;
        let over = json!({ "version": 2, "note": "help was there" });
        assert_eq!(desk.act(&path, "false_alarm", over).await.0.as_u16(), 200);
        for client in [&neighbour, &forced, &auditor] {
            assert_eq!(seen(client).await, ["patrol", "incident", "incident"], "{database:?}");
        }
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watched_over_midnight_is_in_both_days() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let camera = house.camera("rtsp://127.0.0.1:9/a").await;
        let resident = house.sign_in_as(Role::Resident).await;
        // Midnight in Shanghai is 16:00 UTC.
        let over = "2026-11-24T15:50:00Z";
        watched(&house, &camera, over, Some("2026-11-24T16:10:00Z")).await;
        let before = "2026-11-24T15:40:00Z";
        watched(&house, &camera, before, Some("2026-11-24T15:59:00Z")).await;
        let open = "2026-11-25T02:00:00Z";
        watched(&house, &camera, open, None).await;
        assert_eq!(on(&resident, &camera, "2026-11-23").await, [""; 0], "{database:?}");
        assert_eq!(on(&resident, &camera, "2026-11-24").await, [over, before], "{database:?}");
        assert_eq!(on(&resident, &camera, "2026-11-25").await, [open, over], "{database:?}");
        assert_eq!(on(&resident, &camera, "2026-11-26").await, [open], "it goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_register_of_a_removed_camera_stays() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let camera = house.camera("rtsp://127.0.0.1:9/a").await;
        let hidden =
            house.camera_like("rtsp://127.0.0.1:9/b", |camera| camera.visibility = Visibility::Patrol).await;
        let began = "2026-11-24T03:00:00Z";
        for camera in [&camera, &hidden] {
            watched(&house, camera, began, Some("2026-11-24T03:10:00Z")).await;
        }
        let (resident, patrol) =
            (house.sign_in_as(Role::Resident).await, house.sign_in_as(Role::Patrol).await);
        let auditor = house.sign_in_as(Role::Auditor).await;
        let administrator = house.sign_in_as(Role::Administrator).await;
        let stranger = elsewhere(&house).await;
        for camera in [&camera, &hidden] {
            let path = format!("/api/v1/cameras/{camera}");
            assert_eq!(administrator.delete(&path).await.as_u16(), 204, "{database:?}");
            assert_eq!(administrator.delete(&path).await.as_u16(), 404);
            for reader in [&resident, &patrol, &auditor, &administrator] {
                assert_eq!(on(reader, camera, "2026-11-24").await, [began], "{database:?}");
            }
            let path = format!("{path}/viewings");
            assert_eq!(stranger.get(&path).await.0.as_u16(), 404, "another site's auditor");
        }
        // They find it, by the name it had; what residents could not see is not shown to them.
        let names = async |client: &Client| {
            let (_, list) = client.get("/api/v1/removed-cameras").await;
            let items = list["items"].as_array().unwrap().clone();
            items.into_iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&auditor).await.len(), 2);
        assert_eq!(names(&resident).await, [camera.to_string()]);
        assert_eq!(names(&stranger).await, [""; 0]);
        let (_, list) = auditor.get("/api/v1/removed-cameras").await;
        assert_eq!(list["items"][0]["name"], json!("gate camera"));
        // The chain has not noticed.
        verify(&*house.store, vec![]).await.unwrap();
    }
}

/// An auditor of another site.
async fn elsewhere(house: &House) -> Client {
    let site = house.another_site().await;
    let person = house.person("stranger").await;
    let mut grant = house.grant(&person, Role::Auditor);
    grant.site_id = Some(site);
    house.store.add_grant(&grant).await.unwrap();
    house.signed_in(&person).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_stays_as_long_as_somebody_was_watched_there() {
    use domain::place::{Place, PlaceKind};
    use domain::repository::Cameras as _;
    for database in BOTH {
        let house = House::start_on(database).await;
        let owner = house.sign_in_as(Role::Owner).await;
        for (seen, expected) in [(false, 204), (true, 409)] {
            let site = house.another_site().await;
            let place = Place {
                id: domain::PlaceId::from_random(random()),
                site_id: site.clone(),
                parent_id: None,
                name: "gate".into(),
                kind: PlaceKind::Gate,
                created_at: house.clock.now(),
            };
            house.store.add_place(&place).await.unwrap();
            let camera = camera_at(&site, &place.id, "rtsp://127.0.0.1:9/a");
            house.store.add_camera(&camera).await.unwrap();
            if seen {
                watched(&house, &camera.id, "2026-11-24T03:00:00Z", None).await;
            }
            for path in [format!("cameras/{}", camera.id), format!("places/{}", place.id)] {
                assert_eq!(owner.delete(&format!("/api/v1/{path}")).await.as_u16(), 204, "{database:?}");
            }
            let (status, problem): (_, Value) =
                owner.send(reqwest::Method::DELETE, &format!("/api/v1/sites/{site}"), None).await;
            assert_eq!(status.as_u16(), expected, "{database:?}: {problem}");
        }
    }
}

/// Cameras that were removed before registers outlived them: the chain knows their site.
#[tokio::test(flavor = "multi_thread")]
async fn cameras_removed_by_an_older_gateway_are_found_in_the_chain() {
    let house = House::start_on(Database::Sqlite).await;
    let camera = CameraId::from_random(random());
    watched(&house, &camera, "2026-11-24T03:00:00Z", None).await;
    let entry = domain::audit::Entry {
        at: house.clock.now(),
        actor: None,
        site_id: Some(house.site.clone()),
        action: "camera.delete".into(),
        object: camera.to_string(),
        detail: "{}".into(),
    };
    house.store.record(&entry).await.unwrap();
    house.store.record(&entry).await.unwrap();
    let migration = include_str!("../migrations/sqlite/0008_removed_cameras.sql");
    let fill = migration.split(';').find(|sql| sql.contains("insert into removed_cameras")).unwrap();
    house.sql(fill).await;
    let resident = house.sign_in_as(Role::Resident).await;
    assert_eq!(on(&resident, &camera, "2026-11-24").await.len(), 1);
    let (_, list) = resident.get("/api/v1/removed-cameras").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
}
