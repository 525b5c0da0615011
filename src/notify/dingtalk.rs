//! A bot in a group of DingTalk (钉钉自定义机器人), signed: the HMAC-SHA256 over the time
//! in milliseconds and the secret, with a line break between them, keyed with the secret.

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

/// The most bytes of a text.
const TEXT: usize = 20_000;
/// How long nothing is sent after 130101, "send too fast": a bot that was is shut out for so long.
const SLOWER: Duration = Duration::from_secs(600);

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
    let mac = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    STANDARD.encode(hmac::sign(&mac, format!("{timestamp}\n{}", key.expose()).as_bytes()))
}

fn taken(answer: &Answer) -> Result<(), Failed> {
    answer.taken()?;
    match answer.json()["errcode"].as_i64() {
        Some(0) => Ok(()),
        Some(130_101 | 410_100 | 90018) => Err(Failed::Slower(SLOWER)),
        Some(-1) | None => Err(Failed::Later("dingtalk is busy".to_owned())),
        Some(code) => Err(Failed::Refused(format!(
            "dingtalk refuses it with errcode {code}; check the bot's token and secret, and this machine's clock"
        ))),
    }
}

#[async_trait]
impl Adapter for Bot {
    async fn send(&self, envelope: &Envelope) -> Result<(), Failed> {
        let timestamp = (self.clock.now().0 / 1_000).to_string();
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("access_token", self.token.expose())
            .append_pair("timestamp", &timestamp)
            .append_pair("sign", &sign(&self.key, &timestamp));
        let body = json!({ "msgtype": "text", "text": { "content": text(envelope, TEXT) } });
        taken(&self.http.send(Request::json(url, &body)).await?)
    }
}
