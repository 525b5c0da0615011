//! When a certificate ends, and saying so in time and not all the time.

use domain::Timestamp;
use std::time::Duration;
use x509_parser::parse_x509_certificate;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The end of one certificate.
pub(super) struct Ending {
    pub(super) at: Timestamp,
    /// How long before the end it is worth a word.
    notice: Duration,
    said: Option<Timestamp>,
}

impl Ending {
    /// Reads it from the certificate; nothing if it is none.
    pub(super) fn of(der: &[u8], notice: Duration) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        let seconds = certificate.validity().not_after.timestamp();
        Some(Self { at: Timestamp(seconds.saturating_mul(1_000_000)), notice, said: None })
    }

    /// Whether it is time to say that it ends: once a day.
    pub(super) fn is_worth_a_word(&mut self, now: Timestamp) -> bool {
        let quiet = self.said.is_some_and(|said| said <= now && now < said.after(DAY));
        if quiet || now.after(self.notice) < self.at {
            return false;
        }
        self.said = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_said_once_a_day_and_not_before_it_is_near() {
        let at = Timestamp::parse("2026-12-24T00:00:00Z").unwrap();
        let mut ending = Ending { at, notice: 14 * DAY, said: None };
        assert!(!ending.is_worth_a_word(at.before(15 * DAY)));
        assert!(ending.is_worth_a_word(at.before(14 * DAY)));
        assert!(!ending.is_worth_a_word(at.before(14 * DAY).after(DAY / 2)));
        assert!(ending.is_worth_a_word(at.before(13 * DAY)));
        assert!(ending.is_worth_a_word(at.after(DAY)), "also when it is over");
        assert!(Ending::of(b"no certificate", DAY).is_none());
    }
}
