//! TLS of the gateway's own, as the HTTP server sees it: the certificate of the
//! moment, the handshake, and what is answered to who comes without TLS. Making,
//! reading and renewing certificates is the root package's `tls/`.

use crate::wire::Wire;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HOST, LOCATION};
use axum::http::uri::Authority as HostAndPort;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use domain::Timestamp;
use sha2::{Digest as _, Sha256};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

/// How long a client may take from its connection to the end of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The first byte of a TLS handshake record (RFC 8446, 5.1). No HTTP method begins with it.
const RECORD: u8 = 0x16;
/// Where the local CA's certificate is.
pub(crate) const CERTIFICATE: &str = "/ca.crt";
/// What a CA's certificate is called so that phones offer to install it.
pub(crate) const CA_TYPE: &str = "application/x-x509-ca-cert";

/// What is served at the moment.
#[derive(Clone)]
pub struct Serving {
    /// Certificate, key and versions.
    pub config: Arc<ServerConfig>,
    /// Where people reach it, like `https://192.168.1.5:8080`.
    pub origin: String,
}

/// The authority that the gateway has made for itself.
pub struct Authority {
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Authority {
    /// SHA-256 of the certificate, as phones show it: `3F:9A:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digits: Vec<String> =
            Sha256::digest(&self.certificate).iter().map(|b| format!("{b:02X}")).collect();
        digits.join(":")
    }
}

/// TLS of the gateway's own. Clones see the same renewals.
#[derive(Clone)]
pub struct Tls {
    serving: watch::Receiver<Serving>,
    authority: Option<Arc<Authority>>,
}

/// How a client began.
pub(crate) enum Greeting {
    Secure(Box<TlsStream<Wire>>),
    Plain(Wire),
}

impl Tls {
    /// Serves what `serving` holds; `authority` is there when the gateway vouches for itself.
    #[must_use]
    pub fn new(serving: watch::Receiver<Serving>, authority: Option<Arc<Authority>>) -> Self {
        Self { serving, authority }
    }

    /// Where people reach the gateway.
    #[must_use]
    pub fn origin(&self) -> String {
        self.serving.borrow().origin.clone()
    }

    /// The gateway's own authority, if it has one.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_deref()
    }

    /// Where a phone that does not trust the gateway yet gets the authority's
    /// certificate: without TLS, so that nobody learns to click a warning away.
    /// What makes it safe is comparing the fingerprint.
    #[must_use]
    pub fn download(&self) -> String {
        let origin = self.origin();
        let host = origin.strip_prefix("https://").unwrap_or(&origin);
        let port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        // The same port as TLS: there is no other.
        format!("http://{host}{}{CERTIFICATE}", if port { "" } else { ":443" })
    }

    /// Shakes hands, or finds that the client speaks plain HTTP.
    pub(crate) async fn greet(&self, stream: Wire) -> io::Result<Greeting> {
        let greeting = async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if first != [RECORD] {
                return Ok(Greeting::Plain(stream));
            }
            let config = Arc::clone(&self.serving.borrow().config);
            let stream = TlsAcceptor::from(config).accept(stream).await?;
            Ok(Greeting::Secure(Box::new(stream)))
        };
        tokio::time::timeout(HANDSHAKE, greeting).await?
    }

    /// The answer to a request without TLS. Nothing of the application is reached.
    pub(crate) fn answer_plain<B>(&self, request: &Request<B>) -> Response<Body> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let authority = self.authority().filter(|_| reads && request.uri().path() == CERTIFICATE);
        let mut response = match (authority, reads.then(|| secure_address(request)).flatten()) {
            (Some(authority), _) => {
                let mut response = Response::new(Body::from(authority.certificate.clone()));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CA_TYPE));
                response
            }
            (None, Some(address)) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                response.headers_mut().insert(LOCATION, address);
                response
            }
            // What was sent with it has been readable already, so it is not sent on.
            (None, None) => {
                let mut response = Response::new(Body::from("this port speaks TLS; use https://\n"));
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                response
            }
        };
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// The same address with TLS.
fn secure_address<B>(request: &Request<B>) -> Option<HeaderValue> {
    let host = request.headers().get(HOST)?.to_str().ok()?;
    let host: HostAndPort = host.parse().ok()?;
    if host.as_str().contains('@') {
        return None;
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    HeaderValue::from_str(&format!("https://{host}{path}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Cut;

    fn address(host: Option<&str>, uri: &str) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let address = secure_address(&request.body(()).unwrap());
        address.map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_redirect_goes_to_the_same_place_with_tls_or_nowhere() {
        let at = |host| address(Some(host), "/camera/1?a=b");
        assert_eq!(at("eyes.home:8080").as_deref(), Some("https://eyes.home:8080/camera/1?a=b"));
        assert_eq!(at("[::1]:8080").as_deref(), Some("https://[::1]:8080/camera/1?a=b"));
        assert_eq!(at("user@eyes.home"), None);
        assert_eq!(at("eyes.home/../evil"), None);
        assert_eq!(at(""), None);
        assert_eq!(address(None, "/"), None);
        assert_eq!(address(Some("a"), "http://evil.example/x").as_deref(), Some("https://a/x"));
        assert_eq!(address(Some("a"), "*").as_deref(), Some("https://a/"));
    }

    /// What is served does not matter to who does not shake hands.
    fn tls() -> Tls {
        use tokio_rustls::rustls::crypto::ring;
        use tokio_rustls::rustls::server::ResolvesServerCertUsingSni;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        let serving = Serving { config: Arc::new(config), origin: "https://eyes.home".to_owned() };
        Tls::new(watch::channel(serving).1, None)
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_finish_the_handshake_in_time_is_let_go() {
        use tokio::io::AsyncWriteExt as _;
        for begun in [&b""[..], &[RECORD], &[RECORD, 3, 1, 1, 0]] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(begun).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let before = tokio::time::Instant::now();
            let error =
                tls().greet(Wire::new(stream, Cut::default())).await.err().expect("there was no handshake");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(before.elapsed() < Duration::from_secs(11));
        }
    }

    #[test]
    fn a_phone_gets_the_certificate_from_the_same_port_without_tls() {
        assert_eq!(tls().download(), "http://eyes.home:443/ca.crt");
    }
}
