//! Server-sent events: everybody is told at once what they may know, nobody anything
//! else, and nothing is lost by a page that was away.

use crate::support::camera;
use crate::support::client::Client;
use crate::support::database::{BOTH, Database};
use crate::support::{House, camera_at, until};
use domain::Clock as _;
use domain::incident::repository::Outbox as _;
use domain::notice::{Line, Notice, Topic};
use domain::repository::{Persons as _, Rights as _};
use domain::role::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;

const STREAM: &str = "/api/v1/stream";
const PATIENCE: Duration = Duration::from_secs(20);

/// An event as a page gets it.
#[derive(Clone, Debug, PartialEq)]
struct Heard {
    /// The number of its notice.
    id: i64,
    /// What one goes on from after it.
    last: String,
    event: String,
    data: Value,
}

/// A page that listens.
struct Page {
    response: Response,
    text: String,
    /// The id that it would go on from if it heard nothing else.
    begun: i64,
}

impl Page {
    async fn open(client: &Client, last: Option<i64>) -> Self {
        Self::after(client, last.map(|last| last.to_string()).as_deref()).await
    }

    async fn after(client: &Client, last: Option<&str>) -> Self {
        let mut request = client.request(Method::GET, STREAM);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            (header("content-type"), header("cache-control")),
            ("text/event-stream".into(), "private, no-store".into())
        );
        let mut page = Self { response, text: String::new(), begun: 0 };
        // From here on nothing is missed.
        let first = page.next().await.unwrap();
        assert_eq!((first.event.as_str(), &first.data), ("listening", &json!({})));
        page.begun = first.id;
        page
    }

    /// The next block; nothing at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk =
                tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("it should have come");
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// The next event; nothing at the end.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let Some(event) = field("event:") {
                let last = field("id:").unwrap_or("0").to_owned();
                // How far the rest was read, then the alarms.
                let (rest, alarms) = last.split_once('-').unwrap_or((&last, &last));
                let id = if matches!(event, "alarm" | "incident") { alarms } else { rest };
                let id = id.parse().unwrap();
                let data = serde_json::from_str(field("data:").unwrap()).unwrap();
                return Some(Heard { id, last, event: event.to_owned(), data });
            }
        }
    }

    async fn heard(&mut self) -> Heard {
        self.next().await.expect("the stream goes on")
    }
}

async fn press(client: &Client, kind: &str) -> String {
    let (status, receipt) = client.post("/api/v1/alarms", json!({ "kind": kind })).await;
    assert_eq!(status.as_u16(), 201, "{receipt}");
    receipt["incident_id"].as_str().unwrap().to_owned()
}

