//! Person + stream ⇒ [`Admission`], and its end. The only place that makes
//! admissions, and one of the two places where both planes meet.
//!
//! An admission is a decision, a row in the viewing register and a lease. One
//! task per admission asks the decision again whenever registry or rights
//! change, and before a third of the lease has passed: yes renews, no revokes,
//! and a database that cannot answer is asked again until the lease runs out.

use crate::questions::{Credential, Question, Questions};
use crate::quota::{Place, Quota};
use crate::spool::Spool;
use async_trait::async_trait;
use domain::access::{Decision, Denial, lease};
use domain::camera::StreamKind;
use domain::repository::{self, Repository, Result};
use domain::role::Role;
use domain::viewing::{Purpose, Viewing, ViewingTransport};
use domain::{CameraId, Clock, PersonId, SiteId, Timestamp, ViewerKeyId, ViewingId};
use media::rtsp::digest::Ha1;
use relay::admission::{Issuer, Keeper};
use relay::hub::Hub;
use relay::rtsp::{Gate, Refusal, Viewer};
use relay::{Admission, Fleet};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};
use web::Problem;
use web::access::Who;
use web::refused::{By, Refusals};
use web::source::stream_id;

/// A register that does not take a viewing within this counts as away.
const WRITE: Duration = Duration::from_millis(800);

/// How long the house looks at most.
const LOOK: Duration = Duration::from_secs(10);

/// How soon a question is asked again that could not be answered: what it was asked for
/// may be a right that has ended.
const AGAIN: Duration = Duration::from_millis(500);

/// Who wants to watch what, and how.
#[derive(Clone, Debug)]
struct Wish {
    question: Question,
    stream: StreamKind,
    transport: ViewingTransport,
    /// Why, if they say it.
    purpose: Option<Purpose>,
}

/// Why somebody is not admitted.
#[derive(Debug)]
enum Denied {
    /// There is nothing here for them.
    NotFound,
    /// They may, but not for that.
    Purpose,
    /// They watch, or have opened, as much as one person may; how long to wait.
    TooMany(Duration),
    /// The database cannot be asked, or cannot be written.
    Unavailable,
}

/// Admits viewers and keeps their admissions.
pub struct Doorkeeper {
    repository: Arc<dyn Repository>,
    clock: Arc<dyn Clock>,
    fleet: Arc<Fleet>,
    issuer: Issuer,
    questions: Arc<Questions>,
    refusals: Refusals,
    changes: watch::Receiver<u64>,
    keepers: TaskTracker,
    spool: Arc<Spool>,
    quota: Quota,
}

impl Doorkeeper {
    /// A doorkeeper who asks again whenever `changes` says so.
    #[must_use]
    pub fn new(
        repository: Arc<dyn Repository>,
        clock: Arc<dyn Clock>,
        fleet: Arc<Fleet>,
        refusals: Refusals,
        changes: watch::Receiver<u64>,
        spool: Arc<Spool>,
    ) -> Self {
        Self {
            questions: Arc::new(Questions::new(Arc::clone(&repository), Arc::clone(&clock))),
            repository,
            clock,
            fleet,
            issuer: Issuer::new(),
            refusals,
            changes,
            keepers: TaskTracker::new(),
            spool,
            quota: Quota::default(),
        }
    }

    /// Waits until every viewing that has ended is written down.
    pub async fn close(&self) {
        self.keepers.close();
        self.keepers.wait().await;
    }

    /// Lets the house itself look at a camera for a moment, for the picture of a door event.
    /// Nobody sees it by this: whoever opens the picture later is admitted and written down.
    #[must_use]
    pub fn look(&self, camera: &CameraId) -> Option<(Admission, Hub)> {
        let hub = self.fleet.hub(&stream_id(camera, StreamKind::Main))?;
        Some((self.issuer.grant(LOOK).0, hub))
    }

