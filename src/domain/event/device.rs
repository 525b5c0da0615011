//! What a device tells that is not about a door: alarms, inputs, its own condition.

use crate::event::alarm::AlarmKind;
use crate::event::door::Quality;
use crate::{DeviceEventId, DeviceId, PlaceId, SiteId, Timestamp, words};
use std::time::Duration;

words! {
    /// What happened. The words are the CloudEvents types without the `sharpeyes.` in front.
    DeviceEventKind {
        /// Somebody asks for help.
        Panic = "alarm.panic",
        /// It burns.
        Fire = "alarm.fire",
        /// Somebody is ill or hurt.
        Medical = "alarm.medical",
        /// Somebody is where nobody should be.
        Intrusion = "alarm.intrusion",
        /// Somebody tampers with the device.
        Tamper = "alarm.tamper",
        /// An alarm is over, as far as the device knows.
        Cleared = "alarm.cleared",
        /// An input of the device has changed.
        Input = "input.changed",
        /// Somebody calls at the door.
        Called = "intercom.called",
        /// The device does not work as it should.
        Fault = "device.fault",
        /// Its battery is low.
        LowBattery = "device.low_battery",
        /// It cannot be reached any more.
        Offline = "device.offline",
        /// It can be reached again.
        Online = "device.online",
        /// Its clock is wrong.
        ClockSkew = "device.clock_skew",
    }
}

impl DeviceEventKind {
    /// Whether it is about the device itself: its battery, its line, its clock.
    #[must_use]
    pub fn is_condition(self) -> bool {
        matches!(self, Self::Fault | Self::LowBattery | Self::Offline | Self::Online | Self::ClockSkew)
    }

    /// The alarm that it is, if it is one.
    #[must_use]
    pub fn alarm(self) -> Option<AlarmKind> {
        match self {
            Self::Panic => Some(AlarmKind::Panic),
            Self::Fire => Some(AlarmKind::Fire),
            Self::Medical => Some(AlarmKind::Medical),
            Self::Intrusion => Some(AlarmKind::Intrusion),
            Self::Tamper => Some(AlarmKind::Tamper),
            _ => None,
        }
    }
}

/// An event of a device as it is kept. Texts of the device's own are never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceEvent {
    /// Its id.
    pub id: DeviceEventId,
    /// CloudEvents `source`, as the device sent it.
    pub source: String,
    /// CloudEvents `id`: unique together with device and source.
    pub event_id: String,
    /// The device.
    pub device_id: DeviceId,
    /// The device's site.
    pub site_id: SiteId,
    /// Where it happened.
    pub place_id: PlaceId,
    /// What happened.
    pub kind: DeviceEventKind,
    /// How much it says about now.
    pub quality: Quality,
    /// The device's own time.
    pub device_time: Option<Timestamp>,
    /// When it arrived: order and timers rest on this.
    pub received_at: Timestamp,
}

/// A device whose clock is further off than this is told of, once a day.
pub const SKEW: Duration = Duration::from_secs(30);

/// Whether a live event's own time shows that the device's clock is wrong.
#[must_use]
pub fn is_skewed(quality: Quality, device_time: Option<Timestamp>, received_at: Timestamp) -> bool {
    // What was kept is old by right, and what is only a state is of any time.
    matches!(quality, Quality::Live | Quality::Drill)
        && device_time.is_some_and(|at| at < received_at.before(SKEW) || at > received_at.after(SKEW))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_wrong_when_a_live_event_is_far_from_now() {
        let now = Timestamp(1_000_000_000_000);
        let far = SKEW + Duration::from_secs(1);
        assert!(is_skewed(Quality::Live, Some(now.before(far)), now));
        assert!(is_skewed(Quality::Live, Some(now.after(far)), now));
        assert!(!is_skewed(Quality::Live, Some(now.before(SKEW)), now));
        assert!(!is_skewed(Quality::Live, None, now));
        assert!(!is_skewed(Quality::Backlog, Some(now.before(far)), now));
        assert!(!is_skewed(Quality::State, Some(now.before(far)), now));
    }
}
