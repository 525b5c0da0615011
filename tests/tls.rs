//! TLS of the gateway's own: who trusts it, who does not, and what goes through it.

use crate::support::House;
use crate::support::camera::{self, H264};
use crate::support::client::{Client, trusting};
use crate::support::clock::TestClock;
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::foreign::run;
use crate::support::live::Live;
use domain::repository::{Persons as _, Rights as _};
use domain::role::Role;
use domain::{Clock as _, Timestamp};
use rcgen::{CertificateParams, Issuer, KeyPair};
use reqwest::{Method, StatusCode};
use serde_json::json;
use sharp_eyes::Settings;
use sharp_eyes::tls::Keeper;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};

fn local_ca(folder: &Folder, more: &str) -> String {
    format!("[http]\ntls = \"local_ca\"\nca_folder = \"{}\"\n{more}", folder.path("ca").display())
}

fn files(folder: &Folder) -> String {
    let (certificate, key) = (folder.path("crt.pem"), folder.path("key.pem"));
    format!(
        "[http]\ntls = \"files\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        key.display()
    )
}

fn authority(folder: &Folder) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&fs::read(folder.path("ca/ca.crt")).unwrap()).unwrap()
}

/// A self-signed certificate for localhost in the folder's files; its DER.
fn put_pair(folder: &Folder) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    put_key(&folder.path("key.pem"), &made.signing_key.serialize_pem());
    fs::write(folder.path("crt.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

fn put_key(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A gateway with an authority of its own, and a client that trusts it.
pub async fn house_with_ca(more: &str) -> (House, Client, Folder) {
    let folder = Folder::new();
    let house = House::start_with(Database::Sqlite, &local_ca(&folder, more)).await;
    let client = at_localhost(&house, &[authority(&folder)]);
    (house, client, folder)
}

fn at(house: &House, name: &str, trusted: &[CertificateDer<'static>]) -> Client {
    Client::at(house.http, &format!("https://{name}:{}", house.http.port()), trusted)
}

fn at_localhost(house: &House, trusted: &[CertificateDer<'static>]) -> Client {
    at(house, "localhost", trusted)
}

/// Why a client does not connect, with all its reasons.
async fn complaint(client: &Client) -> String {
    let error = client.request(Method::GET, "/").send().await.unwrap_err();
    format!("{error:?}")
}

/// The certificate that is served at the moment to a client that trusts this one.
async fn served(address: SocketAddr, trusted: &CertificateDer<'static>) -> Option<CertificateDer<'static>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream =
        TlsConnector::from(trusting(std::slice::from_ref(trusted))).connect(name, stream).await.ok()?;
    stream.get_ref().1.peer_certificates()?.first().map(|der| der.clone().into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_installed_the_ca_gets_in_without_a_warning_and_others_are_warned() {
    let (house, client, folder) = house_with_ca("").await;
    let (status, session) = client.get("/api/v1/session").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{session}");
    // By number too.
    let number = at(&house, "127.0.0.1", &[authority(&folder)]);
    assert_eq!(number.get("/api/v1/session").await.0, StatusCode::UNAUTHORIZED);

    // Everybody reads what they have to compare.
    let (status, trust) = client.get("/api/v1/trust").await;
    assert_eq!(status, StatusCode::OK);
    // As another program sees it.
    let path = folder.path("ca/ca.crt");
    let arguments = ["x509", "-noout", "-fingerprint", "-sha256", "-in", path.to_str().unwrap()];
    let output = run("openssl", &arguments, Duration::from_secs(10)).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(trust["fingerprint"], printed.trim().split_once('=').unwrap().1);
    assert!(trust["download"].as_str().unwrap().ends_with(":8080/ca.crt"), "{trust}");
    let ends = Timestamp::parse(trust["expires_at"].as_str().unwrap()).unwrap();
    let years = Duration::from_secs(365 * 24 * 3_600);
    assert!(ends > house.clock.now().after(years * 9) && ends < house.clock.now().after(years * 11));

    // A phone without it gets it without a warning, byte for byte, and with it again.
    for base in [house.client(), client] {
        let response = base.request(Method::GET, "/ca.crt").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/x-x509-ca-cert");
        assert_eq!(response.bytes().await.unwrap(), authority(&folder).as_ref());
    }

    // Whoever trusts somebody else, or nobody, or means another name, is not connected.
    let other = Folder::new();
    let stranger = put_pair(&other);
    for trusted in [&[stranger][..], &[]] {
        let why = complaint(&at_localhost(&house, trusted)).await;
        assert!(why.contains("UnknownIssuer"), "{why}");
    }
    let why = complaint(&at(&house, "bank.example", &[authority(&folder)])).await;
    assert!(why.contains("NotValidForName"), "{why}");

    let mode = |name: &str| fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("ca/ca.key"), 0o400);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_ca_key_does_not_make_its_holder_a_bank() {
    let (_house, _, folder) = house_with_ca("public_url = \"https://eyes.home\"").await;
    let key = KeyPair::from_pem(&fs::read_to_string(folder.path("ca/ca.key")).unwrap()).unwrap();
    let issuer = Issuer::from_ca_cert_der(&authority(&folder), key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority(&folder)).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let seconds = u64::try_from(TestClock::default().now().0 / 1_000_000).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    for (name, may) in [
        ("eyes.home", true),
        ("localhost", true),
        ("192.168.7.7", true),
        ("10.1.2.3", true),
        ("fd00::1", true),
        ("bank.example", false),
        ("home", false),
        ("8.8.8.8", false),
        ("2001:db8::1", false),
    ] {
        let forged = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let forged = forged.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let server = ServerName::try_from(name).unwrap();
        let parsed = ParsedCertificate::try_from(forged.der()).unwrap();
        verify_server_name(&parsed, &server).expect("the forgery is well made");
        let verified = verifier.verify_server_cert(forged.der(), &[], &server, &[], now);
        assert_eq!(verified.is_ok(), may, "{name}: {verified:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resident_watches_over_tls() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let (house, client, _folder) = house_with_ca("").await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.person("patrol").await;
    house.store.add_grant(&house.grant(&patrol, Role::Patrol)).await.unwrap();
    let patrol = client.signed_in("patrol").await;
    let mut live = Live::open(&patrol, &id).await;
    assert_eq!(live.text("init").await["mime"], "video/mp4; codecs=\"avc1.4d401f\"");
    assert_eq!(&live.binary().await[4..8], b"ftyp");
    for _ in 0..30 {
        assert_eq!(&live.binary().await[4..8], b"moof");
    }
    // A right that ends closes this picture too.
    assert_eq!(patrol.delete("/api/v1/session").await, 204);
    assert_eq!(live.closed().await, Some(4001));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_the_cookie_is_kept_to_it_and_pages_without_it_are_strangers() {
    let (house, client, _folder) = house_with_ca("").await;
    house.person("somebody").await;
    let input = json!({ "login": "somebody", "password": crate::support::PASSWORD });
    let response = client.request(Method::POST, "/api/v1/session").json(&input).send().await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    let mut parts: Vec<&str> = cookie.split("; ").collect();
    assert!(parts.remove(0).starts_with("__Host-session="), "{cookie}");
    parts.sort_unstable();
    assert_eq!(parts, ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Lax", "Secure"]);
    for other in response.headers().get_all("set-cookie") {
        assert!(other.to_str().unwrap().ends_with("; Secure"), "{other:?}");
    }
    let mut signed_in = client.clone();
    signed_in.take_cookie(&response);
    let port = house.http.port();
    for (origin, status) in [
        (format!("https://localhost:{port}"), 201),
        (format!("http://localhost:{port}"), 403),
        (format!("https://localhost:{}", port ^ 1), 403),
        ("null".to_owned(), 403),
    ] {
        let request = signed_in.request(Method::POST, "/api/v1/viewer-keys").header("origin", &origin);
        let response = request.json(&json!({ "name": "x" })).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{origin}");
    }
    // The name without the promise is not listened to.
    let mut downgraded = signed_in.clone();
    downgraded.cookie = signed_in.cookie.map(|cookie| cookie.replace("__Host-", ""));
    assert_eq!(downgraded.get("/api/v1/session").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_to_come_back_with_tls_to_names_only() {
    let (house, localhost, folder) = house_with_ca("public_url = \"https://eyes.home\"").await;
    let trusted = [authority(&folder)];
    let (by_name, by_number) = (at(&house, "eyes.home", &trusted), at(&house, "127.0.0.1", &trusted));
    for (client, promise) in [(by_name, Some("max-age=31536000")), (by_number, None), (localhost, None)] {
        for path in ["/", "/api/v1/session", "/api/v1/nothing"] {
            let response = client.request(Method::GET, path).send().await.unwrap();
            let header = response.headers().get("strict-transport-security");
            assert_eq!(header.map(|value| value.to_str().unwrap()), promise, "{} {path}", client.base);
        }
    }
    // Without TLS there is nothing to promise.
    let plain = House::start().await;
    let response = plain.client().request(Method::GET, "/").header("host", "eyes.home").send().await.unwrap();
    assert!(response.headers().get("strict-transport-security").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_without_tls_is_sent_to_it_and_gets_nothing_else() {
    let folder = Folder::new();
    put_pair(&folder);
    let house = House::start_with(Database::Sqlite, &files(&folder)).await;
    house.person("somebody").await;
    let plain = house.client();
    for path in ["/", "/api/v1/session?a=b", "/ca.crt", "/api/v1/trust"] {
        let response = plain.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 308, "{path}");
        assert_eq!(response.headers()["location"], format!("https://{}{path}", house.http).as_str());
        assert!(response.headers().get("set-cookie").is_none());
        assert_eq!(response.bytes().await.unwrap(), "");
    }
    let input = json!({ "login": "somebody", "password": crate::support::PASSWORD });
    let response = plain.request(Method::POST, "/api/v1/session").json(&input).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 400);
    assert!(response.headers().get("set-cookie").is_none());
    assert_eq!(response.text().await.unwrap(), "this port speaks TLS; use https://\n");
    let known = house.store.person_by_login("somebody").await.unwrap().unwrap();
    assert!(house.store.sessions(&known.id).await.unwrap().is_empty(), "nobody was signed in");
    // Neither a protocol of its own nor a broken handshake does any harm.
    for bytes in [&b"\0\0\0\0\r\n\r\n"[..], &[0x16, 3, 1, 0, 4, 1, 2, 3, 4], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(house.http).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{bytes:?} is answered and let go");
    }
    // There is no authority of its own to install.
    let tls = at_localhost(
        &house,
        &[CertificateDer::from_pem_slice(&fs::read(folder.path("crt.pem")).unwrap()).unwrap()],
    );
    for path in ["/ca.crt", "/api/v1/trust"] {
        assert_eq!(tls.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_tls_is_refused_and_http2_is_not_offered() {
    let (house, _, folder) = house_with_ca("").await;
    for versions in [&[&version::TLS12][..], &[&version::TLS13]] {
        let mut roots = RootCertStore::empty();
        roots.add(authority(&folder)).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(house.http).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(versions[0].version));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    // OpenSSL still speaks what rustls never learned.
    let address = house.http.to_string();
    for (version, served) in [("-tls1_2", true), ("-tls1_1", false), ("-tls1", false)] {
        let arguments = ["s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-connect", &address];
        let output = run("openssl", &arguments, Duration::from_secs(10)).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.contains("BEGIN CERTIFICATE"), served, "{version}: {said}");
        assert_eq!(said.contains("no peer certificate"), !served, "{version}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_files_are_served_and_broken_ones_are_not() {
    let folder = Folder::new();
    let first = put_pair(&folder);
    let house = House::start_with(Database::Sqlite, &files(&folder)).await;
    assert_eq!(served(house.http, &first).await, Some(first.clone()));
    // Half written, of another key, away: what was there stays.
    for break_it in [
        (|folder: &Folder| fs::write(folder.path("crt.pem"), "-----BEGIN CERTIFICATE-----\nMII").unwrap())
            as fn(&Folder),
        |folder| put_key(&folder.path("key.pem"), &KeyPair::generate().unwrap().serialize_pem()),
        |folder| fs::remove_file(folder.path("crt.pem")).unwrap(),
    ] {
        break_it(&folder);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(served(house.http, &first).await, Some(first.clone()));
    }
    let second = put_pair(&folder);
    becomes(house.http, &second).await;
    assert_eq!(served(house.http, &first).await, None);
    house.stop().await;
}

/// Waits until this certificate is served.
async fn becomes(address: SocketAddr, certificate: &CertificateDer<'static>) {
    let begin = Instant::now();
    while served(address, certificate).await.as_ref() != Some(certificate) {
        assert!(begin.elapsed() < Duration::from_secs(10), "the new certificate is not served");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_own_certificate_is_renewed_while_thirty_days_are_left() {
    const DAY: i64 = 24 * 3_600 * 1_000_000;
    let (house, client, folder) = house_with_ca("").await;
    let trusted = authority(&folder);
    let first = served(house.http, &trusted).await.unwrap();
    let validity = |der: &CertificateDer<'_>| {
        let (_, parsed) = x509_parser::parse_x509_certificate(der).unwrap();
        let validity = parsed.validity();
        (validity.not_before.timestamp(), validity.not_after.timestamp())
    };
    let (from, until) = validity(&first);
    assert!(until - from <= 397 * 24 * 3_600);
    house.clock.jump(360 * DAY);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(served(house.http, &trusted).await.as_ref(), Some(&first), "36 days are left");
    // The clock is a day behind again before the client looks: it believes the machine's.
    house.clock.jump(8 * DAY);
    let begin = Instant::now();
    while served(house.http, &trusted).await.is_some() {
        assert!(begin.elapsed() < Duration::from_secs(10), "28 days are left and nothing is renewed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It begins in a future that the client does not believe in; set back, it is made anew.
    house.clock.jump(-368 * DAY);
    let begin = Instant::now();
    let third = loop {
        if let Some(third) = served(house.http, &trusted).await {
            break third;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "a clock that was set back is not noticed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_ne!(third, first);
    assert_eq!(client.get("/api/v1/session").await.0, StatusCode::UNAUTHORIZED);
    // The authority outlives a restart, and so does the trust of the phones.
    let (settings, clock) = (house.settings.clone(), house.clock.clone());
    house.stop().await;
    let (_, tls) = Keeper::open(&settings, Arc::new(clock)).unwrap().unwrap();
    assert_eq!(tls.authority().unwrap().certificate, trusted.as_ref());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_silent_connections_do_not_keep_anybody_out() {
    let (house, client, _folder) = house_with_ca("").await;
    let mut silent = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(house.http).await.unwrap();
        // Some say nothing, some begin a handshake.
        if n % 2 == 0 {
            stream.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
        }
        silent.push(stream);
    }
    let begin = Instant::now();
    assert_eq!(client.get("/api/v1/session").await.0, StatusCode::UNAUTHORIZED);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    // Nor do they hold the gateway up when it stops.
    let begin = Instant::now();
    house.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    drop(silent);
}

/// What the gateway says instead of starting.
fn refusal(settings: &str, clock: &TestClock) -> String {
    let settings = Settings::parse(settings).unwrap();
    Keeper::open(&settings, Arc::new(clock.clone())).err().expect("it does not start").to_string()
}

#[test]
fn broken_files_stop_the_start_with_a_sentence_that_helps() {
    let (folder, clock) = (Folder::new(), TestClock::default());
    let (crt, key) = (folder.path("crt.pem"), folder.path("key.pem"));
    let says = |part: &str| {
        let text = refusal(&files(&folder), &clock);
        assert!(text.contains(part), "{text}");
    };
    says("crt.pem: No such file");
    fs::write(&crt, "").unwrap();
    says("crt.pem: it holds no certificate");
    fs::write(&crt, b"\xff\x00garbage").unwrap();
    says("crt.pem: it holds no certificate");
    fs::write(&crt, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    says("crt.pem: it holds no certificate");
    put_pair(&folder);
    fs::remove_file(&key).unwrap();
    says("key.pem: No such file");
    put_key(&key, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    says("key.pem: it holds no key without a password");
    put_key(&key, &fs::read_to_string(&crt).unwrap());
    says("key.pem: it holds no key");
    put_key(&key, &KeyPair::generate().unwrap().serialize_pem());
    says("do not go together");
    put_pair(&folder);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    says("chmod o-rwx");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Keeper::open(&Settings::parse(&files(&folder)).unwrap(), Arc::new(clock)).is_ok());
}

#[test]
fn a_broken_authority_stops_the_start_with_a_sentence_that_helps() {
    let (folder, clock) = (Folder::new(), TestClock::default());
    let settings = local_ca(&folder, "");
    let says = |settings: &str, part: &str| {
        let text = refusal(settings, &clock);
        assert!(text.contains(part), "{text}");
    };
    let year = 365 * 24 * 3_600 * 1_000_000;
    clock.jump(-50 * year);
    says(&settings, "set the clock first");
    assert!(!folder.path("ca/ca.key").exists());
    clock.jump(50 * year);
    assert!(Keeper::open(&Settings::parse(&settings).unwrap(), Arc::new(clock.clone())).is_ok());
    let other = local_ca(&folder, "public_url = \"https://eyes.home\"");
    says(&other, "does not vouch for eyes.home");
    says(&other, "move the folder away");
    clock.jump(11 * year);
    says(&settings, "ended on");
    clock.jump(-11 * year);
    let key = folder.path("ca/ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    says(&settings, "can be read by others");
    fs::remove_file(&key).unwrap();
    says(&settings, "restore it from your backup");
    put_key(&key, "");
    says(&settings, "it is no key");
    put_key(&key, &KeyPair::generate().unwrap().serialize_pem());
    says(&settings, "are not of one making");
    fs::write(folder.path("ca/ca.crt.new"), "broken").unwrap();
    fs::rename(folder.path("ca/ca.crt.new"), folder.path("ca/ca.crt")).unwrap();
    says(&settings, "ca.crt: it is no certificate");
}
