//! The DTLS handshake with one viewer, of which only the keys for SRTP are wanted.
//!
//! We are the server. Somebody who can forge the viewer's address can send first
//! messages, too, and a server that has begun with one of them does not hear another:
//! so each gets a try of its own, and the one that ends with the certificate that the
//! offer named is the viewer's. Whatever spoils a try costs that try.

use super::Certificate;
use dimpl::{Config, Dtls, Output, SrtpProfile};
use media::rtp::srtp::Profile;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tries at the same time; the oldest goes when another comes.
const TRIES: usize = 4;

/// What has come of a packet or of time.
pub(super) enum Event {
    /// The peer is who it said, and these are the keys.
    Keys(Profile, Vec<u8>),
    /// The peer has said goodbye.
    Closed,
}

/// One viewer's handshake.
pub(super) struct Handshake {
    certificate: Arc<Certificate>,
    config: Arc<Config>,
    expected: [u8; 32],
    tries: Vec<Try>,
    done: bool,
}

struct Try {
    /// Of its first message.
    random: [u8; 32],
    dtls: Dtls,
    trusted: bool,
    due: Instant,
}

/// A try that is of no use any more.
struct Spoiled;

/// What all handshakes have in common.
pub(super) fn config() -> Arc<Config> {
    let config = Config::builder()
        .flight_start_rto(Duration::from_millis(300))
        .handshake_timeout(Duration::from_secs(15))
        .build();
    Arc::new(config.expect("the library's own defaults are valid"))
}

/// The random bytes of a `ClientHello` (RFC 6347 sections 4.1 and 4.2.2).
fn hello(packet: &[u8]) -> Option<[u8; 32]> {
    let body = packet.get(13..).filter(|_| packet.first() == Some(&22))?;
    let whole = body.first() == Some(&1) && body.get(6..9)? == [0; 3];
    body.get(12 + 2..)?.first_chunk().filter(|_| whole).copied()
}

impl Handshake {
    pub(super) fn new(certificate: Arc<Certificate>, config: Arc<Config>, expected: [u8; 32]) -> Self {
        Self { certificate, config, expected, tries: Vec::new(), done: false }
    }

    /// Takes a packet; what is to be sent is appended to `out`.
    pub(super) fn receive(&mut self, packet: &[u8], now: Instant, out: &mut Vec<Vec<u8>>) -> Option<Event> {
        let random = hello(packet);
        if let Some(random) = random.filter(|_| !self.done)
            && self.tries.iter().all(|one| one.random != random)
        {
            if self.tries.len() >= TRIES {
                self.tries.remove(0);
            }
            let dtls = Dtls::new_auto(Arc::clone(&self.config), self.certificate.for_dtls(), now);
            self.tries.push(Try { random, dtls, trusted: false, due: now });
        }
        // What follows a first message does not say which.
        self.each(out, |one, expected, out| {
            if random.is_some_and(|random| random != one.random) {
                return Ok(None);
            }
            one.dtls
                .handle_timeout(now)
                .and_then(|()| one.dtls.handle_packet(packet))
                .map_err(|_| Spoiled)?;
            one.poll(expected, out)
        })
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) -> Option<Event> {
        self.each(out, |one, expected, out| {
            if now < one.due {
                return Ok(None);
            }
            one.dtls.handle_timeout(now).map_err(|_| Spoiled)?;
            one.poll(expected, out)
        })
    }

    /// Says goodbye.
    pub(super) fn close(&mut self, out: &mut Vec<Vec<u8>>) {
        let _ = self.each(out, |one, expected, out| {
            one.dtls.close().map_err(|_| Spoiled)?;
            one.poll(expected, out)
        });
    }

    /// Does something to each try. Those that are spoiled go; the first that gives keys
    /// stays alone.
    fn each(
        &mut self,
        out: &mut Vec<Vec<u8>>,
        mut step: impl FnMut(&mut Try, &[u8; 32], &mut Vec<Vec<u8>>) -> Result<Option<Event>, Spoiled>,
    ) -> Option<Event> {
        let mut at = 0;
        while let Some(one) = self.tries.get_mut(at) {
            let mut packets = Vec::new();
            match step(one, &self.expected, &mut packets) {
                Ok(event) => {
                    out.append(&mut packets);
                    if let Some(Event::Keys(..)) = event {
                        self.done = true;
                        self.tries.swap(0, at);
                        self.tries.truncate(1);
                    }
                    if event.is_some() {
                        return event;
                    }
                    at += 1;
                }
                // The keys stay good without it.
                Err(Spoiled) => drop(self.tries.remove(at)),
            }
        }
        None
    }
}

impl Try {
    fn poll(&mut self, expected: &[u8; 32], out: &mut Vec<Vec<u8>>) -> Result<Option<Event>, Spoiled> {
        let mut buffer = vec![0; 2_048];
        let mut event = None;
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => out.push(packet.to_vec()),
                Output::BufferTooSmall { needed } if needed <= 1 << 16 => buffer.resize(needed, 0),
                Output::BufferTooSmall { .. } => return Err(Spoiled),
                Output::PeerCert(der) => {
                    if <[u8; 32]>::from(Sha256::digest(der)) != *expected {
                        return Err(Spoiled);
                    }
                    self.trusted = true;
                }
                Output::KeyingMaterial(material, profile) => {
                    let profile = match profile {
                        SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1,
                        SrtpProfile::AEAD_AES_128_GCM => Profile::Aes128Gcm,
                        SrtpProfile::AEAD_AES_256_GCM => Profile::Aes256Gcm,
                        _ => return Err(Spoiled),
                    };
                    if !self.trusted {
                        return Err(Spoiled);
                    }
                    event = Some(Event::Keys(profile, material.to_vec()));
                }
                Output::CloseNotify if self.trusted => event = event.or(Some(Event::Closed)),
                Output::Timeout(at) => {
                    self.due = at;
                    return Ok(event);
                }
                _ => {}
            }
        }
    }
}