/// Something that everybody of the house is told of: what comes before it has been heard.
async fn bell(house: &House, door: &str) {
    let event = json!({ "specversion": "1.0", "id": web::token::new(), "source": "/d", "type": "sharpeyes.door.opened" });
    let (status, _) = house.client().events(door, "application/json", &event).await;
    assert_eq!(status.as_u16(), 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_on_the_desks_page_and_every_step_on_the_page_of_who_needs_help() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let resident = house.sign_in_as(Role::Resident).await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let (mut at_home, mut at_desk) = (Page::open(&resident, None).await, Page::open(&desk, None).await);
        let id = press(&resident, "panic").await;
        for (page, seen_as) in [(&mut at_home, "own"), (&mut at_desk, "staff")] {
            let heard = page.heard().await;
            assert_eq!(
                (heard.event.as_str(), &heard.data["incident_id"]),
                ("alarm", &json!(id)),
                "{database:?}"
            );
            assert_eq!((&heard.data["kind"], &heard.data["seen_as"]), (&json!("panic"), &json!(seen_as)));
            assert!(!heard.data.to_string().contains("name of"));
        }
        let path = format!("/api/v1/incidents/{id}");
        assert_eq!(desk.act(&path, "ack", json!({ "version": 1 })).await.0.as_u16(), 200);
        let heard = at_home.heard().await;
        assert_eq!(
            (heard.event.as_str(), &heard.data["state"], &heard.data["version"]),
            ("incident", &json!("acked"), &json!(2))
        );
        drop((at_home, at_desk));
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_what_they_may_not_know() {
    let house = House::start().await;
    let (_, door) = house.door(&house.lobby).await;
    let (_, gate) = house.door(&house.gate).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut neighbour = Page::open(&house.sign_in_as(Role::Resident).await, None).await;
    let mut own = Page::open(&resident, None).await;
    let mut auditor = Page::open(&house.sign_in_as(Role::Auditor).await, None).await;
    let mut desk = Page::open(&house.sign_in_as(Role::DutyOperator).await, None).await;
    press(&resident, "panic").await;
    press(&resident, "duress").await;
    let duress = json!({ "specversion": "1.0", "id": "x", "source": "/d", "type": "sharpeyes.door.duress" });
    house.client().events(&door, "application/json", &duress).await;
    bell(&house, &gate).await;
    bell(&house, &door).await;
    let mut told = Vec::new();
    for page in [&mut neighbour, &mut own, &mut desk] {
        let mut heard = Vec::new();
        loop {
            let one = page.heard().await;
            let word = one.data["kind"].as_str().or(one.data["type"].as_str()).unwrap().to_owned();
            let last = word == "door.opened" && one.data["place_id"] == house.lobby.as_str();
            heard.push(word);
            if last {
                break;
            }
        }
        told.push(heard);
    }
    assert_eq!(told[0], ["door.opened"], "another household, at the same entrance");
    assert_eq!(told[1], ["panic", "door.opened"], "and of duress not a word");
    // A door that was opened under duress is an alarm, too.
    assert_eq!(told[2], ["panic", "duress", "duress", "door.duress", "door.opened", "door.opened"]);
    let heard = [auditor.heard().await, auditor.heard().await].map(|one| one.data["kind"].clone());
    assert_eq!(heard, [json!("panic"), json!("duress")], "who reads the registers reads no doors");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_away_goes_on_where_it_was() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (_, door) = house.door(&house.lobby).await;
        let client = house.sign_in_as(Role::Patrol).await;
        // Also if it had heard nothing yet.
        bell(&house, &door).await;
        let page = Page::open(&client, None).await;
        let begun = page.begun;
        assert_eq!(begun, 1);
        drop(page);
        bell(&house, &door).await;
        let mut page = Page::open(&client, Some(begun)).await;
        let first = page.heard().await;
        assert_eq!((first.id, first.event.as_str()), (begun + 1, "door_event"));
        drop(page);
        // More than are read at a time, and some by several at once: the order has no gap.
        let senders = (0..8).map(|_| {
            let (client, door) = (house.client(), door.clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    let event = json!({ "specversion": "1.0", "id": web::token::new(), "source": "/d", "type": "sharpeyes.door.opened" });
                    client.events(&door, "application/json", &event).await;
                }
            })
        });
        let mut page = Page::open(&client, Some(first.id)).await;
        for sender in senders.collect::<Vec<_>>() {
            sender.await.unwrap();
        }
        for n in 1..=160 {
            assert_eq!(page.heard().await.id, first.id + n, "{database:?}");
        }
        drop(page);
        let mut again = Page::open(&client, Some(first.id + 150)).await;
        assert_eq!(again.heard().await.id, first.id + 151);
        drop(again);
        // Beyond what is kept it is told to begin anew, and then goes on.
        house.store.trim_outbox(5).await.unwrap();
        let mut old = Page::open(&client, Some(first.id)).await;
        assert_eq!(old.heard().await.event, "reset");
        assert_eq!(old.heard().await.id, first.id + 156);
        for wrong in ["x", "-1", "1.5", "1-", "1-x", "1-2-3"] {
            let answer =
                client.request(Method::GET, STREAM).header("last-event-id", wrong).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 422, "{wrong}");
        }
        drop(old);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_keeps_nothing_else_from_a_page() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let resident = house.sign_in_as(Role::Resident).await;
        let mut ids = Vec::new();
        for kind in ["panic", "fire", "medical", "intrusion"] {
            ids.push(press(&resident, kind).await);
        }
        // An incident that cannot be read, and a notice that is not there between others.
        house.sql(&format!("update incidents set state = '?' where id = '{}'", ids[0])).await;
        house.sql("delete from outbox where seq = 3").await;
        let mut page = Page::open(&desk, Some(0)).await;
        assert_eq!(page.heard().await.event, "reset", "{database:?}: something is missing");
        let heard = page.heard().await;
        assert_eq!((heard.id, &heard.data["incident_id"]), (2, &json!(ids[1])), "{database:?}");
        assert_eq!(page.heard().await.id, 4, "{database:?}");
        drop(page);
        // A notice that is there and cannot be read is missing, too, whatever it was about.
        for topic in ["?", "alarm"] {
            let after = press(&resident, "panic").await;
            let last = house.store.last_notice().await.unwrap();
            house
                .sql(&format!("update outbox set topic = '{topic}', site_id = '?' where seq = {last}"))
                .await;
            let mut page = Page::open(&desk, Some(last - 1)).await;
            assert_eq!(page.heard().await.event, "reset", "{database:?}: {topic} {after}");
            drop(page);
        }
        let page = Page::open(&desk, None).await;
        drop(page);
        house.stop().await;
    }
}

