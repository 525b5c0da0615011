//! The words of a message: what, where, when, and what is asked for. Never who: not who
//! needs help, not who raised it.

use crate::Timestamp;
use crate::event::alarm::AlarmKind;
use crate::incident::{Ask, Step};
use jiff::tz::TimeZone;

/// What a message says.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What help is asked for.
    pub kind: AlarmKind,
    /// Whether the alarm came late.
    pub late: bool,
    /// The site's name.
    pub site: &'a str,
    /// The place's.
    pub place: &'a str,
    /// What is on the door, if it is at a home.
    pub unit: Option<&'a str>,
    /// The name of the device that raised it, if it is at none's home.
    pub device: Option<&'a str>,
    /// Which part of that device: the name that it was given, or `input/3`.
    pub part: Option<&'a str>,
    /// When.
    pub at: Timestamp,
    /// The site's time zone.
    pub zone: &'a str,
    /// What is asked for.
    pub ask: Ask,
    /// At which step of the chain.
    pub step: Step,
    /// Whether it goes to neighbours.
    pub neighbour: bool,
}

/// A message in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What and where, on one line.
    pub title: String,
    /// When, and what is asked for.
    pub body: String,
}

/// The kind in words.
#[must_use]
pub fn kind(kind: AlarmKind, english: bool) -> &'static str {
    let (chinese, in_english) = match kind {
        AlarmKind::Panic => ("紧急求助", "Call for help"),
        AlarmKind::Fire => ("火情报警", "Fire alarm"),
        AlarmKind::Medical => ("医疗求助", "Medical emergency"),
        AlarmKind::Intrusion => ("入侵报警", "Intrusion alarm"),
        AlarmKind::Tamper => ("设备被破坏", "Device tampered with"),
        AlarmKind::Duress => ("静默报警", "Silent alarm"),
    };
    if english { in_english } else { chinese }
}

