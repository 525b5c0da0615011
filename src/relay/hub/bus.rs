//! One task that writes to many viewers.
//!
//! Viewers who have taken everything wait for the same next frame. To wake a task for
//! each of them costs half as much as the writing. So who waits may ride on a bus: a
//! task that gives each of its riders a turn whenever the stream has changed. A rider
//! who cannot go on at once gets off, and waits in a task of their own as before; so a
//! slow viewer is a cursor that stands still, and never holds up the others.

use super::{Hub, Shared, Stats};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, coop};
use tracing::error;

/// Riders of one bus: what one core writes in about a millisecond, before it is worth
/// waking another.
pub(super) const PLACES: usize = 128;

/// A viewer who can be served without waiting most of the time.
pub trait Rider: Send + 'static {
    /// Why it cannot go on without waiting.
    type Stop: Send;

    /// Does everything that can be done now. Nothing is answered if nothing is left to
    /// do until the stream changes. Must not block.
    fn turn(&mut self) -> Option<Self::Stop>;
}

/// The buses of one stream, and their tasks.
#[derive(Default)]
pub(super) struct Buses {
    buses: Vec<Arc<Bus>>,
    driving: JoinSet<()>,
}

#[derive(Default)]
struct Bus {
    /// At most its places: who has left meanwhile goes first.
    boarding: Mutex<Vec<Weak<dyn Passenger>>>,
    /// Rides that are not over.
    taken: AtomicUsize,
    boarded: Notify,
}

/// A rider as the bus sees it.
trait Passenger: Send + Sync {
    /// Gives a turn. False if the rider is not aboard any more.
    fn ride(&self) -> bool;
}

enum Place<R: Rider> {
    Aboard(R),
    Off(R, R::Stop),
    /// It has left, or its turn panicked.
    Empty,
}

struct Seat<R: Rider> {
    place: Mutex<Place<R>>,
    off: Notify,
}

/// A rider on a bus, seen from the task it belongs to. If it is dropped, so is the rider.
pub struct Ride<R: Rider> {
    seat: Arc<Seat<R>>,
    bus: Arc<Bus>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A turn that panics is caught, and nothing else here can.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Lets `rider`, who has taken everything, have a turn whenever the stream changes.
    #[must_use]
    pub fn board<R: Rider>(&self, rider: R) -> Ride<R> {
        Stats::add(&self.shared.stats.boardings, 1);
        let seat = Arc::new(Seat { place: Mutex::new(Place::Aboard(rider)), off: Notify::new() });
        let passenger: Weak<dyn Passenger> = Arc::downgrade(&seat) as _;
        let bus = lock(&self.shared.buses).board(passenger, &self.shared);
        // What came after its last look and before it was aboard.
        seat.ride();
        Ride { seat, bus }
    }
}

impl Buses {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.buses.len()
    }

    fn board(&mut self, passenger: Weak<dyn Passenger>, shared: &Shared) -> Arc<Bus> {
        let free = self.buses.iter().find(|bus| bus.taken.load(Ordering::Acquire) < PLACES);
        let bus = free.cloned().unwrap_or_else(|| {
            let bus = Arc::<Bus>::default();
            self.driving.spawn(drive(Arc::clone(&bus), shared.changed.subscribe()));
            self.buses.push(Arc::clone(&bus));
            bus
        });
        bus.taken.fetch_add(1, Ordering::AcqRel);
        let mut boarding = lock(&bus.boarding);
        boarding.retain(|passenger| passenger.strong_count() > 0);
        boarding.push(passenger);
        drop(boarding);
        bus.boarded.notify_one();
        bus
    }
}

/// Drives until the stream is gone.
async fn drive(bus: Arc<Bus>, mut changed: watch::Receiver<u64>) {
    let mut aboard = Vec::with_capacity(PLACES);
    loop {
        aboard.append(&mut lock(&bus.boarding));
        if aboard.is_empty() {
            bus.boarded.notified().await;
            continue;
        }
        if changed.changed().await.is_err() {
            return;
        }
        aboard.append(&mut lock(&bus.boarding));
        // The turns of all are one step of this task, whose budget is meant for one connection.
        coop::unconstrained(async {
            aboard.retain(|passenger| passenger.upgrade().is_some_and(|passenger| passenger.ride()));
        })
        .await;
    }
}

impl<R: Rider> Passenger for Seat<R> {
    fn ride(&self) -> bool {
        let mut place = lock(&self.place);
        let Place::Aboard(rider) = &mut *place else { return false };
        // A bug that one viewer meets must not end the bus of the others.
        let turn = catch_unwind(AssertUnwindSafe(|| rider.turn()));
        if matches!(turn, Ok(None)) {
            return true;
        }
        *place = match (std::mem::replace(&mut *place, Place::Empty), turn) {
            (Place::Aboard(rider), Ok(Some(stop))) => Place::Off(rider, stop),
            _ => {
                error!("a viewer was dropped because of a bug; the others go on");
                Place::Empty
            }
        };
        drop(place);
        self.off.notify_one();
        false
    }
}

impl<R: Rider> Drop for Ride<R> {
    fn drop(&mut self) {
        self.bus.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<R: Rider> Ride<R> {
    /// Completes when the rider is not aboard any more. Safe to drop and call again.
    pub async fn over(&self) {
        while matches!(*lock(&self.seat.place), Place::Aboard(_)) {
            self.seat.off.notified().await;
        }
    }

    /// Looks at the rider between two turns; nothing if there is none any more.
    pub fn with<T>(&self, look: impl FnOnce(&mut R) -> T) -> Option<T> {
        match &mut *lock(&self.seat.place) {
            Place::Aboard(rider) | Place::Off(rider, _) => Some(look(rider)),
            Place::Empty => None,
        }
    }

    /// Gets off, with the reason if the rider could not go on; nothing if its turn panicked.
    #[must_use]
    pub fn leave(self) -> Option<(R, Option<R::Stop>)> {
        match std::mem::replace(&mut *lock(&self.seat.place), Place::Empty) {
            Place::Aboard(rider) => Some((rider, None)),
            Place::Off(rider, stop) => Some((rider, Some(stop))),
            Place::Empty => None,
        }
    }
}
