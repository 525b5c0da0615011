//! What leaves the house when an alarm calls people: telephones, bots, letters, other
//! programs, browsers that are closed.
//!
//! [`plan`] reads the outbox and makes a message for each receiver of a call; the messages
//! are rows, so a restart loses none. [`lane`] sends what is due at its pace, again if it
//! must, until somebody has answered the call. One file for each [`Adapter`]; all their
//! requests go through [`outgoing`], and [`guard`] says where they may go.
//!
//! What does not belong here: the open page (`web::stream`), who is called when
//! (`domain::incident`), and the words (`domain::message::text`).

mod dingtalk;
mod feishu;
pub mod guard;
pub mod lane;
mod mail;
pub mod operator;
pub mod outgoing;
pub mod pace;
pub mod plan;
pub mod push_key;
pub mod sites;
pub mod web_push;
pub mod webhook;
mod wecom;

use crate::settings::{Kind, Notify};
use async_trait::async_trait;
use domain::message::Way;
use domain::message::contact::Subscription;
use domain::message::text::Text;
use domain::repository::Repository;
use domain::{Clock, IncidentId, MessageId, SiteId};
use guard::Guard;
use lane::Lane;
use outgoing::Outgoing;
use pace::Pace;
use push_key::PushKey;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::error;
use web::health::Health;

/// What has failed begins anew after this.
const AGAIN: Duration = Duration::from_secs(5);

/// A message as it is handed to an adapter.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The same when it is sent again: whoever gets two with one id has got one.
    pub id: MessageId,
    /// The incident.
    pub incident_id: IncidentId,
    /// Its site.
    pub site_id: SiteId,
    /// The kind, as a word of the API.
    pub kind: &'static str,
    /// The kind in the receiver's language.
    pub kind_text: &'static str,
    /// Where.
    pub point: String,
    /// When, in the site's time.
    pub time: String,
    /// The words.
    pub text: Text,
    /// Their language.
    pub locale: String,
    /// Whether somebody may die of it.
    pub urgent: bool,
    /// The page of the incident, if the gateway has an address.
    pub link: Option<String>,
    /// Whom it goes to.
    pub to: To,
}

/// The address of a receiver.
#[derive(Clone, Debug)]
pub enum To {
    /// Whoever reads the channel.
    Channel,
    /// A browser.
    Browser(Box<Subscription>),
    /// Where letters go.
    Mail(String),
    /// A telephone.
    Phone(String),
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It may be taken later.
    #[error("{0}")]
    Later(String),
    /// There were too many; nothing more is sent for so long.
    #[error("too many messages; nothing is sent for {} s", .0.as_secs())]
    Slower(Duration),
    /// Nobody is at that address any more.
    #[error("the address is gone")]
    Gone,
    /// It never will be: what is set is wrong.
    #[error("{0}")]
    Refused(String),
}

/// Carries messages.
#[async_trait]
pub trait Adapter: Send + Sync {
    /// Sends one. When this answers well, somebody else is answerable for it.
    async fn send(&self, envelope: &Envelope) -> Result<(), Failed>;
}

/// The ways out that there are.
pub struct Ways {
    lanes: Vec<Lane>,
    link: Option<String>,
}

