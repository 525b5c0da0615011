//! What devices send: one adapter per format, each yields the domain's events.

pub(crate) mod cloudevents;
