//! One connection to the broker: MQTT 5 packets over TCP, with TLS or without. Version 5
//! because only there a client can say how large a packet and how many unacknowledged
//! messages it takes, and the broker keeps to it.

use crate::notify::outgoing;
use crate::settings::Mqtt;
use bytes::BytesMut;
use rumqttc::v5::mqttbytes::v5::{
    Connect, ConnectProperties, ConnectReturnCode, Filter, Login, Packet, PingReq, PubAck, RetainForwardRule,
    Subscribe, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{Error as Malformed, QoS};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The largest packet: a message of 64 KiB with its topic and properties.
const PACKET: u32 = (64 << 10) + 1_024;
/// Messages that the broker sends before the first of them is acknowledged.
pub const IN_FLIGHT: u16 = 64;
/// How long the broker keeps what it has for us while we are away.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long connecting and each of the first answers may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long writing may take: whoever does not read for so long is gone.
const WRITE: Duration = Duration::from_secs(10);
/// How long the broker waits for a word of ours, in seconds.
pub const KEEP_ALIVE: u16 = 60;

/// Why there is no connection any more; the text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The network.
    #[error("the broker cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// It takes too long.
    #[error("the broker does not answer in time")]
    Slow,
    /// What it says is no MQTT.
    #[error("what the broker says cannot be read: {0}")]
    Malformed(Malformed),
    /// It says something at the wrong moment.
    #[error("the broker says {0} where that has no meaning")]
    Unexpected(&'static str),
    /// It does not take us in.
    #[error("the broker refuses us: {0:?}; look at mqtt.username, mqtt.password and its rights")]
    Refused(ConnectReturnCode),
    /// We may not hear something.
    #[error("the broker does not let us hear {0:?}; look at its rights")]
    Topic(String),
    /// It sends us away.
    #[error("the broker ends the session: {0}")]
    Ended(String),
    /// The authority cannot be read.
    #[error("mqtt.authority: {0}")]
    Authority(String),
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A connection that the broker has taken in.
pub struct Connection {
    socket: Box<dyn Socket>,
    read: BytesMut,
}

impl Connection {
    /// Connects, signs in and subscribes. Answers also whether the broker has kept a session.
    pub async fn open(settings: &Mqtt) -> Result<(Self, bool), Error> {
        let socket = timeout(PATIENCE, dial(settings)).await.map_err(|_| Error::Slow)??;
        let mut this = Self { socket, read: BytesMut::with_capacity(16 << 10) };
        this.send(&[connect(settings)]).await?;
        let kept = match this.answer().await? {
            Packet::ConnAck(answer) if answer.code == ConnectReturnCode::Success => answer.session_present,
            Packet::ConnAck(answer) => return Err(Error::Refused(answer.code)),
            other => return Err(Error::Unexpected(name(&other))),
        };
        Ok((this, kept))
    }

    /// Says what is to be heard. Messages may come before the answer to it.
    pub async fn subscribe(&mut self, topics: &[String]) -> Result<(), Error> {
        let filters = topics.iter().map(|topic| Filter {
            // What was retained is told once, not at each reconnection.
            retain_forward_rule: RetainForwardRule::OnNewSubscribe,
            ..Filter::new(topic.clone(), QoS::AtLeastOnce)
        });
        let packet = Subscribe { pkid: 1, ..Subscribe::new_many(filters, None) };
        self.send(&[Packet::Subscribe(packet)]).await
    }

    async fn answer(&mut self) -> Result<Packet, Error> {
        timeout(PATIENCE, self.next()).await.map_err(|_| Error::Slow)?
    }

    /// The next packet. Nothing is lost when this is dropped while it waits.
    pub async fn next(&mut self) -> Result<Packet, Error> {
        loop {
            if let Some(packet) = self.ready()? {
                return Ok(packet);
            }
            if self.socket.read_buf(&mut self.read).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// A packet that is here already.
    pub fn ready(&mut self) -> Result<Option<Packet>, Error> {
        packet(&mut self.read)
    }

    /// Acknowledges messages: the broker forgets them.
    pub async fn acknowledge(&mut self, ids: &[u16]) -> Result<(), Error> {
        let acks: Vec<Packet> = ids.iter().map(|id| Packet::PubAck(PubAck::new(*id, None))).collect();
        self.send(&acks).await
    }

    /// Asks whether the broker is still there.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.send(&[Packet::PingReq(PingReq)]).await
    }

    async fn send(&mut self, packets: &[Packet]) -> Result<(), Error> {
        let mut bytes = BytesMut::new();
        for packet in packets {
            packet.write(&mut bytes, None).map_err(Error::Malformed)?;
        }
        let written = async {
            self.socket.write_all(&bytes).await?;
            self.socket.flush().await
        };
        Ok(timeout(WRITE, written).await.map_err(|_| Error::Slow)??)
    }
}

/// A packet that is whole; it is taken away.
fn packet(read: &mut BytesMut) -> Result<Option<Packet>, Error> {
    let before = read.len();
    match Packet::read(read, Some(PACKET)) {
        Ok(packet) => Ok(Some(packet)),
        // Where something was taken away it is the packet itself that is too short.
        Err(Malformed::InsufficientBytes(_)) if read.len() == before => Ok(None),
        Err(error) => Err(Error::Malformed(error)),
    }
}

/// The topic that the broker does not let us hear, if there is one.
pub fn refused<'t>(codes: &[SubscribeReasonCode], topics: &'t [String]) -> Option<&'t String> {
    let heard = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
    topics.iter().enumerate().find(|(n, _)| !codes.get(*n).is_some_and(heard)).map(|(_, topic)| topic)
}

/// What a packet is, for the log.
pub fn name(packet: &Packet) -> &'static str {
    match packet {
        Packet::Publish(_) => "PUBLISH",
        Packet::ConnAck(_) => "CONNACK",
        Packet::SubAck(_) => "SUBACK",
        Packet::Disconnect(_) => "DISCONNECT",
        Packet::PingResp(_) => "PINGRESP",
        _ => "something else",
    }
}

