//! Devices that tell by an MQTT broker: one task that hears what the settings name, keeps what
//! it means and acknowledges it then, and not before. So the broker has everything that is not
//! durable here, also while the gateway is away.
//!
//! While a batch is kept nothing more is read, and the broker waits. What can be kept nowhere is
//! held, as much as the broker sends unacknowledged, and tried again: what is published once
//! (quality of service 0) the broker does not have any more. What comes under a topic that is no
//! device's is counted and dropped.

mod again;
mod connection;

use crate::settings::Mqtt;
use again::Unconfirmed;
use connection::{Connection, Error};
use domain::device::Device;
use domain::repository::Repository;
use domain::{DeviceId, Timestamp, repository};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
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
/// What could be kept nowhere is tried again this soon.
const RETRY: Duration = Duration::from_secs(2);
/// The most messages that are held. Beyond it nothing is read: the broker has the rest, but
/// for what it sends once and has no room for.
const HELD: usize = connection::IN_FLIGHT as usize;
/// What is wrong again and again is said this often.
const SELDOM: Duration = Duration::from_secs(60);

/// What is known of the devices that tell by the broker.
#[derive(Default)]
struct Devices {
    by_topic: HashMap<String, Device>,
    /// What the inputs of each were.
    levels: HashMap<DeviceId, Levels>,
    /// Those of which it was said that the broker keeps nothing of them.
    unkept: HashSet<DeviceId>,
}

/// A message that is not kept yet, with the moment when it came.
struct Held(Publish, Timestamp);

/// The task.
pub struct Listener {
    settings: Mqtt,
    app: web::App,
    repository: Arc<dyn Repository>,
    changes: watch::Receiver<u64>,
    devices: Devices,
    dropped: Dropped,
    /// In their order; at most [`HELD`].
    held: Vec<Held>,
    unconfirmed: Unconfirmed,
}

/// What was dropped since it was last said.
#[derive(Default)]
struct Dropped {
    unknown: usize,
    refused: usize,
    said: Option<Instant>,
}

