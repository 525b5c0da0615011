//! Practice, with ledgers of its own: drills go through the machinery of incidents,
//! and tests of alarm buttons are noted. What is counted is the machinery, never who
//! of the people came.

use crate::incident::{Act, Answer, LogRow, Reached};
use crate::role::Role;
use crate::{ButtonTestId, DeviceId, PersonId, SiteId, Timestamp};

/// How a drill went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Seconds until somebody took it.
    pub ack_seconds: Option<i64>,
    /// Seconds until somebody was there.
    pub arrive_seconds: Option<i64>,
    /// How often the next in the chain had to be called.
    pub escalations: usize,
    /// Households it was sent to.
    pub asked: usize,
    /// Those where somebody saw it, answered or not.
    pub seen: usize,
    /// Those from which somebody would have come.
    pub coming: usize,
}

/// How a drill went, from its log and what became of its call.
#[must_use]
pub fn outcome(log: &[LogRow], reached: &[Reached]) -> Outcome {
    let opened = log.first().map_or(Timestamp(0), |row| row.at);
    let first = |act| {
        let row = log.iter().find(|row| row.act == act)?;
        Some((row.at.0 - opened.0).max(0) / 1_000_000)
    };
    let with = |wanted: &[Answer]| reached.iter().filter(|one| wanted.contains(&one.answer)).count();
    Outcome {
        ack_seconds: first(Act::Ack),
        arrive_seconds: first(Act::Arrive),
        escalations: log.iter().filter(|row| row.act == Act::Escalate).count(),
        asked: reached.len(),
        seen: with(&[Answer::Shown, Answer::Coming, Answer::Declined]),
        coming: with(&[Answer::Coming]),
    }
}

/// Somebody has tried an alarm button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ButtonTest {
    /// Its id.
    pub id: ButtonTestId,
    /// The button's site.
    pub site_id: SiteId,
    /// The button.
    pub device_id: DeviceId,
    /// Who tried it.
    pub person_id: PersonId,
    /// In which role.
    pub role: Role,
    /// Whether it worked.
    pub worked: bool,
    /// What there is to say.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}
