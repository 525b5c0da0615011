//! What is kept comes back, on both databases.

use crate::support::database::{BOTH, open};
use crate::support::{House, camera_at};
use ::store::Store;
use domain::approval::Subject;
use domain::camera::{Position, Pull, StreamKind, Transport, Visibility};
use domain::device::{Device, DeviceKind};
use domain::event::door::{DoorEvent, DoorEventKind, Quality, Recorded};
use domain::event::{Event, Taken};
use domain::incident::Timings;
use domain::person::{Passkey, Person, Session, SignedInBy, ViewerKey};
use domain::place::{Place, PlaceKind};
use domain::repository::{
    Cameras as _, Devices as _, DoorEventFilter, Error, Page, Passkeys as _, People, Persons as _,
    Registers as _, Rights as _, Sites as _, ViewingFilter,
};
use domain::role::{Grant, Role};
use domain::site::{ResidentPolicy, Site, SiteKind};
use domain::viewing::{Purpose, Viewing, ViewingTransport};
use domain::{
    DeviceId, DoorEventId, GrantId, IncidentId, PasskeyId, PersonId, PlaceId, Secret, SessionId, SiteId,
    Timestamp, ViewerKeyId, ViewingId,
};
use web::token::random;

fn site() -> Site {
    Site {
        id: SiteId::from_random(random()),
        name: "幸福里".into(),
        kind: SiteKind::Compound,
        time_zone: "Asia/Shanghai".into(),
        resident_policy: ResidentPolicy::Incident,
        created_at: Timestamp(1_700_000_000_123_456),
    }
}

fn place(site: &Site, parent: Option<&Place>) -> Place {
    Place {
        id: PlaceId::from_random(random()),
        site_id: site.id.clone(),
        parent_id: parent.map(|p| p.id.clone()),
        name: "gate".into(),
        kind: PlaceKind::Gate,
        created_at: Timestamp(5),
    }
}

fn person(login: &str) -> Person {
    Person {
        id: PersonId::from_random(random()),
        login: login.into(),
        name: "张".into(),
        locale: "zh-CN".into(),
        password_hash: Secret::new("$argon2id$x"),
        disabled: false,
        created_at: Timestamp(6),
    }
}

fn grant(person: &Person, role: Role) -> Grant {
    Grant {
        id: GrantId::from_random(random()),
        person_id: person.id.clone(),
        role,
        site_id: None,
        zone: None,
        from: Timestamp(1),
        until: Some(Timestamp(9)),
    }
}

