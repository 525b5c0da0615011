//! A weekly schedule in a site's own time.

use crate::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ZonedDateTime};

/// Minutes in a day.
const DAY: u16 = 24 * 60;
/// The most windows of a schedule.
pub const MOST: usize = 21;

/// A stretch of some days of the week.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Days, 1 is Monday, 7 is Sunday.
    pub days: Vec<u8>,
    /// Begins at this minute of the day.
    pub from_minute: u16,
    /// Ends before this minute of the day; 1440 is midnight.
    pub until_minute: u16,
}

/// When something holds during a week. Without windows it never does.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Schedule(pub Vec<Window>);

/// A schedule that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Too few or too many windows.
    #[error("a schedule has 1 to 21 windows")]
    Count,
    /// A window's days.
    #[error("days are numbers from 1 (Monday) to 7 (Sunday), at least one")]
    Days,
    /// A window's minutes.
    #[error("from_minute is before until_minute, and that at most 1440; write a night as two windows")]
    Minutes,
}

impl Schedule {
    /// Whether every window can be.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.0.is_empty() || self.0.len() > MOST {
            return Err(Invalid::Count);
        }
        for window in &self.0 {
            if window.days.is_empty()
                || window.days.len() > 7
                || window.days.iter().any(|day| !(1..=7).contains(day))
            {
                return Err(Invalid::Days);
            }
            if window.from_minute >= window.until_minute || window.until_minute > DAY {
                return Err(Invalid::Minutes);
            }
        }
        Ok(())
    }

    /// If it holds at `now` in `zone`: until when without a break, or for good.
    /// Nothing if it does not hold, or if the time zone is not known.
    #[must_use]
    pub fn holds(&self, now: Timestamp, zone: &str) -> Option<Hold> {
        let zone = TimeZone::get(zone).ok()?;
        let start = jiff::Timestamp::from_microsecond(now.0).ok()?;
        let mut at = start.to_zoned_datetime(zone);
        let week_later = start.checked_add(SignedDuration::from_hours(8 * 24)).ok()?;
        let mut held = false;
        // Windows that touch make one stretch: a night that is written as two
        // must not break at midnight.
        while let Some(end) = self.window_end(&at) {
            held = true;
            at = end;
            if at.timestamp() > week_later {
                return Some(Hold::ForGood);
            }
        }
        held.then(|| Hold::Until(Timestamp(at.timestamp().as_microsecond())))
    }

    /// The end of the window that holds `at`, the latest if there are several.
    fn window_end(&self, at: &ZonedDateTime) -> Option<ZonedDateTime> {
        let day = weekday(at.weekday());
        let minute = u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute())).ok()?;
        let holds = |w: &&Window| w.days.contains(&day) && w.from_minute <= minute && minute < w.until_minute;
        let end = self.0.iter().filter(holds).map(|window| window.until_minute).max()?;
        let midnight = at.start_of_day().ok()?;
        let date = midnight.datetime().checked_add(SignedDuration::from_mins(end.into())).ok()?;
        let end = date.to_zoned_datetime(at.time_zone().clone()).ok()?;
        // The hour that a clock change skips or repeats must not hold us up.
        (end > *at).then_some(end)
    }
}

/// How long a schedule goes on holding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Until then.
    Until(Timestamp),
    /// It covers the whole week.
    ForGood,
}

fn weekday(day: Weekday) -> u8 {
    u8::try_from(day.to_monday_one_offset()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHANGHAI: &str = "Asia/Shanghai";
    const BERLIN: &str = "Europe/Berlin";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn window(days: &[u8], from: u16, until: u16) -> Window {
        Window { days: days.to_vec(), from_minute: from * 60, until_minute: until * 60 }
    }

    #[test]
    fn holds_in_the_sites_own_time() {
        // Wednesday 25 November 2026.
        let schedule = Schedule(vec![window(&[3], 8, 18)]);
        let until = Hold::Until(at("2026-11-25T18:00:00+08:00"));
        assert_eq!(schedule.holds(at("2026-11-25T08:00:00+08:00"), SHANGHAI), Some(until));
        assert_eq!(schedule.holds(at("2026-11-25T17:59:59+08:00"), SHANGHAI), Some(until));
        assert_eq!(schedule.holds(at("2026-11-25T18:00:00+08:00"), SHANGHAI), None);
        assert_eq!(schedule.holds(at("2026-11-25T07:59:59+08:00"), SHANGHAI), None);
        assert_eq!(schedule.holds(at("2026-11-26T09:00:00+08:00"), SHANGHAI), None, "another day");
        assert_eq!(schedule.holds(at("2026-11-25T09:00:00+08:00"), "Nowhere/Town"), None);
    }

    #[test]
    fn a_night_in_two_windows_is_one_stretch() {
        let schedule = Schedule(vec![window(&[3], 22, 24), window(&[4], 0, 6)]);
        let until = Hold::Until(at("2026-11-26T06:00:00+08:00"));
        assert_eq!(schedule.holds(at("2026-11-25T23:00:00+08:00"), SHANGHAI), Some(until));
    }

    #[test]
    fn a_whole_week_holds_for_good() {
        let schedule = Schedule(vec![window(&[1, 2, 3, 4, 5, 6, 7], 0, 24)]);
        assert_eq!(schedule.holds(at("2026-11-25T23:00:00+08:00"), SHANGHAI), Some(Hold::ForGood));
        assert_eq!(Schedule::default().holds(at("2026-11-25T23:00:00+08:00"), SHANGHAI), None);
    }

    #[test]
    fn clock_changes_move_the_end_with_the_clock() {
        // Sunday 25 October 2026: 03:00 becomes 02:00.
        let schedule = Schedule(vec![window(&[7], 0, 6)]);
        let until = Hold::Until(at("2026-10-25T06:00:00+01:00"));
        assert_eq!(schedule.holds(at("2026-10-25T01:00:00+02:00"), BERLIN), Some(until));
        // Sunday 29 March 2026: 02:00 becomes 03:00; a window in the gap ends after it.
        let schedule = Schedule(vec![Window { days: vec![7], from_minute: 60, until_minute: 150 }]);
        assert!(schedule.holds(at("2026-03-29T01:30:00+01:00"), BERLIN).is_some());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let ok = window(&[1], 0, 24);
        assert_eq!(Schedule(vec![ok.clone()]).check(), Ok(()));
        assert_eq!(Schedule(vec![]).check(), Err(Invalid::Count));
        assert_eq!(Schedule(vec![ok; 22]).check(), Err(Invalid::Count));
        assert_eq!(Schedule(vec![window(&[], 0, 1)]).check(), Err(Invalid::Days));
        assert_eq!(Schedule(vec![window(&[8], 0, 1)]).check(), Err(Invalid::Days));
        assert_eq!(Schedule(vec![window(&[1], 6, 6)]).check(), Err(Invalid::Minutes));
        assert_eq!(Schedule(vec![window(&[1], 6, 25)]).check(), Err(Invalid::Minutes));
    }
}
