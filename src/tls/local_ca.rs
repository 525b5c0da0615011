//! An authority of the gateway's own: its key never leaves its file, it can vouch
//! for nothing but this gateway's names, and the server's own key is in memory only.

use super::ending::Ending;
use super::{Error, config, names, provider};
use domain::Timestamp;
use ipnet::IpNet;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
};
use tracing::{info, warn};
use url::Host;
use web::PublicUrl;
use web::tls::{Authority, Serving};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// The authority's life: phones are visited once in that time.
const AUTHORITY: Duration = Duration::from_secs(3_653 * 24 * 3_600);
/// A server certificate's life. Browsers take at most 398 days (CA/B BR 6.3.2).
const SERVER: Duration = Duration::from_secs(397 * 24 * 3_600);
/// How long before its end a server certificate is made anew.
const RENEWAL: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Visiting every phone takes a while.
const NOTICE: Duration = Duration::from_secs(90 * 24 * 3_600);
/// After a certificate could not be made.
const RETRY: Duration = Duration::from_secs(3_600);
/// No gateway ran before; a clock that says so is not set.
const EPOCH: &str = "2026-01-01T00:00:00Z";

/// The authority and what it has vouched for last.
pub(super) struct LocalCa {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    ending: Ending,
    public: Option<PublicUrl>,
    listen: SocketAddr,
    names: Vec<Host>,
    from: Timestamp,
    until: Timestamp,
    retry: Option<Timestamp>,
}

impl LocalCa {
    /// Reads the authority, or makes it, and a first certificate with it.
    pub(super) fn open(
        folder: &Path,
        public: Option<PublicUrl>,
        listen: SocketAddr,
        now: Timestamp,
    ) -> Result<(Self, Serving), Error> {
        let (key, certificate) = load_or_create(folder, public.as_ref(), now)?;
        let broken =
            || Error::Content(in_folder(folder, CRT), "it is no certificate; restore it from your backup");
        let ending = Ending::of(&certificate, NOTICE).ok_or_else(broken)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| broken())?;
        let mut ca = Self {
            folder: folder.to_owned(),
            issuer,
            certificate,
            ending,
            names: names::of(public.as_ref(), listen),
            public,
            listen,
            from: now,
            until: now,
            retry: None,
        };
        ca.warn(now);
        let serving = ca.issue(now)?;
        Ok((ca, serving))
    }

    pub(super) fn authority(&self) -> Arc<Authority> {
        Arc::new(Authority { certificate: self.certificate.to_vec(), expires_at: self.ending.at })
    }

    /// A new certificate, if the old one ends soon, begins later (the clock was set
    /// back), or the machine has other addresses.
    pub(super) fn look(&mut self, now: Timestamp) -> Result<Option<Serving>, Error> {
        self.warn(now);
        let names = names::of(self.public.as_ref(), self.listen);
        let good = self.from <= now && now.after(RENEWAL) < self.until;
        let waiting = self.retry.is_some_and(|retry| now < retry && now.after(RETRY) >= retry);
        if waiting || (good && names == self.names) {
            return Ok(None);
        }
        self.names = names;
        self.retry = Some(now.after(RETRY));
        let serving = self.issue(now)?;
        self.retry = None;
        Ok(Some(serving))
    }

    fn warn(&mut self, now: Timestamp) {
        if self.ending.is_worth_a_word(now) {
            let folder = self.folder.display();
            warn!(
                %folder, ends = %self.ending.at,
                "the local CA ends; move its folder away and restart, then install the new one on every phone"
            );
        }
    }

    /// Makes a key and a certificate for it, and checks it as a browser would.
    fn issue(&mut self, now: Timestamp) -> Result<Serving, Error> {
        if now >= self.ending.at {
            return Err(Error::Ended(self.folder.display().to_string(), self.ending.at));
        }
        // Phones' clocks are not exactly ours.
        let from = now.before(DAY);
        let until = from.after(SERVER).min(self.ending.at);
        let mut params = CertificateParams::default();
        params.distinguished_name = called("Sharp Eyes".to_owned());
        params.not_before = moment(from);
        params.not_after = moment(until);
        params.subject_alt_names = self.names.iter().map(alternative).collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        self.check(&certificate, now)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = config(vec![certificate], key)?;
        (self.from, self.until) = (from, until);
        Ok(Serving { config, origin: names::origin(self.public.as_ref(), &self.names, self.listen.port()) })
    }

    fn check(&self, certificate: &CertificateDer<'_>, now: Timestamp) -> Result<(), Error> {
        let refused = |name: &str, why| Error::Authority {
            folder: self.folder.display().to_string(),
            name: name.to_owned(),
            why,
        };
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|why| refused("anything", why))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let verifier = verifier.map_err(|_| Error::Clock(now))?;
        let seconds = u64::try_from(now.0.div_euclid(1_000_000)).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for name in &self.names {
            let text = name.to_string();
            let server = ServerName::try_from(text.trim_matches(['[', ']'])).map_err(|_| {
                refused(&text, tokio_rustls::rustls::Error::General("it is no name".to_owned()))
            })?;
            verifier
                .verify_server_cert(certificate, &[], &server, &[], now)
                .map_err(|why| refused(&text, why))?;
        }
        Ok(())
    }
}

