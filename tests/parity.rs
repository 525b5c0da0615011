//! C04: every way to a picture gives the same answer, and it is the decision's.

use crate::support::House;
use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::dice::Dice;
use crate::support::hls::Player;
use crate::support::live::Live;
use crate::support::whep;
use camsim::viewers::Viewer;
use domain::approval::{CameraSet, State, Subject};
use domain::camera::Visibility;
use domain::person::Person;
use domain::repository::{Cameras as _, Persons as _, Rights as _, Sites as _};
use domain::role::Role;
use domain::schedule::{Schedule, Window};
use domain::site::ResidentPolicy;
use domain::{CameraId, Clock as _, PersonId, Timestamp};
use sharp_eyes::clock::SystemClock;
use std::time::Duration;
use web::token::random;

const STATES: usize = 500;
const HOUR: Duration = Duration::from_secs(3_600);

/// A person with a random history, written into the store.
async fn somebody(house: &House, camera: &CameraId, dice: &mut Dice) -> (Person, bool) {
    let now = SystemClock.now();
    let mut person = house.person(&format!("p-{}", web::token::hex(&random::<8>()))).await;
    person.disabled = dice.one_in(12);
    let past_or_future = |dice: &mut Dice| if dice.one_in(4) { now.before(HOUR) } else { now.after(HOUR) };

    let mut by_role = false;
    if dice.one_in(4) {
        let roles = [
            Role::Administrator,
            Role::DutyOperator,
            Role::Patrol,
            Role::GridWorker1,
            Role::GridWorker3,
            Role::Auditor,
        ];
        let mut grant = house.grant(&person, dice.pick(&roles));
        if dice.one_in(2) {
            grant.until = Some(past_or_future(dice));
        }
        grant.from = now.before(2 * HOUR);
        house.store.add_grant(&grant).await.unwrap();
        let held = grant.until.is_none_or(|until| until > now);
        let open = house.store.camera(camera).await.unwrap().unwrap().visibility == Visibility::Residents;
        by_role = held
            && (open && grant.role == Role::GridWorker3
                || !matches!(grant.role, Role::GridWorker3 | Role::Auditor));
    }

    let household = house.household(&format!("u-{}", web::token::hex(&random::<8>()))).await;
    let member = !dice.one_in(5);
    if member {
        house.store.add_member(&household, &person.id, now.before(HOUR)).await.unwrap();
    }
    let left = member && dice.one_in(6);
    if left {
        house.store.end_member(&household, &person.id, now.before(HOUR / 2)).await.unwrap();
    }
    let moved_out = dice.one_in(8);
    if moved_out {
        house.store.end_household(&household, now.before(HOUR / 2)).await.unwrap();
    }
    let lives_there = member && !left && !moved_out;

    let mut approved = false;
    for _ in 0..dice.roll(3) {
        let for_person = dice.one_in(4);
        let subject = if for_person {
            Subject::Person(person.id.clone())
        } else {
            Subject::Household(household.clone())
        };
        let mut approval = house.approval(subject, &person);
        approval.from = now.before(2 * HOUR);
        approval.until = past_or_future(dice);
        approval.state = dice.pick(&[
            State::Granted,
            State::Granted,
            State::Granted,
            State::Requested,
            State::Refused,
            State::Revoked,
        ]);
        let covers = match dice.roll(4) {
            0 => {
                approval.cameras = CameraSet::Camera(camera.clone());
                true
            }
            1 => {
                approval.cameras = CameraSet::Place(house.gate.clone());
                true
            }
            2 => {
                approval.cameras = CameraSet::Place(house.lobby.clone());
                false
            }
            _ => true,
        };
        let always = Window { days: vec![1, 2, 3, 4, 5, 6, 7], from_minute: 0, until_minute: 1_440 };
        let scheduled = match dice.roll(4) {
            0 => {
                approval.schedule = Some(Schedule(vec![always]));
                true
            }
            1 => {
                // An hour that is not now, in the site's zone, on any day.
                let hour = u16::try_from((now.0 / 3_600_000_000 + 8 + 12) % 24).unwrap();
                let far = Window { from_minute: hour * 60, until_minute: hour * 60 + 60, ..always };
                approval.schedule = Some(Schedule(vec![far]));
                false
            }
            _ => true,
        };
        house.store.add_approval(&approval).await.unwrap();
        let in_force = approval.state == State::Granted && approval.until > now;
        approved |= in_force && covers && scheduled && (for_person || lives_there);
    }
    let camera = house.store.camera(camera).await.unwrap().unwrap();
    let site = house.store.site(&house.site).await.unwrap().unwrap();
    let as_resident = approved
        && camera.visibility == Visibility::Residents
        && site.resident_policy == ResidentPolicy::Approved;
    let expected = !person.disabled && (by_role || as_resident);
    (person, expected)
}

