use super::*;
use domain::{DeviceId, PlaceId, SiteId};
use proptest::prelude::*;

const GRANTED: &str = include_str!("fixtures/hik-granted.json");
const FORCED: &str = include_str!("fixtures/hik-forced.xml");
const INPUT: &str = include_str!("fixtures/hik-input.xml");
const HEARTBEAT: &str = include_str!("fixtures/hik-heartbeat.json");

const NOW: Timestamp = Timestamp(1_900_000_000_000_000);

fn device(kind: DeviceKind) -> Device {
    Device {
        id: DeviceId::from_random([1; 16]),
        site_id: SiteId::from_random([2; 16]),
        place_id: PlaceId::from_random([3; 16]),
        name: "unit 1".into(),
        kind,
        token_hash: None,
        household_id: None,
        parts: Vec::new(),
        mqtt_topic: None,
        pull: None,
        created_at: Timestamp(0),
    }
}

fn told(text: &str, kind: DeviceKind) -> Option<Told> {
    told_at(text, kind, NOW)
}

fn told_at(text: &str, kind: DeviceKind, now: Timestamp) -> Option<Told> {
    let told = alert(text.as_bytes()).unwrap().told(&device(kind), &mut Levels::default(), now);
    told.map(|mut told| told.pop().unwrap())
}

fn multipart(parts: &[(&str, &str)]) -> (HeaderMap, Bytes) {
    let mut body = String::new();
    for (n, (kind, text)) in parts.iter().enumerate() {
        body += &format!(
            "--MIME_boundary\r\nContent-Disposition: form-data; name=\"part{n}\"\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n{text}\r\n",
            text.len()
        );
    }
    body += "--MIME_boundary--\r\n";
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "multipart/form-data; boundary=MIME_boundary".parse().unwrap());
    (headers, body.into())
}

#[test]
fn a_card_at_a_door_is_read_without_whose_it_is() {
    let told = told(GRANTED, DeviceKind::Door).unwrap();
    let at = Timestamp::parse("2026-11-23T00:15:02Z").unwrap();
    assert_eq!(
        told,
        Told {
            source: "hikvision/door/1".into(),
            event_id: format!("257:{}", at.0),
            unnamed: None,
            what: What::Door {
                kind: Door::Granted,
                direction: None,
                method: Some("card".into()),
                reason: None,
            },
            quality: Quality::Live,
            device_time: Some(at),
        }
    );
    let text = format!("{told:?}");
    for private in ["Zhang", "3194721066", "1042", "36.4", "0.324"] {
        assert!(!text.contains(private), "{private}");
    }
}

#[test]
fn xml_is_read_as_json_is_and_what_was_kept_is_not_live() {
    let told = told(FORCED, DeviceKind::Door).unwrap();
    assert_eq!((told.source.as_str(), told.quality), ("hikvision/door/2", Quality::Backlog));
    assert!(matches!(told.what, What::Door { kind: Door::Forced, .. }));
}

#[test]
fn an_input_is_an_alarm_where_the_device_is_a_button() {
    let what = |kind| told(INPUT, kind).unwrap().what;
    assert_eq!(what(DeviceKind::Panel), What::Device(Tells::Panic));
    assert_eq!(what(DeviceKind::Door), What::Device(Tells::Input));
    assert_eq!(told(INPUT, DeviceKind::Panel).unwrap().source, "hikvision/input/3");
}

#[test]
fn without_a_time_that_can_be_read_a_second_press_is_a_second_one() {
    for text in
        [INPUT.replace("+08:00", ""), INPUT.replace("<dateTime>2026-11-23T02:10:00+08:00</dateTime>", "")]
    {
        let (recent, device) = (super::super::Recent::default(), device(DeviceKind::Panel));
        let id = |now: i64| {
            let told = told_at(&text, DeviceKind::Panel, Timestamp(now)).unwrap();
            assert_eq!(told.device_time, None);
            recent.named(&device, told).event_id
        };
        assert_eq!(id(1_000_000_000_000), id(1_000_004_000_000), "sent again at once");
        assert_ne!(id(1_000_000_000_000), id(1_000_006_000_000));
    }
}

