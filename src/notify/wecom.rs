//! A bot in a group of WeCom (企业微信群机器人). Its key is in its address.

use super::outgoing::{Answer, Outgoing, Request};
use super::{Adapter, Envelope, Failed};
use async_trait::async_trait;
use domain::Secret;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The most bytes of a text.
const TEXT: usize = 2_048;
/// How long nothing is sent after 45009, "api freq out of limit": it counts by the minute.
const SLOWER: Duration = Duration::from_secs(60);

pub(super) struct Bot {
    http: Arc<Outgoing>,
    url: Url,
    key: Secret,
}

impl Bot {
    pub(super) fn new(http: Arc<Outgoing>, url: Url, key: Secret) -> Self {
        Self { http, url, key }
    }
}

/// What a group reads. The end of the id shows whoever reads it twice that it is one message.
pub(super) fn text(envelope: &Envelope, most: usize) -> String {
    let link = envelope.link.as_deref().map(|link| format!("\n{link}")).unwrap_or_default();
    let end = format!("{link}\n#{}", &envelope.id.as_str()[..8]);
    let mut text = format!("{}\n{}", envelope.text.title, envelope.text.body);
    let room = text.floor_char_boundary(most.saturating_sub(end.len()));
    text.truncate(room);
    text + &end
}

/// What an answer's code means.
fn taken(answer: &Answer) -> Result<(), Failed> {
    answer.taken()?;
    match answer.json()["errcode"].as_i64() {
        Some(0) => Ok(()),
        Some(45009 | 45033) => Err(Failed::Slower(SLOWER)),
        Some(-1) | None => Err(Failed::Later("wecom is busy".to_owned())),
        Some(code) => {
            Err(Failed::Refused(format!("wecom refuses it with errcode {code}; check the bot's key")))
        }
    }
}

#[async_trait]
impl Adapter for Bot {
    async fn send(&self, envelope: &Envelope) -> Result<(), Failed> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("key", self.key.expose());
        let body = json!({ "msgtype": "text", "text": { "content": text(envelope, TEXT) } });
        taken(&self.http.send(Request::json(url, &body)).await?)
    }
}
