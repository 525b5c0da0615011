//! The DTLS handshake with one viewer, of which only the keys for SRTP are wanted.
//!
//! We are the server. Whatever spoils a handshake, a forged first message among it,
//! costs that handshake and not the session: a new one is begun in its place.

use super::Certificate;
use dimpl::{Config, Dtls, Output, SrtpProfile};
use media::rtp::srtp::Profile;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Handshakes that may go wrong before the session is given up.
const ATTEMPTS: u8 = 20;

/// What has come of a packet or of time.
pub(super) enum Event {
    /// The peer is who it said, and these are the keys.
    Keys(Profile, Vec<u8>),
    /// The peer has said goodbye.
    Closed,
    /// It cannot work.
    Failed,
}

/// One viewer's handshake.
pub(super) struct Handshake {
    dtls: Dtls,
    certificate: Arc<Certificate>,
    config: Arc<Config>,
    expected: [u8; 32],
    attempts: u8,
    trusted: bool,
    done: bool,
    due: Option<Instant>,
}

/// What all handshakes have in common.
pub(super) fn config() -> Arc<Config> {
    let config = Config::builder()
        .flight_start_rto(Duration::from_millis(300))
        .handshake_timeout(Duration::from_secs(15))
        .build();
    Arc::new(config.expect("the library's own defaults are valid"))
}

impl Handshake {
    pub(super) fn new(
        certificate: Arc<Certificate>,
        config: Arc<Config>,
        expected: [u8; 32],
        now: Instant,
    ) -> Self {
        let dtls = Dtls::new_auto(Arc::clone(&config), certificate.for_dtls(), now);
        Self { dtls, certificate, config, expected, attempts: 0, trusted: false, done: false, due: None }
    }

    /// Takes a packet; what is to be sent is appended to `out`.
    pub(super) fn receive(&mut self, packet: &[u8], now: Instant, out: &mut Vec<Vec<u8>>) -> Option<Event> {
        let fed = self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(packet));
        self.go_on(fed.is_err(), now, out)
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) -> Option<Event> {
        if self.due.is_none_or(|due| now < due) {
            return None;
        }
        let fed = self.dtls.handle_timeout(now);
        self.go_on(fed.is_err(), now, out)
    }

    /// Says goodbye.
    pub(super) fn close(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        if self.dtls.close().is_ok() {
            let _ = self.poll(now, out);
        }
    }

    fn go_on(&mut self, spoiled: bool, now: Instant, out: &mut Vec<Vec<u8>>) -> Option<Event> {
        if !spoiled {
            match self.poll(now, out) {
                Ok(event) => return event,
                Err(()) => out.clear(),
            }
        }
        // The keys are there: what DTLS might still say is not needed.
        if self.done {
            self.due = None;
            return None;
        }
        self.attempts += 1;
        if self.attempts > ATTEMPTS {
            return Some(Event::Failed);
        }
        self.dtls = Dtls::new_auto(Arc::clone(&self.config), self.certificate.for_dtls(), now);
        (self.trusted, self.due) = (false, None);
        None
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) -> Result<Option<Event>, ()> {
        let mut buffer = vec![0; 2_048];
        let mut event = None;
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => out.push(packet.to_vec()),
                Output::BufferTooSmall { needed } if needed <= 1 << 16 => buffer.resize(needed, 0),
                Output::BufferTooSmall { .. } => return Err(()),
                Output::PeerCert(der) => {
                    if <[u8; 32]>::from(Sha256::digest(der)) != self.expected {
                        return Err(());
                    }
                    self.trusted = true;
                }
                Output::KeyingMaterial(material, profile) => {
                    if !self.trusted {
                        return Err(());
                    }
                    let profile = match profile {
                        SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1,
                        SrtpProfile::AEAD_AES_128_GCM => Profile::Aes128Gcm,
                        SrtpProfile::AEAD_AES_256_GCM => Profile::Aes256Gcm,
                        _ => return Err(()),
                    };
                    self.done = true;
                    event = Some(Event::Keys(profile, material.to_vec()));
                }
                // Without keys it is of no use.
                Output::Connected if !self.done => {}
                Output::CloseNotify if self.done => event = event.or(Some(Event::Closed)),
                Output::Timeout(at) => {
                    self.due = (at > now).then_some(at).or(Some(now));
                    return Ok(event);
                }
                _ => {}
            }
        }
    }
}
