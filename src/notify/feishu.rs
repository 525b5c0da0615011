//! A bot in a group of Feishu (飞书自定义机器人), signed: the HMAC-SHA256 over nothing,
//! keyed with the time in seconds and the secret, with a line break between them.

use super::outgoing::{Answer, Outgoing, Request};
use super::wecom::text;
use super::{Adapter, Envelope, Failed};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Clock, Secret};
use ring::hmac;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The most bytes of a text: a request has 20 KB at most.
const TEXT: usize = 10_000;
/// How long nothing is sent after "too many requests": it counts by the minute.
const SLOWER: Duration = Duration::from_secs(60);

pub(super) struct Bot {
    http: Arc<Outgoing>,
    clock: Arc<dyn Clock>,
    url: Url,
    token: Secret,
    key: Secret,
}

impl Bot {
    pub(super) fn new(
        http: Arc<Outgoing>,
        clock: Arc<dyn Clock>,
        url: Url,
        token: Secret,
        key: Secret,
    ) -> Self {
        Self { http, clock, url, token, key }
    }
}

fn sign(key: &Secret, timestamp: &str) -> String {
    let mac = hmac::Key::new(hmac::HMAC_SHA256, format!("{timestamp}\n{}", key.expose()).as_bytes());
    STANDARD.encode(hmac::sign(&mac, b""))
}

fn taken(answer: &Answer) -> Result<(), Failed> {
    let said = answer.json();
    // Whoever sends too often may get the code with a 400.
    match said["code"].as_i64().or(said["StatusCode"].as_i64()) {
        Some(11232 | 99_991_400) => Err(Failed::Slower(SLOWER)),
        code => {
            answer.taken()?;
            match code {
                Some(0) => Ok(()),
                None => Err(Failed::Later("feishu is busy".to_owned())),
                Some(code) => Err(Failed::Refused(format!(
                    "feishu refuses it with code {code}; check the bot's token and secret, and this machine's clock"
                ))),
            }
        }
    }
}

#[async_trait]
impl Adapter for Bot {
    async fn send(&self, envelope: &Envelope) -> Result<(), Failed> {
        let timestamp = (self.clock.now().0 / 1_000_000).to_string();
        let mut url = self.url.clone();
        let wrong = || Failed::Refused("its address cannot be one of a bot".to_owned());
        url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().push(self.token.expose());
        let body = json!({
            "timestamp": timestamp,
            "sign": sign(&self.key, &timestamp),
            "msg_type": "text",
            "content": { "text": text(envelope, TEXT) },
        });
        taken(&self.http.send(Request::json(url, &body)).await?)
    }
}
