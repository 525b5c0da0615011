//! May they watch? Questions that come together are answered together.
//!
//! Every open view asks again and again, and all of them at once when a right has
//! changed. What they ask rests on the same facts: the sites and places, the camera that
//! many watch, the person who has a wall of cameras open. Those who ask while others are
//! answered wait for their turn, and then each fact is read once for all of them: after
//! the question was asked, so no answer is older than its question.

use domain::access::{Decision, Denial, Standing, decide_watch};
use domain::camera::Camera;
use domain::repository::{Error, Repository, Result};
use domain::scene::Scene;
use domain::{CameraId, Clock, PersonId, SessionId, SiteId, Timestamp, ViewerKeyId};
use futures_util::stream::{self, StreamExt as _};
use futures_util::{FutureExt as _, join};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::error;

/// Questions that wait to be answered; who finds no room waits.
const WAITING: usize = 4_096;
/// So many facts are read at a time.
const AT_A_TIME: usize = 8;
/// A fact that is not read within this is not known: one read that hangs must not keep all
/// viewers from their answers.
const PATIENCE: Duration = Duration::from_secs(3);
/// Renewals are asked for on this grid, so that those of one moment come together.
const GRID: Duration = Duration::from_millis(500);

/// What a viewer proved who they are with. When it goes, the view ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Credential {
    Session(SessionId),
    ViewerKey(ViewerKeyId),
}

/// May this person watch this camera, by this proof of who they are?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) person: PersonId,
    pub(crate) credential: Credential,
    pub(crate) camera: CameraId,
}

/// What was decided, and the camera's site if both are known.
pub(crate) type Answer = (Decision, Option<SiteId>);

struct Asked {
    question: Question,
    answer: oneshot::Sender<Result<Answer>>,
}

/// Answers questions from what the database says.
pub(crate) struct Questions {
    asked: mpsc::Sender<Asked>,
    /// Where the grid of the renewals begins.
    origin: Instant,
    /// Answers until nobody can ask any more.
    _answering: JoinSet<()>,
}

impl Questions {
    pub(crate) fn new(repository: Arc<dyn Repository>, clock: Arc<dyn Clock>) -> Self {
        let (asked, waiting) = mpsc::channel(WAITING);
        let mut answering = JoinSet::new();
        answering.spawn(answer_all(repository, clock, waiting));
        Self { asked, origin: Instant::now(), _answering: answering }
    }

    /// Decides from what the database says after now.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Answer> {
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
    let facts = Facts::read(repository, now, &asked).await;
    for Asked { question, answer } in asked {
        // Who has gone meanwhile needs no answer.
        let _ = answer.send(facts.answer(&question, now));
    }
}

/// What the answers to some questions rest on. What could not be read fails only the
/// questions that rest on it.
struct Facts {
    scene: Result<Scene>,
    proven: HashMap<(PersonId, Credential), Result<bool>>,
    standings: HashMap<PersonId, Result<Option<Standing>>>,
    cameras: HashMap<CameraId, Result<Option<Camera>>>,
}

impl Facts {
    /// Reads all of it, also where there is no such camera or person, so that a no takes
    /// as long as any other.
    async fn read(repository: &Arc<dyn Repository>, now: Timestamp, asked: &[Asked]) -> Self {
        let questions = || asked.iter().map(|asked| &asked.question);
        let with = || Arc::clone(repository);
        let proofs = questions().map(|q| (q.person.clone(), q.credential.clone()));
        let proven = each(proofs, |(person, credential)| is_proven(with(), person, credential, now));
        let standing = async |repository: Arc<dyn Repository>, id: PersonId| repository.standing(&id).await;
        let standings = each(questions().map(|q| q.person.clone()), |id| standing(with(), id));
        let camera = async |repository: Arc<dyn Repository>, id: CameraId| repository.camera(&id).await;
        let cameras = each(questions().map(|q| q.camera.clone()), |id| camera(with(), id));
        let (scene, proven, standings, cameras) =
            join!(in_time(repository.scene()), proven, standings, cameras);
        Self { scene, proven, standings, cameras }
    }

    fn answer(&self, question: &Question, now: Timestamp) -> Result<Answer> {
        let nobody = (Decision::Deny(Denial::NoRole), None);
        let proof = (question.person.clone(), question.credential.clone());
        let proven = *of(&self.proven, &proof)?;
        let (standing, camera) =
            (of(&self.standings, &question.person)?, of(&self.cameras, &question.camera)?);
        let scene = self.scene.as_ref().map_err(Clone::clone)?;
        let (Some(standing), Some(camera), true) = (standing, camera, proven) else { return Ok(nobody) };
        let decision = decide_watch(standing, camera, scene, now);
        Ok((decision, Some(camera.site_id.clone())))
    }
}

/// What was read under `key`.
fn of<'f, K: Eq + Hash, T>(facts: &'f HashMap<K, Result<T>>, key: &K) -> Result<&'f T> {
    let unread = Error::Unavailable("it was not read".to_owned());
    facts.get(key).ok_or(unread)?.as_ref().map_err(Clone::clone)
}

/// Whether somebody still has what they proved with who they are.
async fn is_proven(
    repository: Arc<dyn Repository>,
    person: PersonId,
    credential: Credential,
    now: Timestamp,
) -> Result<bool> {
    match credential {
        Credential::Session(id) => Ok(repository.session(&id).await?.is_some_and(|it| it.in_force(now))),
        Credential::ViewerKey(id) => {
            Ok(repository.viewer_keys(&person).await?.iter().any(|key| key.id == id))
        }
    }
}

/// What is read, unless it takes too long.
async fn in_time<T>(reading: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::Unavailable("it takes too long to read who may watch".to_owned());
    tokio::time::timeout(PATIENCE, reading).await.map_err(late)?
}

/// Reads each of `keys` once, some at a time.
fn each<K, T, R>(
    keys: impl Iterator<Item = K>,
    read: impl Fn(K) -> R,
) -> impl Future<Output = HashMap<K, Result<T>>>
where
    K: Clone + Eq + Hash,
    R: Future<Output = Result<T>>,
{
    let keys: HashSet<K> = keys.collect();
    let reading: Vec<_> =
        keys.into_iter().map(|key| in_time(read(key.clone())).map(|value| (key, value))).collect();
    stream::iter(reading).buffer_unordered(AT_A_TIME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn what_many_ask_for_is_read_once_and_a_failure_is_only_of_who_needs_it() {
        let reads = Cell::new(0);
        let read = |key: u32| {
            reads.set(reads.get() + 1);
            async move { if key == 13 { Err(Error::Corrupt("13".to_owned())) } else { Ok(key * 2) } }
        };
        let values = each((0..1_000).map(|n| n % 20), read).await;
        assert_eq!(reads.get(), 20);
        assert_eq!(of(&values, &7), Ok(&14));
        assert_eq!(of(&values, &13), Err(Error::Corrupt("13".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_keeps_nobody_else_from_an_answer() {
        let read = async |key: u32| {
            if key == 13 {
                std::future::pending::<()>().await;
            }
            Ok(key)
        };
        let values = each(0..40, read).await;
        assert_eq!(of(&values, &7), Ok(&7));
        assert!(matches!(of(&values, &13), Err(Error::Unavailable(_))));
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
