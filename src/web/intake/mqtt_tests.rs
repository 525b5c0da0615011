// The shapes: zigbee2mqtt's "MQTT topics and messages" and its page on TS0215A_sos buttons and
// MCCGQ11LM contacts; ONVIF Core "JSON Event Payload" with the items of the Access Control and
// Door Control specifications. Names and numbers are made up.

use super::super::What;
use super::super::hikvision::hashed;
use super::*;
use domain::device::DeviceKind;
use domain::event::device::DeviceEventKind as Tells;
use domain::event::door::DoorEventKind as Door;
use domain::{DeviceId, PlaceId, SiteId};
use proptest::prelude::*;

const SOS: &str = include_str!("fixtures/z2m-sos.json");
const CONTACT: &str = include_str!("fixtures/z2m-contact.json");
const INPUT: &str = include_str!("fixtures/onvif-input.json");
const DENIED: &str = include_str!("fixtures/onvif-denied.json");
const FORCED: &str = include_str!("fixtures/onvif-door.json");
/// 2026-11-23T00:16:00Z.
const NOW: Timestamp = Timestamp(1_795_392_960_000_000);

const ZIGBEE: &str = "zigbee2mqtt/3-201";
const TRIGGER: &str = "gate/onvif-ej/Device/Trigger/DigitalInput/&DigitInputToken_1";
const ALARM: &str = "gate/onvif-ej/tns1:Door/State/DoorAlarm/&door-1";
const REFUSED: &str = "gate/onvif-ej/AccessControl/Denied/Credential/&1";

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

struct Listener {
    levels: Levels,
    kind: DeviceKind,
}

impl Listener {
    fn new(kind: DeviceKind) -> Self {
        Self { levels: Levels::default(), kind }
    }