    async fn admit(&self, wish: Wish) -> std::result::Result<(Admission, Hub), Denied> {
        let unavailable = |error| {
            warn!(%error, "nobody is admitted while the database cannot be asked");
            Denied::Unavailable
        };
        // Subscribed before the question, so that a change in between is asked about.
        let mut changes = self.changes.clone();
        changes.mark_unchanged();
        let answer = self.questions.ask(&wish.question).await.map_err(unavailable)?;
        let (Decision::Allow { role, until }, Some(site)) = answer else {
            debug!(?wish, ?answer, "not admitted");
            if let (Decision::Deny(why), Some(site)) = answer {
                self.tell(&wish, why, site);
            }
            return Err(Denied::NotFound);
        };
        let hub = self.fleet.hub(&stream_id(&wish.question.camera, wish.stream)).ok_or(Denied::NotFound)?;
        let purpose = wish.purpose.unwrap_or(Purpose::usual(role));
        if !purpose.fits(role) {
            return Err(Denied::Purpose);
        }
        // Only who may watch at all learns that it is too much.
        let place = self.quota.take(&wish.question.person, role).map_err(Denied::TooMany)?;
        let viewing = self.viewing(&wish, role, purpose);
        self.register(&viewing, &site).await.map_err(unavailable)?;
        let (pass, keeper) = self.issuer.grant(term(role, until, self.clock.now()));
        self.keepers.spawn(keep(Kept {
            repository: Arc::clone(&self.repository),
            clock: Arc::clone(&self.clock),
            questions: Arc::clone(&self.questions),
            question: wish.question,
            viewing: viewing.id,
            role,
            until,
            keeper,
            changes,
            spool: Arc::clone(&self.spool),
            _place: place,
        }));
        Ok((pass, hub))
    }

    /// What is not in the register is not seen. If the register cannot be written,
    /// those on duty are written down elsewhere and still see.
    async fn register(&self, viewing: &Viewing, site: &SiteId) -> Result<()> {
        let begun = tokio::time::timeout(WRITE, self.repository.begin_viewing(viewing, site)).await;
        let late = begun.is_err();
        let error = match begun {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => repository::Error::Unavailable("the register takes too long".to_owned()),
        };
        if viewing.role.is_on_duty() {
            match self.spool.begin(viewing, site).await {
                Ok(()) => {
                    warn!(%error, viewing = %viewing.id, "break-glass: a viewing goes to the spool");
                    return Ok(());
                }
                Err(spool) => warn!(%spool, "break-glass failed: the spool cannot be written either"),
            }
        }
        if late {
            // It may be written all the same: then nobody else would close it. A disk that hangs keeps
            // nobody waiting for being refused.
            let (spool, id, at) = (Arc::clone(&self.spool), viewing.id.clone(), viewing.started_at);
            self.keepers.spawn(async move { spool.end_later(&id, at).await });
        }
        Err(error)
    }

    /// Tells the audit log of somebody who was not let see a camera that is there.
    fn tell(&self, wish: &Wish, why: Denial, site: SiteId) {
        self.refusals.tell(web::refused::Refusal {
            by: By::Person(wish.question.person.clone()),
            at: self.clock.now(),
            actor: Some(wish.question.person.clone()),
            site: Some(site),
            action: "viewing.refused",
            object: wish.question.camera.to_string(),
            detail: json!({ "why": why, "stream": wish.stream, "transport": wish.transport }),
        });
    }

    fn viewing(&self, wish: &Wish, role: Role, purpose: Purpose) -> Viewing {
        Viewing {
            id: ViewingId::from_random(web::token::random()),
            person_id: wish.question.person.clone(),
            role,
            camera_id: wish.question.camera.clone(),
            stream: wish.stream,
            transport: wish.transport,
            purpose: Some(purpose),
            started_at: self.clock.now(),
            ended_at: None,
            bytes: 0,
        }
    }
}

/// The lease of a role, cut where the permission ends by itself.
fn term(role: Role, until: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = until.map(|until| Duration::from_micros(u64::try_from(until.0 - now.0).unwrap_or(0)));
    left.map_or(lease(role), |left| left.min(lease(role)))
}

struct Kept {
    repository: Arc<dyn Repository>,
    clock: Arc<dyn Clock>,
    questions: Arc<Questions>,
    question: Question,
    viewing: ViewingId,
    role: Role,
    until: Option<Timestamp>,
    keeper: Keeper,
    changes: watch::Receiver<u64>,
    spool: Arc<Spool>,
    _place: Place,
}

