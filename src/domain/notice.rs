//! What has happened, for those who want to be told: in order, and durable before
//! anybody is. A notice points at what it is about and says nothing of people; who
//! may know of it is decided for each reader when it is read.

use crate::repository::Result;
use crate::{PlaceId, SiteId, Timestamp, words};
use async_trait::async_trait;

words! {
    /// What it is about.
    Topic {
        /// A camera comes or goes.
        Camera = "camera",
        /// Something happened at a door.
        DoorEvent = "door_event",
        /// An alarm of a device came too late to be an incident.
        DeviceEvent = "device_event",
        /// An alarm arrived.
        Alarm = "alarm",
        /// Something was done with an incident, or a neighbour answered.
        Incident = "incident",
        /// An approval was asked for or decided.
        Approval = "approval",
    }
}

/// One of the two lines in which notices are read. What somebody may be waiting for help by
/// never stands behind what doors tell, of which there may be thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Alarms and what is done about them.
    Alarms,
    /// Everything else.
    Rest,
}

impl Topic {
    /// The line that it is read in.
    #[must_use]
    pub fn line(self) -> Line {
        match self {
            Self::Alarm | Self::Incident => Line::Alarms,
            Self::Camera | Self::DoorEvent | Self::DeviceEvent | Self::Approval => Line::Rest,
        }
    }
}

/// Something has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When.
    pub at: Timestamp,
    /// What about.
    pub topic: Topic,
    /// In which site.
    pub site_id: SiteId,
    /// At which place, if at one.
    pub place_id: Option<PlaceId>,
    /// The id of what it is about.
    pub object: String,
    /// One word more: a door event's type, a camera's state.
    pub word: String,
    /// Whether it is practice.
    pub drill: bool,
}

/// A notice at its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its number. Whoever has seen one has seen all that there will ever be before it.
    pub seq: i64,
    /// The notice.
    pub notice: Notice,
}

/// What was read of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Its notices, the oldest first, without what cannot be read.
    pub notices: Vec<Posted>,
    /// Up to which number the line has been read: whatever else there is is not in it.
    pub to: i64,
    /// Whether there is more of it.
    pub more: bool,
    /// Numbers of either line up to there that are gone.
    pub gone: u64,
    /// Notices of this line that cannot be read.
    pub unreadable: u64,
}

/// How far a way of telling reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Pages of signed-in people.
    House,
    /// Anything else: telephones, bots, other services.
    Outside,
}

/// A way of telling. The outbox is one; what reads it tells others.
#[async_trait]
pub trait Notify: Send + Sync {
    /// How far it reaches.
    fn range(&self) -> Range;
    /// Takes notices. When this answers they are told, or will be.
    async fn notify(&self, notices: &[Notice]) -> Result<()>;
}

/// Tells what may be told this way: a drill never leaves the site.
pub async fn tell(way: &dyn Notify, notices: &[Notice]) -> Result<()> {
    let outside = way.range() == Range::Outside;
    let fit: Vec<Notice> = notices.iter().filter(|notice| !(outside && notice.drill)).cloned().collect();
    if fit.is_empty() { Ok(()) } else { way.notify(&fit).await }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Mutex;
    use std::task::{Context, Poll, Waker};

    struct Way(Range, Mutex<Vec<Notice>>);

    #[async_trait]
    impl Notify for Way {
        fn range(&self) -> Range {
            self.0
        }

        async fn notify(&self, notices: &[Notice]) -> Result<()> {
            self.1.lock().unwrap().extend_from_slice(notices);
            Ok(())
        }
    }

    #[test]
    fn a_drill_never_leaves_the_site() {
        let notice = |drill| Notice {
            at: Timestamp(0),
            topic: Topic::Alarm,
            site_id: SiteId::from_random([1; 16]),
            place_id: None,
            object: "0".into(),
            word: "panic".into(),
            drill,
        };
        let told = |range| {
            let way = Way(range, Mutex::default());
            let notices = [notice(true), notice(false)];
            let mut telling = pin!(tell(&way, &notices));
            let done = telling.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(done, Poll::Ready(Ok(())));
            let told = way.1.lock().unwrap();
            told.iter().map(|notice| notice.drill).collect::<Vec<_>>()
        };
        assert_eq!(told(Range::House), [true, false]);
        assert_eq!(told(Range::Outside), [false]);
    }
}
