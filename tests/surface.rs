//! What strangers find: a fresh installation, its ports, its answers without a
//! session, and sessions that end (C14, C16).

use crate::support::House;
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::process::{Gateway, serve};
use domain::role::Role;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use web::access::Access;
use web::router::declared;

const PASSWORD: &str = "a password that nobody guesses";
const HOUR: i64 = 3_600 * 1_000_000;

/// The name, value and attributes of the session cookie.
fn session_cookie(response: &Response) -> (String, Vec<String>) {
    let cookies = response.headers().get_all("set-cookie");
    let cookie = cookies.iter().map(|cookie| cookie.to_str().unwrap()).find(|c| c.starts_with("session="));
    let mut parts = cookie.expect("there is a session cookie").split("; ").map(str::to_owned);
    let value = parts.next().unwrap();
    let mut attributes: Vec<String> = parts.collect();
    attributes.sort_unstable();
    (value, attributes)
}

async fn sign_in(client: &Client) -> Response {
    let input = json!({ "login": "somebody", "password": crate::support::PASSWORD });
    let response = client.request(Method::POST, "/api/v1/session").json(&input).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response
}

fn with(client: &Client, cookie: &str) -> Client {
    let mut client = client.clone();
    client.cookie = Some(cookie.to_owned());
    client
}

