//! What a device's inputs were when it last told: a message that says again how things
//! are is no news, and an input that is stuck is one event.

use domain::Timestamp;
use domain::event::door::Quality;
use std::collections::HashMap;
use std::time::Duration;

/// The most inputs of a device that are remembered. Beyond it each message is news: an
/// alarm too many rather than one too few.
const MOST: usize = 64;

/// An alarm of which nothing was heard for so long is news when it is told again: that it was
/// over in between may be what was lost.
const FORGOTTEN: Duration = Duration::from_secs(10 * 60);

/// An input that is on is told again by its device every few seconds. One of which nothing was
/// heard for so long was released, though the device did not say so: somebody presses again. Longer
/// would leave out who presses again after a false alarm; shorter, a device that repeats slowly.
const REPEATED: Duration = Duration::from_secs(30);

/// The inputs of one device, by name: what each was, and when that was last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels(HashMap<String, (bool, Timestamp)>);

/// What a message says of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// It is heard of for the first time.
    First,
    /// It is another than before.
    Changed,
    /// It is as it was.
    Same,
}

impl Levels {
    /// How many inputs are remembered.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// An input is so now.
    pub(super) fn set(&mut self, input: &str, value: bool, now: Timestamp) -> Edge {
        match self.0.get_mut(input) {
            Some(known) => {
                let (before, _) = std::mem::replace(known, (value, now));
                if before == value { Edge::Same } else { Edge::Changed }
            }
            None => {
                if self.0.len() < MOST {
                    self.0.insert(input.to_owned(), (value, now));
                }
                Edge::First
            }
        }
    }

    /// An input that is an alarm while it is true: whether one begins or is over, and how much
    /// that says about now. An alarm of which only a retained value was heard is not
    /// remembered, so that the device's own word of it still is one.
    pub(super) fn alarm(
        &mut self,
        input: &str,
        value: bool,
        quality: Quality,
        now: Timestamp,
    ) -> Option<(bool, Quality)> {
        let known = self.0.get(input).copied();
        if value && quality == Quality::State {
            return (!known.is_some_and(|(lasts, _)| lasts)).then_some((true, quality));
        }
        let forgotten = known.is_some_and(|(_, told)| is_long_from(told, now, FORGOTTEN));
        match (value, self.set(input, value, now)) {
            (true, Edge::Same) if forgotten => Some((true, quality)),
            (_, Edge::Same) | (false, Edge::First) => None,
            (value, _) => Some((value, quality)),
        }
    }

    /// An input that is an alarm while it is on, of a device that repeats that and may never say
    /// that it is off: whether an alarm begins or is over.
    pub(super) fn pressed(&mut self, input: &str, on: bool, now: Timestamp) -> Option<bool> {
        let released = self.0.get(input).is_some_and(|(_, told)| is_long_from(*told, now, REPEATED));
        match (on, self.set(input, on, now)) {
            (true, Edge::Same) if released => Some(true),
            (_, Edge::Same) | (false, Edge::First) => None,
            (on, _) => Some(on),
        }
    }

    /// Takes over what was heard meanwhile: of each input the later word.
    pub(super) fn learn(&mut self, heard: Self) {
        for (input, (value, told)) in heard.0 {
            let is_later = match self.0.get(&input) {
                Some((_, known)) => *known <= told || is_long_from(*known, told, REPEATED),
                None => self.0.len() < MOST,
            };
            if is_later {
                self.0.insert(input, (value, told));
            }
        }
    }

    /// An input that is no alarm: how much its value says about now, if it is news. What it was
    /// before the gateway began nobody knows, so the first value is a state.
    pub(super) fn plain(
        &mut self,
        input: &str,
        value: bool,
        quality: Quality,
        now: Timestamp,
    ) -> Option<Quality> {
        match self.set(input, value, now) {
            Edge::First => Some(Quality::State),
            Edge::Changed => Some(quality),
            Edge::Same => None,
        }
    }
}

