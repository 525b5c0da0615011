//! What is told twice within a few seconds by a device that gives neither a number nor a time:
//! the same thing.

use super::Told;
use domain::device::Device;
use domain::{DeviceId, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Told again before so much time has passed since it was told first it is the same. Counted
/// from the first: a button that is hammered asks for help again every time.
const SAME: Duration = Duration::from_secs(5);
/// The most that are remembered. Of more than so many within [`SAME`] each is news: an event
/// too many rather than one too few.
const MOST: usize = 10_000;

/// When each was told first.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<HashMap<(DeviceId, String, String), Timestamp>>);

impl Recent {
    /// The same with an id that no other has, if it has none of its own yet.
    pub(super) fn named(&self, device: &Device, mut told: Told) -> Told {
        let Some(came) = told.unnamed.take() else { return told };
        // What is only a state hides nothing that happens.
        let stem = format!("{}:{}", told.event_id, told.quality.word());
        let first = self.first((device.id.clone(), told.source.clone(), stem.clone()), came);
        // Two firsts are never in one and the same five seconds of the clock, and what this gateway
        // has forgotten, or another one has heard, is mostly known by them still.
        let span = i64::try_from(SAME.as_micros()).unwrap_or(i64::MAX);
        told.event_id = format!("{stem}:{}", first.0.div_euclid(span).saturating_mul(span));
        told
    }

    fn first(&self, key: (DeviceId, String, String), came: Timestamp) -> Timestamp {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |first: Timestamp| first.before(SAME) < came && came < first.after(SAME);
        if let Some(first) = recent.get(&key).copied().filter(|first| is_same(*first)) {
            return first;
        }
        if recent.len() >= MOST {
            recent.retain(|_, first| is_same(*first));
        }
        if recent.len() < MOST {
            recent.insert(key, came);
        }
        came
    }
}

#[cfg(test)]
mod tests {
    use super::super::{What, fuzz};
    use super::*;
    use domain::event::device::DeviceEventKind;
    use domain::event::door::Quality;

    const MINUTE: i64 = 1_795_392_960_000_000;

    fn press(quality: Quality, seconds: f64) -> Told {
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a test")]
        let came = Timestamp(MINUTE + (seconds * 1e6) as i64);
        Told {
            source: "a/action".into(),
            event_id: "emergency".into(),
            unnamed: Some(came),
            what: What::Device(DeviceEventKind::Panic),
            quality,
            device_time: None,
        }
    }

    /// How many different ones there are among those at these moments.
    fn different(recent: &Recent, moments: &[f64]) -> usize {
        let device = fuzz::devices().next().unwrap();
        let mut ids: Vec<_> =
            moments.iter().map(|at| recent.named(&device, press(Quality::Live, *at)).event_id).collect();
        ids.sort();
        ids.dedup();
        ids.len()
    }

    #[test]
    fn told_again_within_five_seconds_it_is_the_same_wherever_the_clock_stands() {
        for start in [0.0, 1.0, 4.9, 59.99] {
            let different = |later: f64| different(&Recent::default(), &[start, start + later]);
            assert_eq!(
                (different(0.2), different(4.9), different(5.0), different(6.0)),
                (1, 1, 2, 2),
                "{start}"
            );
        }
    }

    #[test]
    fn a_button_that_is_hammered_asks_again_every_five_seconds() {
        let all: Vec<f64> = (0..60).map(|n| f64::from(n) * 0.5).collect();
        assert_eq!(different(&Recent::default(), &all), 6);
    }

    #[test]
    fn what_was_a_state_or_is_another_devices_hides_no_press() {
        let recent = Recent::default();
        let devices: Vec<_> = fuzz::devices().collect();
        let id = |device: &Device, quality| recent.named(device, press(quality, 0.0)).event_id;
        assert_ne!(id(&devices[0], Quality::State), id(&devices[0], Quality::Live));
        let other = Device { id: DeviceId::from_random([9; 16]), ..devices[0].clone() };
        let later = |device: &Device| recent.named(device, press(Quality::Live, 4.0)).event_id;
        assert_eq!(later(&devices[0]), id(&devices[0], Quality::Live));
        assert_eq!(recent.0.lock().unwrap().len(), 2);
        later(&other);
        assert_eq!(recent.0.lock().unwrap().len(), 3);
    }

    #[test]
    fn a_clock_that_jumps_and_a_flood_make_events_too_many_and_never_too_few() {
        assert_eq!(different(&Recent::default(), &[100.0, 10.0, 11.0, 107.0]), 3);
        let recent = Recent::default();
        let device = fuzz::devices().next().unwrap();
        for n in 0..2 * MOST {
            let told = Told { event_id: n.to_string(), ..press(Quality::Live, 0.0) };
            recent.named(&device, told);
        }
        assert_eq!(recent.0.lock().unwrap().len(), MOST);
        recent.named(&device, press(Quality::Live, 60.0));
        assert_eq!(recent.0.lock().unwrap().len(), 1, "what is over is forgotten");
    }
}
