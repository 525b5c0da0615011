//! What stands for services of others: it answers as it is told, and keeps what it was asked.

use super::until;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// What it answers: status, headers, body, and after how long.
#[derive(Clone, Debug)]
pub struct Say(pub u16, pub Vec<(&'static str, &'static str)>, pub String, pub Duration);

pub fn say(status: u16, body: &str) -> Say {
    Say(status, Vec::new(), body.to_owned(), Duration::ZERO)
}

#[derive(Clone)]
struct Inside {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// What is answered next, then for ever the last of them.
    answers: Arc<Mutex<Vec<Say>>>,
}

pub struct Fake {
    pub address: SocketAddr,
    inside: Inside,
    serving: JoinHandle<()>,
}

impl Fake {
    pub async fn start(answer: Say) -> Self {
        let inside = Inside { seen: Arc::default(), answers: Arc::new(Mutex::new(vec![answer])) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answered).with_state(inside.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, inside, serving }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers so, one after the other, and then as the last.
    pub fn will(&self, answers: &[Say]) {
        *self.inside.answers.lock().unwrap() = answers.to_vec();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.inside.seen.lock().unwrap().clone()
    }

    /// Waits until there were so many requests.
    pub async fn asked(&self, count: usize) -> Vec<Seen> {
        until(|| self.seen().len() >= count).await;
        self.seen()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answered(
    State(inside): State<Inside>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let url = url::Url::parse(&format!("http://x{uri}")).unwrap();
    let query = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let Say(status, more, text, after) = {
        let mut answers = inside.answers.lock().unwrap();
        if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
    };
    inside.seen.lock().unwrap().push(Seen {
        method,
        path: uri.path().to_owned(),
        query,
        headers,
        body: body.to_vec(),
    });
    tokio::time::sleep(after).await;
    let mut response = (StatusCode::from_u16(status).unwrap(), text).into_response();
    for (name, value) in more {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