    fn hear(&mut self, topic: &str, payload: &str, retained: bool) -> Result<Vec<Told>, Dropped> {
        let message = Message {
            topic: topic.into(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            retained,
            at: NOW,
        };
        read(&message, &device(self.kind), &mut self.levels)
    }

    fn whats(&mut self, topic: &str, payload: &str, retained: bool) -> Vec<(String, Quality)> {
        let told = self.hear(topic, payload, retained).unwrap();
        told.into_iter().map(|told| (word(&told.what), told.quality)).collect()
    }
}

fn word(what: &What) -> String {
    match what {
        What::Door { kind, .. } => kind.word().to_owned(),
        What::Device(kind) => kind.word().to_owned(),
    }
}

fn live(word: &str) -> Vec<(String, Quality)> {
    vec![(word.to_owned(), Quality::Live)]
}

fn state(word: &str) -> Vec<(String, Quality)> {
    vec![(word.to_owned(), Quality::State)]
}

#[test]
fn a_topic_names_its_device() {
    for (topic, device) in [
        ("zigbee2mqtt/3/201/sos", "zigbee2mqtt/3/201/sos"),
        ("zigbee2mqtt/sos/availability", "zigbee2mqtt/sos"),
        (TRIGGER, "gate"),
        ("site/gate/onvif-ej/Door/State/DoorMode/&1", "site/gate"),
        ("", ""),
    ] {
        assert_eq!(device_topic(topic), device);
    }
}

#[test]
fn a_button_asks_for_help_once_for_each_press() {
    let mut button = Listener::new(DeviceKind::Button);
    let told = button.hear(ZIGBEE, SOS, false).unwrap();
    let at = Timestamp::parse("2026-11-23T00:15:02Z").unwrap();
    assert_eq!(
        told,
        [Told {
            source: "zigbee2mqtt/action".into(),
            event_id: hashed(&["emergency", &at.0.to_string()]),
            unnamed: None,
            what: What::Device(Tells::Panic),
            quality: Quality::Live,
            device_time: Some(at),
        }]
    );
    assert_eq!(button.whats(ZIGBEE, "{\"action\":\"1_single\"}", false), live("alarm.panic"));
    assert_eq!(button.whats(ZIGBEE, SOS, true), state("alarm.panic"), "retained");
    // Released, or nothing pressed at all.
    for quiet in ["{\"action\":\"release\"}", "{\"action\":\"\"}", "{\"action\":null}", "{\"linkquality\":1}"]
    {
        assert_eq!(button.hear(ZIGBEE, quiet, false), Err(Dropped::Unknown), "{quiet}");
    }
    // A plain press of something that is no alarm button means nothing.
    let mut door = Listener::new(DeviceKind::Door);
    assert_eq!(door.hear(ZIGBEE, "{\"action\":\"single\"}", false), Err(Dropped::Unknown));
    assert_eq!(door.whats(ZIGBEE, SOS, false), live("alarm.panic"));
}

#[test]
fn a_contact_is_a_door_that_opens_and_closes_and_says_so_once() {
    let mut door = Listener::new(DeviceKind::Door);
    assert_eq!(door.whats(ZIGBEE, CONTACT, false), state("door.opened"), "nobody knows since when");
    assert_eq!(door.whats(ZIGBEE, CONTACT, false), []);
    let closed = CONTACT.replace("\"contact\":false", "\"contact\":true");
    assert_eq!(door.whats(ZIGBEE, &closed, false), live("door.closed"));
    assert_eq!(door.whats(ZIGBEE, CONTACT, false), live("door.opened"));
    let text = format!("{:?}", door.hear(ZIGBEE, &closed, false));
    assert!(!text.contains("Zhang") && !text.contains("0x00158d"), "{text}");
    let mut panel = Listener::new(DeviceKind::Panel);
    assert_eq!(panel.whats(ZIGBEE, CONTACT, false), state("input.changed"));
}

#[test]
fn what_the_broker_has_had_for_long_is_told_as_kept_but_for_alarms() {
    let mut door = Listener::new(DeviceKind::Door);
    door.whats(ZIGBEE, CONTACT, false);
    let at = |minutes: u64, rest: &str| {
        let millis = NOW.before(std::time::Duration::from_secs(minutes * 60)).0 / 1_000;
        format!("{{\"last_seen\":{millis},{rest}}}")
    };
    let kept = |word: &str| vec![(word.to_owned(), Quality::Backlog)];
    assert_eq!(door.whats(ZIGBEE, &at(4, "\"contact\":true"), false), live("door.closed"));
    assert_eq!(door.whats(ZIGBEE, &at(6, "\"contact\":false"), false), kept("door.opened"));
    assert_eq!(door.whats(ZIGBEE, &at(6, "\"action\":\"emergency\""), false), live("alarm.panic"));
    assert_eq!(door.whats(ZIGBEE, &at(6, "\"contact\":true"), true), state("door.closed"), "retained");
}

#[test]
fn smoke_and_an_opened_case_are_alarms_while_they_last() {
    let mut panel = Listener::new(DeviceKind::Panel);
    assert_eq!(panel.whats(ZIGBEE, "{\"smoke\":true}", true), state("alarm.fire"), "retained");
    assert_eq!(panel.whats(ZIGBEE, "{\"smoke\":true}", false), live("alarm.fire"));
    assert_eq!(panel.whats(ZIGBEE, "{\"smoke\":true,\"tamper\":true}", false), live("alarm.tamper"));
    assert_eq!(panel.whats(ZIGBEE, "{\"smoke\":true,\"tamper\":true}", false), []);
    assert_eq!(panel.whats(ZIGBEE, "{\"smoke\":false}", false), live("alarm.cleared"));
}

#[test]
fn a_button_that_says_sos_asks_for_help_with_each_press() {
    let mut button = Listener::new(DeviceKind::Button);
    for _ in 0..2 {
        assert_eq!(button.whats(ZIGBEE, "{\"sos\":true}", false), live("alarm.panic"));
    }
    assert_eq!(button.whats(ZIGBEE, "{\"sos\":false}", false), []);
    assert_eq!(button.whats(ZIGBEE, "{\"sos\":true}", true), state("alarm.panic"), "retained");
}

#[test]
fn a_battery_is_low_once_a_day_and_a_device_is_away_once() {
    let mut button = Listener::new(DeviceKind::Button);
    let low = |button: &mut Listener, payload: &str| button.hear(ZIGBEE, payload, false).unwrap();
    let first = low(&mut button, "{\"battery_low\":true}");
    assert_eq!(word(&first[0].what), "device.low_battery");
    assert_eq!(first, low(&mut button, "{\"battery\":9}"), "one id a day");
    assert_eq!(low(&mut button, "{\"battery\":11}"), []);
    let away = format!("{ZIGBEE}/availability");
    assert_eq!(button.whats(&away, "{\"state\":\"online\"}", true), state("device.online"));
    assert_eq!(button.whats(&away, "offline", false), live("device.offline"));
    assert_eq!(button.whats(&away, "{\"state\":\"offline\"}", false), []);
    assert_eq!(button.hear(&away, "{\"state\":\"?\"}", false), Err(Dropped::Unknown));
}

#[test]
fn an_onvif_input_is_an_alarm_where_the_device_is_a_button_and_initialized_raises_nothing() {
    let mut panel = Listener::new(DeviceKind::Panel);
    let initialized = INPUT.replace("\"Source\"", "\"PropertyOperation\":\"Initialized\",\"Source\"");
    assert_eq!(panel.whats(TRIGGER, &initialized, false), state("alarm.panic"));
    assert_eq!(panel.whats(TRIGGER, INPUT, true), state("alarm.panic"), "retained");
    assert_eq!(panel.whats(TRIGGER, INPUT, false), live("alarm.panic"));
    assert_eq!(panel.whats(TRIGGER, INPUT, false), [], "it is stuck");
    assert_eq!(panel.whats(TRIGGER, &INPUT.replace("\"true\"", "false"), false), live("alarm.cleared"));
    let mut door = Listener::new(DeviceKind::Door);
    assert_eq!(door.whats(TRIGGER, INPUT, false), state("input.changed"));
    let of = "gate/onvif-ej/RuleEngine/LineDetector/Crossed/&1";
    assert_eq!(door.hear(of, "{\"Data\":{\"ObjectId\":\"15\"}}", false), Err(Dropped::Unknown), "objects");
}

#[test]
fn onvif_doors_tell_without_whose_card_it_was() {
    let mut door = Listener::new(DeviceKind::Door);
    let told = door.hear(REFUSED, DENIED, false).unwrap();
    let What::Door { kind: Door::Denied, reason: Some(reason), .. } = &told[0].what else {
        panic!("{told:?}")
    };
    assert_eq!(reason, "expired");
    let text = format!("{told:?}");
    for private in ["Zhang", "3194721066", "9F2C0011"] {
        assert!(!text.contains(private), "{private}");
    }
    assert_eq!(door.whats(ALARM, FORCED, false), live("door.forced"));
    assert_eq!(door.whats(ALARM, FORCED, false), [], "it is still forced");
    assert_eq!(door.whats("gate/onvif-ej/AccessControl/Duress/&1", DENIED, false), live("door.duress"));
}

#[test]
fn what_cannot_be_read_is_said_to_be_so() {
    let mut door = Listener::new(DeviceKind::Door);
    for bad in ["", "{", "[]", "\"a\"", "{\"a\":1}x"] {
        assert_eq!(door.hear(ZIGBEE, bad, false), Err(Dropped::Malformed), "{bad}");
        assert_eq!(door.hear(TRIGGER, bad, false), Err(Dropped::Malformed), "{bad}");
    }
    let large = format!("{{\"action\":\"{}\"}}", "x".repeat(BODY));
    assert_eq!(door.hear(ZIGBEE, &large, false), Err(Dropped::TooLarge));
}

proptest! {
    #[test]
    fn any_topic_and_any_bytes_are_read_or_dropped(
        topic in "(a/)?(onvif-ej/)?(tns1:)?[A-Za-z/&:]{0,40}(/availability)?",
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let message = Message { topic, payload: bytes.into(), retained: false, at: NOW };
        let _ = read(&message, &device(DeviceKind::Door), &mut Levels::default());
    }

    #[test]
    fn a_message_with_anything_changed_keeps_nothing_private(
        which in 0_usize..5,
        at in any::<prop::sample::Index>(),
        with in "[\"{}:,a-z]{0,6}",
    ) {
        let topic = [ZIGBEE, ZIGBEE, TRIGGER, REFUSED, ALARM][which];
        let mut text = [SOS, CONTACT, INPUT, DENIED, FORCED][which].to_owned();
        text.insert_str(at.index(text.len()), &with);
        for kind in [DeviceKind::Door, DeviceKind::Panel] {
            for told in Listener::new(kind).hear(topic, &text, false).unwrap_or_default() {
                prop_assert!(!super::super::wrong_name(&told.event_id) && !super::super::wrong_name(&told.source));
                let text = format!("{told:?}");
                prop_assert!(!text.contains("Zhang") && !text.contains("3194721066"), "{text}");
            }
        }
    }
}
