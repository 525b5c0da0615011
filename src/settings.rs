//! Settings: `config/default.toml` is the list of keys; a file may change some.
//! Nobody else reads settings from files or the environment.

mod channel;
mod mqtt;
mod notify;

pub use channel::{Channel, Kind};
pub use mqtt::Mqtt;
pub use notify::{Mail, MailTls, Notify, PLACEHOLDERS, Push, Template};

use crate::disk;
use crate::tls::Source;
use domain::person::StaffPasskeys;
use ipnet::IpNet;
use media::gop::{Budget, ByteBudget};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};
use url::Url;
use web::PublicUrl;

const DEFAULT: &str = include_str!("../config/default.toml");

/// Complete and checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the app and the API listen.
    pub http: SocketAddr,
    /// How people reach the gateway, if it is set.
    pub public_url: Option<PublicUrl>,
    /// Where the certificate of the gateway's own TLS comes from, if it speaks TLS.
    pub tls: Option<Source>,
    /// Whether who holds a role may do without a passkey.
    pub staff_passkeys: StaffPasskeys,
    /// Proxies whose word on a client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Where RTSP players connect, if they may.
    pub rtsp: Option<SocketAddr>,
    /// WebRTC, if it is on.
    pub webrtc: Option<Webrtc>,
    /// `sqlite:…` or `postgres:…`.
    pub database: String,
    /// The file with the sealing key.
    pub key_file: PathBuf,
    /// The file in which the audit chain's head is noted, if it is.
    pub anchor: Option<PathBuf>,
    /// Where viewings of those on duty go while the register cannot be written.
    pub spool: Option<PathBuf>,
    /// How long events are kept; nothing keeps them for ever.
    pub keep_events: Option<Duration>,
    /// Where events wait while the database is away.
    pub event_spool: Option<PathBuf>,
    /// How much of the database's disk is held back; nothing if it is not watched.
    pub disk: Option<disk::Limits>,
    /// The broker that devices tell by, if there is one.
    pub mqtt: Option<Mqtt>,
    /// Special networks where cameras may be.
    pub allow_networks: Vec<IpNet>,
    /// What is kept of each stream.
    pub ring: Budget,
    /// How much is decoded.
    pub decode: Decode,
    /// What leaves the house when an alarm calls people.
    pub notify: Notify,
    /// What is logged.
    pub log: String,
}

/// The decode process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decode {
    /// The program, if it is not the one beside this one.
    pub program: Option<PathBuf>,
    /// Still pictures at the same time.
    pub stills: usize,
    /// Streams in another codec at the same time.
    pub conversions: usize,
}

/// Where browsers connect by WebRTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webrtc {
    /// Address and port, for UDP and TCP alike.
    pub listen: SocketAddr,
    /// The addresses that browsers are told; empty for the machine's own.
    pub public_addresses: Vec<IpAddr>,
}

