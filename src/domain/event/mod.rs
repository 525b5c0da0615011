//! What devices and people tell: door events and alarms.

pub mod alarm;
pub mod door;