impl Dropped {
    fn say(&mut self) {
        let (unknown, refused) = (self.unknown, self.refused);
        if unknown + refused > 0 && self.said.is_none_or(|said| said.elapsed() >= SELDOM) {
            warn!(
                unknown,
                refused,
                "messages of the broker are dropped: no device has their topic, one sends too many, or the disk is nearly full"
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
        Self {
            settings,
            app,
            repository,
            changes,
            devices: Devices::default(),
            dropped: Dropped::default(),
            held: Vec::new(),
            unconfirmed: Unconfirmed::default(),
        }
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
        let Devices { by_topic, levels, unkept } = &mut self.devices;
        let before = std::mem::replace(by_topic, heard.collect());
        // What has another topic, or means something else, is another device.
        let same: HashSet<&DeviceId> = by_topic
            .iter()
            .filter(|(topic, device)| {
                before
                    .get(*topic)
                    .is_some_and(|before| (&before.id, before.kind) == (&device.id, device.kind))
            })
            .map(|(_, device)| &device.id)
            .collect();
        levels.retain(|id, _| same.contains(id));
        unkept.retain(|id| same.contains(id));
        Ok(())
    }

    /// One session, until it breaks.
    async fn session(&mut self) -> Result<std::convert::Infallible, Error> {
        let (mut connection, kept) = Connection::open(&self.settings).await?;
        connection.subscribe(&self.settings.topics).await?;
        Counters::add(&self.app.intake().broker_sessions, 1);
        info!(broker = self.settings.host, kept, "the broker has taken us in");
        // The broker sends again what it has no acknowledgement of, and what it knows by a number
        // is known by it in one session only.
        self.held.retain(|Held(publish, _)| number(publish).is_none());
        self.unconfirmed.begin(kept);
        let (mut spoken, mut asked) = (Instant::now(), false);
        let mut again = Instant::now();
        loop {
            let full = self.held.len() >= HELD;
            // Where nothing is read no answer is heard.
            asked &= !full;
            if spoken.elapsed() >= PING {
                if std::mem::replace(&mut asked, !full) {
                    return Err(Error::Slow);
                }
                connection.ping().await?;
                self.unconfirmed.asked();
                spoken = Instant::now();
            }
            let wake = if self.held.is_empty() { spoken + PING } else { again.min(spoken + PING) };
            let mut next = if full {
                sleep_until(wake).await;
                None
            } else {
                timeout_at(wake, connection.next()).await.ok().transpose()?
            };
            if next.is_none() && (self.held.is_empty() || again > Instant::now()) {
                continue;
            }
            while let Some(packet) = next.take() {
                match packet {
                    Packet::Publish(publish) => {
                        let now = self.app.now();
                        let known = number(&publish).is_some();
                        let came = if known { self.unconfirmed.came(&publish, now) } else { now };
                        self.held.push(Held(publish, came));
                    }
                    Packet::PingResp(_) => {
                        self.unconfirmed.answered();
                        asked = false;
                    }
                    Packet::SubAck(answer) => {
                        let refused = connection::refused(&answer.return_codes, &self.settings.topics);
                        refused.map_or(Ok(()), |topic| Err(Error::Topic(topic.clone())))?;
                    }
                    Packet::Disconnect(why) => return Err(Error::Ended(format!("{:?}", why.reason_code))),
                    other => return Err(Error::Unexpected(connection::name(&other))),
                }
                if self.held.len() < HELD {
                    next = connection.ready()?;
                }
            }
            let acks = self.keep().await;
            again = Instant::now() + RETRY;
            if !acks.is_empty() {
                connection.acknowledge(&acks).await?;
                // What is answered behind them says that they have arrived.
                connection.ping().await?;
                self.unconfirmed.asked();
                (spoken, asked) = (Instant::now(), true);
            }
        }
    }

    /// Keeps what the messages that are held tell: each device's in their order, devices beside
    /// each other, so that one whose messages cannot be kept holds up no other. Answers which
    /// are to be acknowledged; what is not kept stays held.
    async fn keep(&mut self) -> Vec<u16> {
        if self.changes.has_changed().unwrap_or(false)
            && let Err(error) = self.look().await
        {
            debug!(%error, "it is not known whether the devices are others now");
        }
        let (mut acks, mut parts) = (Vec::new(), HashMap::<DeviceId, (Device, Vec<Held>)>::new());
        // Taken out meanwhile, or what the gateway fails on would be tried for ever.
        for held in std::mem::take(&mut self.held) {
            let Held(publish, _) = &held;
            let Some(device) = self.devices.by_topic.get(device_topic(topic(publish))) else {
                Counters::add(&self.app.intake().unknown_topic, 1);
                self.dropped.unknown += 1;
                acks.extend(number(publish));
                continue;
            };
            if number(publish).is_none() && self.devices.unkept.insert(device.id.clone()) {
                warn!(device = %device.id, "a device's messages are published once (QoS 0): what it tells while the gateway is away is lost; set qos: 1 for it in zigbee2mqtt");
            }
            let (_, part) = parts.entry(device.id.clone()).or_insert_with(|| (device.clone(), Vec::new()));
            part.push(held);
        }
        let none = Levels::default();
        let (app, levels) = (&self.app, &self.devices.levels);
        let keeping = parts.into_values().map(|(device, part)| {
            let levels = levels.get(&device.id).unwrap_or(&none);
            async move {
                let messages: Vec<Message> = part.iter().map(message).collect();
                (receive(app, &device, levels, &messages).await, device.id, part)
            }
        });
        for (kept, device, part) in join_all(keeping).await {
            match kept {
                Ok((levels, refused)) => {
                    self.devices.levels.insert(device, levels);
                    self.dropped.refused += refused;
                    for Held(publish, came) in &part {
                        let Some(number) = number(publish) else { continue };
                        self.unconfirmed.acknowledged(publish, *came, HELD);
                        acks.push(number);
                    }
                }
                Err(problem) => {
                    debug!(%device, ?problem, "messages of a device are not kept yet");
                    self.held.extend(part);
                }
            }
        }
        self.dropped.say();
        acks
    }
}

/// What the broker is told when a message is kept. Of no other service than what was asked
/// for; what is sent once has no number.
fn number(publish: &Publish) -> Option<u16> {
    (publish.qos == QoS::AtLeastOnce).then_some(publish.pkid)
}

fn topic(publish: &Publish) -> &str {
    std::str::from_utf8(&publish.topic).unwrap_or_default()
}

fn message(Held(publish, at): &Held) -> Message {
    Message {
        topic: topic(publish).to_owned(),
        payload: publish.payload.clone(),
        retained: publish.retain,
        at: *at,
    }
}

fn jitter() -> f64 {
    f64::from(u16::from_be_bytes(web::token::random())) / f64::from(u16::MAX)
}

/// For the fuzz target: what a broker says.
pub fn fuzz(bytes: &[u8]) {
    connection::fuzz(bytes);
}
