//! What is free ⇒ what is to be done, and what there is room for. Pure.

use domain::health::Room;

/// The disk as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Bytes that are free; nothing if it cannot be asked, which counts as full.
    pub free: Option<u64>,
    /// Whether it takes what is written.
    pub writable: bool,
}

/// What is to be done with the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Nothing,
    /// It is given up, so that what must be written can be.
    GiveUp,
    /// It is made again.
    Rebuild,
}

/// Where the disk stands.
#[derive(Clone, Debug)]
pub struct Gauge {
    reserve: u64,
    floor: u64,
    held: bool,
    room: Room,
}

impl Gauge {
    /// A gauge for a reserve and a floor in bytes. `held` says whether the reserve is there.
    #[must_use]
    pub fn new(reserve: u64, floor: u64, held: bool) -> Self {
        Self { reserve, floor, held: held || reserve == 0, room: Room::Ample }
    }

    /// What there is room for.
    #[must_use]
    pub fn room(&self) -> Room {
        self.room
    }

    /// Whether the reserve is there.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// What is to be done. The reserve is kept from others until little else is left; a
    /// quarter of it is the last, for alarms and the registers.
    pub fn handle(&mut self, seen: Seen) -> Act {
        let Seen { free: Some(free), writable: true } = seen else {
            self.room = self.room.max(Room::Short);
            return Act::Nothing;
        };
        let (last, ample) = (self.reserve / 4, self.floor.saturating_add(self.floor / 8));
        // With some more than the floor, or it would come and go all the time.
        if self.held && free < last {
            self.held = false;
            self.room = Room::Short;
            return Act::GiveUp;
        }
        self.room = match self.room {
            _ if !self.held && free < last => Room::Last,
            _ if free < self.floor || !self.held => Room::Short,
            Room::Ample => Room::Ample,
            _ if free >= ample => Room::Ample,
            _ => Room::Short,
        };
        if !self.held && free >= ample.saturating_add(self.reserve) { Act::Rebuild } else { Act::Nothing }
    }

    /// The reserve could not be given up: it is tried again with the next look.
    pub fn kept(&mut self) {
        self.held = true;
    }

    /// The reserve was made again.
    pub fn rebuilt(&mut self) {
        (self.held, self.room) = (true, Room::Ample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn seen(mib: u64) -> Seen {
        Seen { free: Some(mib * MIB), writable: true }
    }

    #[test]
    fn c37_the_reserve_is_given_up_at_last_and_made_again_when_there_is_room() {
        let mut gauge = Gauge::new(16 * MIB, 32 * MIB, true);
        for (free, act, room) in [
            (100, Act::Nothing, Room::Ample),
            (31, Act::Nothing, Room::Short),
            (33, Act::Nothing, Room::Short),
            (36, Act::Nothing, Room::Ample),
            (4, Act::Nothing, Room::Short),
            (3, Act::GiveUp, Room::Short),
            (19, Act::Nothing, Room::Short),
            (3, Act::Nothing, Room::Last),
            (5, Act::Nothing, Room::Short),
            (51, Act::Nothing, Room::Short),
            (52, Act::Rebuild, Room::Short),
        ] {
            assert_eq!((gauge.handle(seen(free)), gauge.room()), (act, room), "{free} MiB");
        }
        gauge.rebuilt();
        assert_eq!(
            (gauge.handle(seen(36)), gauge.room(), gauge.is_held()),
            (Act::Nothing, Room::Ample, true)
        );
    }

    #[test]
    fn c37_what_fails_with_the_reserve_is_tried_again_and_freezes_nothing() {
        let mut gauge = Gauge::new(16 * MIB, 32 * MIB, true);
        assert_eq!(gauge.handle(seen(3)), Act::GiveUp);
        gauge.kept();
        assert_eq!((gauge.handle(seen(3)), gauge.room()), (Act::GiveUp, Room::Short));
        assert_eq!((gauge.handle(seen(3)), gauge.room()), (Act::Nothing, Room::Last));
        // It cannot be made again; there is room all the same.
        assert_eq!((gauge.handle(seen(100)), gauge.room()), (Act::Rebuild, Room::Short));
    }

    #[test]
    fn c37_a_disk_that_cannot_be_asked_or_written_counts_as_full() {
        for bad in [Seen { free: None, writable: true }, Seen { free: Some(u64::MAX), writable: false }] {
            let mut gauge = Gauge::new(16 * MIB, 32 * MIB, true);
            assert_eq!((gauge.handle(bad), gauge.room()), (Act::Nothing, Room::Short), "{bad:?}");
            assert_eq!((gauge.handle(seen(100)), gauge.room()), (Act::Nothing, Room::Ample));
        }
    }

    proptest! {
        #[test]
        fn c37_below_the_floor_there_is_never_room_for_everything(
            reserve in 0..100u64, floor in 0..200u64, held: bool, free in prop::collection::vec(0..400u64, 1..50),
        ) {
            let mut gauge = Gauge::new(reserve, floor, held);
            for free in free {
                let act = gauge.handle(Seen { free: Some(free), writable: true });
                if act == Act::Rebuild {
                    prop_assert!(free - reserve >= floor, "it would be below the floor with it");
                    gauge.rebuilt();
                } else if free < floor {
                    prop_assert_ne!(gauge.room(), Room::Ample);
                }
                prop_assert!(gauge.is_held() || reserve > 0);
            }
        }
    }
}
