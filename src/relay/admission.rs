//! The proof that a viewer may read a stream now, and its end.
//!
//! An [`Admission`] carries a lease on monotonic time and a revocation signal.
//! A lost signal is made good by the lease, so correctness never rests on a
//! message arriving. Only an [`Issuer`] makes admissions; the gateway's single
//! issuer lives in the root package's `admit.rs` (a test looks for others).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Why an admission is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The right was withdrawn.
    Revoked,
    /// The lease ran out without being renewed.
    Expired,
}

#[derive(Debug)]
struct Lease {
    revoked: Revocation,
    deadline: Mutex<Instant>,
    /// Bytes that went to the viewer.
    sent: Arc<AtomicU64>,
    /// Tells the keeper, when the viewer lets go.
    _gone: DropGuard,
}

/// A signal to sleep on, and a flag for the path of every frame.
#[derive(Clone, Debug, Default)]
struct Revocation {
    signal: CancellationToken,
    done: Arc<AtomicBool>,
}

impl Lease {
    fn deadline(&self) -> Instant {
        *self.deadline.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The right to read one stream now. Cannot be copied; an output consumes it.
#[derive(Debug)]
pub struct Admission {
    lease: Arc<Lease>,
}

/// The issuer's side of an admission: renews or revokes it, and learns when the
/// viewer has gone.
#[derive(Clone, Debug)]
pub struct Keeper {
    lease: Weak<Lease>,
    revoked: Revocation,
    gone: CancellationToken,
    sent: Arc<AtomicU64>,
}

/// Makes admissions.
#[derive(Debug)]
pub struct Issuer(());

impl Issuer {
    /// The one maker of admissions. Called in `admit.rs` for people, and in
    /// `camsim` for virtual cameras, which serve everyone.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }

    /// An admission that lasts for `lease` unless it is renewed or revoked.
    #[must_use]
    pub fn grant(&self, lease: Duration) -> (Admission, Keeper) {
        let (revoked, gone) = (Revocation::default(), CancellationToken::new());
        let lease = Arc::new(Lease {
            revoked: revoked.clone(),
            deadline: Mutex::new(Instant::now() + lease),
            sent: Arc::default(),
            _gone: gone.clone().drop_guard(),
        });
        let sent = Arc::clone(&lease.sent);
        let keeper = Keeper { lease: Arc::downgrade(&lease), revoked, gone, sent };
        (Admission { lease }, keeper)
    }
}

impl Default for Issuer {
    fn default() -> Self {
        Self::new()
    }
}

impl Keeper {
    /// Extends the lease to `lease` from now. False if the viewer has gone.
    #[must_use]
    pub fn renew(&self, lease: Duration) -> bool {
        let Some(held) = self.lease.upgrade() else { return false };
        *held.deadline.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now() + lease;
        true
    }

    /// Ends the admission now.
    pub fn revoke(&self) {
        self.revoked.done.store(true, Ordering::Release);
        self.revoked.signal.cancel();
    }

    /// Completes when the viewer has let go of the admission.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Bytes that went to the viewer so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether a viewer still holds the admission.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.lease.strong_count() > 0
    }
}

impl Admission {
    /// How this admission has ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        if self.is_revoked() {
            Some(End::Revoked)
        } else if Instant::now() >= self.lease.deadline() {
            Some(End::Expired)
        } else {
            None
        }
    }

    /// Whether it was revoked: one atomic load, for the path of every frame.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.lease.revoked.done.load(Ordering::Acquire)
    }

    /// Counts bytes that went to the viewer: the register says how much was seen.
    pub fn count(&self, bytes: usize) {
        self.lease.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Completes when the admission ends.
    pub fn end(&self) -> impl Future<Output = End> + Send + 'static + use<> {
        // Weak, so that waiting for the end does not keep the admission held.
        let lease = Arc::downgrade(&self.lease);
        let revoked = self.lease.revoked.signal.clone();
        async move {
            let expired = async {
                while let Some(deadline) = lease.upgrade().map(|lease| lease.deadline()) {
                    if Instant::now() >= deadline {
                        break;
                    }
                    tokio::time::sleep_until(deadline).await;
                }
            };
            tokio::select! {
                biased;
                () = revoked.cancelled() => End::Revoked,
                () = expired => End::Expired,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_lost_signal_is_made_good_by_the_lease() {
        let (pass, _keeper) = Issuer::new().grant(LEASE);
        let began = Instant::now();
        assert_eq!(pass.end().await, End::Expired);
        assert_eq!(began.elapsed(), LEASE);
    }

    #[tokio::test(start_paused = true)]
    async fn renewing_carries_the_lease_on() {
        let (pass, keeper) = Issuer::new().grant(LEASE);
        let end = tokio::time::timeout(Duration::from_secs(45), pass.end());
        tokio::pin!(end);
        assert!(tokio::time::timeout(Duration::from_secs(20), &mut end).await.is_err());
        assert!(keeper.renew(LEASE));
        assert!(end.await.is_err(), "still valid 45 s after the start");
        assert_eq!(pass.ended(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn revoking_ends_it_at_once() {
        let (pass, keeper) = Issuer::new().grant(LEASE);
        let end = pass.end();
        keeper.revoke();
        assert_eq!(end.await, End::Revoked);
        assert_eq!(pass.ended(), Some(End::Revoked));
    }

    #[tokio::test]
    async fn the_keeper_learns_that_the_viewer_has_gone() {
        let (pass, keeper) = Issuer::new().grant(LEASE);
        let _waiting = pass.end();
        drop(pass);
        keeper.gone().await;
        assert!(!keeper.is_held() && !keeper.renew(LEASE));
    }
}
