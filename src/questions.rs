//! May they watch? Questions that come together are answered together.
//!
//! Every open view asks again and again, and all of them at once when a right has
//! changed. What they ask rests on the same facts: the sites and places, the camera that
//! many watch, the person who has a wall of cameras open. Those who ask while others are
//! answered wait for their turn, and then each fact is read once for all of them, and the
//! facts of many people or cameras in a few statements: after the question was asked, so no
//! answer is older than its question.

use domain::access::{Decision, Denial, Standing, decide_watch};
use domain::camera::Camera;
use domain::person::Session;
use domain::repository::{Each, Error, Repository, Result, TOGETHER};
use domain::scene::Scene;
use domain::{CameraId, Clock, PersonId, SessionId, SiteId, Timestamp, ViewerKeyId};
use futures_util::stream::{self, StreamExt as _};
use futures_util::{FutureExt as _, join};
use std::collections::HashSet;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument as _, error};

/// Questions that wait to be answered; who finds no room waits.
const WAITING: usize = 4_096;
/// Of each kind of fact, so many readings go on at a time, each of [`TOGETHER`] at most: the
/// database has others to answer.
const AT_A_TIME: usize = 4;
/// A fact that is not read within this is not known: one read that hangs must not keep all
/// viewers from their answers.
const PATIENCE: Duration = Duration::from_secs(3);
/// Renewals are asked for on this grid, so that those of one moment come together.
const GRID: Duration = Duration::from_millis(500);

/// What a viewer proved who they are with. When it goes, the view ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A session in a browser.
    Session(SessionId),
    /// A player's key.
    ViewerKey(ViewerKeyId),
}

impl Credential {
    fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Session(id) => Some(id),
            Self::ViewerKey(_) => None,
        }
    }

    fn viewer_key(&self) -> Option<&ViewerKeyId> {
        match self {
            Self::Session(_) => None,
            Self::ViewerKey(id) => Some(id),
        }
    }
}

/// May this person watch this camera, by this proof of who they are?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Who wants to watch.
    pub person: PersonId,
    /// By what they are known.
    pub credential: Credential,
    /// What they want to watch.
    pub camera: CameraId,
}

/// What was decided, and the camera's site if both are known.
pub type Answer = (Decision, Option<SiteId>);

struct Asked {
    question: Question,
    answer: oneshot::Sender<Result<Answer>>,
}

/// Answers questions from what the database says.
pub struct Questions {
    asked: mpsc::Sender<Asked>,
    /// Where the grid of the renewals begins.
    origin: Instant,
    /// Answers until nobody can ask any more.
    _answering: JoinSet<()>,
}

impl Questions {
    /// Answers from `repository`, by `clock`.
    #[must_use]
    pub fn new(repository: Arc<dyn Repository>, clock: Arc<dyn Clock>) -> Self {
        let (asked, waiting) = mpsc::channel(WAITING);
        let mut answering = JoinSet::new();
        // What it logs, and its statements, are said in the span of whoever made it.
        answering.spawn(answer_all(repository, clock, waiting).in_current_span());
        Self { asked, origin: Instant::now(), _answering: answering }
    }

