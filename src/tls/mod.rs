//! The certificates of the gateway's own TLS: read from files, or made by an
//! authority of the gateway's own, and renewed while it runs.
//!
//! What belongs here: keys, certificates, when they are made anew. What does not:
//! handshakes and answers (`web::tls`). Who may depend on it: `app.rs`.

mod ending;
mod files;
mod local_ca;
mod names;

use crate::settings::Settings;
use domain::{Clock, Timestamp};
use files::Files;
use local_ca::LocalCa;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, version};
use tracing::{info, warn};
use web::tls::{Serving, Tls};

/// How often it is looked whether there is a new certificate, or should be.
const LOOK: Duration = Duration::from_secs(2);

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// PEM files: the chain and its key.
    Files {
        /// The server's certificate, then those between it and its root.
        certificate: std::path::PathBuf,
        /// The key of the first of them.
        key: std::path::PathBuf,
    },
    /// An authority of the gateway's own, in this folder.
    LocalCa(std::path::PathBuf),
}

/// Why there is no certificate; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or made.
    #[error("tls: {0}: {1}; it must be there and belong to the user who runs the gateway")]
    Io(String, io::Error),
    /// Others can read a key.
    #[error("tls: the key {0} can be read by others; close it to them: chmod o-rwx {0}")]
    Open(String),
    /// A file holds something else than it should.
    #[error("tls: {0}: {1}")]
    Content(String, &'static str),
    /// The key is of another certificate, or cannot be used.
    #[error("tls: {0} and {1} do not go together ({2}); renew both at once")]
    Pair(String, String, rustls::Error),
    /// The authority does not vouch for a name the gateway has now.
    #[error(
        "tls: the local CA in {folder} does not vouch for {name} ({why}): it was made for other names, or its \
         files are not of one making; move the folder away to have a new CA, which every phone must install"
    )]
    Authority {
        /// Where it is.
        folder: String,
        /// What it should vouch for.
        name: String,
        /// The verifier's reason.
        why: rustls::Error,
    },
    /// The authority has ended.
    #[error(
        "tls: the local CA in {0} ended on {1}; move the folder away to have a new one, which every phone must install"
    )]
    Ended(String, Timestamp),
    /// An authority would be made with a wrong date.
    #[error("tls: the clock says {0}, so a CA made now would be worthless; set the clock first")]
    Clock(Timestamp),
    /// A certificate cannot be made.
    #[error("tls: a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The library refuses.
    #[error("tls: {0}")]
    Library(#[from] rustls::Error),
}

/// Looks after the certificate while the gateway runs.
pub struct Keeper {
    kind: Kind,
    clock: Arc<dyn Clock>,
    serving: watch::Sender<Serving>,
}

enum Kind {
    Files(Files),
    LocalCa(Box<LocalCa>),
}

impl Keeper {
    /// The first certificate, and who looks after it; nothing if TLS is off.
    pub fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Option<(Self, Tls)>, Error> {
        let Some(source) = &settings.tls else { return Ok(None) };
        let (public, now) = (settings.public_url.as_ref(), clock.now());
        let (kind, serving, authority) = match source {
            Source::Files { certificate, key } => {
                let (files, config) = Files::open(certificate, key, public, now)?;
                let origin = names::origin(public, &names::of(public, settings.http), settings.http.port());
                (Kind::Files(files), Serving { config, origin }, None)
            }
            Source::LocalCa(folder) => {
                let (ca, serving) = LocalCa::open(folder, public.cloned(), settings.http, now)?;
                let authority = ca.authority();
                // Under a service manager nobody sees what is printed.
                info!(fingerprint = authority.fingerprint(), "the local CA vouches for this gateway");
                (Kind::LocalCa(Box::new(ca)), serving, Some(authority))
            }
        };
        let (serving, seen) = watch::channel(serving);
        Ok(Some((Self { kind, clock, serving }, Tls::new(seen, authority))))
    }

    /// Renews for as long as it is polled. What is broken is left, and what was there stays.
    pub async fn run(mut self) {
        let mut pause = tokio::time::interval(LOOK);
        loop {
            pause.tick().await;
            let now = self.clock.now();
            let renewed = match &mut self.kind {
                Kind::Files(files) => {
                    let origin = self.serving.borrow().origin.clone();
                    files.look(now).map(|config| config.map(|config| Serving { config, origin }))
                }
                Kind::LocalCa(ca) => ca.look(now),
            };
            match renewed {
                Ok(None) => {}
                Ok(Some(serving)) => {
                    info!("a new tls certificate is served");
                    self.serving.send_replace(serving);
                }
                Err(why) => warn!("the tls certificate stays the one before: {why}"),
            }
        }
    }
}

/// The one provider of cryptography.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// TLS 1.3 and 1.2, HTTP/1.1, one certificate.
fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
