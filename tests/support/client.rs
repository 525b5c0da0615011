//! A person at a browser, a device, a player's owner: plain HTTP.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Whom it trusts.
    pub trust: Arc<ClientConfig>,
    pub address: SocketAddr,
    pub base: String,
    pub cookie: Option<String>,
}

/// A key for RTSP players.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub login: String,
    pub key: String,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self::at(address, &format!("http://{address}"), &[])
    }

    /// A browser that trusts these authorities only, and reaches every name at `address`.
    pub fn at(address: SocketAddr, base: &str, trusted: &[CertificateDer<'static>]) -> Self {
        let trust = trusting(trusted);
        let host = base.split("://").nth(1).unwrap().split(':').next().unwrap();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*trust).clone())
            .redirect(reqwest::redirect::Policy::none())
            .resolve(host, address)
            .build()
            .unwrap();
        Self { http, trust, address, base: base.to_owned(), cookie: None }
    }

    pub async fn signed_in(mut self, login: &str) -> Self {
        let input = json!({ "login": login, "password": super::PASSWORD });
        let response = self.request(Method::POST, "/api/v1/session").json(&input).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{}", response.text().await.unwrap());
        self.take_cookie(&response);
        self
    }

    pub fn take_cookie(&mut self, response: &Response) {
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap();
        super::leaks::secret(cookie.split_once('=').unwrap().1);
        self.cookie = Some(cookie.to_owned());
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        super::leaks::look(path, text.as_bytes());
        let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
        super::leaks::shown_once(&answer);
        (status, answer)
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Does something with an incident, under a key of its own.
    pub async fn act(&self, incident: &str, act: &str, body: Value) -> (StatusCode, Value) {
        self.keyed(&format!("{incident}/{act}"), &web::token::new(), &body).await
    }

    /// Posts under this key.
    pub async fn keyed(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.request(Method::POST, path).header("idempotency-key", key).json(body);
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub async fn patch(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> StatusCode {
        self.send(Method::DELETE, path, None).await.0
    }

    /// Makes a key for an RTSP player.
    pub async fn key(&self) -> Key {
        let (status, key) = self.post("/api/v1/viewer-keys", json!({ "name": "player" })).await;
        assert_eq!(status, StatusCode::CREATED, "{key}");
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        Key { id: text("id"), login: text("login"), key: text("key") }
    }

    /// Sends events as a device.
    pub async fn events(&self, token: &str, kind: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.request(Method::POST, "/ingest/v1/events").bearer_auth(token);
        let response = request.header("content-type", kind).body(body.to_string()).send().await.unwrap();
        let status = response.status();
        (status, response.json().await.unwrap())
    }
}

/// TLS for a client that trusts these authorities only.
pub fn trusting(authorities: &[CertificateDer<'static>]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