    /// Decides from what the database says after now.
    pub async fn ask(&self, question: &Question) -> Result<Answer> {
        let gone = || Error::Unavailable("nobody answers at the moment".to_owned());
        let (answer, answered) = oneshot::channel();
        self.asked.send(Asked { question: question.clone(), answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// When to ask again so that others do, too: after `pause`, or up to a quarter of it sooner.
    pub(crate) fn together(&self, pause: Duration) -> Instant {
        let at = Instant::now() + pause;
        if pause < GRID * 4 {
            return at;
        }
        let past = at.duration_since(self.origin).as_micros() % GRID.as_micros();
        at - Duration::from_micros(u64::try_from(past).unwrap_or(0))
    }
}

async fn answer_all(
    repository: Arc<dyn Repository>,
    clock: Arc<dyn Clock>,
    mut waiting: mpsc::Receiver<Asked>,
) {
    let mut asked = Vec::new();
    while waiting.recv_many(&mut asked, WAITING).await > 0 {
        let answering = AssertUnwindSafe(answer(&repository, clock.now(), std::mem::take(&mut asked)));
        // Who asked learns that there is no answer, and asks again.
        if answering.catch_unwind().await.is_err() {
            error!("questions of viewers could not be answered because of a bug; they are asked again");
        }
    }
}

async fn answer(repository: &Arc<dyn Repository>, now: Timestamp, mut asked: Vec<Asked>) {
    asked.retain(|asked| !asked.answer.is_closed());
    let facts = Facts::read(repository, &asked).await;
    for Asked { question, answer } in asked {
        // Who has gone meanwhile needs no answer.
        let _ = answer.send(facts.answer(&question, now));
    }
}

/// What the answers to some questions rest on. What could not be read fails only the
/// questions that rest on it.
struct Facts {
    scene: Result<Scene>,
    sessions: Each<SessionId, Session>,
    holders: Each<ViewerKeyId, PersonId>,
    standings: Each<PersonId, Standing>,
    cameras: Each<CameraId, Camera>,
}

impl Facts {
    /// Reads all of it, also where there is no such camera or person, so that a no takes
    /// as long as any other.
    async fn read(repository: &Arc<dyn Repository>, asked: &[Asked]) -> Self {
        let questions = || asked.iter().map(|asked| &asked.question);
        let with = || Arc::clone(repository);
        let session = async |with: Arc<dyn Repository>, ids: Vec<SessionId>| with.each_session(&ids).await;
        let sessions = questions().filter_map(|q| q.credential.session());
        let sessions = each(sessions, |ids| session(with(), ids));
        let holder =
            async |with: Arc<dyn Repository>, ids: Vec<ViewerKeyId>| with.each_key_holder(&ids).await;
        let holders = questions().filter_map(|q| q.credential.viewer_key());
        let holders = each(holders, |ids| holder(with(), ids));
        let standing = async |with: Arc<dyn Repository>, ids: Vec<PersonId>| with.each_standing(&ids).await;
        let standings = each(questions().map(|q| &q.person), |ids| standing(with(), ids));
        let camera = async |with: Arc<dyn Repository>, ids: Vec<CameraId>| with.each_camera(&ids).await;
        let cameras = each(questions().map(|q| &q.camera), |ids| camera(with(), ids));
        let (scene, sessions, holders, standings, cameras) =
            join!(in_time(repository.scene()), sessions, holders, standings, cameras);
        Self { scene, sessions, holders, standings, cameras }
    }

    fn answer(&self, question: &Question, now: Timestamp) -> Result<Answer> {
        let nobody = (Decision::Deny(Denial::NoRole), None);
        let proven = self.is_proven(question, now)?;
        let (standing, camera) =
            (of(&self.standings, &question.person)?, of(&self.cameras, &question.camera)?);
        let scene = self.scene.as_ref().map_err(Clone::clone)?;
        let (Some(standing), Some(camera), true) = (standing, camera, proven) else { return Ok(nobody) };
        let decision = decide_watch(standing, camera, scene, now);
        Ok((decision, Some(camera.site_id.clone())))
    }

    /// Whether somebody still has what they proved with who they are.
    fn is_proven(&self, question: &Question, now: Timestamp) -> Result<bool> {
        Ok(match &question.credential {
            Credential::Session(id) => of(&self.sessions, id)?
                .is_some_and(|session| session.in_force(now) && session.person_id == question.person),
            Credential::ViewerKey(id) => of(&self.holders, id)? == Some(&question.person),
        })
    }
}

/// What was read under `key`.
fn of<'f, K: Eq + Hash, T>(facts: &'f Each<K, T>, key: &K) -> Result<Option<&'f T>> {
    let unread = Error::Unavailable("it was not read".to_owned());
    let fact = facts.get(key).ok_or(unread)?;
    fact.as_ref().map(Option::as_ref).map_err(Clone::clone)
}

/// What is read, unless it takes too long.
async fn in_time<T>(reading: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::Unavailable("it takes too long to read who may watch".to_owned());
    tokio::time::timeout(PATIENCE, reading).await.map_err(late)?
}

/// Reads what there is under each of `keys` once, many of them together.
fn each<'q, K, T, R>(
    keys: impl Iterator<Item = &'q K>,
    read: impl Fn(Vec<K>) -> R,
) -> impl Future<Output = Each<K, T>>
where
    K: Clone + Eq + Hash + 'q,
    R: Future<Output = Each<K, T>>,
{
    let keys: Vec<K> = keys.collect::<HashSet<_>>().into_iter().cloned().collect();
    let together = |keys: &[K]| {
        let (keys, reading) = (keys.to_vec(), in_time(read(keys.to_vec()).map(Ok)));
        reading.map(|read| {
            read.unwrap_or_else(|late| keys.into_iter().map(|key| (key, Err(late.clone()))).collect())
        })
    };
    let reading: Vec<_> = keys.chunks(TOGETHER).map(together).collect();
    stream::iter(reading).buffer_unordered(AT_A_TIME).concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn what_many_ask_for_is_read_once_and_together_and_a_failure_is_only_of_who_needs_it() {
        let reads = Cell::new(0);
        let read = async |keys: Vec<u32>| -> Each<u32, u32> {
            reads.set(reads.get() + 1);
            let value =
                |key| if key == 13 { Err(Error::Corrupt("13".to_owned())) } else { Ok(Some(key * 2)) };
            keys.into_iter().map(|key| (key, value(key))).collect()
        };
        let keys: Vec<u32> = (0..10_000).map(|n| n % 1_000).collect();
        let values = each(keys.iter(), read).await;
        assert_eq!((values.len(), reads.get()), (1_000, 1_000_usize.div_ceil(TOGETHER)));
        assert_eq!(of(&values, &7), Ok(Some(&14)));
        assert_eq!(of(&values, &13), Err(Error::Corrupt("13".to_owned())));
        assert!(of(&values, &1_000).is_err(), "it was not asked for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_keeps_those_who_are_not_read_with_it_from_no_answer() {
        let read = async |keys: Vec<u32>| -> Each<u32, u32> {
            if keys.contains(&13) {
                std::future::pending::<()>().await;
            }
            keys.into_iter().map(|key| (key, Ok(Some(key)))).collect()
        };
        let keys: Vec<u32> = (0..2_000).collect();
        let values = each(keys.iter(), read).await;
        assert!(matches!(of(&values, &13), Err(Error::Unavailable(_))));
        assert_eq!(values.values().filter(|value| value.is_err()).count(), TOGETHER);
    }

    #[tokio::test(start_paused = true)]
    async fn renewals_come_together_and_never_late() {
        let (asked, _waiting) = mpsc::channel(1);
        let questions = Questions { asked, origin: Instant::now(), _answering: JoinSet::new() };
        let pause = Duration::from_secs(10);
        let mut moments = HashSet::new();
        for _ in 0..1_000 {
            let (at, latest) = (questions.together(pause), Instant::now() + pause);
            assert!(at <= latest && latest - at < GRID);
            moments.insert(at);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(moments.len() <= 3, "{}", moments.len());
        // A right that ends in a moment is asked about at that moment.
        let soon = Duration::from_millis(50);
        assert_eq!(questions.together(soon), Instant::now() + soon);
    }
}
