//! What is wrong with the house itself. It is told from memory: what cannot be written
//! down can still be said.

use crate::{Timestamp, words};

words! {
    /// What is wrong.
    Trouble {
        /// Less is free on the database's disk than should be, or it cannot be asked.
        DiskFull = "disk_full",
        /// The database's disk takes nothing.
        DiskReadOnly = "disk_read_only",
        /// The database's disk does not answer.
        DiskHangs = "disk_hangs",
        /// Old events should go and do not: the clock may be wrong.
        EventsKept = "old_events_kept",
        /// A channel of the settings is told of a site that there is not.
        ChannelSite = "channel_site_unknown",
    }
}

/// What is wrong, for how long, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Since when.
    pub since: Timestamp,
    /// What is wrong and what to do, as a sentence for people.
    pub detail: String,
}

/// How much room there is for what the house keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// For everything.
    Ample,
    /// Not for what can be done without: pictures.
    Short,
    /// Only for alarms and the registers: the reserve is nearly used up.
    Last,
}