async fn is_in(client: &Client) -> bool {
    client.get("/api/v1/session").await.0 == StatusCode::OK
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sign_in_is_a_new_session_and_the_one_before_it_dies() {
    let house = House::start().await;
    house.person("somebody").await;
    // A cookie that somebody else has put into the browser is not taken on.
    let chosen = format!("session={}", "a".repeat(64));
    let response = sign_in(&with(&house.client(), &chosen)).await;
    let (first, attributes) = session_cookie(&response);
    assert_ne!(first, chosen);
    assert_eq!(attributes, ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Lax"]);
    assert!(!is_in(&with(&house.client(), &chosen)).await);
    let first = with(&house.client(), &first);
    assert!(is_in(&first).await);
    let (second, _) = session_cookie(&sign_in(&first).await);
    let second = with(&house.client(), &second);
    assert_ne!(first.cookie, second.cookie);
    assert!(!is_in(&first).await && is_in(&second).await);
    // Another browser is none of this one's business.
    let (other, _) = session_cookie(&sign_in(&house.client()).await);
    let other = with(&house.client(), &other);
    let response = second.request(Method::DELETE, "/api/v1/session").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let (gone, attributes) = session_cookie(&response);
    assert_eq!(gone, "session=");
    assert!(attributes.contains(&"Max-Age=0".to_owned()));
    assert!(!is_in(&second).await && is_in(&other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_after_a_week_without_use_and_after_a_month_in_any_case() {
    let house = House::start().await;
    house.person("somebody").await;
    let browser = async || with(&house.client(), &session_cookie(&sign_in(&house.client()).await).0);
    let (idle, used) = (browser().await, browser().await);
    house.clock.jump(7 * 24 * HOUR - HOUR);
    assert!(is_in(&used).await);
    house.clock.jump(HOUR);
    assert!(!is_in(&idle).await && is_in(&used).await);
    for _ in 0..3 {
        house.clock.jump(7 * 24 * HOUR - HOUR);
        assert!(is_in(&used).await);
    }
    house.clock.jump(2 * 24 * HOUR);
    assert!(is_in(&used).await, "it is 30 days less three hours old");
    house.clock.jump(3 * HOUR);
    assert!(!is_in(&used).await);
    // A clock that is set back brings none of them back.
    house.clock.jump(-31 * 24 * HOUR);
    assert!(!is_in(&idle).await && !is_in(&used).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_the_database_opens_a_door() {
    let house = House::start().await;
    let token = house.setup_token.clone().unwrap();
    let owner = json!({ "token": token, "login": "owner", "name": "Owner", "password": PASSWORD });
    let mut browser = house.client();
    let response = browser.request(Method::POST, "/api/v1/setup").json(&owner).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let cookies = response.headers().get_all("set-cookie").iter().map(|c| c.to_str().unwrap());
    let values = cookies.map(|c| c.split(';').next().unwrap().split_once('=').unwrap().1.to_owned());
    let mut secrets: Vec<String> = values.chain([token, PASSWORD.to_owned()]).collect();
    browser.take_cookie(&response);
    let key = browser.key().await;
    secrets.push(key.key);
    let made = async |path: &str, body: Value| {
        let (status, answer) = browser.post(path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    };
    let unit = made("/api/v1/units", json!({ "entrance_id": house.lobby, "label": "1" })).await;
    let household = made("/api/v1/households", json!({ "unit_id": unit["id"] })).await;
    let invitation = made("/api/v1/invitations", json!({ "household_id": household["id"] })).await;
    let door = json!({ "place_id": house.lobby, "name": "door", "kind": "door" });
    let device = made("/api/v1/devices", door).await;
    let path = format!("/api/v1/devices/{}/token", device["id"].as_str().unwrap());
    let device = made(&path, json!({})).await;
    secrets.extend([&invitation, &device].map(|shown| shown["token"].as_str().unwrap().to_owned()));
    assert_eq!(secrets.len(), 7, "session, browser, setup, password, player, invitation, device");
    assert!(secrets.iter().all(|secret| secret.len() > 20), "{secrets:?}");
    let folder = house.stop().await;
    let mut found = BTreeSet::new();
    for file in ["test.db", "test.db-wal", "test.db-shm", "spool"] {
        let Ok(bytes) = fs::read(folder.path(file)) else { continue };
        found.insert(file);
        for secret in &secrets {
            for form in forms(secret) {
                let there = bytes.windows(form.len()).any(|window| window == form);
                assert!(!there, "{file} has {}", String::from_utf8_lossy(&form));
            }
        }
        // What is looked for would be found.
        if file == "test.db" {
            assert!(bytes.windows(5).any(|window| window == b"owner"));
        }
    }
    assert!(found.contains("test.db"));
}

/// A secret as it is, and the bytes that its hexadecimal digits stand for.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let pairs = secret.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    [Some(secret.as_bytes().to_vec()), bytes].into_iter().flatten().collect()
}

/// A fresh installation that logs everything; its settings, and where its log goes.
fn fresh(folder: &Folder) -> (Gateway, [u16; 3]) {
    let ports =
        [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let data = folder.path("data");
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:{}\"\n[rtsp]\nlisten = \"127.0.0.1:{}\"\n[webrtc]\nlisten = \"127.0.0.1:{}\"\n\
         [database]\nurl = \"sqlite:{}\"\n[secrets]\nkey_file = \"{}\"\n[audit]\nspool_file = \"{}\"\n[events]\nspool_file = \"{}\"\n[log]\nfilter = \"trace\"\n",
        ports[0],
        ports[1],
        ports[2],
        data.join("test.db").display(),
        data.join("key").display(),
        data.join("spool").display(),
        data.join("events.spool").display()
    );
    fs::write(folder.path("config.toml"), config).unwrap();
    let mut command = serve(folder);
    command.stderr(Stdio::from(fs::File::create(folder.path("log")).unwrap()));
    (Gateway::start(command), ports)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_installation_belongs_to_whoever_holds_the_printed_link_and_to_nobody_else() {
    let folder = Folder::new();
    let (gateway, ports) = fresh(&folder);
    let token = gateway.link.split_once("/setup#").unwrap().1.to_owned();
    assert_eq!(token.len(), 64);
    let client = Client::new(gateway.address);

    // Nobody is there whose password could be known.
    for login in ["admin", "root", "owner", "user", "demo", "owner@demo", "sharp-eyes", "administrator", ""] {
        for password in ["", "admin", "password", "12345", "sharp-eyes", login] {
            let answer =
                client.post("/api/v1/session", json!({ "login": login, "password": password })).await;
            assert!([401, 429].contains(&answer.0.as_u16()), "{login}: {answer:?}");
        }
    }
    assert_eq!(persons(&folder).await, 0);

    // Without the token nothing is to be had, whatever is guessed.
    let owner = |token: &str| json!({ "token": token, "login": "o", "name": "O", "password": PASSWORD });
    let almost = format!("{}{}", &token[..63], if token.ends_with('0') { '1' } else { '0' });
    for guess in ["", "0", &token[..63], &almost, &token.to_uppercase(), &format!("{token} ")] {
        let response =
            client.request(Method::POST, "/api/v1/setup").json(&owner(guess)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::GONE, "{guess}");
        assert!(response.headers().get("set-cookie").is_none());
    }
    let (status, _) =
        client.post("/api/v1/setup", json!({ "login": "o", "name": "O", "password": PASSWORD })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(persons(&folder).await, 0);

    // Only what is documented listens, on the addresses that the settings name.
    assert_eq!(listening(gateway.pid()), ports.into());

    // It works once, for one of those who try at the same time.
    let tries = (0..8).map(|_| {
        let (client, body) = (client.clone(), owner(&token));
        tokio::spawn(async move { client.post("/api/v1/setup", body).await.0.as_u16() })
    });
    let mut statuses = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201], vec![410; 7]].concat());
    assert_eq!(client.post("/api/v1/setup", owner(&token)).await.0, StatusCode::GONE);
    assert_eq!(persons(&folder).await, 1);

    // A restart makes no new one.
    drop(gateway);
    let log = fs::read(folder.path("log")).unwrap();
    let (gateway, _) = fresh(&folder);
    assert!(!gateway.link.contains("setup"), "{}", gateway.link);
    assert_eq!(Client::new(gateway.address).post("/api/v1/setup", owner(&token)).await.0, StatusCode::GONE);

    // Logs are kept, so neither the token nor the password is there.
    assert!(log.windows(5).filter(|w| w == b"DEBUG").count() > 20, "it is the log of everything");
    for secret in [token.as_bytes(), PASSWORD.as_bytes()] {
        assert!(!log.windows(secret.len()).any(|w| w == secret), "{}", String::from_utf8_lossy(secret));
    }
}

async fn persons(folder: &Folder) -> i64 {
    let url = format!("sqlite:{}", folder.path("data/test.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let count = sqlx::query_scalar("select count(*) from persons").fetch_one(&pool).await.unwrap();
    pool.close().await;
    count
}

/// The ports at which a process listens or receives datagrams. All must be loopback.
fn listening(pid: u32) -> BTreeSet<u16> {
    let sockets: BTreeSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    assert!(sockets.len() >= 2, "its sockets are seen");
    let mut ports = BTreeSet::new();
    for (table, open) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
        let path = format!("/proc/{pid}/net/{table}");
        if !Path::new(&path).exists() {
            continue;
        }
        for line in fs::read_to_string(path).unwrap().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[3] == open && sockets.contains(fields[9]) {
                let (address, port) = fields[1].split_once(':').unwrap();
                assert_eq!(address, "0100007F", "{table}: {line}");
                ports.insert(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports
}

/// Where a request claims to come from. It does come from 127.0.0.1.
const CLAIMS: [&[(&str, &str)]; 4] = [
    &[],
    &[("x-forwarded-for", "127.0.0.1"), ("x-real-ip", "127.0.0.1"), ("forwarded", "for=127.0.0.1")],
    &[("host", "localhost"), ("x-forwarded-host", "localhost"), ("x-original-url", "/api/v1/setup")],
    &[("authorization", "Basic b3duZXI6b3duZXI="), ("x-remote-user", "owner"), ("remote-user", "owner")],
];

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_every_route_says_the_same_and_nothing_else_also_to_this_machine() {
    // Also a proxy that is trusted is trusted in what it says about addresses only.
    let trusting = "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]";
    let house = House::start_with(Database::Sqlite, trusting).await;
    let camera = house.camera("rtsp://127.0.0.1:9/secret-path").await;
    let owner = house.sign_in_as(Role::Owner).await;
    assert_eq!(owner.get(&format!("/api/v1/cameras/{camera}")).await.0, StatusCode::OK);
    let (_, refusal) = house.client().get("/api/v1/session").await;
    assert_eq!(refusal["type"], "not-signed-in");
    let mut asked = 0;
    for route in declared().iter().filter(|route| route.access != Access::Public) {
        for id in [camera.as_str(), house.site.as_str(), house.gate.as_str(), &"0".repeat(32)] {
            let path = route.path.replace("{id}", id).replace("{person}", id).replace("{stream}", "main");
            let path = path.replace("{household}", id).replace("{act}", "ack");
            for claims in CLAIMS {
                let mut request = house.client().request(route.method.parse().unwrap(), &path);
                for (name, value) in claims {
                    request = request.header(*name, *value);
                }
                let response = request.send().await.unwrap();
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{} {path} {claims:?}", route.method);
                assert!(response.headers().get("set-cookie").is_none());
                assert_eq!(response.json::<Value>().await.unwrap(), refusal, "{} {path}", route.method);
                asked += 1;
            }
            if !route.path.contains("{id}") {
                break;
            }
        }
    }
    assert!(asked > 400, "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_back_room() {
    let house = House::start().await;
    let client = house.client();
    let page = client.get("/").await;
    for path in [
        "/metrics",
        "/healthz",
        "/readyz",
        "/debug",
        "/debug/pprof",
        "/debug/vars",
        "/console",
        "/admin.php",
        "/.env",
        "/.git/config",
        "/config.toml",
        "/data/sharp-eyes.db",
        "/server-status",
        "/actuator/env",
        "/trace",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
    ] {
        // The page draws itself for every address, and has no data in it.
        assert_eq!(client.get(path).await, page, "{path}");
    }
    for path in [
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/debug",
        "/api/v1/metrics",
        "/api/v2/session",
        "/assets/../Cargo.toml",
        "/ingest/v1",
    ] {
        let status = client.get(path).await.0.as_u16();
        assert!(
            status == 404 || (!path.starts_with("/api") && status == page.0.as_u16()),
            "{path}: {status}"
        );
    }
    for method in ["TRACE", "CONNECT", "TRACK", "DEBUG", "PROPFIND"] {
        let request = client.request(Method::from_bytes(method.as_bytes()).unwrap(), "/api/v1/cameras");
        let Ok(response) = request.header("x-canary", "c4n4ry").send().await else { continue };
        assert!([401, 404, 405].contains(&response.status().as_u16()), "{method}: {}", response.status());
        assert!(!response.text().await.unwrap().contains("c4n4ry"), "{method} echoes");
    }
}

/// Nobody reads what it prints, like a terminal that was closed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_output_is_closed_serves_all_the_same() {
    let folder = crate::support::folder::Folder::new();
    crate::support::process::configure(&folder, ".");
    let config = std::fs::read_to_string(folder.path("config.toml")).unwrap();
    let address: std::net::SocketAddr = config.split('"').nth(1).unwrap().parse().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = crate::support::process::serve(&folder);
    let mut gateway = command.stdout(writer).spawn().unwrap();
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let client = crate::support::client::Client::new(address);
    let served = loop {
        if client.request(reqwest::Method::GET, "/api/v1/session").send().await.is_ok() {
            break true;
        }
        if gateway.try_wait().unwrap().is_some() || tokio::time::Instant::now() > end {
            break false;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let ended = gateway.try_wait().unwrap();
    let _ = gateway.kill();
    let _ = gateway.wait();
    assert!(served && ended.is_none(), "{ended:?}");
}
