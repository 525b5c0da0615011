use super::*;
use proptest::prelude::*;

const RTLOG: &str = include_str!("fixtures/zk-rtlog.txt");
const ATTLOG: &str = include_str!("fixtures/zk-attlog.txt");
const ZONE: &str = "Asia/Shanghai";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[test]
fn what_a_controller_pushes_is_read_without_whose_card_it_was() {
    let now = at("2026-11-23T00:18:00Z");
    let told: Vec<Option<Told>> = RTLOG.lines().map(|line| rtlog(line, ZONE, now)).collect();
    let [Some(granted), Some(denied), Some(forced), None] = &told[..] else { panic!("{told:?}") };
    let time = at("2026-11-23T00:15:02Z");
    assert_eq!((granted.source.as_str(), granted.device_time), ("zkteco/door/1", Some(time)));
    assert_eq!(granted.event_id, format!("42:{}", time.0));
    assert_eq!(granted.what, door(Door::Granted, Some("in"), Some("card"), None));
    assert_eq!(denied.what, door(Door::Denied, Some("out"), Some("card"), Some("unknown")));
    assert_eq!(forced.what, door(Door::Forced, None, None, None));
    let text = format!("{told:?}");
    for private in ["1042", "3194721066", "7712003"] {
        assert!(!text.contains(private), "{private}");
    }
}

#[test]
fn what_was_kept_while_the_line_was_down_is_backlog_but_an_alarm_never() {
    let now = at("2026-11-23T02:00:00Z");
    let quality: Vec<Quality> =
        RTLOG.lines().filter_map(|line| rtlog(line, ZONE, now)).map(|told| told.quality).collect();
    assert_eq!(quality, [Quality::Backlog, Quality::Backlog, Quality::Live]);
}

#[test]
fn attendance_is_somebody_coming_or_going() {
    let now = at("2026-11-23T10:02:30Z");
    let told: Vec<Told> = ATTLOG.lines().filter_map(|line| attlog(line, ZONE, now)).collect();
    assert_eq!(told[0].what, door(Door::Granted, Some("in"), Some("other"), None));
    assert_eq!(told[1].what, door(Door::Granted, Some("out"), Some("card"), None));
    assert_eq!((told[0].quality, told[1].quality), (Quality::Backlog, Quality::Live));
    assert!(!format!("{told:?}").contains("1042"));
}

proptest! {
    #[test]
    fn any_line_is_read_or_not(line in "\\PC{0,200}", zone in "\\PC{0,20}") {
        let _ = (rtlog(&line, ZONE, Timestamp(0)), attlog(&line, &zone, Timestamp(0)));
    }

    #[test]
    fn a_line_with_odd_fields_keeps_no_text(
        key in "(time|pin|cardno|eventaddr|event|inoutstatus|verifytype|index)",
        value in "[^\t]{0,60}",
    ) {
        let line = format!("{}\t{key}={value}", RTLOG.lines().next().unwrap());
        if let Some(told) = rtlog(&line, ZONE, Timestamp(0)) {
            prop_assert!(!super::super::wrong_name(&told.event_id) && !super::super::wrong_name(&told.source));
        }
    }
}
