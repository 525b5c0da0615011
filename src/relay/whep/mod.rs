//! WHEP: WebRTC for browsers (RFC 9725 turned round). One UDP port and one TCP port
//! for all viewers; one task a viewer.
//!
//! What is ours is the path of a frame: payloads are built once a stream (`media`),
//! sealed for each viewer (`outlet`) and leave in one call (`udp`). ICE's messages and
//! the DTLS handshake are the crates' that str0m is made of; see docs/design/whep.md.
//! `session` is a state machine without sockets, `task` the loop around it, `mux` finds
//! the session that a packet is for.

mod dtls;
mod fit;
#[doc(hidden)]
pub mod fuzz;
mod ice;
mod mux;
mod outlet;
mod pace;
mod sdp;
mod session;
mod task;
mod tcp;
mod udp;

pub use fit::{Chosen, Fit, fit, rendition};
pub use mux::{Limits, Opened, Refused, Restart, Server, Wanted};
pub use sdp::{MAX_OFFER, Malformed, Offer};

use sha2::{Digest as _, Sha256};

/// Where viewers connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) udp: u16,
    pub(crate) tcp: Option<u16>,
}

/// The certificate that browsers see: made at each start, vouched for by the answer
/// that reaches them over HTTP.
pub struct Certificate {
    der: Vec<u8>,
    key: Vec<u8>,
    fingerprint: [u8; 32],
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate")
    }
}

impl Certificate {
    /// A fresh one.
    pub fn generate() -> Result<Self, rcgen::Error> {
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::default().self_signed(&key)?;
        let der = certificate.der().to_vec();
        let fingerprint = Sha256::digest(&der).into();
        Ok(Self { der, key: key.serialize_der(), fingerprint })
    }

    /// SHA-256 of it, as a session description says it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// As the DTLS library takes it.
    #[must_use]
    pub fn for_dtls(&self) -> dimpl::DtlsCertificate {
        dimpl::DtlsCertificate { certificate: self.der.clone(), private_key: self.key.clone() }
    }
}
