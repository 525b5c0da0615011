//! SRTP and SRTCP: sealing what goes to one viewer, opening what comes from it
//! (RFC 3711, RFC 7714).
//!
//! Sealing is a function of keys, numbers and bytes alone: the same packet sealed
//! again, because a viewer lost it, is the same to the last bit. Nobody may ever seal
//! other bytes under numbers that were used.

use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use aes::{Aes128, Aes256};
use ctr::Ctr128BE;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;

/// How packets are protected, as DTLS has negotiated (RFC 5764 section 4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `SRTP_AES128_CM_HMAC_SHA1_80`: what everybody knows.
    Aes128CmSha1,
    /// `SRTP_AEAD_AES_128_GCM`.
    Aes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`.
    Aes256Gcm,
}

impl Profile {
    const fn key_len(self) -> usize {
        match self {
            Self::Aes128CmSha1 | Self::Aes128Gcm => 16,
            Self::Aes256Gcm => 32,
        }
    }

    const fn salt_len(self) -> usize {
        match self {
            Self::Aes128CmSha1 => 14,
            Self::Aes128Gcm | Self::Aes256Gcm => 12,
        }
    }

    /// Bytes of keying material that DTLS exports: both sides' keys and salts.
    #[must_use]
    pub const fn keying_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }
}

/// One direction's master key and salt.
#[derive(Clone, Copy)]
pub struct Master<'a> {
    profile: Profile,
    key: &'a [u8],
    salt: &'a [u8],
}

/// Splits exported keying material: first what the DTLS client seals with, then the
/// server (RFC 5764 section 4.2). Nothing if it has another length.
#[must_use]
pub fn split(profile: Profile, material: &[u8]) -> Option<(Master<'_>, Master<'_>)> {
    let (key, salt) = (profile.key_len(), profile.salt_len());
    if material.len() != profile.keying_len() {
        return None;
    }
    let at = |from: usize, len: usize| material.get(from..from + len);
    let client = Master { profile, key: at(0, key)?, salt: at(2 * key, salt)? };
    let server = Master { profile, key: at(key, key)?, salt: at(2 * key + salt, salt)? };
    Some((client, server))
}

/// The longest RTCP packet we open or seal.
const MAX_RTCP: usize = 1_500;
/// Bytes of an RTCP header that stay readable.
const RTCP_HEADER: usize = 8;
const HMAC_TAG: usize = 10;

/// Session keys of RTP or of RTCP.
enum Keys {
    Gcm { key: Box<LessSafeKey>, salt: [u8; 12] },
    Cm { key: [u8; 16], salt: [u8; 14], mac: Box<hmac::Key> },
}

/// RFC 3711 section 4.3.1: the stream that session keys are cut from.
fn derive(master: Master, label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    for (to, from) in iv.iter_mut().zip(master.salt) {
        *to = *from;
    }
    iv[7] ^= label;
    out.fill(0);
    // The lengths come from the profile; others cannot be made.
    match master.profile.key_len() {
        32 => {
            if let Ok(mut stream) = Ctr128BE::<Aes256>::new_from_slices(master.key, &iv) {
                stream.apply_keystream(out);
            }
        }
        _ => {
            if let Ok(mut stream) = Ctr128BE::<Aes128>::new_from_slices(master.key, &iv) {
                stream.apply_keystream(out);
            }
        }
    }
}

impl Keys {
    /// The keys whose labels begin at `label`: 0 for RTP, 3 for RTCP.
    fn new(master: Master, label: u8) -> Option<Self> {
        let gcm = |algorithm, key: &[u8]| {
            let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
            let mut salt = [0; 12];
            derive(master, label + 2, &mut salt);
            Some(Self::Gcm { key: Box::new(key), salt })
        };
        match master.profile {
            Profile::Aes128Gcm => {
                let mut key = [0; 16];
                derive(master, label, &mut key);
                gcm(&AES_128_GCM, &key)
            }
            Profile::Aes256Gcm => {
                let mut key = [0; 32];
                derive(master, label, &mut key);
                gcm(&AES_256_GCM, &key)
            }
            Profile::Aes128CmSha1 => {
                let (mut key, mut salt, mut mac) = ([0; 16], [0; 14], [0; 20]);
                derive(master, label, &mut key);
                derive(master, label + 1, &mut mac);
                derive(master, label + 2, &mut salt);
                let mac = Box::new(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &mac));
                Some(Self::Cm { key, salt, mac })
            }
        }
    }
}

/// RFC 7714 sections 8.1 and 9.1; `middle` and `low` as they say there.
fn gcm_nonce(salt: &[u8; 12], ssrc: u32, middle: u32, low: u16) -> Nonce {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..10].copy_from_slice(&middle.to_be_bytes());
    nonce[10..].copy_from_slice(&low.to_be_bytes());
    for (byte, salt) in nonce.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    Nonce::assume_unique_for_key(nonce)
}

fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> Nonce {
    let [a, b, c, d] = index.to_be_bytes();
    gcm_nonce(salt, ssrc, u32::from_be_bytes([0, 0, a, b]), u16::from_be_bytes([c, d]))
}

/// RFC 3711 section 4.1.1: applying it twice gives the text back.
fn cm(key: &[u8; 16], salt: &[u8; 14], ssrc: u32, index: u64, text: &mut [u8]) {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    let numbers = (u128::from(ssrc) << 64) | (u128::from(index) << 16);
    let iv = u128::from_be_bytes(iv) ^ numbers;
    if let Ok(mut stream) = Ctr128BE::<Aes128>::new_from_slices(key, &iv.to_be_bytes()) {
        stream.apply_keystream(text);
    }
}

fn ssrc_at(packet: &[u8], at: usize) -> Option<u32> {
    packet.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Seals what goes to one peer.
pub struct Sealer {
    rtp: Keys,
    rtcp: Keys,
    rtcp_index: u32,
}

impl Sealer {
    /// A sealer with this side's master key.
    #[must_use]
    pub fn new(master: Master) -> Option<Self> {
        Some(Self { rtp: Keys::new(master, 0)?, rtcp: Keys::new(master, 3)?, rtcp_index: 0 })
    }

    /// Appends a sealed RTP packet to `out`: the header as it is, then the payload.
    /// `rollover` counts how often the sequence number has wrapped.
    pub fn rtp(&self, header: &[u8; 12], rollover: u32, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let [.., s0, s1, s2, s3] = *header;
        let (ssrc, sequence) =
            (u32::from_be_bytes([s0, s1, s2, s3]), u16::from_be_bytes([header[2], header[3]]));
        out.extend_from_slice(header);
        out.extend_from_slice(payload);
        let text = out.get_mut(start + header.len()..).unwrap_or_default();
        match &self.rtp {
            Keys::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, rollover, sequence);
                match key.seal_in_place_separate_tag(nonce, Aad::from(header), text) {
                    Ok(tag) => out.extend_from_slice(tag.as_ref()),
                    // Only for texts of many gigabytes; nothing leaves unsealed.
                    Err(_) => out.truncate(start),
                }
            }
            Keys::Cm { key, salt, mac } => {
                cm(key, salt, ssrc, u64::from(rollover) << 16 | u64::from(sequence), text);
                let mut sign = hmac::Context::with_key(mac);
                sign.update(out.get(start..).unwrap_or_default());
                sign.update(&rollover.to_be_bytes());
                out.extend(sign.sign().as_ref().iter().take(HMAC_TAG));
            }
        }
    }

    /// A sealed RTCP packet. Nothing if it is none, or too long.
    pub fn rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let ssrc = ssrc_at(packet, 4)?;
        if packet.len() < RTCP_HEADER || packet.len() > MAX_RTCP {
            return None;
        }
        self.rtcp_index = (self.rtcp_index + 1) & 0x7fff_ffff;
        let word = (self.rtcp_index | 1 << 31).to_be_bytes();
        let mut out = packet.to_vec();
        let (header, text) = out.split_at_mut(RTCP_HEADER);
        match &self.rtcp {
            Keys::Gcm { key, salt } => {
                let nonce = rtcp_nonce(salt, ssrc, self.rtcp_index);
                let aad = [&*header, &word].concat();
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), text).ok()?;
                out.extend_from_slice(tag.as_ref());
                out.extend(word);
            }
            Keys::Cm { key, salt, mac } => {
                cm(key, salt, ssrc, u64::from(self.rtcp_index), text);
                out.extend(word);
                let tag = hmac::sign(mac, &out);
                out.extend(tag.as_ref().iter().take(HMAC_TAG));
            }
        }
        Some(out)
    }
}

/// Opens what comes from one peer.
pub struct Opener {
    rtp: Keys,
    rtcp: Keys,
    /// The newest RTCP index, and a bit for each of the 64 before it.
    newest: u32,
    seen: u64,
}

impl Opener {
    /// An opener with the other side's master key.
    #[must_use]
    pub fn new(master: Master) -> Option<Self> {
        Some(Self { rtp: Keys::new(master, 0)?, rtcp: Keys::new(master, 3)?, newest: 0, seen: 0 })
    }

    /// The payload of an RTP packet with a header of twelve bytes. Nothing if it was
    /// not sealed with these keys and numbers.
    #[must_use]
    pub fn rtp(&self, packet: &[u8], rollover: u32) -> Option<Vec<u8>> {
        let header: &[u8; 12] = packet.first_chunk()?;
        let ssrc = ssrc_at(packet, 8)?;
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        match &self.rtp {
            Keys::Gcm { key, salt } => {
                let mut text = packet.get(12..)?.to_vec();
                let nonce = gcm_nonce(salt, ssrc, rollover, sequence);
                let length = key.open_in_place(nonce, Aad::from(header), &mut text).ok()?.len();
                text.truncate(length);
                Some(text)
            }
            Keys::Cm { key, salt, mac } => {
                let (signed, tag) = packet.split_at_checked(packet.len().checked_sub(HMAC_TAG)?)?;
                let mut sign = hmac::Context::with_key(mac);
                sign.update(signed);
                sign.update(&rollover.to_be_bytes());
                if !is_same(sign.sign().as_ref(), tag) {
                    return None;
                }
                let mut text = signed.get(12..)?.to_vec();
                cm(key, salt, ssrc, u64::from(rollover) << 16 | u64::from(sequence), &mut text);
                Some(text)
            }
        }
    }

    /// An RTCP packet as it was before it was sealed. Nothing if it was not sealed
    /// with these keys, or was opened before.
    pub fn rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        if packet.len() > MAX_RTCP {
            return None;
        }
        let ssrc = ssrc_at(packet, 4)?;
        let (plain, index) = match &self.rtcp {
            Keys::Gcm { key, salt } => {
                let (sealed, word) = packet.split_last_chunk::<4>()?;
                let index = u32::from_be_bytes(*word) & 0x7fff_ffff;
                let (header, text) = sealed.split_at_checked(RTCP_HEADER)?;
                let aad = [header, word].concat();
                let mut text = text.to_vec();
                let nonce = rtcp_nonce(salt, ssrc, index);
                let text = key.open_in_place(nonce, Aad::from(aad), &mut text).ok()?;
                ([header, text].concat(), index)
            }
            Keys::Cm { key, salt, mac } => {
                let (signed, tag) = packet.split_at_checked(packet.len().checked_sub(HMAC_TAG)?)?;
                if !is_same(hmac::sign(mac, signed).as_ref(), tag) {
                    return None;
                }
                let (sealed, word) = signed.split_last_chunk::<4>()?;
                let index = u32::from_be_bytes(*word) & 0x7fff_ffff;
                let mut plain = sealed.to_vec();
                cm(key, salt, ssrc, u64::from(index), plain.get_mut(RTCP_HEADER..)?);
                (plain, index)
            }
        };
        self.is_new(index).then_some(plain)
    }

    /// RFC 3711 section 3.3.2, for packets that have proven to be the peer's.
    fn is_new(&mut self, index: u32) -> bool {
        if index > self.newest {
            let ahead = index - self.newest;
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = index;
            return true;
        }
        let bit = 1u64.checked_shl(self.newest - index).unwrap_or(0);
        let new = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

/// Compares the first bytes of a signature with a tag, in the same time wherever
/// they differ.
fn is_same(signature: &[u8], tag: &[u8]) -> bool {
    signature.iter().zip(tag).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
#[path = "srtp_tests.rs"]
mod tests;