/// Why nothing can leave the house; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key for Web Push cannot be used.
    #[error(transparent)]
    Key(#[from] push_key::Error),
    /// No requests can be made.
    #[error("requests to other machines cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// Letters cannot be sent by TLS.
    #[error("letters cannot be sent: {0}")]
    Mail(#[from] lettre::transport::smtp::Error),
}

impl Ways {
    /// Those of the settings. `origin` is how people reach the gateway.
    pub fn new(
        settings: &Notify,
        key: Option<Arc<PushKey>>,
        origin: Option<String>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        if settings.is_off() {
            return Ok(Self { lanes: Vec::new(), link: None });
        }
        let minute = Duration::from_secs(60);
        let guard = Guard::new(settings.allow_networks.clone());
        let tls = outgoing::tls();
        let outgoing = Arc::new(Outgoing::new(&guard, &tls)?);
        let mut lanes = Vec::new();
        for channel in &settings.channels {
            let (url, http, clock) = (channel.url.clone(), Arc::clone(&outgoing), Arc::clone(clock));
            let (adapter, pace): (Box<dyn Adapter>, _) = match &channel.kind {
                Kind::Webhook(key) => {
                    (Box::new(webhook::Webhook::new(http, clock, url, key)), Pace::new(&[(600, minute)]))
                }
                Kind::WeCom(key) => {
                    (Box::new(wecom::Bot::new(http, url, key.clone())), Pace::new(&[(20, minute)]))
                }
                Kind::DingTalk(token, key) => (
                    Box::new(dingtalk::Bot::new(http, clock, url, token.clone(), key.clone())),
                    Pace::new(&[(20, minute)]),
                ),
                Kind::Feishu(token, key) => (
                    Box::new(feishu::Bot::new(http, clock, url, token.clone(), key.clone())),
                    Pace::new(&[(100, minute), (5, Duration::from_secs(1))]),
                ),
            };
            lanes.push(Lane::channel(channel, adapter, pace));
        }
        if let (Some(push), Some(key)) = (&settings.push, key) {
            // Browsers say where their push service is, so nothing is allowed to it that a channel may need.
            let http = Outgoing::new(&Guard::new(push.allow_networks.clone()), &tls)?;
            let adapter = web_push::WebPush::new(http, Arc::clone(clock), key, push.contact.clone());
            lanes.push(Lane::people(Way::WebPush, Box::new(adapter), Pace::new(&[(3_000, minute)])));
        }
        if let Some(mail) = &settings.mail {
            let adapter = mail::Mailer::new(mail.clone(), guard)?;
            lanes.push(Lane::people(Way::Mail, Box::new(adapter), Pace::new(&[(120, minute)])));
        }
        for (way, template) in [(Way::Voice, &settings.voice), (Way::Sms, &settings.sms)] {
            if let Some(template) = template {
                let adapter = operator::Operator::new(Arc::clone(&outgoing), template.clone());
                lanes.push(Lane::people(way, Box::new(adapter), Pace::new(&[(300, minute)])));
            }
        }
        Ok(Self { lanes, link: origin })
    }

    /// Reads the outbox and sends what is due, for ever. `outbox` rings when there is something new in
    /// it, and after a `pulse` another gateway may have changed what is due; `health` hears of channels
    /// that are told of nothing.
    pub async fn run(
        self,
        repository: Arc<dyn Repository>,
        clock: Arc<dyn Clock>,
        outbox: watch::Receiver<i64>,
        pulse: watch::Receiver<()>,
        health: Health,
    ) {
        let bell = watch::Sender::new(0);
        let mut tasks = JoinSet::new();
        let lanes: Vec<plan::Target> = self.lanes.iter().map(Lane::target).collect();
        for lane in self.lanes {
            let name = lane.target().lane;
            let context = lane::Context {
                repository: Arc::clone(&repository),
                clock: Arc::clone(&clock),
                bell: bell.subscribe(),
                pulse: pulse.clone(),
                link: self.link.clone(),
            };
            let lane = Arc::new(lane);
            tasks.spawn(for_ever(name, move || Arc::clone(&lane).run(context.clone())));
        }
        let written = lanes.iter().filter_map(|lane| lane.channel.as_ref()?.0.clone()).collect();
        let sites = Arc::new(sites::Sites::new(written));
        let (whose, of, at) = (Arc::clone(&sites), Arc::clone(&repository), Arc::clone(&clock));
        let watch = move || Arc::clone(&whose).watch(Arc::clone(&of), Arc::clone(&at), health.clone());
        tasks.spawn(for_ever("sites".to_owned(), watch));
        let planner = Arc::new(plan::Planner { repository, clock, lanes, sites, bell });
        let work = move || Arc::clone(&planner).run(outbox.clone(), pulse.clone());
        tasks.spawn(for_ever("planner".to_owned(), work));
        tasks.join_next().await;
    }
}

/// Does it again when it panics: one message that nobody has thought of stops neither
/// the other lanes nor the house. What was not noted is tried again.
async fn for_ever<F>(name: String, work: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let mut one = JoinSet::new();
        one.spawn(work());
        if let Some(Err(error)) = one.join_next().await {
            error!(lane = name, %error, "a part of telling people has failed and begins anew");
        }
        tokio::time::sleep(AGAIN).await;
    }
}
