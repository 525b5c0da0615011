//! Channels: groups of people and programs that are told, each with what it knows us by.

use super::Error;
use super::notify::{address, needed, wrong};
use domain::Secret;
use domain::message::Way;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use toml::{Table, Value};
use url::Url;

/// One channel.
#[derive(Clone, Debug)]
pub struct Channel {
    /// What it is called in the log.
    pub name: String,
    /// The language of its messages.
    pub locale: String,
    /// The name of the site whose alarms it is told of; of all without one.
    pub site: Option<String>,
    /// Whether it is told of silent alarms: nobody but those on duty reads it.
    pub duress: bool,
    /// Where it is.
    pub url: Url,
    /// What it is.
    pub kind: Kind,
}

/// What a channel is, with what it knows us by.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Another program, and the key of the signatures.
    Webhook(Secret),
    /// A bot of WeCom, by its key.
    WeCom(Secret),
    /// A bot of DingTalk: its token, and the key of the signatures.
    DingTalk(Secret, Secret),
    /// A bot of Feishu: its token, and the key of the signatures.
    Feishu(Secret, Secret),
}

impl Kind {
    /// The way that it is.
    #[must_use]
    pub fn way(&self) -> Way {
        match self {
            Self::Webhook(_) => Way::Webhook,
            Self::WeCom(_) => Way::WeCom,
            Self::DingTalk(..) => Way::DingTalk,
            Self::Feishu(..) => Way::Feishu,
        }
    }
}

/// Every key that a channel of any kind may have; [`KEYS`] says which ones have which.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawChannel {
    name: String,
    locale: Option<String>,
    site: String,
    duress: bool,
    url: Option<String>,
    key: String,
    key_file: PathBuf,
    token: String,
    token_file: PathBuf,
}

/// The keys of each kind of channel.
const KEYS: [(&str, &[&str]); 4] = [
    ("webhook", &["name", "locale", "site", "duress", "url", "key", "key_file"]),
    ("wecom", &["name", "locale", "site", "duress", "url", "key", "key_file"]),
    ("dingtalk", &["name", "locale", "site", "duress", "url", "token", "token_file", "key", "key_file"]),
    ("feishu", &["name", "locale", "site", "duress", "url", "token", "token_file", "key", "key_file"]),
];

/// Every key of a channel is a key of its kind.
pub(super) fn check_keys(file: &Table) -> Result<(), Error> {
    let Some(Value::Table(notify)) = file.get("notify") else { return Ok(()) };
    for (kind, known) in KEYS {
        let channels = notify.get(kind).and_then(Value::as_array).into_iter().flatten();
        for key in channels.filter_map(Value::as_table).flat_map(Table::keys) {
            if !known.contains(&key.as_str()) {
                let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key));
                let name = |key: &str| format!("notify.{kind}.{key}");
                return Err(Error::Unknown { key: name(key), nearest: name(nearest.unwrap_or(&"name")) });
            }
        }
    }
    Ok(())
}

/// Keys of the settings of one kind of channel.
struct Names {
    name: &'static str,
    locale: &'static str,
    url: &'static str,
    key: &'static str,
    token: &'static str,
}

fn channel(
    raw: RawChannel,
    names: &Names,
    official: Option<&str>,
) -> Result<(Channel, Secret, PathBuf, String), Error> {
    let fits = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == ' ';
    if raw.name.is_empty() || raw.name.chars().count() > 40 || !raw.name.chars().all(fits) {
        return wrong(
            names.name,
            format!("{:?} is no name; write one of letters, digits and dashes", raw.name),
        );
    }
    let locale = raw.locale.unwrap_or_else(|| "zh-CN".to_owned());
    if !["zh-CN", "en"].contains(&locale.as_str()) {
        return wrong(names.locale, format!("{locale:?} is not known; write \"zh-CN\" or \"en\""));
    }
    let url = match raw.url.as_deref().or(official) {
        Some(text) => address(names.url, text)?,
        None => return wrong(names.url, format!("it is missing; write where {} is told", raw.name)),
    };
    let key = needed(names.key, "what it signs or is known by", &raw.key, &raw.key_file)?;
    let channel = Channel {
        name: raw.name,
        locale,
        site: Some(raw.site).filter(|site| !site.is_empty()),
        duress: raw.duress,
        url,
        kind: Kind::WeCom(key.clone()),
    };
    Ok((channel, key, raw.token_file, raw.token))
}

macro_rules! names {
    ($kind:literal) => {
        Names {
            name: concat!("notify.", $kind, ".name"),
            locale: concat!("notify.", $kind, ".locale"),
            url: concat!("notify.", $kind, ".url"),
            key: concat!("notify.", $kind, ".key"),
            token: concat!("notify.", $kind, ".token"),
        }
    };
}

/// The channels of all kinds.
pub(super) fn channels(
    webhook: Vec<RawChannel>,
    wecom: Vec<RawChannel>,
    dingtalk: Vec<RawChannel>,
    feishu: Vec<RawChannel>,
) -> Result<Vec<Channel>, Error> {
    let mut channels = Vec::new();
    for one in webhook {
        let names = names!("webhook");
        let (channel, key, ..) = channel(one, &names, None)?;
        if crate::notify::webhook::key(&key).is_none() {
            let how =
                "it is whsec_ and 24 to 64 bytes in base64; make one: echo whsec_$(openssl rand -base64 32)";
            return wrong(names.key, how);
        }
        channels.push(Channel { kind: Kind::Webhook(key), ..channel });
    }
    for one in wecom {
        let (channel, ..) =
            channel(one, &names!("wecom"), Some("https://qyapi.weixin.qq.com/cgi-bin/webhook/send"))?;
        channels.push(channel);
    }
    for one in dingtalk {
        let names = names!("dingtalk");
        let (channel, key, file, token) = channel(one, &names, Some("https://oapi.dingtalk.com/robot/send"))?;
        let token = needed(names.token, "the bot's access_token", &token, &file)?;
        channels.push(Channel { kind: Kind::DingTalk(token, key), ..channel });
    }
    for one in feishu {
        let names = names!("feishu");
        let official = Some("https://open.feishu.cn/open-apis/bot/v2/hook/");
        let (channel, key, file, token) = channel(one, &names, official)?;
        let token = needed(names.token, "the end of the bot's address", &token, &file)?;
        channels.push(Channel { kind: Kind::Feishu(token, key), ..channel });
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) =
        channels.iter().find(|channel| !seen.insert((channel.kind.way(), channel.name.clone())))
    {
        return wrong(
            "notify",
            format!("there are two channels {:?}; give each a name of its own", twice.name),
        );
    }
    Ok(channels)
}
