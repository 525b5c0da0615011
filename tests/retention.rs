//! C39: what is over goes, and no clock that is wrong takes the rest with it.

use crate::support::House;
use crate::support::database::{BOTH, Database};
use domain::event::device::{DeviceEvent, DeviceEventKind};
use domain::event::door::{Bookmark, DoorEvent, DoorEventKind, Quality};
use domain::event::{Event, Taken};
use domain::health::Trouble;
use domain::repository::{Devices as _, DoorEventFilter, Page, Registers as _};
use domain::{CameraId, Clock as _, DeviceEventId, DeviceId, DoorEventId, Timestamp};
use sharp_eyes::sweep;
use std::time::Duration;
use web::health::Health;
use web::token::random;

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn door(house: &House, device: &DeviceId, n: usize, at: Timestamp) -> Taken {
    let event = DoorEvent {
        id: DoorEventId::from_random(random()),
        source: "/door".into(),
        event_id: format!("{n}:{}", at.0),
        device_id: device.clone(),
        site_id: house.site.clone(),
        place_id: house.lobby.clone(),
        staff_only: false,
        kind: DoorEventKind::Opened,
        quality: Quality::Live,
        direction: None,
        method: None,
        reason: None,
        device_time: None,
        received_at: at,
    };
    Taken { event: Event::Door(event), raises: None }
}

/// Some events of this age in days.
async fn events(house: &House, device: &DeviceId, count: usize, days: u32) -> Vec<Taken> {
    let at = house.clock.now().before(DAY * days);
    let taken: Vec<Taken> = (0..count).map(|n| door(house, device, n, at)).collect();
    house.store.record_events(taken.clone()).await.unwrap();
    taken
}

async fn doors(house: &House) -> usize {
    let page = Page { after: None, limit: 100_000 };
    house.store.door_events(&DoorEventFilter::default(), &page).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn c39_old_events_go_with_their_pictures_and_it_is_noted() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (device, _) = house.door(&house.lobby).await;
        let old = events(&house, &device, 50, 31).await;
        events(&house, &device, 35, 29).await;
        events(&house, &device, 25, 0).await;
        let input = DeviceEvent {
            id: DeviceEventId::from_random(random()),
            source: "/input".into(),
            event_id: "1".into(),
            device_id: device.clone(),
            site_id: house.site.clone(),
            place_id: house.lobby.clone(),
            kind: DeviceEventKind::Input,
            quality: Quality::Live,
            device_time: None,
            received_at: house.clock.now().before(DAY * 40),
        };
        house.store.record_events(vec![Taken { event: Event::Device(input), raises: None }]).await.unwrap();
        let Event::Door(first) = &old[0].event else { panic!() };
        let bookmark = Bookmark {
            door_event_id: first.id.clone(),
            camera_id: CameraId::from_random(random()),
            from: first.received_at,
            until: first.received_at,
            taken_at: Some(first.received_at),
        };
        let jpeg = b"how somebody looked".repeat(1_000);
        house.store.add_bookmark(&bookmark, Some(&jpeg)).await.unwrap();
        let kept = Some(DAY * 30);
        let sweeping = tokio::spawn(sweep::run(
            house.store.clone(),
            std::sync::Arc::new(house.clock.clone()),
            kept,
            Health::default(),
        ));
        for _ in 0..100 {
            let chain = house.store.chain(0, 1_000).await.unwrap();
            if chain.iter().any(|link| link.entry.action == "events.expire") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        sweeping.abort();
        assert_eq!(doors(&house).await, 60, "{database:?}");
        assert_eq!(house.store.door_picture(&first.id).await.unwrap(), None, "{database:?}");
        if database == Database::Sqlite {
            house.sql("pragma wal_checkpoint(truncate)").await;
            let file = std::fs::read(house.folder.path("test.db")).unwrap();
            let there = file.windows(38).any(|part| part == b"how somebody lookedhow somebody looked");
            assert!(!there, "of a picture that is removed nothing stays in the file");
        }
        let rows = house.store.event_rows(Timestamp(i64::MAX)).await.unwrap();
        assert_eq!(rows.all, 60, "{database:?}: the input is gone, too");
        let chain = house.store.chain(0, 1_000).await.unwrap();
        let noted: Vec<_> = chain.iter().filter(|link| link.entry.action == "events.expire").collect();
        assert!(noted.len() == 1 && noted[0].entry.detail.contains("51"), "{database:?}: {noted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c39_a_clock_ten_years_ahead_empties_nothing_and_somebody_can_say_that_it_is_right() {
    let house = House::start_on(Database::Sqlite).await;
    let (device, _) = house.door(&house.lobby).await;
    events(&house, &device, 300, 1).await;
    // Wrong from the start of the gateway on; a device sends something meanwhile.
    house.clock.jump(i64::try_from((DAY * 3_650).as_micros()).unwrap());
    events(&house, &device, 10, 0).await;
    let clock = std::sync::Arc::new(house.clock.clone());
    let health = Health::default();
    let sweeping = tokio::spawn(sweep::run(house.store.clone(), clock, Some(DAY * 30), health.clone()));
    crate::support::until(|| health.troubles().contains_key(&Trouble::EventsKept)).await;
    sweeping.abort();
    let detail = &health.troubles()[&Trouble::EventsKept].detail;
    assert!(detail.contains("remove-old-events"), "whoever looks after it reads what to do: {detail}");
    assert_eq!(doors(&house).await, 310);
    let mut settings = house.settings.clone();
    settings.keep_events = Some(DAY * 30);
    let removed = sweep::remove_old_events(&house.store, &settings, house.clock.now()).await.unwrap();
    assert_eq!((removed, doors(&house).await), (300, 10));
}
