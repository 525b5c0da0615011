//! Whom an alarm reaches beyond the open page, when, and until when: the queue.

use crate::support::House;
use crate::support::browser::Browser;
use crate::support::client::Client;
use crate::support::clock::TestClock;
use crate::support::database::{BOTH, Database, open};
use crate::support::fake::{Fake, Say, Seen, say};
use crate::support::process::{Gateway, serve};
use domain::device::DeviceKind;
use domain::event::alarm::{Alarm, AlarmKind, Point};
use domain::incident::repository::{Incidents as _, Kept, Outbox as _, Raised};
use domain::incident::{Actor, Command, Incident, Timings};
use domain::message::contact::{Contact, Quiet};
use domain::message::repository::{Contacts as _, Messages as _};
use domain::message::{Message, State, Way};
use domain::notice::{Notice, Topic};
use domain::person::Person;
use domain::place::{Place, PlaceKind};
use domain::repository::{Persons as _, Rights as _, Sites as _};
use domain::role::Role;
use domain::site::{ResidentPolicy, Site, SiteKind};
use domain::{Clock as _, HouseholdId, IncidentId, PlaceId, SiteId};
use reqwest::StatusCode;
use serde_json::json;
use sharp_eyes::notify::plan::{Planner, Target};
use sharp_eyes::notify::sites::Sites;
use sqlx::Connection as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use web::token::{new, random};

const ALARMS: &str = "/api/v1/alarms";
const SECOND: i64 = 1_000_000;

/// Settings by which everything goes to this fake: a channel that is told of everything, one
/// for those on duty, and both of an operator's services.
fn settings(fake: &Fake) -> String {
    let key = "key = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";
    let operator = |path: &str| {
        format!(
            "url = \"{}\"\nbody = '{{\"id\":\"{{id}}\",\"to\":\"{{phone}}\",\"say\":\"{{title}}|{{text}}\"}}'\n",
            fake.url(path)
        )
    };
    format!(
        "[notify]\nallow_networks = [\"127.0.0.0/8\"]\n\
         [[notify.webhook]]\nname = \"staff\"\nlocale = \"en\"\nurl = \"{}\"\n{key}\n\
         [[notify.webhook]]\nname = \"duty\"\nduress = true\nurl = \"{}\"\n{key}\n\
         [voice]\n{}[sms]\n{}",
        fake.url("/staff"),
        fake.url("/duty"),
        operator("/voice"),
        operator("/sms")
    )
}

/// Somebody with a role and a telephone.
async fn worker(house: &House, role: Role, phone: &str) -> Person {
    let person = house.person(&format!("{}-{}", role.word(), new())).await;
    house.store.add_grant(&house.grant(&person, role)).await.unwrap();
    let contact = Contact { phone: Some(phone.to_owned()), ..Contact::default() };
    house.store.set_contact(&person.id, &contact).await.unwrap();
    person
}

/// A press of somebody on duty at a place.
async fn raise(client: &Client, kind: &str, place: &PlaceId) -> IncidentId {
    let (status, receipt) = client.post(ALARMS, json!({ "kind": kind, "place_id": place })).await;
    assert_eq!(status, StatusCode::CREATED, "{receipt}");
    IncidentId::parse(receipt["incident_id"].as_str().unwrap()).unwrap()
}

async fn place(house: &House, name: &str) -> PlaceId {
    let place = Place {
        id: PlaceId::from_random(random()),
        site_id: house.site.clone(),
        parent_id: None,
        name: name.to_owned(),
        kind: PlaceKind::Yard,
        created_at: house.clock.now(),
    };
    house.store.add_place(&place).await.unwrap();
    place.id
}

/// Lets the time limit that runs run out.
async fn expire(house: &House, id: &IncidentId) {
    let incident = house.store.incident(id).await.unwrap().unwrap();
    let command = Command::Expire(incident.timer.unwrap());
    let timings = Timings::of(SiteKind::Compound);
    let change = incident.apply(&command, None, &Actor::house(), &timings, house.clock.now()).unwrap();
    assert_eq!(house.store.change(&change, None, "").await.unwrap(), Kept::Done(()));
}

fn paths(seen: &[Seen]) -> Vec<&str> {
    let mut paths: Vec<&str> = seen.iter().map(|seen| seen.path.as_str()).collect();
    paths.sort_unstable();
    paths
}

fn at<'a>(seen: &'a [Seen], path: &str) -> Vec<&'a Seen> {
    seen.iter().filter(|seen| seen.path == path).collect()
}

