//! An operator's service that calls a telephone and speaks, or sends a short text: one
//! request, made from a template, because each operator has another one.
//!
//! What is filled in is written as its place demands: in an address and a form with
//! percent signs, in JSON as inside a string. So no text ends the place it is put in.

use super::outgoing::{Outgoing, Request};
use super::{Adapter, Envelope, Failed, To};
use crate::settings::{PLACEHOLDERS, Template};
use async_trait::async_trait;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use std::sync::Arc;
use url::Url;

/// Fills in a template. A brace that begins no placeholder is a brace.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match name(after).and_then(|name| Some((name, value(name)?))) {
            Some((name, value)) => {
                filled.push_str(&value);
                rest = &after[name.len() + 1..];
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

/// The name that a brace begins, if it ends as one.
fn name(after: &str) -> Option<&str> {
    let (name, _) = after.split_once('}')?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_name.then_some(name)
}

/// The first placeholder that is none.
#[must_use]
pub fn unknown(template: &str) -> Option<&str> {
    let names = template.split('{').skip(1).filter_map(name);
    names.into_iter().find(|name| !PLACEHOLDERS.contains(name))
}

/// The template with something in every place.
#[must_use]
pub fn sample(template: &str) -> String {
    fill(template, |_| Some("x".to_owned()))
}

/// How texts are written in a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Plain,
    Percent,
    Json,
}

impl Writing {
    fn write(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Percent => utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
            Self::Json => {
                let quoted = serde_json::Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
        }
    }
}

pub(super) struct Operator {
    http: Arc<Outgoing>,
    template: Template,
}

impl Operator {
    pub(super) fn new(http: Arc<Outgoing>, template: Template) -> Self {
        Self { http, template }
    }

    fn request(&self, envelope: &Envelope, phone: &str) -> Result<Request, Failed> {
        let template = &self.template;
        let text = |name: &str| {
            Some(match name {
                "id" => envelope.id.as_str(),
                "phone" => phone,
                "title" => &envelope.text.title,
                "text" => &envelope.text.body,
                "kind" => envelope.kind,
                "kind_text" => envelope.kind_text,
                "point" => &envelope.point,
                "time" => &envelope.time,
                "locale" => &envelope.locale,
                "key" => template.key.as_ref()?.expose(),
                _ => return None,
            })
        };
        let fill = |template: &str, writing: Writing| fill(template, |name| Some(writing.write(text(name)?)));
        let wrong = |what: &str| Failed::Refused(format!("the {what} cannot be sent when it is filled in"));
        let url = Url::parse(&fill(&template.url, Writing::Percent)).map_err(|_| wrong("address"))?;
        let method = Method::from_bytes(template.method.as_bytes()).map_err(|_| wrong("method"))?;
        let (mut headers, mut writing) = (Vec::new(), Writing::Plain);
        for (name, value) in &template.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("headers"))?;
            if name == CONTENT_TYPE {
                writing = match value.as_str() {
                    value if value.contains("json") => Writing::Json,
                    value if value.contains("form-urlencoded") => Writing::Percent,
                    _ => Writing::Plain,
                };
            }
            let value = HeaderValue::from_str(&fill(value, Writing::Plain)).map_err(|_| wrong("headers"))?;
            headers.push((name, value));
        }
        let body =
            if method == Method::GET { Vec::new() } else { fill(&template.body, writing).into_bytes() };
        Ok(Request { method, url, headers, body })
    }
}

#[async_trait]
impl Adapter for Operator {
    async fn send(&self, envelope: &Envelope) -> Result<(), Failed> {
        let To::Phone(phone) = &envelope.to else { return Err(Failed::Gone) };
        let answer = self.http.send(self.request(envelope, phone)?).await?;
        answer.taken()?;
        if !self.template.status.contains(&answer.status.as_u16()) {
            return Err(Failed::Refused(format!(
                "the answer is {}, which is not one that was expected",
                answer.status
            )));
        }
        // Not every operator says by the status that it has failed; it may not the next time.
        if !String::from_utf8_lossy(&answer.body).contains(&self.template.expect) {
            return Err(Failed::Later("the answer does not say what was expected".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_never_ends_the_place_it_is_put_in() {
        let hostile = "\"},{\"x\":\"&b=c#/?{key}\r\nHost: evil";
        let value = |writing: Writing| move |name: &str| (name == "point").then(|| writing.write(hostile));
        let json = fill(r#"{"a":"{point}","b":{"c":1}}"#, value(Writing::Json));
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed, serde_json::json!({ "a": hostile, "b": { "c": 1 } }));
        let url =
            Url::parse(&fill("https://example.net/{point}/x?a={point}", value(Writing::Percent))).unwrap();
        assert_eq!((url.host_str(), url.path_segments().unwrap().count()), (Some("example.net"), 2));
        assert_eq!(url.query_pairs().collect::<Vec<_>>(), [("a".into(), hostile.into())]);
    }

    #[test]
    fn a_placeholder_that_is_none_is_found_and_json_is_none() {
        assert_eq!(unknown(r#"{"a":{"b":"{phone}"},"c":"{nmae}"}"#), Some("nmae"));
        assert_eq!(unknown(r#"{"a":{"b":"{phone}"}}{}{ }"#), None);
        assert_eq!(sample("a{phone}b{x}c{"), "axbxc{");
    }
}
