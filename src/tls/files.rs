//! Certificates that somebody else makes and renews, as PEM files.

use super::ending::Ending;
use super::{Error, config};
use domain::Timestamp;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use tracing::warn;
use web::PublicUrl;

/// Whoever renews automatically has done so two weeks before the end.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 3_600);

/// The two files, and how they looked when they were read last.
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    stamps: [Option<Stamp>; 2],
    host: Option<String>,
    ending: Ending,
}

/// Changes when a file is written or replaced: when, which file, how long.
type Stamp = (i64, i64, u64, u64);

impl Files {
    pub(super) fn open(
        certificate: &Path,
        key: &Path,
        public: Option<&PublicUrl>,
        now: Timestamp,
    ) -> Result<(Self, Arc<ServerConfig>), Error> {
        let stamps = [stamp(certificate), stamp(key)];
        let host = public.and_then(PublicUrl::host).map(|host| host.to_string());
        let (config, ending) = read(certificate, key, host.as_deref())?;
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let mut files = Self { certificate, key, stamps, host, ending };
        files.warn(now);
        Ok((files, config))
    }

    /// A new certificate, if the files have changed.
    pub(super) fn look(&mut self, now: Timestamp) -> Result<Option<Arc<ServerConfig>>, Error> {
        self.warn(now);
        let stamps = [stamp(&self.certificate), stamp(&self.key)];
        if stamps == self.stamps {
            return Ok(None);
        }
        // Noted first: what is broken is said once, and read again when it changes.
        self.stamps = stamps;
        let (config, ending) = read(&self.certificate, &self.key, self.host.as_deref())?;
        self.ending = ending;
        Ok(Some(config))
    }

    fn warn(&mut self, now: Timestamp) {
        if self.ending.is_worth_a_word(now) {
            let file = self.certificate.display();
            warn!(%file, ends = %self.ending.at, "the tls certificate ends; put a new one in its place");
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.mtime(), meta.mtime_nsec(), meta.ino(), meta.len()))
}

fn read(certificate: &Path, key: &Path, host: Option<&str>) -> Result<(Arc<ServerConfig>, Ending), Error> {
    let bytes =
        |path: &Path| fs::read(path).map_err(|error: io::Error| Error::Io(path.display().to_string(), error));
    let name = |path: &Path| path.display().to_string();
    let none = "it holds no certificate; give a PEM file that begins with -----BEGIN CERTIFICATE-----";
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Content(name(certificate), none))?;
    let first = chain.first().ok_or_else(|| Error::Content(name(certificate), none))?;
    let ending = Ending::of(first, NOTICE).ok_or_else(|| Error::Content(name(certificate), none))?;
    let parsed = ParsedCertificate::try_from(first)?;
    let served = host.and_then(|host| ServerName::try_from(host.trim_matches(['[', ']'])).ok());
    if served.is_some_and(|served| verify_server_name(&parsed, &served).is_err()) {
        let file = certificate.display();
        warn!(%file, host, "the tls certificate is not for the host of http.public_url; browsers will warn");
    }
    let secret = bytes(key)?;
    let mode = fs::metadata(key).map_err(|error| Error::Io(name(key), error))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(Error::Open(name(key)));
    }
    let key_der = PrivateKeyDer::from_pem_slice(&secret).map_err(|_| {
        let why = "it holds no key without a password; give a PEM file that begins with -----BEGIN PRIVATE KEY-----";
        Error::Content(name(key), why)
    })?;
    let config = config(chain, key_der).map_err(|why| Error::Pair(name(certificate), name(key), why))?;
    Ok((config, ending))
}