/// The file, key by key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    http: RawHttp,
    rtsp: RawRtsp,
    webrtc: RawWebrtc,
    database: RawDatabase,
    secrets: RawSecrets,
    accounts: RawAccounts,
    audit: RawAudit,
    events: RawEvents,
    disk: RawDisk,
    mqtt: mqtt::RawMqtt,
    cameras: RawCameras,
    stream: RawStream,
    decode: RawDecode,
    notify: notify::RawNotify,
    push: notify::RawPush,
    mail: notify::RawMail,
    voice: notify::RawTemplate,
    sms: notify::RawTemplate,
    log: RawLog,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHttp {
    listen: String,
    public_url: String,
    tls: String,
    certificate: PathBuf,
    key: PathBuf,
    ca_folder: PathBuf,
    trusted_proxies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRtsp {
    listen: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebrtc {
    listen: String,
    public_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDatabase {
    url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecrets {
    key_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAccounts {
    staff_passkeys: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAudit {
    anchor_file: PathBuf,
    spool_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvents {
    keep_days: u32,
    spool_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDisk {
    reserve_bytes: u64,
    floor_bytes: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCameras {
    allow_networks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStream {
    ring_bytes: usize,
    ring_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDecode {
    program: PathBuf,
    stills: usize,
    conversions: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    filter: String,
}

/// What is wrong with the settings; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The file is no TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// A key that is not in the list.
    #[error("there is no setting {key}; did you mean {nearest}?")]
    Unknown {
        /// The key that was found.
        key: String,
        /// The one that was probably meant.
        nearest: String,
    },
    /// A value that cannot be used.
    #[error("{key}: {why}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
    /// A value of another type than expected.
    #[error("{0}")]
    Type(String),
}

impl Settings {
    /// Reads `file`, or takes the defaults without one.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Error::File(path.display().to_string(), error))?,
        };
        Self::parse(&text)
    }

    /// Settings from the text of a file.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let defaults: Table = DEFAULT.parse().expect("default.toml is TOML, a test reads it");
        let file: Table = text.parse().map_err(|error: toml::de::Error| Error::Syntax(error.to_string()))?;
        check_keys(&defaults, &file)?;
        channel::check_keys(&file)?;
        let mut whole = defaults;
        for (section, values) in file {
            match (whole.get_mut(&section), values) {
                (Some(Value::Table(known)), Value::Table(values)) => known.extend(values),
                _ => return Err(Error::Type(format!("[{section}] is a section; write its keys below it"))),
            }
        }
        let raw: RawSettings =
            whole.try_into().map_err(|error: toml::de::Error| Error::Type(error.message().to_owned()))?;
        check(raw)
    }
}

/// Every key of the file is a key of the list.
fn check_keys(known: &Table, file: &Table) -> Result<(), Error> {
    let dotted = |table: &Table| -> Vec<String> {
        let keys = |(section, values): (&String, &Value)| match values {
            Value::Table(values) => values.keys().map(|key| format!("{section}.{key}")).collect(),
            _ => vec![section.clone()],
        };
        table.iter().flat_map(keys).collect()
    };
    let known_keys = dotted(known);
    let empty = file
        .iter()
        .filter(|(name, v)| v.as_table().is_some_and(Table::is_empty) && !known.contains_key(*name));
    for key in dotted(file).into_iter().chain(empty.map(|(name, _)| name.clone())) {
        if known_keys.contains(&key) || known.get(&key).is_some() {
            continue;
        }
        let nearest = known_keys.iter().min_by_key(|known| strsim::damerau_levenshtein(known, &key));
        return Err(Error::Unknown { key, nearest: nearest.cloned().unwrap_or_default() });
    }
    Ok(())
}

fn check(raw: RawSettings) -> Result<Settings, Error> {
    let address = |key, text: &str| {
        let why = || format!("{text:?} is no address; write it like 0.0.0.0:8080 or [::]:8080");
        text.parse::<SocketAddr>().map_err(|_| Error::Value { key, why: why() })
    };
    let networks = |key, texts: &[String]| {
        let network = |text: &String| {
            let why = || format!("{text:?} is no network; write it like 127.0.0.0/8");
            text.parse::<IpNet>().map_err(|_| Error::Value { key, why: why() })
        };
        texts.iter().map(network).collect::<Result<Vec<_>, _>>()
    };
    let database = raw.database.url;
    if !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| database.starts_with(scheme)) {
        let why = "it begins with sqlite: or postgres:".to_owned();
        return Err(Error::Value { key: "database.url", why });
    }
    if raw.stream.ring_bytes < 1 << 20 || !(1..=300).contains(&raw.stream.ring_seconds) {
        let why = "ring_bytes is at least 1048576, ring_seconds 1 to 300".to_owned();
        return Err(Error::Value { key: "stream", why });
    }
    if !(1..=64).contains(&raw.decode.stills) || raw.decode.conversions > 64 {
        let why = "stills is 1 to 64, conversions 0 to 64".to_owned();
        return Err(Error::Value { key: "decode", why });
    }
    if raw.audit.spool_file == raw.events.spool_file && !raw.events.spool_file.as_os_str().is_empty() {
        let why = "it is another file than audit.spool_file".to_owned();
        return Err(Error::Value { key: "events.spool_file", why });
    }
    let tls = tls(&raw.http)?;
    let public_url = public_url(&raw.http.public_url, tls.is_some())?;
    let staff_passkeys = staff_passkeys(&raw.accounts.staff_passkeys, public_url.as_ref())?;
    Ok(Settings {
        http: address("http.listen", &raw.http.listen)?,
        public_url,
        tls,
        staff_passkeys,
        trusted_proxies: networks("http.trusted_proxies", &raw.http.trusted_proxies)?,
        rtsp: match raw.rtsp.listen.as_str() {
            "" => None,
            text => Some(address("rtsp.listen", text)?),
        },
        webrtc: match raw.webrtc.listen.as_str() {
            "" => None,
            text => Some(Webrtc {
                listen: address("webrtc.listen", text)?,
                public_addresses: addresses(&raw.webrtc.public_addresses)?,
            }),
        },
        database,
        key_file: raw.secrets.key_file,
        spool: Some(raw.audit.spool_file).filter(|path| !path.as_os_str().is_empty()),
        keep_events: (raw.events.keep_days > 0)
            .then(|| Duration::from_secs(u64::from(raw.events.keep_days) * 24 * 3_600)),
        event_spool: Some(raw.events.spool_file).filter(|path| !path.as_os_str().is_empty()),
        disk: (raw.disk.reserve_bytes > 0)
            .then_some(disk::Limits { reserve: raw.disk.reserve_bytes, floor: raw.disk.floor_bytes }),
        mqtt: mqtt::check(raw.mqtt)?,
        anchor: Some(raw.audit.anchor_file).filter(|path| !path.as_os_str().is_empty()),
        allow_networks: networks("cameras.allow_networks", &raw.cameras.allow_networks)?,
        ring: Budget {
            bytes: ByteBudget(raw.stream.ring_bytes),
            age: Duration::from_secs(raw.stream.ring_seconds),
        },
        decode: Decode {
            program: Some(raw.decode.program).filter(|path| !path.as_os_str().is_empty()),
            stills: raw.decode.stills,
            conversions: raw.decode.conversions,
        },
        notify: notify::check(raw.notify, raw.push, raw.mail, raw.voice, raw.sms, &networks)?,
        log: raw.log.filter,
    })
}

fn addresses(texts: &[String]) -> Result<Vec<IpAddr>, Error> {
    let address = |text: &String| {
        let why = || format!("{text:?} is no address; write the number, like 203.0.113.7 or 2001:db8::7");
        text.parse::<IpAddr>().map_err(|_| Error::Value { key: "webrtc.public_addresses", why: why() })
    };
    texts.iter().map(address).collect()
}

fn tls(http: &RawHttp) -> Result<Option<Source>, Error> {
    let named = |key, path: &PathBuf, what| {
        let why = || format!("with tls = {:?} it names {what}", http.tls);
        if path.as_os_str().is_empty() { Err(Error::Value { key, why: why() }) } else { Ok(path.clone()) }
    };
    match http.tls.as_str() {
        "off" => Ok(None),
        "files" => Ok(Some(Source::Files {
            certificate: named("http.certificate", &http.certificate, "the PEM file with the certificate")?,
            key: named("http.key", &http.key, "the PEM file with its key")?,
        })),
        "local_ca" => Ok(Some(Source::LocalCa(named("http.ca_folder", &http.ca_folder, "a folder")?))),
        other => {
            let why = format!("{other:?} is not known; write \"off\", \"files\" or \"local_ca\"");
            Err(Error::Value { key: "http.tls", why })
        }
    }
}

fn public_url(text: &str, tls: bool) -> Result<Option<PublicUrl>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(text).ok().and_then(PublicUrl::new);
    if tls && url.as_ref().is_some_and(|url| !url.is_secure()) {
        let why = format!("{text:?} is without TLS, which http.tls switches on; write https://");
        return Err(Error::Value { key: "http.public_url", why });
    }
    let why = format!("{text:?} is no address of a page; write it like https://eyes.example.net");
    url.map(Some).ok_or(Error::Value { key: "http.public_url", why })
}

fn staff_passkeys(text: &str, public: Option<&PublicUrl>) -> Result<StaffPasskeys, Error> {
    let wrong = |why: String| Error::Value { key: "accounts.staff_passkeys", why };
    let known = StaffPasskeys::from_word(text)
        .ok_or_else(|| wrong(format!("{text:?} is not known; write \"offered\" or \"required\"")))?;
    // Otherwise nobody who holds a role could sign in.
    if known == StaffPasskeys::Required && public.and_then(PublicUrl::passkey_place).is_none() {
        let why =
            "passkeys need http.public_url to be an https address with a name, like https://eyes.example.net";
        return Err(wrong(why.to_owned()));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Settings::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_complete_and_right() {
        let settings = Settings::parse("").unwrap();
        assert_eq!(settings.http.port(), 8080);
        assert_eq!(settings.rtsp.unwrap().port(), 8554);
        assert_eq!(settings.webrtc.unwrap().listen.port(), 8189);
        assert_eq!(settings.ring, Budget::default());
        assert!(settings.public_url.is_none() && settings.allow_networks.is_empty());
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let settings = Settings::parse(
            "[http]\npublic_url = \"https://eyes.example.net\"\n[rtsp]\nlisten = \"\"\n\
             [webrtc]\npublic_addresses = [\"203.0.113.7\", \"2001:db8::7\"]\n[cameras]\nallow_networks = [\"127.0.0.0/8\"]",
        )
        .unwrap();
        assert!(settings.public_url.unwrap().is_secure());
        assert!(settings.rtsp.is_none());
        assert_eq!(settings.webrtc.unwrap().public_addresses.len(), 2);
        assert!(Settings::parse("[webrtc]\nlisten = \"\"").unwrap().webrtc.is_none());
        assert_eq!(settings.allow_networks.len(), 1);
        assert_eq!(settings.http.port(), 8080);
    }

    #[test]
    fn passkeys_are_required_only_where_browsers_have_them() {
        let required = |url: &str| {
            let text = format!("[http]\npublic_url = \"{url}\"\n[accounts]\nstaff_passkeys = \"required\"");
            Settings::parse(&text).is_ok()
        };
        for url in ["https://eyes.example.net", "https://eyes.example.net:8443", "http://localhost:8080"] {
            assert!(required(url), "{url}");
        }
        for url in ["", "https://192.168.1.5", "https://[fd00::1]", "http://eyes.example.net"] {
            assert!(!required(url), "{url}");
        }
    }

    #[test]
    fn a_wrong_key_names_the_nearest_right_one() {
        let text = error("[http]\nlisen = \"0.0.0.0:80\"");
        assert_eq!(text, "there is no setting http.lisen; did you mean http.listen?");
        assert!(error("[camera]\nallow_networks = []").contains("did you mean cameras.allow_networks?"));
        assert!(error("[databse]").contains("there is no setting databse"));
        assert!(error("listen = \"x\"").contains("did you mean"));
    }

    #[test]
    fn a_wrong_value_says_what_to_write() {
        assert!(error("[http]\nlisten = \"8080\"").contains("like 0.0.0.0:8080"));
        assert!(error("[database]\nurl = \"mysql://x\"").contains("sqlite:"));
        assert!(error("[cameras]\nallow_networks = [\"all\"]").contains("127.0.0.0/8"));
        assert!(error("[http]\nlisten = 8080").contains("string"));
        assert!(error("[webrtc]\nlisten = \"8189\"").contains("webrtc.listen"));
        assert!(error("[webrtc]\npublic_addresses = [\"eyes.example.net\"]").contains("203.0.113.7"));
        assert!(error("[accounts]\nstaff_passkeys = \"yes\"").contains("\"required\""));
        assert!(error("[accounts]\nstaff_passkeys = \"required\"").contains("http.public_url"));
        assert!(error("http = 1").contains("section"));
        assert!(error("[http]\ntls = \"on\"").contains("\"local_ca\""));
        assert!(error("[http]\ntls = \"files\"").contains("http.certificate"));
        assert!(error("[http]\ntls = \"files\"\ncertificate = \"a\"").contains("http.key"));
        let plain = "[http]\ntls = \"local_ca\"\npublic_url = \"http://eyes.home\"";
        assert!(error(plain).contains("write https://"));
        assert!(error("[stream]\nring_seconds = 0").contains("1 to 300"));
        assert!(error("[decode]\nstills = 0").contains("1 to 64"));
        let one = "[audit]\nspool_file = \"a\"\n[events]\nspool_file = \"a\"";
        assert!(error(one).contains("another file"));
    }
}
