//! The inputs of devices that send by HTTP, from one message to the next. They are in memory: after
//! a restart an input that is on is told once more.

use super::levels::Levels;
use domain::DeviceId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By device: as many as are registered, since only their messages are read.
#[derive(Default)]
pub(crate) struct Inputs(Mutex<HashMap<DeviceId, Levels>>);

impl Inputs {
    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, Levels>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a device's inputs.
    pub(super) fn of(&self, device: &DeviceId) -> Levels {
        self.lock().get(device).cloned().unwrap_or_default()
    }

    /// What they are since a message was kept. One that was not is sent again, and is news then.
    pub(super) fn learn(&self, device: &DeviceId, heard: Levels) {
        self.lock().entry(device.clone()).or_default().learn(heard);
    }

    /// A device is another kind now: what its inputs were means something else.
    pub(crate) fn forget(&self, device: &DeviceId) {
        self.lock().remove(device);
    }
}
