//! Devices that tell by an MQTT broker: one task that hears what the settings name, keeps what
//! it means and acknowledges it then, and not before. So the broker has everything that is not
//! durable here, also while the gateway is away.
//!
//! There is no queue of our own: while a batch is kept nothing more is read, and the broker
//! waits. What comes under a topic that is no device's is counted and dropped.

mod connection;

use crate::settings::Mqtt;
use connection::{Connection, Error};
use domain::device::Device;
use domain::repository::Repository;
use domain::{DeviceId, repository};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, error, info, warn};
use web::intake::Counters;
use web::intake::mqtt::{Levels, Message, device_topic, receive};

/// The shortest and the longest pause before the broker is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A session that lasted so long was a good one: the next pause is the shortest again.
const GOOD: Duration = Duration::from_secs(60);
/// How often the broker is asked whether it is still there, if nothing else is said to it.
const PING: Duration = Duration::from_secs(connection::KEEP_ALIVE as u64 / 3);
/// How long the database may take to say which devices there are.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is wrong again and again is said this often.
const SELDOM: Duration = Duration::from_secs(60);

/// What is known of the devices that tell by the broker.
#[derive(Default)]
struct Devices {
    by_topic: HashMap<String, Device>,
    /// What the inputs of each were.
    levels: HashMap<DeviceId, Levels>,
}

/// The task.
pub struct Listener {
    settings: Mqtt,
    app: web::App,
    repository: Arc<dyn Repository>,
    changes: watch::Receiver<u64>,
    devices: Devices,
    dropped: Dropped,
}

/// What was dropped since it was last said.
#[derive(Default)]
struct Dropped {
    unknown: usize,
    too_many: usize,
    said: Option<Instant>,
}

impl Dropped {
    fn say(&mut self) {
        let (unknown, too_many) = (self.unknown, self.too_many);
        if unknown + too_many > 0 && self.said.is_none_or(|said| said.elapsed() >= SELDOM) {
            warn!(
                unknown,
                too_many,
                "messages of the broker are dropped: no device has their topic, or one sends too many"
            );
            *self = Self { said: Some(Instant::now()), ..Self::default() };
        }
    }
}

impl Listener {
    /// Hears the broker of the settings. `changes` says that devices may be others.
    pub fn new(
        settings: Mqtt,
        app: web::App,
        repository: Arc<dyn Repository>,
        changes: watch::Receiver<u64>,
    ) -> Self {
        Self { settings, app, repository, changes, devices: Devices::default(), dropped: Dropped::default() }
    }

