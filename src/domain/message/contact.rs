//! How somebody can be reached beyond the page, and when they want to be left alone.
//! What they have not given is not there: nobody must give anything.

use crate::{PersonId, SessionId, SubscriptionId, Timestamp};
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// Minutes in a day.
const DAY: u16 = 24 * 60;
/// The most characters of an address for mail (RFC 5321, 4.5.3.1.3).
const MAIL: usize = 254;
/// The most digits of a telephone number (E.164), and the fewest of a short code.
const PHONE: std::ops::RangeInclusive<usize> = 3..=15;

/// How somebody can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Where letters go.
    pub mail: Option<String>,
    /// Which telephone rings: digits, with a + before them if it is of another country.
    pub phone: Option<String>,
    /// When they want to be left alone.
    pub quiet: Option<Quiet>,
}

/// A part of each day, in the time of the site. It may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    from: u16,
    until: u16,
}

impl Quiet {
    /// From a minute of the day until another. Nothing if they are the same or there are no such minutes.
    #[must_use]
    pub fn new(from: u16, until: u16) -> Option<Self> {
        (from < DAY && until < DAY && from != until).then_some(Self { from, until })
    }

    /// The minutes of the day when it begins and when it is over.
    #[must_use]
    pub fn minutes(self) -> (u16, u16) {
        (self.from, self.until)
    }

    /// When it is over, if it goes on at `now` in this time zone. Where there is no such
    /// zone nobody is left alone.
    #[must_use]
    pub fn until(self, now: Timestamp, zone: &str) -> Option<Timestamp> {
        let zone = TimeZone::get(zone).ok()?;
        let local = jiff::Timestamp::from_microsecond(now.0).ok()?.to_zoned_datetime(zone.clone());
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).ok()?;
        let over_midnight = self.from > self.until;
        let quiet = if over_midnight {
            minute >= self.from || minute < self.until
        } else {
            (self.from..self.until).contains(&minute)
        };
        if !quiet {
            return None;
        }
        let tomorrow = over_midnight && minute >= self.from;
        let date = if tomorrow { local.date().tomorrow().ok()? } else { local.date() };
        let (hour, minute) = (i8::try_from(self.until / 60).ok()?, i8::try_from(self.until % 60).ok()?);
        let end = date.to_datetime(Time::new(hour, minute, 0, 0).ok()?).to_zoned_datetime(zone).ok()?;
        Some(Timestamp(end.timestamp().as_microsecond()))
    }
}

/// Whether this can be an address for mail. That somebody reads it is not known.
#[must_use]
pub fn is_mail(text: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"<>()[],;:\\\"".contains(c);
    text.len() <= MAIL
        && text.chars().all(plain)
        && text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with(['.', '-'])
        })
}

/// Whether this can be a telephone number.
#[must_use]
pub fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    PHONE.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A browser that wants to be told while it is closed. It ends with its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose browser it is.
    pub person_id: PersonId,
    /// The session in which it was asked for.
    pub session_id: SessionId,
    /// Where its push service takes messages for it: who knows it can send to it.
    pub endpoint: String,
    /// The browser's public key: a point of P-256, uncompressed.
    pub key: Vec<u8>,
    /// What it shares with us, so that its push service cannot read along.
    pub auth: Vec<u8>,
    /// Since when.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_are_over_when_they_say_so() {
        let night = Quiet::new(22 * 60, 7 * 60).unwrap();
        let nap = Quiet::new(12 * 60 + 30, 14 * 60).unwrap();
        for (quiet, now, over) in [
            (night, "2026-11-26T21:59:59+08:00", None),
            (night, "2026-11-26T22:00:00+08:00", Some("2026-11-27T07:00:00+08:00")),
            (night, "2026-11-27T06:59:00+08:00", Some("2026-11-27T07:00:00+08:00")),
            (night, "2026-11-27T07:00:00+08:00", None),
            (nap, "2026-11-26T13:00:00+08:00", Some("2026-11-26T14:00:00+08:00")),
            (nap, "2026-11-26T14:00:00+08:00", None),
        ] {
            let now = Timestamp::parse(now).unwrap();
            let over = over.map(|text| Timestamp::parse(text).unwrap());
            assert_eq!(quiet.until(now, "Asia/Shanghai"), over, "{now}");
        }
        assert_eq!(night.until(Timestamp(0), "Nowhere/Land"), None, "rather told than forgotten");
        for (from, until) in [(0, 0), (60, 60), (24 * 60, 1), (1, 24 * 60)] {
            assert_eq!(Quiet::new(from, until), None);
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_none() {
        for good in ["a@b.cn", "值班@例子.中国", "first.last+alarm@mail.example.net"] {
            assert!(is_mail(good), "{good}");
        }
        for bad in
            ["", "a", "@b.cn", "a@b", "a@@b.cn", "a b@c.cn", "a@b.cn\r\nBcc: x@y.cn", "a@.cn", "<a@b.cn>"]
        {
            assert!(!is_mail(bad), "{bad}");
        }
        for good in ["110", "13800138000", "+8613800138000"] {
            assert!(is_phone(good), "{good}");
        }
        for bad in ["", "11", "+", "138 0013 8000", "1;2;3", "١٢٣٤", "1234567890123456"] {
            assert!(!is_phone(bad), "{bad}");
        }
    }
}