/// Whether a part is a number of a door or an input. Any other text is the device's own, which may
/// say anything, and leaves the house in no message.
#[must_use]
pub fn is_numbered(part: &str) -> bool {
    let number = part.strip_prefix("door/").or(part.strip_prefix("input/"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A part of a device in words: `input/3` as people say it, a name as it is.
fn part(part: &str, english: bool) -> String {
    match (part.split_once('/').filter(|_| is_numbered(part)), english) {
        (Some(("door", number)), true) => format!("door {number}"),
        (Some(("door", number)), false) => format!("{number}号门"),
        (Some((_, number)), true) => format!("input {number}"),
        (Some((_, number)), false) => format!("{number}号输入"),
        (None, _) => part.to_owned(),
    }
}

impl Facts<'_> {
    /// Where, on one line, in a language.
    #[must_use]
    pub fn point(&self, locale: &str) -> String {
        let part = self.part.map(|named| part(named, locale.starts_with("en")));
        let parts = [Some(self.site), Some(self.place), self.unit, self.device, part.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// When, in the site's time, to the minute.
    #[must_use]
    pub fn time(&self) -> String {
        let zone = TimeZone::get(self.zone).unwrap_or(TimeZone::UTC);
        let at = jiff::Timestamp::from_microsecond(self.at.0).unwrap_or(jiff::Timestamp::MAX);
        at.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// The message in a language: English, or Chinese for everything else.
    #[must_use]
    pub fn text(&self, locale: &str) -> Text {
        let english = locale.starts_with("en");
        let (kind, point, time) = (kind(self.kind, english), self.point(locale), self.time());
        let silent = self.kind.is_silent();
        if english {
            let late = if self.late { " (reported late)" } else { "" };
            let ask = match (self.neighbour, self.ask, self.step) {
                (true, ..) => "A neighbour needs help. If you can come, say so in Sharp Eyes.",
                (_, Ask::Take, Step::Decide) => "Nobody has answered. Decide now about calling 110.",
                (_, Ask::Take, _) if silent => "Do not call back. Take it in Sharp Eyes.",
                (_, Ask::Take, _) => "Nobody has taken it yet. Take it in Sharp Eyes.",
                (_, Ask::Go, _) => "Please go there, and say so in Sharp Eyes.",
                (_, Ask::Report, _) => "The report is overdue. Write in Sharp Eyes what was found and done.",
                (_, Ask::FollowUp, _) => "The follow-up is overdue. Finish it in Sharp Eyes.",
            };
            Text { title: format!("{kind}{late}: {point}"), body: format!("{time}. {ask}") }
        } else {
            let late = if self.late { "（延迟上报）" } else { "" };
            let ask = match (self.neighbour, self.ask, self.step) {
                (true, ..) => "邻居需要帮助，能到场请在应用中回复。",
                (_, Ask::Take, Step::Decide) => "一直无人接警，请立即决定是否拨打110。",
                (_, Ask::Take, _) if silent => "请勿回拨，请在应用中接警。",
                (_, Ask::Take, _) => "尚无人接警，请在应用中接警。",
                (_, Ask::Go, _) => "请前往现场，并在应用中确认。",
                (_, Ask::Report, _) => "反馈已超时，请在应用中写明看到了什么、做了什么。",
                (_, Ask::FollowUp, _) => "回访已超时，请在应用中完成回访。",
            };
            Text { title: format!("{kind}{late}：{point}"), body: format!("{time}。{ask}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Words as _;

    fn facts(kind: AlarmKind) -> Facts<'static> {
        Facts {
            kind,
            late: false,
            site: "幸福里",
            place: "3号楼",
            unit: Some("3-1-502"),
            device: None,
            part: None,
            at: Timestamp::parse("2026-11-26T06:02:59Z").unwrap(),
            zone: "Asia/Shanghai",
            ask: Ask::Take,
            step: Step::GridWorker,
            neighbour: false,
        }
    }

    #[test]
    fn a_message_says_what_where_and_when_in_its_readers_language() {
        let facts = facts(AlarmKind::Panic);
        let chinese = facts.text("zh-CN");
        assert_eq!(chinese.title, "紧急求助：幸福里 3号楼 3-1-502");
        assert_eq!(chinese.body, "2026-11-26 14:02。尚无人接警，请在应用中接警。");
        let english = facts.text("en");
        assert_eq!(english.title, "Call for help: 幸福里 3号楼 3-1-502");
        assert_eq!(english.body, "2026-11-26 14:02. Nobody has taken it yet. Take it in Sharp Eyes.");
        assert_eq!(facts.text("fr"), chinese);
    }

    #[test]
    fn a_message_of_a_device_says_which_and_at_what_part() {
        let at = |part| Facts { unit: None, device: Some("岗亭主机"), part, ..facts(AlarmKind::Panic) };
        let point = |part, locale: &str| at(part).point(locale);
        assert_eq!(point(Some("input/5"), "zh-CN"), "幸福里 3号楼 岗亭主机 5号输入");
        assert_eq!(point(Some("door/2"), "en"), "幸福里 3号楼 岗亭主机 door 2");
        assert_eq!(point(Some("东单元"), "en"), "幸福里 3号楼 岗亭主机 东单元");
        assert_eq!(point(None, "en"), "幸福里 3号楼 岗亭主机");
        for own in ["/flat/502/Zhang San", "door/Zhang", "input/", "door/3/x"] {
            assert!(!is_numbered(own), "{own}");
        }
    }

    #[test]
    fn every_kind_and_every_ask_has_words_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for word in AlarmKind::WORDS {
            let facts = facts(AlarmKind::from_word(word).unwrap());
            assert!(seen.insert(facts.text("en").title) && seen.insert(facts.text("zh-CN").title), "{word}");
        }
        let panic = facts(AlarmKind::Panic);
        let asks = [
            panic.clone(),
            Facts { neighbour: true, ..panic.clone() },
            Facts { ask: Ask::Go, ..panic.clone() },
            Facts { ask: Ask::Report, step: Step::Station, ..panic.clone() },
            Facts { ask: Ask::FollowUp, step: Step::Station, ..panic.clone() },
            Facts { step: Step::Decide, ..panic.clone() },
            facts(AlarmKind::Duress),
        ];
        for facts in asks {
            for locale in ["en", "zh-CN"] {
                assert!(seen.insert(facts.text(locale).body), "{facts:?}");
            }
        }
        assert!(Facts { late: true, ..panic }.text("en").title.contains("late"));
    }
}