/// Renews or ends one admission until its viewer has gone, then closes its row.
async fn keep(mut kept: Kept) {
    let mut answered = true;
    loop {
        let term = term(kept.role, kept.until, kept.clock.now());
        let pause = if answered { (term / 3).max(Duration::from_millis(50)) } else { AGAIN };
        tokio::select! {
            () = kept.keeper.gone() => break,
            changed = kept.changes.changed() => if changed.is_err() {
                // The gateway is stopping; the outputs are being ended.
                kept.keeper.gone().await;
                break;
            },
            () = tokio::time::sleep_until(kept.questions.together(pause)) => {}
        }
        let answer = tokio::select! {
            () = kept.keeper.gone() => break,
            answer = kept.questions.ask(&kept.question) => answer,
        };
        let first_failure = std::mem::replace(&mut answered, answer.is_ok());
        match answer {
            Ok((Decision::Allow { role, until }, _)) => {
                (kept.role, kept.until) = (role, until);
                if !kept.keeper.renew(self::term(role, until, kept.clock.now())) {
                    break;
                }
            }
            Ok((Decision::Deny(why), _)) => {
                info!(camera = %kept.question.camera, ?why, "a viewer's right has ended");
                kept.keeper.revoke();
                break;
            }
            Err(error) if first_failure => {
                warn!(%error, "an admission is not renewed: the database cannot be asked");
            }
            Err(error) => debug!(%error, "an admission is still not renewed"),
        }
    }
    let at = kept.clock.now();
    kept.spool.end(&*kept.repository, &kept.viewing, at, kept.keeper.sent()).await;
}

#[async_trait]
impl web::live::Admit for Doorkeeper {
    async fn admit(
        &self,
        who: &Who,
        camera: &CameraId,
        stream: StreamKind,
        transport: ViewingTransport,
        purpose: Option<Purpose>,
    ) -> std::result::Result<(Admission, Hub), Problem> {
        let question = Question {
            person: who.person.id.clone(),
            credential: Credential::Session(who.session.id.clone()),
            camera: camera.clone(),
        };
        let wish = Wish { question, stream, transport, purpose };
        Doorkeeper::admit(self, wish).await.map_err(|denied| match denied {
            Denied::NotFound => Problem::NotFound,
            Denied::Purpose => web::live::wrong_purpose(),
            Denied::TooMany(wait) => Problem::TooManyViews(wait),
            Denied::Unavailable => Problem::Unavailable(
                "viewing cannot be recorded at the moment, so it is not possible; try again".to_owned(),
            ),
        })
    }
}

#[async_trait]
impl Gate for Doorkeeper {
    async fn viewer(&self, login: &str) -> Option<Viewer> {
        let key = match self.repository.viewer_key_by_login(login).await {
            Ok(key) => key?,
            Err(error) => {
                warn!(%error, "a player's key cannot be looked up");
                return None;
            }
        };
        Some(Viewer {
            ha1: Ha1 { md5: key.ha1_md5.expose().to_owned(), sha256: key.ha1_sha256.expose().to_owned() },
            principal: format!("{}/{}", key.person_id, key.id).into(),
        })
    }

    async fn admit(
        &self,
        viewer: Option<&Viewer>,
        path: &str,
    ) -> std::result::Result<(Admission, Hub), Refusal> {
        let (person, key) = viewer.and_then(|v| v.principal.split_once('/')).ok_or(Refusal::NotFound)?;
        let (camera, stream) = path.split_once('/').ok_or(Refusal::NotFound)?;
        let wish = || {
            let question = Question {
                person: PersonId::parse(person)?,
                credential: Credential::ViewerKey(ViewerKeyId::parse(key)?),
                camera: CameraId::parse(camera)?,
            };
            Some(Wish {
                question,
                stream: StreamKind::from_word(stream)?,
                transport: ViewingTransport::Rtsp,
                // A player cannot say why.
                purpose: None,
            })
        };
        let wish = wish().ok_or(Refusal::NotFound)?;
        Doorkeeper::admit(self, wish).await.map_err(|denied| match denied {
            Denied::NotFound | Denied::Purpose => Refusal::NotFound,
            // RTSP has no word for it; a player comes again later.
            Denied::Unavailable | Denied::TooMany(_) => Refusal::Unavailable,
        })
    }
}