const KEY: &str = "ca.key";
const CRT: &str = "ca.crt";

fn in_folder(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

fn load_or_create(
    folder: &Path,
    public: Option<&PublicUrl>,
    now: Timestamp,
) -> Result<(KeyPair, CertificateDer<'static>), Error> {
    let io = |name: &str| {
        let name = in_folder(folder, name);
        move |error| Error::Io(name, error)
    };
    fs::create_dir_all(folder).map_err(io(""))?;
    let (key_file, crt_file) = (folder.join(KEY), folder.join(CRT));
    if key_file.exists() {
        let mode = fs::metadata(&key_file).map_err(io(KEY))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::Open(in_folder(folder, KEY)));
        }
    } else if crt_file.exists() {
        let why = "it is missing, and phones trust its certificate; restore it from your backup";
        return Err(Error::Content(in_folder(folder, KEY), why));
    } else {
        if Timestamp::parse(EPOCH).is_some_and(|epoch| now < epoch) {
            return Err(Error::Clock(now));
        }
        let key = KeyPair::generate()?;
        create(&key_file, 0o400, key.serialize_pem().as_bytes()).map_err(io(KEY))?;
    }
    let text = fs::read_to_string(&key_file).map_err(io(KEY))?;
    let key = KeyPair::from_pem(&text)
        .map_err(|_| Error::Content(in_folder(folder, KEY), "it is no key; restore it from your backup"))?;
    if !crt_file.exists() {
        let certificate = params(&key, public, now)?.self_signed(&key)?;
        create(&crt_file, 0o444, certificate.pem().as_bytes()).map_err(io(CRT))?;
        info!(folder = %folder.display(), "a local CA is made; back its folder up");
    }
    let certificate =
        CertificateDer::from_pem_slice(&fs::read(&crt_file).map_err(io(CRT))?).map_err(|_| {
            Error::Content(in_folder(folder, CRT), "it is no certificate; restore it from your backup")
        })?;
    Ok((key, certificate))
}

/// The authority. Whoever steals its key can pose as this gateway or something in
/// somebody's own network, but not as a bank: name constraints (RFC 5280,
/// 4.2.1.10) say so, and browsers heed them.
fn params(key: &KeyPair, public: Option<&PublicUrl>, now: Timestamp) -> Result<CertificateParams, Error> {
    let mut permitted = vec![GeneralSubtree::DnsName("localhost".to_owned())];
    permitted.extend(names::local_networks().into_iter().map(subnet));
    match public.and_then(PublicUrl::host) {
        Some(Host::Domain(name)) => permitted.push(GeneralSubtree::DnsName(name)),
        Some(Host::Ipv4(ip)) => permitted.push(subnet(IpAddr::V4(ip).into())),
        Some(Host::Ipv6(ip)) => permitted.push(subnet(IpAddr::V6(ip).into())),
        None => {}
    }
    let mut params = CertificateParams::default();
    let short: String = params.key_identifier(key).iter().take(3).map(|b| format!("{b:02x}")).collect();
    // Gateways of two compounds are two lines in a phone's list.
    params.distinguished_name = called(format!("Sharp Eyes local CA {short}"));
    params.not_before = moment(now.before(DAY));
    params.not_after = moment(now.after(AUTHORITY));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() });
    Ok(params)
}

fn called(name: String) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn subnet(network: IpNet) -> GeneralSubtree {
    GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(network.addr(), network.prefix_len()))
}

fn alternative(name: &Host) -> Result<SanType, rcgen::Error> {
    Ok(match name {
        Host::Domain(name) => SanType::DnsName(name.as_str().try_into()?),
        Host::Ipv4(ip) => SanType::IpAddress((*ip).into()),
        Host::Ipv6(ip) => SanType::IpAddress((*ip).into()),
    })
}

fn moment(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Makes a file that was not there, whole and on the disk.
fn create(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