#[test]
fn heartbeats_and_what_is_not_known_tell_nothing() {
    assert_eq!(told(HEARTBEAT, DeviceKind::Door), None);
    let odd = GRANTED.replace("\"subEventType\": 1,", "\"subEventType\": 60000,");
    assert_eq!(told(&odd, DeviceKind::Door), None);
}

#[test]
fn a_finger_and_a_face_are_kept_as_something_else() {
    for minor in [0x26, 0x4b, 0x69] {
        let Some(What::Door { kind: Door::Granted, method, .. }) = what(5, minor, DeviceKind::Door) else {
            panic!("{minor:#x}")
        };
        assert_eq!(method.as_deref(), Some("other"), "{minor:#x}");
    }
}

#[test]
fn numbers_may_be_texts() {
    let loose = GRANTED
        .replace("\"serialNo\": 257", "\"serialNo\": \"257\"")
        .replace("true, \"front", "\"false\", \"front");
    let told = told(&loose, DeviceKind::Door).unwrap();
    assert!(told.event_id.starts_with("257:"));
    assert_eq!(told.quality, Quality::Backlog);
}

#[tokio::test]
async fn pictures_beside_an_alert_are_dropped() {
    let picture = format!("\u{fffd}{}", "x".repeat(1000));
    let (headers, body) =
        multipart(&[("application/json", GRANTED), ("image/jpeg", &picture), ("text/xml", FORCED)]);
    assert_eq!(alerts(&headers, body).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_the_reason() {
    let (headers, body) = multipart(&[("application/json", "{\"eventType\": ")]);
    assert!(matches!(alerts(&headers, body).await, Err(Problem::NotJson(_))));
    let (headers, body) = multipart(&[("text/xml", "<EventNotificationAlert><eventType>")]);
    assert!(matches!(alerts(&headers, body).await, Err(Problem::Malformed(_))));
    let (mut headers, body) = multipart(&[("application/json", GRANTED)]);
    let cut = body.slice(..body.len() / 2);
    assert!(matches!(alerts(&headers, cut).await, Err(Problem::Malformed(_))));
    headers.insert(CONTENT_TYPE, "multipart/form-data".parse().unwrap());
    assert!(matches!(alerts(&headers, body.clone()).await, Err(Problem::Malformed(_))));
    headers.insert(CONTENT_TYPE, "text/plain".parse().unwrap());
    assert!(matches!(alerts(&headers, body).await, Err(Problem::MediaType(_))));
    let large = format!("{{\"eventType\": \"{}\"}}", "x".repeat(ALERT));
    let (headers, body) = multipart(&[("application/json", &large)]);
    assert!(matches!(alerts(&headers, body).await, Err(Problem::TooLarge(_))));
    let many = vec![("application/json", HEARTBEAT); BATCH + 1];
    let (headers, body) = multipart(&many);
    assert!(matches!(alerts(&headers, body).await, Err(Problem::TooLarge(_))));
}

#[test]
fn entities_that_multiply_are_refused() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>\
                <EventNotificationAlert><eventType>&b;</eventType></EventNotificationAlert>";
    assert!(matches!(alert(bomb.as_bytes()), Err(Problem::Malformed(_))));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = alert(&bytes);
    }

    #[test]
    fn an_alert_with_anything_changed_keeps_nothing_private(
        which in 0_usize..3,
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..8),
        cut in any::<bool>(),
    ) {
        let mut bytes = [GRANTED, FORCED, INPUT][which].as_bytes().to_vec();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes.splice(at..at, with);
        }
        for kind in [DeviceKind::Door, DeviceKind::Panel] {
            let told = alert(&bytes).ok().and_then(|alert| alert.told(&device(kind), &mut Levels::default(), NOW));
            for told in told.iter().flatten() {
                prop_assert!(!super::super::wrong_name(&told.event_id) && !super::super::wrong_name(&told.source));
            }
            let text = format!("{told:?}");
            prop_assert!(!text.contains("Zhang") && !text.contains("3194721066"), "{text}");
        }
    }
}
