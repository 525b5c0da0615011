//! Settings of what leaves the house: channels, and the ways to people.

use super::Error;
use super::channel::{Channel, RawChannel, channels};
use domain::Secret;
use domain::message::contact::is_mail;
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use url::Url;

/// What leaves the house, and where to. Nothing does unless it is set.
#[derive(Clone, Debug, Default)]
pub struct Notify {
    /// Networks where channels and services may be although they are not public.
    pub allow_networks: Vec<IpNet>,
    /// Groups of people and programs that are told.
    pub channels: Vec<Channel>,
    /// Browsers that are closed.
    pub push: Option<Push>,
    /// Letters.
    pub mail: Option<Mail>,
    /// An operator's service that calls and speaks.
    pub voice: Option<Template>,
    /// An operator's service that sends short texts.
    pub sms: Option<Template>,
}

impl Notify {
    /// Whether nothing leaves the house.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.channels.is_empty()
            && self.push.is_none()
            && self.mail.is_none()
            && self.voice.is_none()
            && self.sms.is_none()
    }
}

/// Web Push.
#[derive(Clone, Debug)]
pub struct Push {
    /// Whom a push service asks if something is wrong: `mailto:` or `https:`.
    pub contact: String,
    /// The file with the key that push services know us by.
    pub key_file: PathBuf,
    /// Networks where push services may be although they are not public.
    pub allow_networks: Vec<IpNet>,
}

/// The server that takes our letters.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether TLS begins with the connection, rather than by STARTTLS, or never.
    pub tls: MailTls,
    /// What we sign in with, if we do.
    pub login: Option<(String, Secret)>,
    /// Who the letters are from.
    pub from: String,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// With the connection.
    Wrapped,
    /// After a command.
    StartTls,
    /// Never: only in networks that are allowed.
    Off,
}

/// An operator's service: one request, with what is filled in.
#[derive(Clone, Debug)]
pub struct Template {
    /// GET, POST or PUT.
    pub method: String,
    /// Where to, with placeholders.
    pub url: String,
    /// Headers, with placeholders.
    pub headers: BTreeMap<String, String>,
    /// What is sent, with placeholders.
    pub body: String,
    /// What it knows us by: `{key}`.
    pub key: Option<Secret>,
    /// Answers that say that it is done.
    pub status: Vec<u16>,
    /// What the answer says if it is done.
    pub expect: String,
}

