//! Wall time as a value. The real clock lives in the root package's `clock.rs`.

use std::time::Duration;

/// A moment: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From a span since the Unix epoch.
    #[must_use]
    pub fn from_epoch(span: Duration) -> Self {
        Self(i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
    }

    /// From milliseconds since the Unix epoch, if that is a moment of the years that can be written.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        jiff::Timestamp::from_millisecond(millis).ok().map(|t| Self(t.as_microsecond()))
    }

    /// This moment moved by `span` into the future.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_epoch(span).0))
    }

    /// This moment moved by `span` into the past.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(Self::from_epoch(span).0))
    }

    /// As HTTP writes it (RFC 9110, 5.6.7), to the second.
    #[must_use]
    pub fn http_date(self) -> String {
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        // Years that it cannot write are none of ours.
        printer.timestamp_to_rfc9110_string(&self.to_jiff()).unwrap_or_default()
    }

    /// Reads RFC 3339 with any offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_microsecond()))
    }

    /// Reads the time of a clock on the wall (`2026-11-25 08:15:02`) in a time zone. Of an
    /// hour that comes twice it is the first.
    #[must_use]
    pub fn parse_local(text: &str, zone: &str) -> Option<Self> {
        let zone = jiff::tz::TimeZone::get(zone).ok()?;
        let time = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(Self(time.to_zoned_datetime(zone).ok()?.timestamp().as_microsecond()))
    }

    /// The day `text` (`2026-11-25`; without it the one of this moment) in a time
    /// zone: when it begins, and when the next one does.
    #[must_use]
    pub fn day(self, text: Option<&str>, zone: &str) -> Option<(Self, Self)> {
        let zone = jiff::tz::TimeZone::get(zone).ok()?;
        let date = match text {
            Some(text) => text.parse::<jiff::civil::Date>().ok()?,
            None => self.to_jiff().to_zoned_datetime(zone.clone()).date(),
        };
        let begin = |date: jiff::civil::Date| {
            let midnight = date.to_zoned_datetime(zone.clone()).ok()?;
            Some(Self(midnight.timestamp().as_microsecond()))
        };
        Some((begin(date)?, begin(date.tomorrow().ok()?)?))
    }

    /// Whether `name` is a time zone of the IANA database.
    #[must_use]
    pub fn is_time_zone(name: &str) -> bool {
        jiff::tz::TimeZone::get(name).is_ok()
    }

    fn to_jiff(self) -> jiff::Timestamp {
        // Beyond the year 9999 there is nothing to show; the end of time will do.
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.to_jiff())
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Tells wall time. Timers and leases do not use it: it jumps.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_any_offset_and_writes_utc() {
        let time = Timestamp::parse("2026-11-23T08:15:02+08:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-23T00:15:02Z");
        assert_eq!(Timestamp::parse("yesterday"), None);
        let day =
            |text: &str| time.day(Some(text), "Asia/Shanghai").map(|(a, b)| (a.to_string(), b.to_string()));
        assert_eq!(day("2026-11-23"), Some(("2026-11-22T16:00:00Z".into(), "2026-11-23T16:00:00Z".into())));
        assert_eq!(time.day(None, "Asia/Shanghai"), time.day(Some("2026-11-23"), "Asia/Shanghai"));
        assert_eq!(day("yesterday"), None);
        assert_eq!(Timestamp::from_millis(time.0 / 1_000), Some(time));
        for beyond in [i64::MAX, i64::MIN, 253_402_300_800_000] {
            assert_eq!(Timestamp::from_millis(beyond), None, "{beyond}");
        }
        assert_eq!(time.after(Duration::from_secs(1)).before(Duration::from_secs(1)), time);
    }
}