    /// For ever.
    pub async fn run(mut self) {
        // Before it is known which devices there are, everything would be nobody's.
        while let Err(error) = self.look().await {
            warn!(%error, "it is not known which devices tell by the broker");
            tokio::time::sleep(PAUSES.0).await;
        }
        let (mut pause, mut said) = (PAUSES.0, String::new());
        loop {
            let began = Instant::now();
            let ended = AssertUnwindSafe(self.session()).catch_unwind().await;
            let error = match ended {
                Ok(Err(error)) => error.to_string(),
                Ok(Ok(never)) => match never {},
                Err(_) => {
                    error!("the broker has said what nobody has thought of");
                    "the gateway failed on what the broker sent".to_owned()
                }
            };
            let good = began.elapsed() >= GOOD;
            if good || said != error {
                warn!(broker = self.settings.host, %error, "there is no session with the broker; it is tried again");
                said = error;
            }
            pause = if good { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
            tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * jitter())).await;
        }
    }

    /// Learns which devices there are.
    async fn look(&mut self) -> repository::Result<()> {
        self.changes.mark_unchanged();
        let slow = |_| repository::Error::Unavailable("it takes too long".to_owned());
        let all = match timeout(PATIENCE, self.repository.devices()).await.map_err(slow) {
            Ok(Ok(all)) => all,
            Ok(Err(error)) | Err(error) => {
                self.changes.mark_changed();
                return Err(error);
            }
        };
        let heard = all.into_iter().filter_map(|device| Some((device.mqtt_topic.clone()?, device)));
        self.devices.by_topic = heard.collect();
        let (known, levels) = (&self.devices.by_topic, &mut self.devices.levels);
        levels.retain(|id, _| known.values().any(|device| device.id == *id));
        Ok(())
    }

    /// One session, until it breaks.
    async fn session(&mut self) -> Result<std::convert::Infallible, Error> {
        let (mut connection, kept) = Connection::open(&self.settings).await?;
        connection.subscribe(&self.settings.topics).await?;
        Counters::add(&self.app.intake().broker_sessions, 1);
        info!(broker = self.settings.host, kept, "the broker has taken us in");
        let (mut spoken, mut asked) = (Instant::now(), false);
        loop {
            if spoken.elapsed() >= PING {
                if std::mem::replace(&mut asked, true) {
                    return Err(Error::Slow);
                }
                connection.ping().await?;
                spoken = Instant::now();
            }
            let Ok(packet) = timeout_at(spoken + PING, connection.next()).await else { continue };
            let mut batch = Vec::new();
            let mut next = Some(packet?);
            while let Some(packet) = next.take() {
                match packet {
                    Packet::Publish(publish) => batch.push(publish),
                    Packet::PingResp(_) => asked = false,
                    Packet::SubAck(answer) => {
                        let refused = connection::refused(&answer.return_codes, &self.settings.topics);
                        refused.map_or(Ok(()), |topic| Err(Error::Topic(topic.clone())))?;
                    }
                    Packet::Disconnect(why) => return Err(Error::Ended(format!("{:?}", why.reason_code))),
                    other => return Err(Error::Unexpected(connection::name(&other))),
                }
                if batch.len() < usize::from(connection::IN_FLIGHT) {
                    next = connection.ready()?;
                }
            }
            let (acks, all_kept) = self.keep(batch).await;
            if !acks.is_empty() {
                connection.acknowledge(&acks).await?;
                spoken = Instant::now();
            }
            if !all_kept {
                return Err(Error::NotKept);
            }
        }
    }

    /// Keeps what messages tell: each device's in their order, devices beside each other.
    /// Answers which are to be acknowledged, and whether that is all.
    async fn keep(&mut self, batch: Vec<Publish>) -> (Vec<u16>, bool) {
        if self.changes.has_changed().unwrap_or(false)
            && let Err(error) = self.look().await
        {
            debug!(%error, "it is not known whether the devices are others now");
        }
        let (mut acks, mut parts) =
            (Vec::new(), HashMap::<DeviceId, (Device, Vec<Message>, Vec<u16>)>::new());
        for publish in batch {
            // Of no other service than what was asked for; what is sent once has no number.
            let number = (publish.qos == QoS::AtLeastOnce).then_some(publish.pkid);
            let topic = std::str::from_utf8(&publish.topic).unwrap_or_default();
            let Some(device) = self.devices.by_topic.get(device_topic(topic)) else {
                Counters::add(&self.app.intake().unknown_topic, 1);
                self.dropped.unknown += 1;
                acks.extend(number);
                continue;
            };
            let message =
                Message { topic: topic.to_owned(), payload: publish.payload, retained: publish.retain };
            let (_, messages, numbers) =
                parts.entry(device.id.clone()).or_insert_with(|| (device.clone(), Vec::new(), Vec::new()));
            messages.push(message);
            numbers.extend(number);
        }
        let none = Levels::default();
        let (app, levels) = (&self.app, &self.devices.levels);
        let keeping = parts.into_values().map(|(device, messages, numbers)| {
            let levels = levels.get(&device.id).unwrap_or(&none);
            async move { (receive(app, &device, levels, &messages).await, device.id, numbers) }
        });
        let mut all_kept = true;
        for (kept, device, numbers) in join_all(keeping).await {
            match kept {
                Ok((levels, too_many)) => {
                    self.devices.levels.insert(device, levels);
                    self.dropped.too_many += too_many;
                    acks.extend(numbers);
                }
                Err(problem) => {
                    debug!(%device, ?problem, "messages of a device are not kept");
                    all_kept = false;
                }
            }
        }
        self.dropped.say();
        (acks, all_kept)
    }
}

fn jitter() -> f64 {
    f64::from(u16::from_be_bytes(web::token::random())) / f64::from(u16::MAX)
}