/// What can be filled in.
pub const PLACEHOLDERS: [&str; 10] =
    ["id", "phone", "title", "text", "kind", "kind_text", "point", "time", "locale", "key"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    allow_networks: Vec<String>,
    webhook: Vec<RawChannel>,
    wecom: Vec<RawChannel>,
    dingtalk: Vec<RawChannel>,
    feishu: Vec<RawChannel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPush {
    contact: String,
    key_file: PathBuf,
    allow_networks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMail {
    host: String,
    port: u16,
    tls: String,
    username: String,
    password: String,
    password_file: PathBuf,
    from: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTemplate {
    url: String,
    method: String,
    headers: BTreeMap<String, String>,
    body: String,
    key: String,
    key_file: PathBuf,
    status: Vec<u16>,
    expect: String,
}

pub(super) fn wrong<T>(key: &'static str, why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Value { key, why: why.into() })
}

/// A secret from the settings, or from the file that they name.
pub(super) fn secret(key: &'static str, text: &str, file: &Path) -> Result<Option<Secret>, Error> {
    if file.as_os_str().is_empty() {
        return Ok((!text.is_empty()).then(|| Secret::new(text)));
    }
    if !text.is_empty() {
        return wrong(key, "it is there twice; write it here or name a file, not both");
    }
    let name = file.display();
    let read = || {
        let open = std::fs::metadata(file)?.permissions().mode() & 0o007 != 0;
        Ok((open, std::fs::read_to_string(file)?))
    };
    match read() {
        Err::<_, std::io::Error>(error) => wrong(key, format!("{name}: {error}")),
        Ok((true, _)) => {
            wrong(key, format!("{name} can be read by others; close it to them: chmod o-rwx {name}"))
        }
        Ok((false, text)) if text.trim().is_empty() => wrong(key, format!("{name} is empty")),
        Ok((false, text)) => Ok(Some(Secret::new(text.trim()))),
    }
}

pub(super) fn needed(key: &'static str, what: &str, text: &str, file: &Path) -> Result<Secret, Error> {
    let found = secret(key, text, file)?;
    found.ok_or_else(|| Error::Value { key, why: format!("it is missing; write {what}, or name its file") })
}

/// An address that requests go to. Whether it may be reached is seen when they do.
pub(super) fn address(key: &'static str, text: &str) -> Result<Url, Error> {
    let Ok(url) = Url::parse(text) else {
        return wrong(key, format!("{text:?} is no address; write it like https://example.net/alarms"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong(key, "it holds a password; where one is needed there is a key for it");
    }
    crate::notify::guard::check_scheme(&url).map_err(|why| Error::Value { key, why: why.to_string() })?;
    Ok(url)
}

fn push(raw: RawPush, networks: Networks<'_>) -> Result<Option<Push>, Error> {
    if raw.contact.is_empty() {
        return Ok(None);
    }
    let reachable = raw.contact.strip_prefix("mailto:").is_some_and(is_mail)
        || Url::parse(&raw.contact).is_ok_and(|url| url.scheme() == "https");
    if !reachable {
        return wrong(
            "push.contact",
            "push services want to know whom to ask; write mailto:NAME@HOST or https://…",
        );
    }
    if raw.key_file.as_os_str().is_empty() {
        return wrong("push.key_file", "it names the file that the key is kept in");
    }
    let allow_networks = networks("push.allow_networks", &raw.allow_networks)?;
    Ok(Some(Push { contact: raw.contact, key_file: raw.key_file, allow_networks }))
}

fn mail(raw: RawMail) -> Result<Option<Mail>, Error> {
    if raw.host.is_empty() {
        return Ok(None);
    }
    let tls = match raw.tls.as_str() {
        "tls" => MailTls::Wrapped,
        "starttls" => MailTls::StartTls,
        "off" => MailTls::Off,
        other => {
            return wrong(
                "mail.tls",
                format!("{other:?} is not known; write \"tls\", \"starttls\" or \"off\""),
            );
        }
    };
    if !is_mail(&raw.from) {
        return wrong("mail.from", format!("{:?} is no address; write it like alarms@example.net", raw.from));
    }
    let password = secret("mail.password", &raw.password, &raw.password_file)?;
    let login = match (raw.username.is_empty(), password) {
        (true, None) => None,
        (false, Some(password)) => Some((raw.username, password)),
        (true, Some(_)) => return wrong("mail.username", "there is a password and nobody it belongs to"),
        (false, None) => return wrong("mail.password", "it is missing; write it, or name its file"),
    };
    Ok(Some(Mail { host: raw.host, port: raw.port, tls, login, from: raw.from }))
}

/// Keys of the settings of one template.
struct TemplateNames {
    url: &'static str,
    method: &'static str,
    headers: &'static str,
    body: &'static str,
    key: &'static str,
    status: &'static str,
}

const VOICE: TemplateNames = TemplateNames {
    url: "voice.url",
    method: "voice.method",
    headers: "voice.headers",
    body: "voice.body",
    key: "voice.key",
    status: "voice.status",
};
const SMS: TemplateNames = TemplateNames {
    url: "sms.url",
    method: "sms.method",
    headers: "sms.headers",
    body: "sms.body",
    key: "sms.key",
    status: "sms.status",
};

fn template(raw: RawTemplate, names: &TemplateNames) -> Result<Option<Template>, Error> {
    if raw.url.is_empty() {
        return Ok(None);
    }
    let mut texts = vec![(names.url, &raw.url), (names.body, &raw.body)];
    texts.extend(raw.headers.values().map(|value| (names.headers, value)));
    for (key, text) in texts {
        if let Some(unknown) = crate::notify::operator::unknown(text) {
            let known = PLACEHOLDERS.join("}, {");
            return wrong(key, format!("{{{unknown}}} is not known; there are {{{known}}}"));
        }
    }
    let sample = crate::notify::operator::sample(&raw.url);
    address(names.url, &sample)?;
    let host = raw.url.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
    if host.is_none_or(|host| host.contains('{')) {
        return wrong(names.url, "its host is written out; nothing is filled in there");
    }
    if !["GET", "POST", "PUT"].contains(&raw.method.as_str()) {
        return wrong(
            names.method,
            format!("{:?} is not known; write \"GET\", \"POST\" or \"PUT\"", raw.method),
        );
    }
    for (name, value) in &raw.headers {
        let value = crate::notify::operator::sample(value);
        if !crate::notify::outgoing::is_header(name, &value) {
            return wrong(names.headers, format!("{name:?} is no header that can be sent"));
        }
    }
    if raw.status.is_empty() || raw.status.iter().any(|status| !(200..300).contains(status)) {
        return wrong(names.status, "it lists answers that say that it is done, like [200]");
    }
    let key = secret(names.key, &raw.key, &raw.key_file)?;
    let asks =
        [&raw.url, &raw.body].into_iter().chain(raw.headers.values()).any(|text| text.contains("{key}"));
    if asks && key.is_none() {
        return wrong(names.key, "{key} is to be filled in and there is none; write it, or name its file");
    }
    Ok(Some(Template {
        method: raw.method,
        url: raw.url,
        headers: raw.headers,
        body: raw.body,
        key,
        status: raw.status,
        expect: raw.expect,
    }))
}

/// Reads a list of networks.
type Networks<'a> = &'a dyn Fn(&'static str, &[String]) -> Result<Vec<IpNet>, Error>;

pub(super) fn check(
    raw: RawNotify,
    push: RawPush,
    mail: RawMail,
    voice: RawTemplate,
    sms: RawTemplate,
    networks: Networks<'_>,
) -> Result<Notify, Error> {
    Ok(Notify {
        allow_networks: networks("notify.allow_networks", &raw.allow_networks)?,
        channels: channels(raw.webhook, raw.wecom, raw.dingtalk, raw.feishu)?,
        push: self::push(push, networks)?,
        mail: self::mail(mail)?,
        voice: template(voice, &VOICE)?,
        sms: template(sms, &SMS)?,
    })
}

#[cfg(test)]
mod tests {
    use crate::Settings;
    use crate::settings::Kind;

    fn error(text: &str) -> String {
        Settings::parse(text).unwrap_err().to_string()
    }

    const HOOK: &str = "[[notify.webhook]]\nname = \"crm\"\nurl = \"https://example.net/a\"\n";

    #[test]
    fn nothing_leaves_the_house_unless_it_is_set() {
        let notify = Settings::parse("").unwrap().notify;
        assert!(notify.channels.is_empty() && notify.push.is_none() && notify.mail.is_none());
        assert!(notify.voice.is_none() && notify.sms.is_none() && notify.allow_networks.is_empty());
    }

    #[test]
    fn the_example_is_right() {
        let notify = Settings::parse(include_str!("../../config/notify.example.toml")).unwrap().notify;
        assert_eq!(notify.channels.len(), 4);
        assert!(
            notify.push.is_some() && notify.mail.is_some() && notify.voice.is_some() && notify.sms.is_some()
        );
    }

    #[test]
    fn a_wrong_key_of_a_channel_names_the_nearest_right_one() {
        for (kind, key, nearest) in [
            ("wecom", "kye", "key"),
            ("feishu", "tokn", "token"),
            ("webhook", "token", "name"),
            ("dingtalk", "local", "locale"),
        ] {
            let text = error(&format!("[[notify.{kind}]]\nname = \"a\"\n{key} = \"x\""));
            let expected = format!("there is no setting notify.{kind}.{key}; did you mean notify.{kind}.");
            assert!(text.starts_with(&expected), "{text}");
            assert!(kind == "webhook" || text.ends_with(&format!(".{nearest}?")), "{text}");
        }
        assert!(error("[notify]\nwebhok = []").contains("did you mean notify.webhook?"));
        assert!(error("[mail]\npasword = \"x\"").contains("did you mean mail.password?"));
        assert!(error("[voise]\nurl = \"\"").contains("did you mean voice.url?"));
    }

    #[test]
    fn a_wrong_value_says_what_to_write() {
        let key = "key = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";
        let with = |rest: &str| error(&format!("{HOOK}{rest}"));
        assert!(with("").contains("notify.webhook.key: it is missing"));
        assert!(with("key = \"short\"").contains("openssl rand -base64 32"));
        assert!(with(&format!("{key}locale = \"fr\"")).contains("\"zh-CN\" or \"en\""));
        assert!(with(&format!("{key}{HOOK}{key}")).contains("a name of its own"));
        assert!(error("[[notify.webhook]]\nname = \"a\"").contains("notify.webhook.url: it is missing"));
        assert!(error("[[notify.wecom]]\nkey = \"x\"").contains("notify.wecom.name"));
        assert!(error("[[notify.dingtalk]]\nname = \"a\"\nkey = \"x\"").contains("access_token"));
        let url = |url: &str| error(&format!("[[notify.wecom]]\nname = \"a\"\nkey = \"x\"\nurl = \"{url}\""));
        assert!(url("ftp://example.net").contains("https://"));
        assert!(url("https://a:b@example.net").contains("password"));
        assert!(url("nowhere").contains("no address"));
        assert!(error("[push]\ncontact = \"me\"").contains("mailto:"));
        assert!(error("[mail]\nhost = \"a\"\nfrom = \"me\"").contains("alarms@example.net"));
        let mail = |rest: &str| error(&format!("[mail]\nhost = \"a\"\nfrom = \"a@b.cn\"\n{rest}"));
        assert!(mail("username = \"a\"").contains("mail.password: it is missing"));
        assert!(mail("password = \"a\"").contains("mail.username"));
        assert!(mail("tls = \"yes\"").contains("\"starttls\""));
        let sms = |rest: &str| error(&format!("[sms]\nurl = \"https://example.net/{{phone}}\"\n{rest}"));
        assert!(sms("body = \"{name}\"").contains("{name} is not known; there are {id}, {phone}"));
        assert!(sms("body = \"{key}\"").contains("sms.key"));
        assert!(sms("method = \"DELETE\"").contains("\"POST\""));
        assert!(sms("status = [404]").contains("[200]"));
        assert!(sms("headers = { \"a b\" = \"c\" }").contains("no header"));
        assert!(error("[voice]\nurl = \"{phone}\"").contains("voice.url"));
        assert!(error("[voice]\nurl = \"https://{point}.example.net/\"").contains("written out"));
        assert!(error("[notify]\nallow_networks = [\"x\"]").contains("notify.allow_networks"));
    }

    #[test]
    fn a_secret_is_read_from_a_file_that_nobody_else_can_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = std::env::temp_dir().join(format!("sharp-eyes-secret-{}", std::process::id()));
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::write(&file, "the-key\n").unwrap();
        let text = format!("[[notify.wecom]]\nname = \"a\"\nkey_file = \"{}\"\n", file.display());
        mode(0o600);
        let settings = Settings::parse(&text).unwrap();
        let Kind::WeCom(key) = &settings.notify.channels[0].kind else { panic!("{settings:?}") };
        assert_eq!(key.expose(), "the-key");
        assert!(!format!("{settings:?}").contains("the-key"));
        mode(0o644);
        assert!(error(&text).contains("chmod o-rwx"));
        mode(0o600);
        assert!(error(&format!("{text}key = \"x\"")).contains("not both"));
        std::fs::remove_file(&file).unwrap();
        assert!(error(&text).contains("notify.wecom.key"));
    }
}
