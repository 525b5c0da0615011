//! What a sitting promises, one by one.

use super::*;
use relay::WallClock;
use relay::admission::{Issuer, Keeper};
use relay::hub::{Publisher, hub};
use std::sync::atomic::{AtomicUsize, Ordering};

const LEASE: Duration = Duration::from_secs(3_600);

/// A gateway with one camera that admits everybody, and remembers whom.
struct Gateway {
    sittings: Sittings,
    tasks: TaskTracker,
    closing: CancellationToken,
    hub: Hub,
    keepers: Mutex<Vec<Keeper>>,
    admitted: AtomicUsize,
    _publisher: Publisher,
}

impl Gateway {
    fn new() -> Self {
        let (publisher, hub) = hub(media::gop::Budget::default(), &WallClock::new(Duration::default));
        Self {
            sittings: Sittings::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            hub,
            keepers: Mutex::default(),
            admitted: AtomicUsize::new(0),
            _publisher: publisher,
        }
    }

    async fn sit(&self, session: u8, camera: u8) -> Result<Arc<Sitting>, Problem> {
        let admit = async || {
            // As long as a decision takes.
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.admitted.fetch_add(1, Ordering::Relaxed);
            let (pass, keeper) = Issuer::new().grant(LEASE);
            self.keepers.lock().unwrap().push(keeper);
            Ok((pass, self.hub.clone()))
        };
        self.sittings.sit(key(session, camera), QUIET, &self.tasks, &self.closing, admit).await
    }

    fn revoke_all(&self) {
        self.keepers.lock().unwrap().iter().for_each(Keeper::revoke);
    }

    fn admitted(&self) -> usize {
        self.admitted.load(Ordering::Relaxed)
    }
}

fn key(session: u8, camera: u8) -> Key {
    Key {
        session: SessionId::from_random([session; 16]),
        camera: CameraId::from_random([camera; 16]),
        stream: StreamKind::Main,
        transport: ViewingTransport::Hls,
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_first_together_begin_one_sitting() {
    let gateway = Gateway::new();
    let (a, b, c) = tokio::join!(gateway.sit(1, 1), gateway.sit(1, 1), gateway.sit(1, 1));
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert!(Arc::ptr_eq(&a, &b) && Arc::ptr_eq(&b, &c));
    assert_eq!(gateway.admitted(), 1);
    // Another session, or another camera, is another one.
    assert!(!Arc::ptr_eq(&a, &gateway.sit(2, 1).await.unwrap()));
    assert!(!Arc::ptr_eq(&a, &gateway.sit(1, 2).await.unwrap()));
    assert!(Arc::ptr_eq(&a, &gateway.sittings.find(&key(1, 1)).unwrap()));
    assert_eq!(gateway.sittings.find(&key(3, 1)).err(), Some(Problem::NotFound), "nobody has sat down there");
}

#[tokio::test(start_paused = true)]
async fn a_session_holds_so_many_and_others_are_not_hindered() {
    let gateway = Gateway::new();
    for camera in 0..u8::try_from(PER_SESSION).unwrap() {
        gateway.sit(1, camera).await.unwrap();
    }
    assert_eq!(gateway.sit(1, 200).await.err(), Some(Problem::TooMany(QUIET)));
    assert!(gateway.sit(2, 200).await.is_ok());
    tokio::time::sleep(QUIET + Duration::from_secs(1)).await;
    assert!(gateway.sit(1, 200).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_it_is_quiet_but_not_while_something_is_answered() {
    let gateway = Gateway::new();
    let sitting = gateway.sit(1, 1).await.unwrap();
    let stay = sitting.stay(None);
    drop(sitting);
    assert_eq!(*gateway.hub.interest().borrow(), 1);
    tokio::time::sleep(QUIET * 3).await;
    assert!(gateway.sittings.find(&key(1, 1)).is_ok());
    drop(stay);
    tokio::time::sleep(QUIET - Duration::from_secs(1)).await;
    assert!(gateway.sittings.find(&key(1, 1)).is_ok());
    tokio::time::sleep(QUIET - Duration::from_secs(1)).await;
    assert!(gateway.sittings.find(&key(1, 1)).is_ok(), "asked for in between");
    tokio::time::sleep(QUIET + Duration::from_secs(1)).await;
    assert!(gateway.sittings.find(&key(1, 1)).is_err());
    assert_eq!(*gateway.hub.interest().borrow(), 0);
    assert!(!gateway.keepers.lock().unwrap()[0].is_held(), "the register learns of the end");
}

#[tokio::test(start_paused = true)]
async fn a_right_that_has_ended_is_found_nowhere_at_once() {
    let gateway = Gateway::new();
    let sitting = gateway.sit(1, 1).await.unwrap();
    gateway.revoke_all();
    assert_eq!(gateway.sittings.find(&key(1, 1)).err(), Some(Problem::NotFound));
    assert_eq!(sitting.end().await, End::Revoked);
    // Whoever may watch again sits down anew.
    assert!(!Arc::ptr_eq(&sitting, &gateway.sit(1, 1).await.unwrap()));
    assert_eq!(gateway.admitted(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_leaves_no_place() {
    let gateway = Gateway::new();
    let refuse = async || Err(Problem::NotFound);
    let refused = gateway.sittings.sit(key(1, 1), QUIET, &gateway.tasks, &gateway.closing, refuse).await;
    assert_eq!(refused.err(), Some(Problem::NotFound));
    assert!(gateway.sittings.lock().is_empty() && gateway.tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_of_a_session_may_wait() {
    let gateway = Gateway::new();
    let session = |n| SessionId::from_random([n; 16]);
    let mut waiting: Vec<_> = (0..WAITING).map(|_| gateway.sittings.wait(&session(1)).unwrap()).collect();
    assert!(gateway.sittings.wait(&session(1)).is_err());
    assert!(gateway.sittings.wait(&session(2)).is_ok());
    waiting.pop();
    assert!(gateway.sittings.wait(&session(1)).is_ok());
    waiting.clear();
    assert!(gateway.sittings.waiting.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn everything_ends_with_the_gateway() {
    let gateway = Gateway::new();
    drop(gateway.sit(1, 1).await.unwrap());
    gateway.closing.cancel();
    gateway.tasks.close();
    gateway.tasks.wait().await;
    assert!(gateway.sittings.lock().is_empty());
    assert!(!gateway.keepers.lock().unwrap()[0].is_held());
}