/// Opened and closed doors, as a controller sends what it has kept.
async fn doors(house: &House, count: usize) {
    let notice = |n: usize| Notice {
        at: house.clock.now(),
        topic: Topic::DoorEvent,
        site_id: house.site.clone(),
        place_id: Some(house.lobby.clone()),
        object: format!("door {n}"),
        word: "door.opened".into(),
        drill: false,
    };
    for chunk in (0..count).collect::<Vec<_>>().chunks(500) {
        let notices: Vec<Notice> = chunk.iter().map(|n| notice(*n)).collect();
        house.store.post(&notices).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_comes_before_thousands_of_door_events_that_wait() {
    const WAIT: usize = 5_000;
    for database in BOTH {
        let house = House::start_on(database).await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let resident = house.sign_in_as(Role::Resident).await;
        doors(&house, WAIT).await;
        let id = press(&resident, "panic").await;
        let mut page = Page::open(&desk, Some(0)).await;
        let first = page.heard().await;
        assert_eq!((first.event.as_str(), &first.data["incident_id"]), ("alarm", &json!(id)), "{database:?}");
        // The line breaks again and again: each notice is heard once all the same.
        let (mut last, mut heard) = (first.last, Vec::new());
        while heard.len() < WAIT {
            drop(page);
            page = Page::after(&desk, Some(&last)).await;
            for _ in 0..700.min(WAIT - heard.len()) {
                let one = page.heard().await;
                assert_eq!(one.event, "door_event", "{database:?}: of the alarm it has heard");
                heard.push(one.data["id"].as_str().unwrap().to_owned());
                last = one.last;
            }
        }
        let all: Vec<String> = (0..WAIT).map(|n| format!("door {n}")).collect();
        assert!(heard == all, "{database:?}: each once and in order");
        drop(page);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_what_cannot_be_read_hides_neither_what_can_nor_that_there_is_more() {
    const FLOOD: i64 = 250;
    for database in BOTH {
        let house = House::start_on(database).await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let resident = house.sign_in_as(Role::Resident).await;
        let flood = async || {
            let rows = format!(
                "insert into outbox (seq, at, topic, site_id, place_id, object, word, drill)
                 with recursive n(i) as (select 1 union all select i + 1 from n where i < {FLOOD})
                 select i + (select seq from outbox_head), 0, 'nonsense', 'x', null, 'x', 'x', 0 from n"
            );
            house.sql(&rows).await;
            house.sql(&format!("update outbox_head set seq = seq + {FLOOD}")).await;
        };
        let begin = house.store.last_notice().await.unwrap();
        flood().await;
        let incident = press(&resident, "panic").await;
        flood().await;
        let end = house.store.last_notice().await.unwrap();
        assert!(end > begin + 2 * FLOOD, "{database:?}");
        let (mut cursor, mut pages, mut read) = (begin, Vec::new(), 0);
        while let page = house.store.notices(Line::Alarms, cursor, 100).await.unwrap()
            && page.to > cursor
        {
            (cursor, read) = (page.to, read + page.notices.len());
            pages.push(page.more);
        }
        assert_eq!((cursor, i64::try_from(read).unwrap()), (end, end - begin - 2 * FLOOD), "{database:?}");
        assert_eq!(pages, [true, true, true, true, true, false], "{database:?}");
        let mut page = Page::open(&desk, Some(begin)).await;
        let heard = loop {
            let heard = page.heard().await;
            if heard.event != "reset" {
                break heard;
            }
        };
        assert_eq!(heard.data["incident_id"], json!(incident), "{database:?}");
        drop(page);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_is_too_late_to_be_an_incident_is_told_to_whoever_answers_alarms_there() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (_, door) = house.door(&house.lobby).await;
        let mut desk = Page::open(&house.sign_in_as(Role::DutyOperator).await, None).await;
        let mut resident = Page::open(&house.sign_in_as(Role::Resident).await, None).await;
        let old = domain::Timestamp(house.clock.now().0 - 3_600_000_000).to_string();
        let event = |id: &str, kind: &str| json!({ "specversion": "1.0", "id": id, "source": "/d", "type": kind, "time": old, "sequality": "backlog" });
        // Sent again, it is told once; the battery is in the list and calls nobody.
        for _ in 0..2 {
            let forced = event("1", "sharpeyes.door.forced");
            house.client().events(&door, "application/json", &forced).await;
        }
        house.client().events(&door, "application/json", &event("2", "sharpeyes.device.low_battery")).await;
        bell(&house, &door).await;
        let mut all = Vec::new();
        for page in [&mut desk, &mut resident] {
            let mut heard = Vec::new();
            loop {
                let one = page.heard().await;
                if one.data["type"] == "door.opened" {
                    break;
                }
                heard.push((one.event, one.data["type"].as_str().unwrap().to_owned()));
            }
            all.push(heard);
        }
        let one = |event: &str| (event.to_owned(), "door.forced".to_owned());
        assert_eq!(all[0], [one("door_event"), one("device_event")], "{database:?}");
        assert_eq!(all[1], [one("door_event")], "{database:?}: their own door, and not the desk's list");
        drop((desk, resident));
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_session_ends_so_does_the_stream_and_a_right_that_ends_is_heard_no_more() {
    let house = House::start().await;
    let (_, door) = house.door(&house.lobby).await;
    let owner = house.sign_in_as(Role::Owner).await;
    // Signed out, switched off, out of time: whatever ends a session.
    let leaver = house.sign_in_as(Role::Patrol).await;
    let mut page = Page::open(&leaver, None).await;
    leaver.delete("/api/v1/session").await;
    assert_eq!(page.next().await, None);
    let person = house.person("switched off").await;
    house.store.add_grant(&house.grant(&person, Role::Patrol)).await.unwrap();
    let mut page = Page::open(&house.signed_in(&person).await, None).await;
    assert_eq!(
        owner.patch(&format!("/api/v1/persons/{}", person.id), json!({ "disabled": true })).await.0.as_u16(),
        204
    );
    assert_eq!(page.next().await, None);
    // A role that ends: the stream goes on, without what it was for.
    let person = house.person("on leave").await;
    let grant = house.grant(&person, Role::Patrol);
    house.store.add_grant(&grant).await.unwrap();
    let household = house.household("home").await;
    house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
    let (_, gate) = house.door(&house.gate).await;
    let mut page = Page::open(&house.signed_in(&person).await, None).await;
    bell(&house, &gate).await;
    assert_eq!(page.heard().await.data["place_id"], house.gate.as_str());
    house.store.end_grant(&grant.id, house.clock.now()).await.unwrap();
    bell(&house, &gate).await;
    bell(&house, &door).await;
    assert_eq!(page.heard().await.data["place_id"], house.lobby.as_str());
    // When the gateway stops it waits for nobody who listens.
    let stopped = tokio::time::timeout(PATIENCE, house.stop());
    let (stopped, end) = tokio::join!(stopped, page.next());
    assert!(stopped.is_ok());
    assert_eq!(end, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_a_few_streams_and_who_reads_nothing_holds_up_nobody() {
    let house = House::start().await;
    let (_, door) = house.door(&house.lobby).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let mut pages = Vec::new();
    for _ in 0..8 {
        pages.push(Page::open(&client, None).await);
    }
    let ninth = client.request(Method::GET, STREAM).send().await.unwrap();
    assert_eq!(ninth.status().as_u16(), 429);
    // Seven read nothing; the eighth hears all of it.
    let mut reader = pages.pop().unwrap();
    let notice = |n: usize| Notice {
        at: house.clock.now(),
        topic: Topic::DoorEvent,
        site_id: house.site.clone(),
        place_id: Some(house.lobby.clone()),
        object: format!("{n}"),
        word: "x".repeat(200),
        drill: false,
    };
    for n in 0..50 {
        let notices: Vec<Notice> = (0..200).map(|m| notice(n * 200 + m)).collect();
        house.store.post(&notices).await.unwrap();
    }
    for n in 0..10_000 {
        assert_eq!(reader.heard().await.data["id"], n.to_string());
    }
    bell(&house, &door).await;
    assert_eq!(reader.heard().await.data["type"], "door.opened");
    drop(pages);
    // A seat that was left is free again.
    let free = async || client.request(Method::GET, STREAM).send().await.unwrap().status().as_u16() == 200;
    for _ in 0..200 {
        if free().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the seats were not given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_and_cameras_are_told_to_those_concerned() {
    let house = House::start_on(Database::Sqlite).await;
    let person = house.person("asks").await;
    let household = house.household("home").await;
    house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
    let asks = house.signed_in(&person).await;
    let owner = house.sign_in_as(Role::Owner).await;
    let mut pages = [Page::open(&asks, None).await, Page::open(&owner, None).await];
    let mut other = Page::open(&house.sign_in_as(Role::Resident).await, None).await;
    let input = json!({ "site_id": house.site, "household_id": household });
    let (status, request) = asks.post("/api/v1/approvals", input).await;
    assert_eq!(status.as_u16(), 201, "{request}");
    for page in &mut pages {
        let heard = page.heard().await;
        assert_eq!((heard.event.as_str(), &heard.data["id"]), ("approval", &request["id"]));
    }
    // A camera that cannot be reached: told to who may see it, once.
    let camera = house.camera("rtsp://127.0.0.1:9/a").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let _wanted = house.hub(&camera).want();
    let heard = pages[1].heard().await;
    assert_eq!(
        (heard.event.as_str(), &heard.data["id"], &heard.data["state"]),
        ("camera", &json!(camera), &json!("offline"))
    );
    let heard = other.heard().await;
    assert_eq!(
        (heard.event.as_str(), &heard.data["id"]),
        ("camera", &json!(camera)),
        "approved for the site; and of the request nothing"
    );
    // Its sub-stream alone, which is what a wall shows.
    let cameras = camera::start(&[("sub", camera::clip(camera::SUB))]).await;
    let url = cameras.url("sub");
    let small = house.camera_like(&url, |camera| camera.sub_url = Some(url.clone())).await;
    let hub = house.fleet.hub(&web::source::stream_id(&small, domain::camera::StreamKind::Sub)).unwrap();
    let _wanted = hub.want();
    until(|| hub.status().state == relay::hub::State::Live).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    cameras.control().stall("sub", true);
    let heard = pages[1].heard().await;
    assert_eq!((&heard.data["id"], &heard.data["state"]), (&json!(small), &json!("stale")));
    // Nothing of a camera that is gone.
    let gone = camera_at(&house.site, &house.gate, "rtsp://127.0.0.1:9/b");
    let notice = Notice {
        at: house.clock.now(),
        topic: Topic::Camera,
        site_id: house.site.clone(),
        place_id: None,
        object: gone.id.to_string(),
        word: "offline".into(),
        drill: false,
    };
    house.store.post(&[notice]).await.unwrap();
    assert!(house.store.last_notice().await.unwrap() > 2);
    assert_eq!(house.store.sessions(&person.id).await.unwrap().len(), 1);
}
