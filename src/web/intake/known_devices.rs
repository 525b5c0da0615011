//! Devices that have sent something since the start: while the database cannot be asked
//! they are still known.

use domain::device::Device;
use domain::site::Site;
use domain::{DeviceId, SiteId};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Devices that are remembered. Beyond it no further one is known while the database is away.
const MOST: usize = 10_000;

/// A database that was away is not asked again for so long, so that no device waits for it.
const AWAY: Duration = Duration::from_secs(2);

/// By the hash of their token.
#[derive(Default)]
pub(crate) struct KnownDevices {
    by_hash: Mutex<HashMap<Vec<u8>, Device>>,
    sites: Mutex<HashMap<SiteId, Site>>,
    away_until: Mutex<Option<Instant>>,
}

impl KnownDevices {
    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Device>> {
        self.by_hash.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that is known, while the database is away.
    pub(crate) fn while_away(&self, hash: &[u8]) -> Option<Device> {
        let away = self.away_until().is_some_and(|until| Instant::now() < until);
        self.lock().get(hash).filter(|_| away).cloned()
    }

    /// A device has another token: the one before is worth nothing, also while the database
    /// is away.
    pub(crate) fn forget_device(&self, id: &DeviceId) {
        self.lock().retain(|_, device| device.id != *id);
    }

    fn sites(&self) -> MutexGuard<'_, HashMap<SiteId, Site>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a site of theirs.
    pub(crate) fn put_site(&self, site: &Site) {
        self.sites().insert(site.id.clone(), site.clone());
    }

    /// A site that is known, while the database is away.
    pub(crate) fn site_while_away(&self, id: &SiteId) -> Option<Site> {
        let away = self.away_until().is_some_and(|until| Instant::now() < until);
        self.sites().get(id).filter(|_| away).cloned()
    }

    /// The database could not be asked.
    pub(crate) fn is_away(&self) {
        *self.away_until() = Some(Instant::now() + AWAY);
    }

    pub(crate) fn put(&self, hash: Vec<u8>, device: &Device) {
        let mut known = self.lock();
        if known.len() < MOST || known.contains_key(&hash) {
            known.insert(hash, device.clone());
        }
    }

    /// It has another token now.
    pub(crate) fn forget(&self, hash: &[u8]) {
        self.lock().remove(hash);
    }
}
