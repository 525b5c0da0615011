//! What the broker sends again because it does not know that it was kept: the acknowledgement
//! was lost with the connection. It says so (DUP), and it is the message that had the same number:
//! so that of a device without a clock it is known again, it is taken as come when it came first.

use domain::Timestamp;
use ring::digest::{SHA256, digest};
use rumqttc::v5::mqttbytes::v5::Publish;
use std::collections::VecDeque;

/// A message that was acknowledged.
struct Kept {
    number: u16,
    /// Of topic and body.
    hash: Vec<u8>,
    came: Timestamp,
    /// Pings that had been sent before.
    pings: u64,
}

/// Messages of which it is not known that the broker has the acknowledgement. There are never
/// more than it sends unacknowledged: it can send again no others.
#[derive(Default)]
pub struct Unconfirmed {
    kept: VecDeque<Kept>,
    pings: u64,
    pongs: u64,
}

fn hash(publish: &Publish) -> Vec<u8> {
    let body = digest(&SHA256, &publish.payload);
    digest(&SHA256, &[body.as_ref(), &publish.topic].concat()).as_ref().to_vec()
}

impl Unconfirmed {
    /// A connection is new: nothing was asked in it. What is kept of a session that the broker
    /// does not know any more has lost its meaning.
    pub fn begin(&mut self, is_known: bool) {
        (self.pings, self.pongs) = (0, 0);
        self.kept.iter_mut().for_each(|kept| kept.pings = 0);
        if !is_known {
            self.kept.clear();
        }
    }

    /// When a message that comes now came first.
    pub fn came(&mut self, publish: &Publish, now: Timestamp) -> Timestamp {
        if publish.dup {
            let same = |kept: &&Kept| kept.number == publish.pkid && kept.hash == hash(publish);
            return self.kept.iter().find(same).map_or(now, |kept| kept.came);
        }
        // A number that is used anew was free.
        self.kept.retain(|kept| kept.number != publish.pkid);
        now
    }

    /// A message is acknowledged.
    pub fn acknowledged(&mut self, publish: &Publish, came: Timestamp, most: usize) {
        self.kept.retain(|kept| kept.number != publish.pkid);
        if self.kept.len() >= most {
            self.kept.pop_front();
        }
        let pings = self.pings;
        self.kept.push_back(Kept { number: publish.pkid, hash: hash(publish), came, pings });
    }

    /// A ping is sent.
    pub fn asked(&mut self) {
        self.pings += 1;
    }

    /// A ping is answered: the broker has read everything that was sent before it.
    pub fn answered(&mut self) {
        self.pongs += 1;
        self.kept.retain(|kept| kept.pings >= self.pongs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::v5::mqttbytes::QoS;

    fn press(number: u16, again: bool) -> Publish {
        let mut publish =
            Publish::new("zigbee2mqtt/3-201", QoS::AtLeastOnce, "{\"action\":\"emergency\"}", None);
        (publish.pkid, publish.dup) = (number, again);
        publish
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn what_is_sent_again_came_when_it_came_first() {
        let mut known = Unconfirmed::default();
        assert_eq!(known.came(&press(7, false), at(10)), at(10));
        known.acknowledged(&press(7, false), at(10), 64);
        known.begin(true);
        assert_eq!(known.came(&press(7, true), at(40)), at(10));
        assert_eq!(known.came(&press(8, true), at(40)), at(40), "it was never kept");
        let other = Publish { payload: "{}".into(), ..press(7, true) };
        assert_eq!(known.came(&other, at(40)), at(40), "another message with its number");
        known.begin(false);
        assert_eq!(known.came(&press(7, true), at(50)), at(50), "another session");
    }

    #[test]
    fn a_number_that_is_used_anew_is_another_press() {
        let mut known = Unconfirmed::default();
        known.acknowledged(&press(1, false), at(10), 64);
        assert_eq!(known.came(&press(1, false), at(20)), at(20), "it is new");
        // Nor is it taken for the first when the connection breaks before it is kept.
        known.begin(true);
        assert_eq!(known.came(&press(1, true), at(3_600)), at(3_600));
    }

    #[test]
    fn what_the_broker_is_known_to_have_is_forgotten() {
        let mut known = Unconfirmed::default();
        known.acknowledged(&press(1, false), at(10), 64);
        known.asked();
        known.acknowledged(&press(2, false), at(11), 64);
        known.asked();
        known.answered();
        assert_eq!(known.came(&press(1, true), at(20)), at(20));
        assert_eq!(known.came(&press(2, true), at(20)), at(11), "it was sent after the ping");
        known.answered();
        assert_eq!(known.came(&press(2, true), at(20)), at(20));
        for number in 0..1_000 {
            known.acknowledged(&press(number, false), at(30), 64);
        }
        assert_eq!(known.kept.len(), 64);
    }
}