/// Waits until all messages of an incident have ended.
async fn settled(house: &House, id: &IncidentId, count: usize) -> Vec<Message> {
    let limit = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let messages = house.store.messages(id).await.unwrap();
        if messages.len() >= count && messages.iter().all(|message| message.state != State::Waiting) {
            return messages;
        }
        assert!(tokio::time::Instant::now() < limit, "{messages:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the planner has read everything that there is.
async fn read_up(house: &House) {
    let last = house.store.last_notice().await.unwrap();
    let limit = tokio::time::Instant::now() + Duration::from_secs(30);
    while house.store.read_up_to().await.unwrap() < last {
        assert!(tokio::time::Instant::now() < limit, "the outbox is read");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_of_the_highest_severity_reaches_whoever_is_called_by_two_ways_at_least() {
    for database in BOTH {
        let fake = Fake::start(say(200, "{}")).await;
        let house = House::start_with(database, &settings(&fake)).await;
        worker(&house, Role::GridWorker1, "13800138000").await;
        worker(&house, Role::GridWorker2, "13800138001").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let id = raise(&desk, "fire", &house.gate).await;
        let seen = fake.asked(4).await;
        assert_eq!(paths(&seen), ["/duty", "/sms", "/staff", "/voice"], "{database:?}");
        let (voice, sms) = (at(&seen, "/voice")[0].json(), at(&seen, "/sms")[0].json());
        assert_eq!((&voice["to"], &sms["to"]), (&json!("13800138000"), &json!("13800138000")));
        assert_ne!(voice["id"], sms["id"]);
        let staff = at(&seen, "/staff")[0].json();
        assert_eq!(staff["title"], "Fire alarm: 幸福里 east gate");
        assert!(at(&seen, "/duty")[0].json()["title"].as_str().unwrap().starts_with("火情报警：幸福里"));
        // What, where, when; who is in none of it.
        for seen in &seen {
            let text = seen.text();
            assert!(!text.contains("name of") && !text.contains("grid_worker"), "{text}");
        }
        let messages = settled(&house, &id, 4).await;
        let ids: BTreeSet<_> = messages.iter().map(|message| message.id.clone()).collect();
        assert_eq!(ids.len(), 4);
        assert!(
            messages.iter().all(|m| m.state == State::Sent && m.urgent && m.attempt == 1),
            "{messages:?}"
        );

        // The next in the chain are called in addition, and what was sent is not sent again.
        expire(&house, &id).await;
        let seen = fake.asked(8).await;
        assert_eq!(at(&seen, "/voice")[1].json()["to"], "13800138001");
        settled(&house, &id, 8).await;
        assert_eq!(fake.seen().len(), 8);

        // One that is less grave rings nobody, and is told all the same.
        raise(&desk, "intrusion", &house.gate).await;
        let seen = fake.asked(11).await;
        assert_eq!(paths(&seen[8..]), ["/duty", "/sms", "/staff"]);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_who_takes_it_ends_it_for_everybody_else() {
    for database in BOTH {
        let fake = Fake::start(say(503, "")).await;
        let house = House::start_with(database, &settings(&fake)).await;
        worker(&house, Role::GridWorker1, "13800138000").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let id = raise(&desk, "panic", &house.gate).await;
        // Nobody takes them; they are sent again, with the same ids.
        let first = fake.asked(4).await;
        house.clock.jump(6 * SECOND);
        let seen = fake.asked(8).await;
        let sent = |seen: &[Seen], path: &str| {
            at(seen, path).iter().map(|s| s.json()["id"].clone()).collect::<Vec<_>>()
        };
        for path in ["/voice", "/sms", "/staff", "/duty"] {
            let ids = sent(&seen, path);
            assert_eq!((ids.len(), &ids[0]), (2, &ids[1]), "{path}");
        }
        assert_eq!(first.len(), 4);
        // Carried by nobody, and now a person has it: delivery is not what ends it, they are.
        let (status, answer) =
            desk.act(&format!("/api/v1/incidents/{id}"), "ack", json!({ "version": 1 })).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        read_up(&house).await;
        fake.will(&[say(200, "{}")]);
        house.clock.jump(600 * SECOND);
        let messages = settled(&house, &id, 4).await;
        assert!(messages.iter().all(|message| message.state == State::Stopped), "{database:?} {messages:?}");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(fake.seen().len(), 8, "nobody is called about what somebody has");
        // Whoever is asked to go is told, and nobody else.
        let guard = worker(&house, Role::Patrol, "13800138009").await;
        let to = json!({ "version": 2, "to": guard.id });
        assert_eq!(desk.act(&format!("/api/v1/incidents/{id}"), "assign", to).await.0, StatusCode::OK);
        let seen = fake.asked(12).await;
        let told = at(&seen, "/voice")[2].json();
        assert_eq!(told["to"], "13800138009");
        assert!(told["say"].as_str().unwrap().contains("请前往现场"), "{told}");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_never_leaves_the_site() {
    let fake = Fake::start(say(200, "{}")).await;
    let house = House::start_with(Database::Sqlite, &settings(&fake)).await;
    worker(&house, Role::GridWorker1, "13800138000").await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    let drill = json!({ "kind": "panic", "place_id": house.gate, "drill": true });
    let (status, receipt) = desk.post(ALARMS, drill).await;
    assert_eq!(status, StatusCode::CREATED, "{receipt}");
    let drill = IncidentId::parse(receipt["incident_id"].as_str().unwrap()).unwrap();
    expire(&house, &drill).await;
    raise(&desk, "fire", &house.gate).await;
    // The outbox is read in its order: what comes after the drill is there, so the drill was passed.
    let seen = fake.asked(4).await;
    assert!(seen.iter().all(|seen| !seen.text().contains("紧急求助")), "{seen:?}");
    assert_eq!(house.store.messages(&drill).await.unwrap(), []);
    assert_eq!(fake.seen().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn duress_is_told_to_those_on_duty_and_to_nobody_else() {
    let fake = Fake::start(say(200, "{}")).await;
    let house = House::start_with(Database::Sqlite, &settings(&fake)).await;
    worker(&house, Role::GridWorker1, "13800138001").await;
    worker(&house, Role::Patrol, "13800138002").await;
    // On duty, and living where somebody is forced.
    let at_home = worker(&house, Role::Patrol, "13800138003").await;
    let household = house.household("3-1-502").await;
    let resident = house.person("resident").await;
    for person in [&at_home, &resident] {
        house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
    }
    let resident = house.signed_in(&resident).await;
    let (status, receipt) = resident.post(ALARMS, json!({ "kind": "duress" })).await;
    assert_eq!(status, StatusCode::CREATED, "{receipt}");
    let id = IncidentId::parse(receipt["incident_id"].as_str().unwrap()).unwrap();
    let messages = settled(&house, &id, 3).await;
    let seen = fake.seen();
    assert_eq!(paths(&seen), ["/duty", "/sms", "/voice"], "{messages:?}");
    assert_eq!(at(&seen, "/voice")[0].json()["to"], "13800138002");
    assert!(at(&seen, "/voice")[0].json()["say"].as_str().unwrap().contains("请勿回拨"));
}

#[tokio::test(flavor = "multi_thread")]
async fn duress_at_the_home_of_the_only_one_on_duty_is_told_to_whoever_is_next_and_never_there() {
    let fake = Fake::start(say(200, "{}")).await;
    let house = House::start_with(Database::Sqlite, &settings(&fake)).await;
    let at_home = worker(&house, Role::DutyOperator, "13800138001").await;
    let manager = worker(&house, Role::Administrator, "13800138002").await;
    let household = house.household("3-1-502").await;
    let forced = house.person("forced").await;
    for person in [&at_home, &forced] {
        house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
    }
    let forced = house.signed_in(&forced).await;
    let (status, receipt) = forced.post(ALARMS, json!({ "kind": "duress" })).await;
    assert_eq!(status, StatusCode::CREATED, "{receipt}");
    let id = IncidentId::parse(receipt["incident_id"].as_str().unwrap()).unwrap();
    // Nobody else is in the chain: those who manage the site.
    settled(&house, &id, 3).await;
    let seen = fake.seen();
    assert_eq!(at(&seen, "/voice").len(), 1, "{seen:?}");
    assert_eq!(at(&seen, "/voice")[0].json()["to"], "13800138002");
    let manager = house.signed_in(&manager).await;
    let (status, whole) = manager.get(&format!("/api/v1/incidents/{id}")).await;
    assert_eq!((status, &whole["incident"]["kind"]), (StatusCode::OK, &json!("duress")));
}

/// An alarm from a home, as a device there would raise it.
async fn raise_at(house: &House, kind: AlarmKind, home: &HouseholdId) -> IncidentId {
    let alarm = Alarm {
        kind,
        site_id: house.site.clone(),
        place_id: house.lobby.clone(),
        point: Point::Household(home.clone()),
        drill: false,
        late: false,
        reporter: None,
        received_at: house.clock.now(),
    };
    let timings = Timings::of(SiteKind::Compound);
    let opened = Incident::open(IncidentId::from_random(random()), &alarm, None, &timings);
    let nothing = |_: &Raised| String::new();
    let kept = house.store.raise(&alarm, &opened, &BTreeSet::new(), None, &nothing).await.unwrap();
    assert!(matches!(kept, Kept::Done(_)), "{kept:?}");
    opened.incident.id
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lives_where_it_is_and_cannot_be_read_keeps_nobody_else_from_being_called() {
    for database in BOTH {
        let fake = Fake::start(say(200, "{}")).await;
        let house = House::start_with(database, &settings(&fake)).await;
        worker(&house, Role::GridWorker1, "13800138001").await;
        worker(&house, Role::Patrol, "13800138002").await;
        let at_home = worker(&house, Role::Patrol, "13800138003").await;
        let home = house.household("3-1-502").await;
        house.store.add_member(&home, &at_home.id, house.clock.now()).await.unwrap();
        // One whose id is none, and then nothing of who lives there but who they are.
        for sql in [
            "insert into persons values ('?', 'odd', 'odd', 'en', '-', 0, 1)".to_owned(),
            format!("insert into household_members values ('?', '{home}', 1, null)"),
            format!("insert into units values ('?', '{}', '{}', 'odd', 1)", house.site, house.lobby),
            format!("update households set unit_id = '?' where id = '{home}'"),
        ] {
            house.sql(&sql).await;
        }
        let silent = raise_at(&house, AlarmKind::Duress, &home).await;
        settled(&house, &silent, 3).await;
        let seen = fake.seen();
        assert_eq!(paths(&seen), ["/duty", "/sms", "/voice"], "{database:?}");
        assert_eq!(at(&seen, "/voice")[0].json()["to"], "13800138002", "{database:?}: never at that home");
        let loud = raise_at(&house, AlarmKind::Panic, &home).await;
        settled(&house, &loud, 4).await;
        let seen = fake.seen().split_off(3);
        assert_eq!(paths(&seen), ["/duty", "/sms", "/staff", "/voice"], "{database:?}");
        assert_eq!(at(&seen, "/voice")[0].json()["to"], "13800138001", "{database:?}");
        assert!(house.store.unreadable() >= 2, "{database:?}: it is counted");
        house.stop().await;
    }
}

/// The only incident there is, when its messages have been sent.
async fn only(house: &House, messages: usize) -> IncidentId {
    let patrol = house.sign_in_as(Role::Auditor).await;
    let (_, list) = patrol.get("/api/v1/incidents").await;
    let id = IncidentId::parse(list["items"][0]["id"].as_str().unwrap()).unwrap();
    settled(house, &id, messages).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn duress_at_a_door_does_not_ring_whoever_on_duty_lives_behind_it() {
    let fake = Fake::start(say(200, "{}")).await;
    let house = House::start_with(Database::Sqlite, &settings(&fake)).await;
    worker(&house, Role::Patrol, "13800138002").await;
    let behind = worker(&house, Role::Patrol, "13800138003").await;
    let household = house.household("3-1-502").await;
    house.store.add_member(&household, &behind.id, house.clock.now()).await.unwrap();
    let (_, token) = house.door(&house.lobby).await;
    let duress = json!({ "specversion": "1.0", "id": "1", "source": "/d", "type": "sharpeyes.door.duress" });
    assert_eq!(house.client().events(&token, "application/json", &duress).await.0, StatusCode::ACCEPTED);
    only(&house, 3).await;
    let seen = fake.seen();
    assert_eq!(paths(&seen), ["/duty", "/sms", "/voice"]);
    assert_eq!(at(&seen, "/voice")[0].json()["to"], "13800138002");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_says_which_device_and_which_part_of_it_and_nothing_that_the_device_has_made_up() {
    for (source, says) in [("hikvision/input/5", "door input 5"), ("/flat/Zhang San", "door")] {
        let fake = Fake::start(say(200, "{}")).await;
        let house = House::start_with(Database::Sqlite, &settings(&fake)).await;
        worker(&house, Role::Patrol, "13800138002").await;
        let (_, token) = house.device(&house.lobby, DeviceKind::Panel).await;
        let panic =
            json!({ "specversion": "1.0", "id": "1", "source": source, "type": "sharpeyes.alarm.panic" });
        assert_eq!(house.client().events(&token, "application/json", &panic).await.0, StatusCode::ACCEPTED);
        only(&house, 4).await;
        let told = at(&fake.seen(), "/staff")[0].json();
        assert!(told["point"].as_str().unwrap().ends_with(&format!(" {says}")), "{told}");
        assert!(!told.to_string().contains("Zhang"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_nobody_holds_costs_no_time() {
    let fake = Fake::start(say(200, "{}")).await;
    let house = House::start_with(Database::Sqlite, &settings(&fake)).await;
    worker(&house, Role::Patrol, "13800138001").await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    // No grid worker is there, whom the chain begins with.
    let id = raise(&desk, "fire", &house.gate).await;
    settled(&house, &id, 4).await;
    let seen = fake.seen();
    assert_eq!(paths(&seen), ["/duty", "/sms", "/staff", "/voice"]);
    assert_eq!(at(&seen, "/voice")[0].json()["to"], "13800138001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_only_an_account_holds_that_is_switched_off_costs_no_time() {
    for database in BOTH {
        let fake = Fake::start(say(200, "{}")).await;
        let house = House::start_with(database, &settings(&fake)).await;
        worker(&house, Role::Patrol, "13800138001").await;
        let gone = worker(&house, Role::GridWorker1, "13800138002").await;
        house.sql(&format!("update persons set disabled = 1 where id = '{}'", gone.id)).await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let id = raise(&desk, "fire", &house.gate).await;
        settled(&house, &id, 4).await;
        let seen = fake.seen();
        assert_eq!(paths(&seen), ["/duty", "/sms", "/staff", "/voice"], "{database:?}");
        assert_eq!(at(&seen, "/voice")[0].json()["to"], "13800138001");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_who_cannot_be_read_keeps_nobody_else_from_being_called() {
    for database in BOTH {
        let fake = Fake::start(say(200, "{}")).await;
        let house = House::start_with(database, &settings(&fake)).await;
        let one = worker(&house, Role::GridWorker1, "13800138001").await.id;
        house.sql(&format!("update grants set role = '?' where person_id = '{one}'")).await;
        // PostgreSQL keeps no text in a number.
        if database == Database::Sqlite {
            let two = worker(&house, Role::GridWorker1, "13800138002").await.id;
            house.sql(&format!("update persons set created_at = '?' where id = '{two}'")).await;
        }
        worker(&house, Role::GridWorker1, "13800138003").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let id = raise(&desk, "fire", &house.gate).await;
        settled(&house, &id, 4).await;
        let seen = fake.seen();
        assert_eq!(paths(&seen), ["/duty", "/sms", "/staff", "/voice"], "{database:?}");
        assert_eq!(at(&seen, "/voice")[0].json()["to"], "13800138003");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_are_told_by_what_they_have_switched_on_until_they_answer() {
    let fake = Fake::start(say(201, "")).await;
    let more = format!(
        "[push]\ncontact = \"mailto:alarms@example.net\"\nallow_networks = [\"127.0.0.0/8\"]\nkey_file = \"{}\"\n",
        std::env::temp_dir().join(format!("sharp-eyes-push-{}.key", new())).display()
    );
    let house = House::start_with(Database::Sqlite, &more).await;
    let mut people = Vec::new();
    let group = domain::group::Group {
        id: domain::GroupId::from_random(random()),
        site_id: house.site.clone(),
        name: "building 3".into(),
        created_at: house.clock.now(),
        ended_at: None,
        members: Vec::new(),
    };
    use domain::incident::repository::Groups as _;
    house.store.add_group(&group).await.unwrap();
    for n in 0..6 {
        let person = house.person(&format!("home-{n}")).await;
        let home = house.household(&format!("3-1-50{n}")).await;
        house.store.add_member(&home, &person.id, house.clock.now()).await.unwrap();
        house.store.join_group(&group.id, &home, &person.id, house.clock.now()).await.unwrap();
        let client = house.signed_in(&person).await;
        let browser = Browser::new();
        browser.subscribe(&house, &person, &fake.url(&format!("/push/{n}"))).await;
        people.push((client, browser));
    }
    // One has signed out, and so has their browser.
    assert_eq!(people[5].0.delete("/api/v1/session").await, StatusCode::NO_CONTENT);
    let (status, receipt) = people[0].0.post(ALARMS, json!({ "kind": "medical" })).await;
    assert_eq!((status.as_u16(), &receipt["households"]), (201, &json!(5)));
    let seen = fake.asked(4).await;
    assert_eq!(
        paths(&seen),
        ["/push/1", "/push/2", "/push/3", "/push/4"],
        "not who presses, not who is gone"
    );
    let told = people[1].1.read(at(&seen, "/push/1")[0]);
    assert_eq!(told["title"], "医疗求助：幸福里 lobby 3 3-1-500");
    assert!(told["body"].as_str().unwrap().contains("邻居需要帮助"), "{told}");
    assert!(!told.to_string().contains("name of"), "{told}");

    // Who has answered before it could be sent again is left alone.
    fake.will(&[say(500, "")]);
    let (_, receipt) = people[1].0.post(ALARMS, json!({ "kind": "fire" })).await;
    let seen = fake.asked(8).await;
    assert_eq!(seen.len(), 8);
    let path = format!("/api/v1/incidents/{}/answer", receipt["incident_id"].as_str().unwrap());
    for n in [0, 2] {
        let (status, answer) = people[n].0.post(&path, json!({ "answer": "coming" })).await;
        assert!(status.is_success(), "{answer}");
    }
    fake.will(&[say(201, "")]);
    house.clock.jump(6 * SECOND);
    let seen = fake.asked(10).await;
    assert_eq!(paths(&seen[8..]), ["/push/3", "/push/4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_hold_back_what_is_not_grave_and_nothing_else() {
    let fake = Fake::start(say(200, "{}")).await;
    let house = House::start_with(Database::Sqlite, &settings(&fake)).await;
    let sleeper = worker(&house, Role::GridWorker1, "13800138000").await;
    // Quiet from an hour ago until some minutes from now, in the site's time.
    let minute = house.clock.now().0 / (60 * SECOND) + 8 * 60;
    let of_day = |minute: i64| u16::try_from(minute.rem_euclid(24 * 60)).unwrap();
    let quiet = Quiet::new(of_day(minute - 60), of_day(minute + 6));
    let contact = Contact { phone: Some("13800138000".into()), quiet, ..Contact::default() };
    house.store.set_contact(&sleeper.id, &contact).await.unwrap();
    let desk = house.sign_in_as(Role::DutyOperator).await;
    let intrusion = raise(&desk, "intrusion", &house.gate).await;
    raise(&desk, "panic", &house.gate).await;
    let seen = fake.asked(6).await;
    assert_eq!(paths(&seen), ["/duty", "/duty", "/sms", "/staff", "/staff", "/voice"]);
    assert!(at(&seen, "/sms")[0].text().contains("紧急求助"), "the grave one");
    let messages = house.store.messages(&intrusion).await.unwrap();
    let held: Vec<_> = messages.iter().filter(|message| message.lane == "sms").collect();
    assert_eq!(held.len(), 1);
    let wait = (held[0].due_at.0 - held[0].made_at.0) / (60 * SECOND);
    assert!((4..=6).contains(&wait), "{wait} minutes");
    house.clock.jump(7 * 60 * SECOND);
    let seen = fake.asked(7).await;
    assert!(at(&seen, "/sms")[1].text().contains("入侵报警"), "it comes when the quiet is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_between_sending_and_noting_sends_once_more_with_the_same_id() {
    for database in BOTH {
        let mut slow = say(200, "{}");
        slow.3 = Duration::from_secs(60);
        let fake = Fake::start(slow).await;
        let house = House::start_with(database, &settings(&fake)).await;
        worker(&house, Role::GridWorker1, "13800138000").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let id = raise(&desk, "panic", &house.gate).await;
        let first = fake.asked(4).await;
        let (settings, clock) = (house.settings.clone(), house.clock.clone());
        // What was sent has arrived; what would note it is cut off.
        let folder = house.stop().await;
        fake.will(&[say(200, "{}")]);
        // Its messages, and not those of a time limit that runs out meanwhile.
        let ids: BTreeSet<String> = first.iter().map(|seen| seen.json()["id"].to_string()).collect();
        assert_eq!(ids.len(), 4);
        let again = || {
            let seen = fake.seen().into_iter();
            seen.filter(|seen| ids.contains(&seen.json()["id"].to_string())).collect::<Vec<_>>()
        };
        for restart in 1..=2 {
            clock.jump(31 * SECOND);
            let listeners = sharp_eyes::Listeners {
                http: tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
                rtsp: None,
                webrtc: None,
            };
            let app = sharp_eyes::App::build(&settings, Arc::new(clock.clone())).await.unwrap();
            let store = Arc::clone(app.store());
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let running = tokio::spawn(app.run(listeners, async {
                let _ = stopped.await;
            }));
            let limit = tokio::time::Instant::now() + Duration::from_secs(30);
            while store.messages(&id).await.unwrap().iter().any(|message| message.state != State::Sent) {
                assert!(tokio::time::Instant::now() < limit);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let seen = again();
            assert_eq!(
                paths(&seen),
                ["/duty", "/duty", "/sms", "/sms", "/staff", "/staff", "/voice", "/voice"]
            );
            assert_eq!(seen.len(), 8, "{database:?}, restart {restart}");
            drop(stop);
            assert!(running.await.unwrap());
        }
        drop(folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c35_a_message_that_was_sent_when_the_process_was_killed_is_sent_once_more() {
    let mut slow = say(200, "{}");
    slow.3 = Duration::from_secs(60);
    let fake = Fake::start(slow).await;
    let house = House::start().await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    let (gate, settings) = (house.gate.clone(), house.settings.clone());
    let folder = house.stop().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\n[rtsp]\nlisten = \"\"\n[webrtc]\nlisten = \"\"\n\
         [database]\nurl = \"{}\"\n[secrets]\nkey_file = \"{}\"\n[audit]\nspool_file = \"\"\n[log]\nfilter = \"error\"\n\
         [notify]\nallow_networks = [\"127.0.0.0/8\"]\n[[notify.webhook]]\nname = \"staff\"\nurl = \"{}\"\n\
         key = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n",
        settings.database,
        settings.key_file.display(),
        fake.url("/staff")
    );
    std::fs::write(folder.path("config.toml"), config).unwrap();
    let gateway = Gateway::start(serve(&folder));
    let mut client = Client::new(gateway.address);
    client.cookie.clone_from(&desk.cookie);
    raise(&client, "panic", &gate).await;
    let first = fake.asked(1).await[0].json()["id"].clone();
    drop(gateway);
    fake.will(&[say(200, "{}")]);
    // As if half a minute had passed, after which it is known that nobody else is at it.
    let mut connection = sqlx::AnyConnection::connect(&settings.database).await.unwrap();
    sqlx::query("update messages set due_at = 0").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    for _ in 0..2 {
        let gateway = Gateway::start(serve(&folder));
        let mut client = Client::new(gateway.address);
        client.cookie.clone_from(&desk.cookie);
        fake.asked(2).await;
        // What comes after it is told: so it would have been told again by now.
        let second = raise(&client, "panic", &gate).await;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(second.as_str().len(), 32);
        drop(gateway);
        let ids: Vec<_> = fake.seen().iter().map(|seen| seen.json()["id"].clone()).collect();
        assert_eq!(ids.iter().filter(|id| **id == first).count(), 2, "{ids:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_gateways_at_one_database_one_sends() {
    for database in BOTH {
        let fake = Fake::start(say(200, "{}")).await;
        let house = House::start_with(database, &settings(&fake)).await;
        worker(&house, Role::GridWorker1, "13800138000").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let clock = Arc::new(house.clock.clone()) as Arc<dyn domain::Clock>;
        let ways = sharp_eyes::notify::Ways::new(&house.settings.notify, None, None, &clock).unwrap();
        let (_bell, outbox) = tokio::sync::watch::channel(0);
        let (pulse, health) = (tokio::sync::watch::channel(()).1, web::health::Health::default());
        let other = tokio::spawn(ways.run(Arc::clone(&house.store) as _, clock, outbox, pulse, health));
        let mut incidents = Vec::new();
        for n in 0..6 {
            let place = place(&house, &format!("yard {n}")).await;
            incidents.push(raise(&desk, "fire", &place).await);
        }
        fake.asked(24).await;
        for id in &incidents {
            let messages = settled(&house, id, 4).await;
            assert!(messages.iter().all(|message| message.attempt == 1), "{database:?} {messages:?}");
        }
        assert_eq!(fake.seen().len(), 24, "{database:?}");
        other.abort();
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_read_again_makes_nothing_twice_and_a_gap_in_it_loses_nobody() {
    for database in BOTH {
        let fake = Fake::start(say(200, "{}")).await;
        let house = House::start_with(database, &settings(&fake)).await;
        worker(&house, Role::GridWorker1, "13800138000").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let id = raise(&desk, "panic", &house.gate).await;
        fake.asked(4).await;
        settled(&house, &id, 4).await;
        // As if it had died after the messages and before noting how far it had read.
        house.sql("update messages_read set seq = 0 where id = 1").await;
        let second = raise(&desk, "fire", &house.gate).await;
        settled(&house, &second, 4).await;
        read_up(&house).await;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert_eq!(fake.seen().len(), 8, "{database:?}: each was told once");
        // Notices are gone that nobody has read; whoever calls then is found without them.
        let (settings, clock) = (house.settings.clone(), house.clock.clone());
        house.sql("update messages_read set seq = 0 where id = 1").await;
        house.sql("delete from messages").await;
        house.sql("delete from outbox where seq < (select max(seq) from outbox)").await;
        let third = raise(&desk, "medical", &house.gate).await;
        fake.asked(8 + 12).await;
        settled(&house, &third, 4).await;
        assert_eq!(house.store.messages(&id).await.unwrap().len(), 4);
        drop((settings, clock));
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_taken_is_given_up_and_it_is_kept_why() {
    let fake = Fake::start(say(500, "")).await;
    let house = House::start_with(Database::Sqlite, &settings(&fake)).await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    let id = raise(&desk, "panic", &house.gate).await;
    for tries in 1..=10 {
        fake.asked(2 * tries).await;
        let limit = tokio::time::Instant::now() + Duration::from_secs(20);
        while house
            .store
            .messages(&id)
            .await
            .unwrap()
            .iter()
            .any(|m| m.reason.is_none() && m.state == State::Waiting)
        {
            assert!(tokio::time::Instant::now() < limit);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        house.clock.jump(301 * SECOND);
    }
    let messages = settled(&house, &id, 2).await;
    assert!(messages.iter().all(|m| m.state == State::Failed && m.attempt == 10), "{messages:?}");
    assert!(messages[0].reason.as_deref().unwrap().contains("500"), "{messages:?}");
    // What is set up wrong is given up at once.
    fake.will(&[say(404, "")]);
    let id = raise(&desk, "fire", &house.gate).await;
    let messages = settled(&house, &id, 2).await;
    assert!(messages.iter().all(|m| m.state == State::Failed && m.attempt == 1), "{messages:?}");
    assert_eq!(fake.seen().len(), 22);
    // What has ended is removed when it is old, and what waits is not.
    fake.will(&[say(503, "")]);
    let waits = raise(&desk, "medical", &house.gate).await;
    fake.asked(24).await;
    let later = house.clock.now().after(Duration::from_secs(1));
    assert_eq!(
        house.store.remove_old_messages(house.clock.now().before(Duration::from_secs(7_200))).await,
        Ok(0)
    );
    assert_eq!(house.store.remove_old_messages(later).await, Ok(4));
    assert_eq!(house.store.messages(&waits).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_gets_twenty_in_a_minute_and_a_restart_changes_nothing_about_that() {
    let fake = Fake::start(say(200, r#"{"errcode":0,"errmsg":"ok"}"#)).await;
    let key = new();
    crate::support::leaks::secret(&key);
    let more = format!(
        "[notify]\nallow_networks = [\"127.0.0.0/8\"]\n[[notify.wecom]]\nname = \"staff\"\nurl = \"{}\"\nkey = \"{key}\"\n",
        fake.url("/send")
    );
    let house = House::start_with(Database::Sqlite, &more).await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    let mut incidents = Vec::new();
    for n in 0..13 {
        let place = place(&house, &format!("yard {n}")).await;
        for kind in ["fire", "medical"] {
            incidents.push(raise(&desk, kind, &place).await);
        }
    }
    fake.asked(20).await;
    read_up(&house).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(fake.seen().len(), 20);
    let mut waiting = 0;
    for id in &incidents {
        let messages = house.store.messages(id).await.unwrap();
        waiting += messages.iter().filter(|message| message.state == State::Waiting).count();
    }
    assert_eq!(waiting, 6, "they wait for their turn, and none is lost");
    let (settings, clock) = (house.settings.clone(), house.clock.clone());
    let folder = house.stop().await;
    let listeners = sharp_eyes::Listeners {
        http: tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
        rtsp: None,
        webrtc: None,
    };
    let app = sharp_eyes::App::build(&settings, Arc::new(clock)).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(app.run(listeners, async {
        let _ = stopped.await;
    }));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(fake.seen().len(), 20);
    drop(stop);
    assert!(running.await.unwrap());
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_gateways_the_slower_stops_nothing_that_the_other_has_called_for_since() {
    for database in BOTH {
        let fake = Fake::start(say(503, "")).await;
        let house = House::start_with(database, &settings(&fake)).await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let id = raise(&desk, "panic", &house.gate).await;
        read_up(&house).await;
        expire(&house, &id).await;
        read_up(&house).await;
        let waiting = async || {
            let messages = house.store.messages(&id).await.unwrap();
            let waiting = messages.iter().filter(|message| message.state == State::Waiting);
            waiting.map(|message| message.version).collect::<BTreeSet<_>>()
        };
        assert_eq!(waiting().await, [1, 2].into(), "{database:?}");
        // One that has seen the first call, and nothing since.
        house.store.stop_all_but(&id, &[1].into(), 1).await.unwrap();
        assert_eq!(waiting().await, [1, 2].into(), "{database:?}");
        house.store.stop_all_but(&id, &[2].into(), 2).await.unwrap();
        assert_eq!(waiting().await, [2].into(), "{database:?}");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_keeps_nothing_else_from_being_told() {
    for database in BOTH {
        let fake = Fake::start(say(503, "")).await;
        let house = House::start_with(database, &settings(&fake)).await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        // A message of each channel stands first in its lane, and its incident cannot be read.
        let broken = raise(&desk, "panic", &house.gate).await;
        let unheard = raise(&desk, "fire", &house.gate).await;
        read_up(&house).await;
        house.sql(&format!("update messages set receiver = '?' where incident_id = '{broken}'")).await;
        house.sql(&format!("update incidents set kind = 'nonsense' where id = '{unheard}'")).await;
        let odd = "insert into outbox (seq, at, topic, site_id, place_id, object, word, drill)
            select seq + 1, 0, 'nonsense', 'x', null, 'x', 'x', 0 from outbox_head";
        house.sql(odd).await;
        house.sql("update outbox_head set seq = seq + 1").await;
        fake.will(&[say(200, "{}")]);
        house.clock.jump(6 * SECOND);
        let before = fake.seen().len();
        let id = raise(&desk, "medical", &house.gate).await;
        let messages = settled(&house, &id, 2).await;
        assert!(messages.iter().all(|message| message.state == State::Sent), "{database:?} {messages:#?}");
        // What cannot be read is given up, kept as that, and not tried any more.
        let failed = async |id: &IncidentId, column: &str| {
            house
                .sql_count(&format!(
                    "select count(*) from messages where {column} = '{id}' and state = 'failed'"
                ))
                .await
        };
        assert_eq!(failed(&broken, "incident_id").await, 2, "{database:?}");
        let limit = tokio::time::Instant::now() + Duration::from_secs(30);
        while failed(&unheard, "incident_id").await < 2 {
            assert!(tokio::time::Instant::now() < limit, "{database:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(fake.seen().len() >= before + 2);
        assert!(house.store.unreadable() >= 3, "{database:?}: it is counted");
        // The desk sees the others.
        let (status, list) = desk.get("/api/v1/incidents").await;
        assert_eq!((status, list["items"].as_array().unwrap().len()), (StatusCode::OK, 2), "{list}");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_receiver_that_hangs_keeps_nobody_else_waiting() {
    let hangs = Say(200, Vec::new(), "{}".to_owned(), Duration::from_secs(60));
    let fake = Fake::start(say(200, "{}")).await;
    fake.will(&[hangs, say(200, "{}")]);
    let more = format!(
        "[notify]\nallow_networks = [\"127.0.0.0/8\"]\n[sms]\nurl = \"{}\"\nbody = '{{\"to\":\"{{phone}}\"}}'\n",
        fake.url("/sms")
    );
    let house = House::start_with(Database::Sqlite, &more).await;
    // More than there are places in the lane.
    for n in 0..48 {
        worker(&house, Role::GridWorker1, &format!("138001380{n:02}")).await;
    }
    let desk = house.sign_in_as(Role::DutyOperator).await;
    let id = raise(&desk, "fire", &house.gate).await;
    fake.asked(48).await;
    let messages = house.store.messages(&id).await.unwrap();
    // All are told while the first one still hangs, which after ten seconds has a reason to be tried again.
    assert!(messages.iter().all(|message| message.reason.is_none()), "{messages:#?}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_with_too_many_waiting_takes_no_more_and_says_so() {
    let fake = Fake::start(say(503, "")).await;
    let house = House::start_with(Database::Sqlite, &settings(&fake)).await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    let first = raise(&desk, "intrusion", &house.gate).await;
    fake.asked(2).await;
    // A thousand others of one lane.
    let rows: Vec<String> = (0..1_000)
        .map(|n| {
            let due = house.clock.now().0 + 3_600 * SECOND;
            format!(
                "('{}', '{first}', {}, 'webhook:staff', '', '', 0, 'waiting', 0, {due}, {}, null, null)",
                domain::MessageId::from_random(random()),
                1_000 + n,
                due - 3_600 * SECOND
            )
        })
        .collect();
    house.sql(&format!(
        "insert into messages (id, incident_id, version, lane, receiver, device, urgent, state, attempt, due_at, made_at, tried_at, reason) values {}",
        rows.join(", ")
    )).await;
    let tamper = place(&house, "yard").await;
    let second = raise(&desk, "intrusion", &tamper).await;
    read_up(&house).await;
    let states = |messages: Vec<Message>| -> Vec<(String, State)> {
        messages.into_iter().map(|message| (message.lane, message.state)).collect()
    };
    let found = states(house.store.messages(&second).await.unwrap());
    assert!(found.contains(&("webhook:staff".into(), State::Failed)), "{found:?}");
    assert!(found.contains(&("webhook:duty".into(), State::Waiting)), "{found:?}");
    // One that is urgent goes before all that wait.
    let before = fake.seen().len();
    let third = raise(&desk, "fire", &tamper).await;
    read_up(&house).await;
    let found = states(house.store.messages(&third).await.unwrap());
    assert!(found.iter().all(|(_, state)| *state == State::Waiting), "{found:?}");
    fake.asked(before + 2).await;
    assert_eq!(house.store.persons().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_planned_at_once_however_many_door_events_stand_before_it() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        let (store, clock) = (Arc::new(store), TestClock::default());
        let site = Site {
            id: SiteId::from_random(random()),
            name: "compound".into(),
            kind: SiteKind::Compound,
            time_zone: "Asia/Shanghai".into(),
            resident_policy: ResidentPolicy::Off,
            created_at: clock.now(),
        };
        store.add_site(&site).await.unwrap();
        let gate = Place {
            id: PlaceId::from_random(random()),
            site_id: site.id.clone(),
            parent_id: None,
            name: "gate".into(),
            kind: PlaceKind::Gate,
            created_at: clock.now(),
        };
        store.add_place(&gate).await.unwrap();
        let planner = Planner {
            repository: Arc::clone(&store) as _,
            clock: Arc::new(clock.clone()),
            lanes: vec![Target { lane: "webhook:w".into(), way: Way::Webhook, channel: Some((None, false)) }],
            sites: Arc::new(Sites::new(BTreeSet::new())),
            bell: tokio::sync::watch::Sender::new(0),
        };
        let door = |n: usize| Notice {
            at: clock.now(),
            topic: Topic::DoorEvent,
            site_id: site.id.clone(),
            place_id: Some(gate.id.clone()),
            object: format!("{n}"),
            word: "door.opened".into(),
            drill: false,
        };
        for n in 0..10 {
            let notices: Vec<Notice> = (0..500).map(|m| door(n * 500 + m)).collect();
            store.post(&notices).await.unwrap();
        }
        let alarm = Alarm {
            kind: AlarmKind::Panic,
            site_id: site.id.clone(),
            place_id: gate.id.clone(),
            point: Point::Place(gate.id.clone()),
            drill: false,
            late: false,
            reporter: None,
            received_at: clock.now(),
        };
        let id = IncidentId::from_random(random());
        let opened = Incident::open(id.clone(), &alarm, None, &Timings::of(SiteKind::Compound));
        store.raise(&alarm, &opened, &BTreeSet::new(), None, &|_| String::new()).await.unwrap();
        store.post(&[door(5_000)]).await.unwrap();
        // Rounds until it is planned; of pages of a hundred there are fifty before it.
        let mut rounds = 0;
        while store.messages(&id).await.unwrap().is_empty() {
            planner.read().await.unwrap();
            rounds += 1;
            assert!(rounds <= 2, "{database:?}: it waits behind what doors tell");
        }
        assert_eq!(store.read_up_to().await.unwrap(), store.last_notice().await.unwrap(), "{database:?}");
        assert!(!planner.read().await.unwrap(), "{database:?}: nothing is left");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_station_is_reminded_of_a_report_that_is_overdue_and_no_telephone_rings_for_it() {
    for database in BOTH {
        let fake = Fake::start(say(200, "{}")).await;
        let house = House::start_with(database, &settings(&fake)).await;
        let station = worker(&house, Role::DutyOperator, "13800138000").await;
        worker(&house, Role::GridWorker1, "13800138001").await;
        let (guard, desk) = (house.sign_in_as(Role::Patrol).await, house.signed_in(&station).await);
        let id = raise(&guard, "fire", &house.gate).await;
        let path = format!("/api/v1/incidents/{id}");
        for (version, act) in (1..).zip(["ack", "accept", "arrive"]) {
            let (status, answer) = guard.act(&path, act, json!({ "version": version })).await;
            assert_eq!(status, StatusCode::OK, "{act}: {answer}");
        }
        read_up(&house).await;
        settled(&house, &id, 1).await;
        let before = fake.seen().len();
        assert_eq!(desk.get(&path).await.1["incident"]["called"], false, "{database:?}: there is time");
        for round in 0..2 {
            expire(&house, &id).await;
            read_up(&house).await;
            let version = 5 + round;
            let limit = tokio::time::Instant::now() + Duration::from_secs(30);
            while fake.seen().len() < before + 2 * (1 + usize::try_from(round).unwrap()) {
                assert!(tokio::time::Instant::now() < limit, "{database:?}: {version}: it is told");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let incident = house.store.incident(&id).await.unwrap().unwrap();
            assert!(incident.timer.is_some(), "{database:?}: and again after as long");
            let messages = house.store.messages(&id).await.unwrap();
            assert!(messages.iter().any(|message| message.version == version && !message.urgent));
        }
        let seen = fake.seen();
        let told = seen.get(before..).unwrap();
        assert_eq!(paths(told), ["/duty", "/duty", "/staff", "/staff"], "{database:?}: no telephone rings");
        let text = &at(told, "/staff")[0].body;
        assert!(String::from_utf8_lossy(text).contains("The report is overdue"), "{database:?}");
        let (_, whole) = desk.get(&path).await;
        assert_eq!(whole["incident"]["called"], true, "{database:?}: it is marked on their page");
        assert_eq!(guard.get(&path).await.1["incident"]["called"], false, "{database:?}");
        let (_, list) = desk.get("/api/v1/incidents").await;
        assert_eq!(list["items"][0]["called"], true, "{database:?}");
        // It is written: nobody is reminded any more, until the follow-up is late as well.
        desk.act(&path, "feedback", json!({ "version": 6, "note": "put out" })).await;
        desk.act(&path, "close", json!({ "version": 7 })).await;
        assert_eq!(desk.get(&path).await.1["incident"]["called"], false, "{database:?}");
        expire(&house, &id).await;
        assert_eq!(desk.get(&path).await.1["incident"]["called"], true, "{database:?}");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_follows_its_site_through_a_new_name_and_says_when_there_is_no_such_site() {
    let fake = Fake::start(say(200, "{}")).await;
    let key = "key = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";
    let channel = |name: &str, site: &str| {
        format!(
            "[[notify.webhook]]\nname = \"{name}\"\nsite = \"{site}\"\nurl = \"{}\"\n{key}\n",
            fake.url(&format!("/{name}"))
        )
    };
    let more = format!(
        "[notify]\nallow_networks = [\"127.0.0.0/8\"]\n{}{}",
        channel("one", "Xingfuli"),
        channel("none", "Nowhere")
    );
    let house = House::start_with(Database::Sqlite, &more).await;
    let owner = house.sign_in_as(Role::Owner).await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    let rename = async |name: &str| house.sql(&format!("update sites set name = '{name}'")).await;
    rename("Xingfuli").await;
    let said = async || owner.get("/api/v1/health").await.1["items"].to_string();
    let limit = tokio::time::Instant::now() + Duration::from_secs(60);
    while !said().await.contains("Nowhere") || said().await.contains("Xingfuli") {
        assert!(tokio::time::Instant::now() < limit, "{}", said().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    raise(&desk, "fire", &house.gate).await;
    assert_eq!(paths(&fake.asked(1).await), ["/one"]);
    rename("Garden of joy").await;
    raise(&desk, "panic", &house.gate).await;
    assert_eq!(paths(&fake.asked(2).await), ["/one", "/one"], "it is the site that it was");
    house.stop().await;
}
