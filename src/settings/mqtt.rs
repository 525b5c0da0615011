//! Settings of the MQTT broker that devices tell by.

use super::Error;
use super::notify::{secret, wrong};
use domain::Secret;
use rumqttc::v5::mqttbytes::valid_filter;
use serde::Deserialize;
use std::path::PathBuf;
use url::Url;

/// The broker, and what is heard there.
#[derive(Clone, Debug)]
pub struct Mqtt {
    /// Its name or number.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is reached by TLS.
    pub tls: bool,
    /// The PEM file of the authority that vouches for it, if the machine does not trust it.
    pub authority: Option<PathBuf>,
    /// What it knows us by: what it keeps for us while we are away goes by this name.
    pub client_id: String,
    /// What we sign in with, if we do.
    pub login: Option<(String, Secret)>,
    /// The patterns of what is heard.
    pub topics: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMqtt {
    url: String,
    authority: PathBuf,
    client_id: String,
    username: String,
    password: String,
    password_file: PathBuf,
    topics: Vec<String>,
}

pub(super) fn check(raw: RawMqtt) -> Result<Option<Mqtt>, Error> {
    if raw.url.is_empty() {
        return Ok(None);
    }
    let hint =
        || format!("{:?} is no address of a broker; write it like mqtts://broker.example.net:8883", raw.url);
    let parsed = Url::parse(&raw.url).ok().filter(|url| matches!(url.path(), "" | "/"));
    let Some((url, host)) = parsed.and_then(|url| Some((url.clone(), url.host_str()?.to_owned()))) else {
        return wrong("mqtt.url", hint());
    };
    let tls = match url.scheme() {
        "mqtt" => false,
        "mqtts" => true,
        _ => return wrong("mqtt.url", hint()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("mqtt.url", "it holds a login; write mqtt.username and mqtt.password_file");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if raw.client_id.is_empty() || raw.client_id.len() > 60 || !raw.client_id.chars().all(plain) {
        return wrong(
            "mqtt.client_id",
            "it is 1 to 60 letters, digits and dashes, another one for each gateway",
        );
    }
    let password = secret("mqtt.password", &raw.password, &raw.password_file)?;
    let login = match (raw.username.is_empty(), password) {
        (true, None) => None,
        (false, Some(password)) => Some((raw.username, password)),
        (true, Some(_)) => return wrong("mqtt.username", "it is missing; there is a password for it"),
        (false, None) => {
            return wrong("mqtt.password", "it is missing; write it, or name its file");
        }
    };
    if raw.topics.is_empty() || raw.topics.len() > 32 {
        return wrong("mqtt.topics", "it lists 1 to 32 patterns, like [\"zigbee2mqtt/#\"]");
    }
    if let Some(bad) = raw.topics.iter().find(|topic| topic.len() > 200 || !valid_filter(topic)) {
        return wrong("mqtt.topics", format!("{bad:?} is no pattern; + is a level and # ends it"));
    }
    Ok(Some(Mqtt {
        // Brackets belong to the address, not to the number.
        host: host.trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(if tls { 8883 } else { 1883 }),
        tls,
        authority: Some(raw.authority).filter(|path| !path.as_os_str().is_empty()),
        client_id: raw.client_id,
        login,
        topics: raw.topics,
    }))
}

#[cfg(test)]
mod tests {
    use crate::Settings;

    fn error(text: &str) -> String {
        Settings::parse(&format!("[mqtt]\n{text}")).unwrap_err().to_string()
    }

    #[test]
    fn no_broker_is_asked_unless_it_is_set() {
        assert!(Settings::parse("").unwrap().mqtt.is_none());
    }

    #[test]
    fn an_address_says_whether_there_is_tls() {
        let mqtt = |url: &str| Settings::parse(&format!("[mqtt]\nurl = \"{url}\"")).unwrap().mqtt.unwrap();
        let (plain, tls) = (mqtt("mqtt://10.0.0.5"), mqtt("mqtts://[::1]:9000/"));
        assert_eq!((plain.host.as_str(), plain.port, plain.tls), ("10.0.0.5", 1883, false));
        assert_eq!((tls.host.as_str(), tls.port, tls.tls), ("::1", 9000, true));
        assert_eq!(plain.topics, ["zigbee2mqtt/#", "+/onvif-ej/#"]);
    }

    #[test]
    fn a_wrong_value_says_what_to_write() {
        for (text, says) in [
            ("url = \"broker\"", "mqtts://"),
            ("url = \"http://broker\"", "mqtts://"),
            ("url = \"mqtt://a:b@broker\"", "password_file"),
            ("url = \"mqtt://broker/x\"", "mqtts://"),
            ("url = \"mqtt://b\"\nclient_id = \"a b\"", "mqtt.client_id"),
            ("url = \"mqtt://b\"\nusername = \"a\"", "mqtt.password: it is missing"),
            ("url = \"mqtt://b\"\npassword = \"a\"", "mqtt.username"),
            ("url = \"mqtt://b\"\ntopics = []", "mqtt.topics"),
            ("url = \"mqtt://b\"\ntopics = [\"a/#/b\"]", "no pattern"),
            ("adress = \"\"", "did you mean mqtt."),
        ] {
            assert!(error(text).contains(says), "{text}: {}", error(text));
        }
    }
}
