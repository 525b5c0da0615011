//! Asks a device for its alerts: at an address that the policy for cameras allows, looked up
//! once, with a login that nobody can read on the way.

use crate::notify::outgoing;
use domain::Secret;
use domain::device::Pull;
use http_auth::{PasswordClient, PasswordParams};
use relay::ingest::address::Policy;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode, redirect};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;
use url::{Host, Url};

/// Where Hikvision devices tell their alerts.
const PATH: &str = "/ISAPI/Event/notification/alertStream";
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);
/// More challenges than this nobody sends, in bytes.
const CHALLENGES: usize = 4 << 10;

/// Why a device tells nothing; the text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It does not accept the login: not to be tried often.
    #[error("{0}")]
    Refused(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

fn other(why: impl Into<String>) -> Failed {
    Failed::Other(why.into())
}

/// What requests by TLS trust.
pub fn trusted() -> Arc<ClientConfig> {
    outgoing::tls()
}

/// Opens the stream. Answers it and the boundary between its parts.
pub async fn open(pull: &Pull, policy: &Policy, tls: &ClientConfig) -> Result<(Response, String), Failed> {
    let url = Url::parse(&pull.url).and_then(|url| url.join(PATH));
    let url = url.map_err(|error| other(error.to_string()))?;
    let client = client(&url, policy, tls).await?;
    let mut response = get(&client, &url, None).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges = values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ");
        let login = answer(pull, &challenges)?;
        response = get(&client, &url, Some(login)).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(Failed::Refused("the device refuses the password".to_owned()));
        }
    }
    if response.status() != StatusCode::OK {
        return Err(other(format!("the device answers {}", response.status())));
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = web::intake::alert_stream::boundary(kind);
    let boundary = boundary.ok_or_else(|| other("the device's answer is no stream of alerts"))?;
    Ok((response, boundary))
}

/// A client that connects to the one address that was checked, and to no other.
async fn client(url: &Url, policy: &Policy, tls: &ClientConfig) -> Result<Client, Failed> {
    let port = url.port_or_known_default().unwrap_or(80);
    let resolving = timeout(CONNECT, policy.resolve_host(url, port)).await;
    let resolved = resolving.map_err(|_| other("its name cannot be looked up in time"))?;
    let address = resolved.map_err(|why| other(why.to_string()))?;
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls.clone())
        // A proxy of the environment would look names up by itself.
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .user_agent("sharp-eyes")
        .connect_timeout(CONNECT);
    if let Some(Host::Domain(name)) = url.host() {
        builder = builder.resolve(name, address);
    }
    builder.build().map_err(|error| plain(&error))
}

async fn get(client: &Client, url: &Url, login: Option<String>) -> Result<Response, Failed> {
    let mut request = client.get(url.clone());
    if let Some(login) = login {
        request = request.header(AUTHORIZATION, login);
    }
    let answer = timeout(PATIENCE, request.send()).await;
    answer.map_err(|_| other("the device does not answer in time"))?.map_err(|error| plain(&error))
}

/// What answers the challenges: Digest, or nothing.
fn answer(pull: &Pull, challenges: &str) -> Result<String, Failed> {
    if challenges.is_empty() || challenges.len() > CHALLENGES {
        return Err(other("the device asks for a login and does not say which"));
    }
    let mut client = PasswordClient::try_from(challenges).map_err(other)?;
    let password = http_auth::password(pull.password.expose(), false);
    let with = PasswordParams {
        username: &pull.username,
        password: &password,
        uri: PATH,
        method: "GET",
        body: Some(&[]),
    };
    // Basic would show the password to whoever is on the way.
    client.respond(&with).map_err(|why| Failed::Refused(format!("the device {why}")))
}

/// An error without the address, which the log names anyway.
fn plain(error: &reqwest::Error) -> Failed {
    other(if error.is_connect() {
        "the device cannot be reached"
    } else {
        "the connection to the device broke"
    })
}

/// For the fuzz target: challenges of a device. What answers them shows no password.
pub(super) fn fuzz(bytes: &[u8]) {
    const SECRET: &str = "correct horse battery staple";
    let Ok(challenges) = std::str::from_utf8(bytes) else { return };
    let pull =
        Pull { url: "http://device".to_owned(), username: "admin".to_owned(), password: Secret::new(SECRET) };
    let Ok(answer) = answer(&pull, challenges) else { return };
    assert!(answer.starts_with("Digest ") && answer.contains("response=\""), "{answer}");
    // What the device itself has said comes back; it does not know this.
    assert!(challenges.contains(SECRET) || !answer.contains(SECRET), "{answer}");
    // It is a header's value, and one line of it.
    assert!(reqwest::header::HeaderValue::from_str(&answer).is_ok() || challenges.contains(char::is_control));
}
