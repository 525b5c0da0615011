//! What devices tell: door events now, alarms with their own issue.

pub mod door;