fn connect(settings: &Mqtt) -> Packet {
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = u32::try_from(KEPT.as_secs()).ok();
    properties.receive_maximum = Some(IN_FLIGHT);
    properties.max_packet_size = Some(PACKET);
    let connect = Connect {
        keep_alive: KEEP_ALIVE,
        client_id: settings.client_id.clone(),
        clean_start: false,
        properties: Some(properties),
    };
    let login = settings.login.as_ref().map(|(name, password)| Login::new(name, password.expose()));
    Packet::Connect(connect, None, login)
}

async fn dial(settings: &Mqtt) -> Result<Box<dyn Socket>, Error> {
    let socket = TcpStream::connect((settings.host.as_str(), settings.port)).await?;
    socket.set_nodelay(true)?;
    if !settings.tls {
        return Ok(Box::new(socket));
    }
    let name = ServerName::try_from(settings.host.clone()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(trusted(settings)?).connect(name, socket).await?))
}

/// Whom to believe that it is the broker.
fn trusted(settings: &Mqtt) -> Result<Arc<ClientConfig>, Error> {
    let Some(path) = &settings.authority else { return Ok(outgoing::tls()) };
    let wrong = |why: String| Error::Authority(format!("{}: {why}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the versions that are the default")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// For the fuzz target: what a broker says, in pieces of as many bytes as the first one says. The
/// packets are the same as those of the same in one piece.
pub(super) fn fuzz(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let all = |size: usize| {
        let (mut read, mut packets) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(size.max(1)) {
            read.extend_from_slice(piece);
            loop {
                let before = read.len();
                match packet(&mut read) {
                    Ok(Some(packet)) => {
                        assert!(read.len() < before, "it goes on");
                        packets.push(packet);
                    }
                    Ok(None) => break,
                    Err(_) => return (packets, true),
                }
            }
        }
        (packets, false)
    };
    let whole = all(bytes.len());
    assert_eq!(all(usize::from(*size)), whole);
    for packet in whole.0 {
        if let Packet::Publish(publish) = packet {
            assert!(publish.payload.len() + publish.topic.len() <= PACKET as usize);
        }
    }
}
