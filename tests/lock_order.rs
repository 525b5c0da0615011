//! PostgreSQL locks rows: whoever takes them in another order than others waits for them
//! in a circle, until the server ends one of them after a second.

use crate::support::House;
use crate::support::database::Database;
use domain::audit::Entry;
use domain::device::DeviceKind;
use domain::event::device::{DeviceEvent, DeviceEventKind};
use domain::event::door::Quality;
use domain::event::{Event, Taken};
use domain::incident::Timings;
use domain::repository::{Devices as _, Repository as _};
use domain::site::SiteKind;
use domain::{Clock as _, DeviceEventId, DeviceId, IncidentId};
use std::sync::Arc;
use std::time::Duration;
use web::token::random;

fn press(house: &House, device: &DeviceId, n: usize) -> Taken {
    let event = DeviceEvent {
        id: DeviceEventId::from_random(random()),
        source: "/button".into(),
        event_id: n.to_string(),
        device_id: device.clone(),
        site_id: house.site.clone(),
        place_id: house.gate.clone(),
        kind: DeviceEventKind::Panic,
        quality: Quality::Live,
        device_time: None,
        received_at: house.clock.now(),
    };
    Event::Device(event).taken(IncidentId::from_random(random()), &Timings::of(SiteKind::Compound))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_and_a_new_token_of_its_device_do_not_wait_for_each_other_in_a_circle() {
    const TIMES: usize = 150;
    let house = House::start_on(Database::Postgres).await;
    let (device, _) = house.device(&house.gate, DeviceKind::Button).await;
    let (store, id, now) = (Arc::clone(&house.store), device.clone(), house.clock.now());
    let tokens = tokio::spawn(async move {
        for n in 0..TIMES {
            let entry = Entry {
                at: now,
                actor: None,
                site_id: None,
                action: "device.token".to_owned(),
                object: id.to_string(),
                detail: "{}".to_owned(),
            };
            let hash = web::token::hash(&n.to_string());
            let done = store.noting(entry).set_device_token(&id, &hash).await;
            assert_eq!(done, Ok(true), "the {n}th token");
        }
    });
    let pressing = async {
        for n in 0..TIMES {
            let done = house.store.record_events(vec![press(&house, &device, n)]).await;
            assert!(done.is_ok(), "the {n}th press: {done:?}");
        }
    };
    let (tokens, ()) =
        tokio::time::timeout(Duration::from_secs(120), async { tokio::join!(tokens, pressing) })
            .await
            .expect("they wait for each other");
    tokens.unwrap();
}
