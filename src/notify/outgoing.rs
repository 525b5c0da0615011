//! Requests to other machines, wherever the guard lets them go: how long they may take, how
//! much of an answer is read, and what it means.

use super::Failed;
use super::guard::{Guard, Names, Refused, check_scheme};
use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tracing::warn;
use url::{Host, Url};

/// How long a request may take, with its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of an answer that are read.
const ANSWER: usize = 64 << 10;
/// How long is waited after too many requests, if the answer does not say.
const SLOWER: Duration = Duration::from_secs(60);

/// Whether a header can be sent so.
#[must_use]
pub fn is_header(name: &str, value: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok()
}

/// What is trusted: the authorities that the machine trusts.
#[must_use]
pub fn tls() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        warn!("this machine trusts no authority, so nothing can be told by https; install ca-certificates");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the versions that are the default")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// One request.
pub struct Request {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// With what before it.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// With what in it.
    pub body: Vec<u8>,
}

impl Request {
    /// A JSON document.
    #[must_use]
    pub fn json(url: Url, body: &serde_json::Value) -> Self {
        let kind =
            (reqwest::header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        Self { method: Method::POST, url, headers: vec![kind], body: body.to_string().into_bytes() }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// How long to wait, if it says.
    pub retry_after: Option<Duration>,
    /// What it says; cut where it is too long.
    pub body: Vec<u8>,
}

/// Whoever asks for no pause at all gets this one, in seconds: nothing is sent in a circle.
const SOONEST: u64 = 5;

impl Answer {
    /// Whether it was taken, as statuses say it.
    pub fn taken(&self) -> Result<(), Failed> {
        match self.status.as_u16() {
            200..=299 => Ok(()),
            429 => Err(Failed::Slower(self.retry_after.unwrap_or(SLOWER))),
            503 if self.retry_after.is_some() => Err(Failed::Slower(self.retry_after.unwrap_or(SLOWER))),
            408 | 425 | 500..=599 => Err(Failed::Later(format!("the answer is {}", self.status))),
            300..=399 => Err(Failed::Refused(format!(
                "the answer is {}, and other addresses are not followed",
                self.status
            ))),
            _ => Err(Failed::Refused(format!("the answer is {}", self.status))),
        }
    }

    /// What it says, as JSON; nothing if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Makes requests. Nothing of an address is put into an error: it may hold a key.
pub struct Outgoing {
    guard: Guard,
    secure: reqwest::Client,
    plain: reqwest::Client,
}

impl Outgoing {
    /// To wherever the guard lets requests go.
    pub fn new(guard: &Guard, tls: &Arc<ClientConfig>) -> reqwest::Result<Self> {
        let client = |secure| {
            reqwest::Client::builder()
                .tls_backend_preconfigured((**tls).clone())
                .dns_resolver(Arc::new(Names(guard.clone(), secure)))
                // A proxy of the environment would look names up by itself.
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .user_agent("sharp-eyes")
                .timeout(PATIENCE)
                .build()
        };
        Ok(Self { guard: guard.clone(), secure: client(true)?, plain: client(false)? })
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: Request) -> Result<Answer, Failed> {
        let refused = |why: Refused| Failed::Refused(why.to_string());
        check_scheme(&request.url).map_err(refused)?;
        let tls = request.url.scheme() == "https";
        // Names are checked by the resolver; a number is connected to without asking it.
        match request.url.host() {
            Some(Host::Ipv4(ip)) => self.guard.check(ip.into(), tls).map_err(refused)?,
            Some(Host::Ipv6(ip)) => self.guard.check(ip.into(), tls).map_err(refused)?,
            _ => {}
        }
        let client = if tls { &self.secure } else { &self.plain };
        let headers = request.headers.into_iter().collect();
        let sending = client.request(request.method, request.url).headers(headers).body(request.body).send();
        let mut response = sending.await.map_err(|error| failed(&error))?;
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = retry_after.map(|seconds: u64| Duration::from_secs(seconds.clamp(SOONEST, 3_600)));
        let (status, mut body) = (response.status(), Vec::new());
        while let Some(piece) = response.chunk().await.map_err(|error| failed(&error))? {
            let room = ANSWER - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if body.len() == ANSWER {
                break;
            }
        }
        Ok(Answer { status, retry_after, body })
    }
}

/// Why a request got no answer, without its address.
fn failed(error: &reqwest::Error) -> Failed {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(why) = cause.downcast_ref::<Refused>() {
            return match why {
                Refused::Unknown(_) => Failed::Later(why.to_string()),
                _ => Failed::Refused(why.to_string()),
            };
        }
        source = cause.source();
    }
    let why = if error.is_timeout() {
        "there was no answer in time"
    } else if error.is_connect() {
        "it cannot be connected to"
    } else {
        "the connection broke"
    };
    Failed::Later(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay::ingest::address::Resolver;
    use std::io;
    use std::net::SocketAddr;

    #[derive(Debug)]
    struct Fixed(Vec<&'static str>);

    #[async_trait::async_trait]
    impl Resolver for Fixed {
        async fn look_up(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(self.0.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect())
        }
    }

    #[tokio::test]
    async fn a_name_with_one_address_inside_is_refused_whole_and_the_error_holds_no_key() {
        let guard = Guard::new(Vec::new()).with_names(Arc::new(Fixed(vec!["8.8.8.8", "10.0.0.1"])));
        let outgoing = Outgoing::new(&guard, &tls()).unwrap();
        let request = |url: &str| Request::json(Url::parse(url).unwrap(), &serde_json::json!({}));
        for url in [
            "https://bot.example.net/send?key=hidden",
            "https://127.0.0.1/hidden",
            "http://0x7f000001/hidden",
            "https://[::ffff:10.0.0.1]/hidden",
            "http://8.8.8.8/hidden",
            "ftp://8.8.8.8/hidden",
        ] {
            let Err(Failed::Refused(why)) = outgoing.send(request(url)).await else { panic!("{url}") };
            assert!(!why.contains("hidden"), "{why}");
        }
        let nobody = Guard::new(Vec::new()).with_names(Arc::new(Fixed(Vec::new())));
        let outgoing = Outgoing::new(&nobody, &tls()).unwrap();
        let answer = outgoing.send(request("https://bot.example.net/hidden")).await;
        assert_eq!(answer.unwrap_err(), Failed::Later("the name bot.example.net is not known".to_owned()));
    }
}