async fn answers(
    house: &House,
    client: &Client,
    key: &(String, String),
    camera: &CameraId,
) -> Vec<(&'static str, bool)> {
    let path = format!("/api/v1/cameras/{camera}");
    let list = client.get("/api/v1/cameras").await.1;
    let listed =
        list["items"].as_array().is_some_and(|items| items.iter().any(|item| item["id"] == camera.as_str()));
    let one = client.get(&path).await.0.as_u16();
    let still = client.get(&format!("{path}/snapshot.jpg")).await.0.as_u16();
    assert!(matches!(still, 200 | 401 | 404), "the snapshot is decided upon: {still}");
    let live = Live::try_open(client, camera, "main").await.is_ok();
    let rtc = whep::try_open(client, camera).await;
    if let Ok(opened) = &rtc {
        // A session that nobody connects to holds its place for a while.
        assert_eq!(client.delete(&opened.location).await, 204);
    }
    let hls = Player::try_open(client, camera, "").await.is_ok();
    let login = Some((key.0.as_str(), key.1.as_str()));
    let played = Viewer::play(house.rtsp, &format!("{camera}/main"), login).await.is_ok();
    vec![
        ("list", listed),
        ("camera", one == 200),
        ("snapshot", still == 200),
        ("websocket", live),
        ("rtsp", played),
        ("whep", rtc.is_ok()),
        ("hls", hls),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn c04_every_way_to_a_picture_gives_the_same_answer() {
    let seed = u64::from_be_bytes(random());
    println!("seed {seed:#x}");
    let mut dice = Dice(seed);
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    // With a decode process: without one nobody gets as far as the admission of a still.
    let house = crate::support::decoder::house("").await;
    let id = house.camera_like(&cameras.url("a"), |c| c.pull = domain::camera::Pull::Always).await;
    let (mut yes, mut no) = (0, 0);
    for state in 0..STATES {
        if state % 10 == 0 {
            let mut camera = house.store.camera(&id).await.unwrap().unwrap();
            camera.visibility = if dice.one_in(4) { Visibility::Patrol } else { Visibility::Residents };
            house.store.update_camera(&camera).await.unwrap();
            let mut site = house.store.site(&house.site).await.unwrap().unwrap();
            site.resident_policy = dice.pick(&[
                ResidentPolicy::Approved,
                ResidentPolicy::Approved,
                ResidentPolicy::Approved,
                ResidentPolicy::Incident,
                ResidentPolicy::Off,
            ]);
            house.store.update_site(&site).await.unwrap();
        }
        let (person, expected) = somebody(&house, &id, &mut dice).await;
        let client = house.signed_in(&person).await;
        if person.disabled {
            // Switched off behind the API's back, so that the session is still there.
            house.sql(&format!("update persons set disabled = 1 where id = '{}'", person.id)).await;
        }
        let key = viewer_key(&house, &person.id).await;
        for (way, allowed) in answers(&house, &client, &key, &id).await {
            assert_eq!(allowed, expected, "seed {seed:#x}, state {state}: {way} for {}", person.login);
        }
        if expected { yes += 1 } else { no += 1 }
    }
    println!("{yes} allowed, {no} refused");
    assert!(yes > STATES / 20 && no > STATES / 20, "both answers were tried: {yes} and {no}");
}

/// A player's key for somebody who may not be able to sign in.
async fn viewer_key(house: &House, person: &PersonId) -> (String, String) {
    let (login, key) = (format!("v{}", web::token::hex(&random::<6>())), web::token::new());
    let ha1 = media::rtsp::digest::Ha1::new(&login, &key);
    let kept = domain::person::ViewerKey {
        id: domain::ViewerKeyId::from_random(random()),
        person_id: person.clone(),
        login: login.clone(),
        name: "test".into(),
        ha1_md5: domain::Secret::new(ha1.md5),
        ha1_sha256: domain::Secret::new(ha1.sha256),
        created_at: Timestamp(0),
    };
    house.store.add_viewer_key(&kept).await.unwrap();
    (login, key)
}
