//! What a device's inputs were when it last told: a message that says again how things
//! are is no news, and an input that is stuck is one event.

use domain::event::door::Quality;
use std::collections::HashMap;

/// The most inputs of a device that are remembered. Beyond it each message is news: an
/// alarm too many rather than one too few.
const MOST: usize = 64;

/// The inputs of one device, by name.
#[derive(Clone, Debug, Default)]
pub struct Levels(HashMap<String, bool>);

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
    /// An input is so now.
    pub(super) fn set(&mut self, input: &str, value: bool) -> Edge {
        match self.0.get_mut(input) {
            Some(known) if *known == value => Edge::Same,
            Some(known) => {
                *known = value;
                Edge::Changed
            }
            None => {
                if self.0.len() < MOST {
                    self.0.insert(input.to_owned(), value);
                }
                Edge::First
            }
        }
    }

    /// An input that is an alarm while it is true: whether one begins or is over, and how much
    /// that says about now. An alarm of which only a retained value was heard is not
    /// remembered, so that the device's own word of it still is one.
    pub(super) fn alarm(&mut self, input: &str, value: bool, quality: Quality) -> Option<(bool, Quality)> {
        if value && quality == Quality::State {
            return (self.0.get(input) != Some(&true)).then_some((true, quality));
        }
        match (value, self.set(input, value)) {
            (_, Edge::Same) | (false, Edge::First) => None,
            (value, _) => Some((value, quality)),
        }
    }

    /// An input that is no alarm: how much its value says about now, if it is news. What it was
    /// before the gateway began nobody knows, so the first value is a state.
    pub(super) fn plain(&mut self, input: &str, value: bool, quality: Quality) -> Option<Quality> {
        match self.set(input, value) {
            Edge::First => Some(Quality::State),
            Edge::Changed => Some(quality),
            Edge::Same => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Quality::{Live, State};

    #[test]
    fn an_input_that_is_stuck_is_told_once() {
        let mut levels = Levels::default();
        assert_eq!(levels.alarm("smoke", true, Live), Some((true, Live)));
        assert_eq!(levels.alarm("smoke", true, Live), None);
        assert_eq!(levels.alarm("smoke", false, Live), Some((false, Live)));
        assert_eq!(levels.alarm("smoke", false, Live), None);
        assert_eq!(levels.alarm("smoke", true, Live), Some((true, Live)));
    }

    #[test]
    fn a_retained_alarm_is_a_state_and_hides_no_live_one() {
        let mut levels = Levels::default();
        assert_eq!(levels.alarm("smoke", true, State), Some((true, State)));
        assert_eq!(levels.alarm("smoke", true, Live), Some((true, Live)));
        assert_eq!(levels.alarm("smoke", true, State), None);
    }

    #[test]
    fn the_first_value_of_a_door_is_a_state() {
        let mut levels = Levels::default();
        assert_eq!(levels.plain("contact", true, Live), Some(State));
        assert_eq!(levels.plain("contact", true, Live), None);
        assert_eq!(levels.plain("contact", false, Live), Some(Live));
    }

    #[test]
    fn a_device_that_invents_inputs_fills_no_memory() {
        let mut levels = Levels::default();
        for n in 0..10_000 {
            assert_eq!(levels.alarm(&n.to_string(), true, Live), Some((true, Live)));
        }
        assert_eq!(levels.0.len(), MOST);
    }
}