/// Whether it was told longer ago than that, or so far ahead that the clock was set back since.
fn is_long_from(told: Timestamp, now: Timestamp, span: Duration) -> bool {
    told < now.before(span) || told > now.after(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Quality::{Live, State};

    const NOW: Timestamp = Timestamp(1_900_000_000_000_000);

    #[test]
    fn an_input_that_is_stuck_is_told_once() {
        let mut levels = Levels::default();
        assert_eq!(levels.alarm("smoke", true, Live, NOW), Some((true, Live)));
        assert_eq!(levels.alarm("smoke", true, Live, NOW), None);
        assert_eq!(levels.alarm("smoke", false, Live, NOW), Some((false, Live)));
        assert_eq!(levels.alarm("smoke", false, Live, NOW), None);
        assert_eq!(levels.alarm("smoke", true, Live, NOW), Some((true, Live)));
    }

    #[test]
    fn a_clock_that_is_set_back_hides_no_press_and_makes_one_of_many() {
        let mut known = Levels::default();
        let mut tell = |on, now| {
            let mut heard = known.clone();
            let told = heard.pressed("input/3", on, now);
            known.learn(heard);
            told
        };
        let (ahead, second) = (NOW.after(FORGOTTEN), Duration::from_secs(1));
        assert_eq!(tell(true, ahead), Some(true));
        assert_eq!(tell(false, NOW), Some(false));
        assert_eq!(tell(true, NOW.after(second)), Some(true));
        assert_eq!(tell(true, NOW.after(2 * second)), None);
        assert_eq!(tell(false, ahead), Some(false));
        assert_eq!(tell(true, NOW), Some(true), "never heard that it is off");
        assert_eq!(tell(true, NOW.after(second)), None, "said again");
    }

    #[test]
    fn an_alarm_that_was_not_told_for_ten_minutes_is_told_anew() {
        let mut levels = Levels::default();
        let minutes = |n: u64| NOW.after(Duration::from_secs(n * 60));
        for (n, told) in [(0, true), (9, false), (18, false), (29, true), (30, false)] {
            assert_eq!(levels.alarm("smoke", true, Live, minutes(n)).is_some(), told, "{n} minutes");
        }
        assert_eq!(levels.alarm("smoke", false, Live, minutes(50)), Some((false, Live)));
        assert_eq!(levels.plain("contact", true, Live, minutes(0)), Some(State));
        assert_eq!(
            levels.plain("contact", true, Live, minutes(30)),
            None,
            "a door that stays shut is no news"
        );
    }

    #[test]
    fn an_input_that_never_says_that_it_is_off_is_pressed_again_after_half_a_minute_of_silence() {
        let seconds = |n: u64| NOW.after(Duration::from_secs(n));
        let mut levels = Levels::default();
        for (n, told) in [(0, true), (20, false), (45, false), (76, true), (77, false)] {
            assert_eq!(levels.pressed("input/3", true, seconds(n)).is_some(), told, "{n} s");
        }
        assert_eq!(levels.pressed("input/3", false, seconds(78)), Some(false));
        assert_eq!(levels.pressed("input/3", false, seconds(79)), None);
        assert_eq!(levels.pressed("input/3", true, seconds(80)), Some(true));
    }

    #[test]
    fn of_two_messages_at_once_the_later_word_counts() {
        let (mut levels, mut earlier, mut later) = (Levels::default(), Levels::default(), Levels::default());
        let _ = earlier.pressed("input/3", true, NOW);
        let _ = later.pressed("input/3", false, NOW.after(Duration::from_secs(1)));
        levels.learn(later);
        levels.learn(earlier);
        let press = levels.pressed("input/3", true, NOW.after(Duration::from_secs(2)));
        assert_eq!(press, Some(true), "it was released");
    }

    #[test]
    fn a_retained_alarm_is_a_state_and_hides_no_live_one() {
        let mut levels = Levels::default();
        assert_eq!(levels.alarm("smoke", true, State, NOW), Some((true, State)));
        assert_eq!(levels.alarm("smoke", true, Live, NOW), Some((true, Live)));
        assert_eq!(levels.alarm("smoke", true, State, NOW), None);
    }

    #[test]
    fn the_first_value_of_a_door_is_a_state() {
        let mut levels = Levels::default();
        assert_eq!(levels.plain("contact", true, Live, NOW), Some(State));
        assert_eq!(levels.plain("contact", true, Live, NOW), None);
        assert_eq!(levels.plain("contact", false, Live, NOW), Some(Live));
    }

    #[test]
    fn a_device_that_invents_inputs_fills_no_memory() {
        let mut levels = Levels::default();
        for n in 0..10_000 {
            assert_eq!(levels.alarm(&n.to_string(), true, Live, NOW), Some((true, Live)));
        }
        assert_eq!(levels.count(), MOST);
    }
}
