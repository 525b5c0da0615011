//! Messages: one text to one receiver by one way that leaves the house.
//!
//! Pure: whom a call goes to is in [`receivers`], when somebody wants to be left alone in
//! [`contact`], the words in [`text`]. What is kept is in [`repository`]; sockets are in
//! the root package's `notify`.

pub mod contact;
pub mod receivers;
pub mod repository;
pub mod text;

use crate::{IncidentId, MessageId, PersonId, Timestamp, words};
use std::time::Duration;

words! {
    /// A way out of the house.
    Way {
        /// To a browser that is closed.
        WebPush = "web_push",
        /// A letter.
        Mail = "mail",
        /// A call that speaks.
        Voice = "voice",
        /// A short text to a telephone.
        Sms = "sms",
        /// To another program, signed.
        Webhook = "webhook",
        /// A bot in a group of WeCom.
        WeCom = "wecom",
        /// A bot in a group of DingTalk.
        DingTalk = "dingtalk",
        /// A bot in a group of Feishu.
        Feishu = "feishu",
    }
}

words! {
    /// What has become of a message.
    State {
        /// It is to be sent, or sent again.
        Waiting = "waiting",
        /// Whoever carries it has taken it. That somebody has read it is not known.
        Sent = "sent",
        /// It was given up.
        Failed = "failed",
        /// Somebody has answered the call before it was sent.
        Stopped = "stopped",
    }
}

/// Whom a message goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A person; their address is looked up when it is sent.
    Person(PersonId),
    /// Whoever reads a channel of the settings: its name is the lane's.
    Channel,
}

/// One text to one receiver by one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id: sent again, it has the same.
    pub id: MessageId,
    /// What it is about.
    pub incident_id: IncidentId,
    /// The call it belongs to.
    pub version: i64,
    /// What carries it: a way, or a channel's name. Each has its own pace.
    pub lane: String,
    /// Whom it goes to.
    pub receiver: Receiver,
    /// Which of a person's browsers: the id of its subscription; empty elsewhere.
    pub device: String,
    /// Whether it is of the highest severity.
    pub urgent: bool,
    /// What has become of it.
    pub state: State,
    /// How often it was tried.
    pub attempt: i64,
    /// When it is to be sent.
    pub due_at: Timestamp,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it was tried last.
    pub tried_at: Option<Timestamp>,
    /// Why it was given up, or has to wait.
    pub reason: Option<String>,
}

/// How often a message is tried, within about twenty minutes.
pub const TRIES: i64 = 10;
/// Older ones are not sent any more, however often they had to wait.
pub const OLDEST: Duration = Duration::from_secs(24 * 3_600);
/// Nothing that is urgent waits longer than this for its next try.
pub const LONGEST: Duration = Duration::from_secs(10 * 60);

/// How long to wait after the nth try before the next: 5, 10, 20, … at most 300 s.
#[must_use]
pub fn pause(attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1).clamp(0, 6)).unwrap_or(0);
    Duration::from_secs((5_u64 << doublings).min(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_longer_and_all_of_them_take_twenty_minutes() {
        let pauses: Vec<u64> = (1..TRIES).map(|attempt| pause(attempt).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(pauses.iter().sum::<u64>(), 1_215);
        assert_eq!([pause(0), pause(i64::MIN), pause(i64::MAX)].map(|d| d.as_secs()), [5, 5, 300]);
    }
}