async fn furnished(store: &Store) -> (Site, Place) {
    let site = site();
    let place = place(&site, None);
    store.add_site(&site).await.unwrap();
    store.add_place(&place).await.unwrap();
    (site, place)
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_and_places() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        let (mut site, place) = furnished(&store).await;
        assert_eq!(store.site(&site.id).await.unwrap(), Some(site.clone()));
        site.name = "other".into();
        assert!(store.update_site(&site).await.unwrap());
        assert_eq!(store.sites().await.unwrap(), std::slice::from_ref(&site));
        let child = self::place(&site, Some(&place));
        store.add_place(&child).await.unwrap();
        assert_eq!(store.place(&child.id).await.unwrap(), Some(child.clone()));
        assert_eq!(store.places().await.unwrap().len(), 2);
        assert_eq!(store.add_site(&site).await, Err(Error::Exists), "{database:?}");
        assert_eq!(store.remove_site(&site.id).await, Err(Error::Reference), "{database:?}");
        assert_eq!(store.remove_place(&place.id).await, Err(Error::Reference), "{database:?}");
        let stray = self::place(&self::site(), None);
        assert_eq!(store.add_place(&stray).await, Err(Error::Reference), "{database:?}");
        assert!(store.remove_place(&child.id).await.unwrap() && store.remove_place(&place.id).await.unwrap());
        assert!(store.remove_site(&site.id).await.unwrap());
        assert!(!store.remove_site(&site.id).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cameras_with_every_field() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        let (site, place) = furnished(&store).await;
        let plain = camera_at(&site.id, &place.id, "rtsp://10.0.0.8/a");
        let mut full = camera_at(&site.id, &place.id, "rtsp://10.0.0.9/a");
        full.sub_url = Some("rtsp://10.0.0.9/b".into());
        full.username = Some("admin".into());
        full.password = Some(Secret::new("密码"));
        full.allow_basic = true;
        full.transport = Transport::Udp;
        full.pull = Pull::Always;
        full.visibility = Visibility::Patrol;
        full.audio_reason = Some("intercom".into());
        full.position = Some(Position { lat: 30.25, lon: 120.125 });
        store.add_camera(&plain).await.unwrap();
        store.add_camera(&full).await.unwrap();
        assert_eq!(store.camera(&plain.id).await.unwrap(), Some(plain.clone()), "{database:?}");
        assert_eq!(store.camera(&full.id).await.unwrap(), Some(full.clone()), "{database:?}");
        full.name = "another".into();
        full.password = None;
        assert!(store.update_camera(&full).await.unwrap());
        assert_eq!(store.cameras().await.unwrap(), [full.clone(), plain.clone()], "by name");
        assert!(store.remove_camera(&plain.id, Timestamp(9)).await.unwrap());
        assert_eq!(store.camera(&plain.id).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sessions_and_keys() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        assert!(!store.anybody().await.unwrap());
        let (one, two) = (person("one"), person("two"));
        let (grant_one, grant_two) = (grant(&one, Role::Owner), grant(&two, Role::Owner));
        let (a, b) =
            tokio::join!(store.add_first_owner(&one, &grant_one), store.add_first_owner(&two, &grant_two));
        let winner = if a.is_ok() { one } else { two };
        assert!(a.is_ok() != b.is_ok(), "{database:?}: {a:?} {b:?}");
        assert_eq!(store.person_by_login(&winner.login).await.unwrap(), Some(winner.clone()));
        assert_eq!(store.standing(&winner.id).await.unwrap().unwrap().grants.len(), 1);
        assert_eq!(store.grants(None).await.unwrap().len(), 1);
        assert_eq!(store.add_person(&person(&winner.login)).await, Err(Error::Exists), "{database:?}");

        let session = Session {
            id: SessionId::from_random(random()),
            person_id: winner.id.clone(),
            token_hash: vec![1, 2, 0, 255],
            by: SignedInBy::Passkey,
            user_agent: "test".into(),
            created_at: Timestamp(1),
            seen_at: Timestamp(2),
            expires_at: Timestamp(3),
        };
        let wrong = Secret::new("another hash");
        assert!(!store.add_session(&session, &wrong).await.unwrap(), "the password was reset meanwhile");
        assert!(store.add_session(&session, &winner.password_hash).await.unwrap());
        store.touch_session(&session.id, Timestamp(8)).await.unwrap();
        let seen = Session { seen_at: Timestamp(8), ..session.clone() };
        assert_eq!(store.session_by_token(&[1, 2, 0, 255]).await.unwrap(), Some(seen.clone()));
        assert_eq!(store.session_by_token(&[1]).await.unwrap(), None);
        assert_eq!(store.sessions(&winner.id).await.unwrap(), [seen]);
        let stranger = PersonId::from_random(random());
        assert!(!store.remove_session(&stranger, &session.id).await.unwrap());
        assert!(store.remove_session(&winner.id, &session.id).await.unwrap());

        let key = ViewerKey {
            id: ViewerKeyId::from_random(random()),
            person_id: winner.id.clone(),
            login: "v1".into(),
            name: "tv".into(),
            ha1_md5: Secret::new("md5"),
            ha1_sha256: Secret::new("sha"),
            created_at: Timestamp(4),
        };
        store.add_viewer_key(&key).await.unwrap();
        assert_eq!(store.viewer_key_by_login("v1").await.unwrap(), Some(key.clone()));
        assert_eq!(store.viewer_keys(&winner.id).await.unwrap(), std::slice::from_ref(&key));
        assert!(!store.remove_viewer_key(&stranger, &key.id).await.unwrap());
        assert!(store.remove_viewer_key(&winner.id, &key.id).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_that_has_changed_meanwhile_is_not_used() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        let one = person("one");
        store.add_person(&one).await.unwrap();
        let passkey = Passkey {
            id: PasskeyId::from_random(random()),
            person_id: one.id.clone(),
            credential_id: vec![0, 255],
            credential: "before".into(),
            name: "phone".into(),
            created_at: Timestamp(1),
            used_at: None,
        };
        store.add_passkey(&passkey).await.unwrap();
        let twin = Passkey { id: PasskeyId::from_random(random()), ..passkey.clone() };
        assert_eq!(store.add_passkey(&twin).await, Err(Error::Exists), "{database:?}");
        assert_eq!(store.passkey_by_credential(&[0]).await.unwrap(), None);
        assert_eq!(store.passkey_by_credential(&[0, 255]).await.unwrap(), Some(passkey.clone()));
        assert!(store.use_passkey(&passkey, "after", Timestamp(2)).await.unwrap());
        assert!(!store.use_passkey(&passkey, "after", Timestamp(3)).await.unwrap(), "{database:?}");
        let used = Passkey { credential: "after".into(), used_at: Some(Timestamp(2)), ..passkey.clone() };
        assert_eq!(store.passkeys(&one.id).await.unwrap(), [used]);
        assert!(!store.remove_passkey(&person("two").id, &passkey.id).await.unwrap());
        let (old, new) = (one.password_hash.clone(), Secret::new("$argon2id$y"));
        assert!(store.set_password(&one.id, &old, &new, false).await.unwrap());
        assert_eq!(store.passkeys(&one.id).await.unwrap().len(), 1, "one's own new password keeps them");
        assert!(!store.set_password(&one.id, &old, &new, true).await.unwrap());
        assert_eq!(store.passkeys(&one.id).await.unwrap().len(), 1, "nothing was saved");
        assert!(store.set_password(&one.id, &new, &old, true).await.unwrap());
        assert!(!store.remove_passkey(&one.id, &passkey.id).await.unwrap());
    }
}

fn event(device: &Device, n: i64) -> DoorEvent {
    DoorEvent {
        id: DoorEventId::from_random(random()),
        source: "/d".into(),
        event_id: n.to_string(),
        device_id: device.id.clone(),
        site_id: device.site_id.clone(),
        place_id: device.place_id.clone(),
        staff_only: false,
        kind: DoorEventKind::Forced,
        quality: Quality::Live,
        direction: Some("in".into()),
        method: None,
        reason: None,
        device_time: (n % 2 == 0).then_some(Timestamp(n)),
        received_at: Timestamp(1_000 + n),
    }
}

fn taken(event: DoorEvent) -> Taken {
    Event::Door(event).taken(IncidentId::from_random(random()), &Timings::of(SiteKind::Compound))
}

#[tokio::test(flavor = "multi_thread")]
async fn door_events_once_each_and_in_order() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        let (site, place) = furnished(&store).await;
        let device = Device {
            id: DeviceId::from_random(random()),
            site_id: site.id.clone(),
            place_id: place.id.clone(),
            name: "door".into(),
            kind: DeviceKind::Door,
            token_hash: None,
            household_id: None,
            parts: Vec::new(),
            mqtt_topic: None,
            pull: None,
            created_at: Timestamp(0),
        };
        store.add_device(&device).await.unwrap();
        assert!(store.set_device_token(&device.id, &[9]).await.unwrap());
        assert_eq!(store.device_by_token(&[9]).await.unwrap().unwrap().id, device.id);

        // Many at once, with repetitions inside a request and between requests.
        let store = std::sync::Arc::new(store);
        let senders = (0..40i64).map(|n| {
            let (store, device) = (std::sync::Arc::clone(&store), device.clone());
            tokio::spawn(async move {
                store.record_events([n, n, n / 2].map(|n| taken(event(&device, n))).to_vec()).await
            })
        });
        let mut accepted = 0;
        for sender in futures_util::future::join_all(senders).await {
            let recorded = sender.unwrap().unwrap();
            assert_eq!(recorded.len(), 3);
            accepted += recorded.iter().filter(|r| **r == Recorded::Accepted).count();
        }
        assert_eq!(accepted, 40, "{database:?}");
        let again = store.record_events(vec![taken(event(&device, 3))]).await.unwrap();
        assert_eq!(again, [Recorded::Duplicate]);
        let mut stray = event(&device, 1);
        stray.device_id = DeviceId::from_random(random());
        assert_eq!(store.record_events(vec![taken(stray)]).await, Err(Error::Reference), "{database:?}");

        let list = async |filter: DoorEventFilter, after, limit| {
            store.door_events(&filter, &Page { after, limit }).await.unwrap()
        };
        let all = list(DoorEventFilter::default(), None, 100).await;
        assert_eq!(all.len(), 40);
        assert!(all.windows(2).all(|w| w[0].0 > w[1].0), "the newest first");
        let page = list(DoorEventFilter::default(), Some(all[9].0), 5).await;
        assert_eq!(page[0].0, all[10].0);
        let none = DoorEventFilter { places: Some(vec![]), ..DoorEventFilter::default() };
        assert!(list(none, None, 10).await.is_empty());
        let some = DoorEventFilter {
            places: Some(vec![PlaceId::from_random(random()), place.id.clone()]),
            site: Some(site.id.clone()),
            no_duress_at: vec![place.id.clone()],
            without_staff_only_at: vec![place.id.clone()],
            since: Some(Timestamp(1_010)),
            until: Some(Timestamp(1_020)),
        };
        assert_eq!(list(some, None, 100).await.len(), 10, "{database:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewings_begin_and_end() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        let (site, place) = furnished(&store).await;
        let camera = camera_at(&site.id, &place.id, "rtsp://10.0.0.8/a");
        let viewing = |started| Viewing {
            id: ViewingId::from_random(random()),
            person_id: PersonId::from_random(random()),
            role: Role::Resident,
            camera_id: camera.id.clone(),
            stream: StreamKind::Sub,
            transport: ViewingTransport::Rtsp,
            purpose: Some(Purpose::ResidentView),
            started_at: Timestamp(started),
            ended_at: None,
            bytes: 0,
        };
        let (first, second) = (viewing(1), viewing(2));
        store.begin_viewing(&first, &site.id).await.unwrap();
        store.begin_viewing(&second, &site.id).await.unwrap();
        store.end_viewing(&first.id, Timestamp(5), 99).await.unwrap();
        store.end_viewing(&first.id, Timestamp(9), 1).await.unwrap();
        assert_eq!(store.end_viewings(&store.open_viewings().await.unwrap(), Timestamp(7)).await.unwrap(), 1);
        let ended = |v: &Viewing, at, bytes| Viewing { ended_at: Some(Timestamp(at)), bytes, ..v.clone() };
        let (first, second) = (ended(&first, 5, 99), ended(&second, 7, 0));
        // Whoever watched at any moment of the stretch, in pages.
        let page = async |since, until, after, limit| {
            let (camera, since, until) = (camera.id.clone(), Timestamp(since), Timestamp(until));
            store
                .viewings(&ViewingFilter { camera, since, until, after, no_incident_since: None, limit })
                .await
                .unwrap()
        };
        let watched = async |since, until| {
            page(since, until, None, 10).await.into_iter().map(|(_, viewing)| viewing).collect::<Vec<_>>()
        };
        let (newest, oldest) = (second.clone(), first.clone());
        assert_eq!(watched(1, 3).await, [newest.clone(), oldest.clone()], "{database:?}");
        assert_eq!(watched(4, 9).await, [newest.clone(), oldest.clone()], "it went on into the stretch");
        assert_eq!(watched(6, 9).await, std::slice::from_ref(&newest), "it was over before");
        assert_eq!(watched(0, 2).await, std::slice::from_ref(&oldest), "it began at its end");
        assert_eq!(watched(8, 9).await, []);
        let last = page(1, 3, None, 1).await.remove(0);
        let rest = page(1, 3, Some((last.1.started_at, last.0)), 9).await;
        assert_eq!((last.1, rest.into_iter().map(|(_, viewing)| viewing).collect()), (newest, vec![oldest]));
        let head = sharp_eyes::audit::verify(&store, vec![]).await.unwrap();
        assert_eq!((head.seq, head), (4, store.head().await.unwrap()), "{database:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_site_come_in_pages_with_all_that_is_theirs_there() {
    for database in BOTH {
        let house = House::start_on(database).await;
        for n in 0..7 {
            let person = house.person(&format!("p{n}")).await;
            match n % 3 {
                0 => house.store.add_grant(&house.grant(&person, Role::Patrol)).await.unwrap(),
                1 => {
                    let household = house.household(&format!("h{n}")).await;
                    house.store.add_member(&household, &person.id, Timestamp(1)).await.unwrap();
                    let approval = house.approval(Subject::Household(household), &person);
                    house.store.add_approval(&approval).await.unwrap();
                }
                _ => {
                    let approval = house.approval(Subject::Person(person.id.clone()), &person);
                    house.store.add_approval(&approval).await.unwrap();
                }
            }
        }
        // Nothing to do with the site.
        house.person("p9").await;
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = house.store.standings(&house.site, &People { after, limit: 3 }).await.unwrap();
            assert!(page.len() <= 3);
            after = page.last().map(|(person, _)| person.login.clone());
            for (person, standing) in &page {
                let whole = house.store.standing(&person.id).await.unwrap().unwrap();
                assert_eq!(format!("{standing:?}"), format!("{whole:?}"), "{database:?}");
            }
            seen.extend(page.iter().map(|(person, _)| person.login.clone()));
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(seen, ["p0", "p1", "p2", "p3", "p4", "p5", "p6"], "{database:?}");
        let other = SiteId::from_random(random());
        let nobody = house.store.standings(&other, &People { after: None, limit: 3 }).await.unwrap();
        assert!(nobody.is_empty(), "{database:?}");
    }
}
