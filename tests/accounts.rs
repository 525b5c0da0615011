//! Accounts: sessions, passwords, and those who guess them.

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::process::{Gateway, configure, serve};
use crate::support::{House, PASSWORD};
use domain::repository::Persons as _;
use domain::role::Role;
use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_opaque_and_ends_for_good() {
    let house = House::start().await;
    let resident = house.sign_in_as(Role::Resident).await;
    let token = resident.cookie.clone().unwrap().split_once('=').unwrap().1.to_owned();
    assert_eq!(token.len(), 64);
    let database = std::fs::read(house.folder.path("test.db")).unwrap();
    let log = std::fs::read(house.folder.path("test.db-wal")).unwrap_or_default();
    for bytes in [database, log] {
        assert!(!bytes.windows(token.len()).any(|w| w == token.as_bytes()), "the token itself is kept");
    }
    let (_, list) = resident.get("/api/v1/sessions").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["current"], true);
    // Nobody else's session can be ended, or told from one that is not there.
    let other = house.sign_in_as(Role::Owner).await;
    let id = list["items"][0]["id"].as_str().unwrap();
    assert_eq!(other.delete(&format!("/api/v1/sessions/{id}")).await, 404);
    assert_eq!(resident.delete(&format!("/api/v1/sessions/{id}")).await, 204);
    assert_eq!(resident.get("/api/v1/session").await.0, 401);
    let wrong = json!({ "login": "nobody", "password": "x" });
    let unknown = house.client().post("/api/v1/session", wrong).await;
    house.person("known").await;
    let known = house.client().post("/api/v1/session", json!({ "login": "known", "password": "x" })).await;
    assert_eq!(unknown, known, "an unknown login answers like a wrong password");
    assert_eq!(known.0.as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slow_and_does_not_lock_the_owner_out() {
    let house = House::start().await;
    house.person("owner").await;
    let right = json!({ "login": "owner", "password": crate::support::PASSWORD });
    let mut browser = house.client();
    let first = browser.request(Method::POST, "/api/v1/session").json(&right).send().await.unwrap();
    let device = first.headers().get_all("set-cookie").iter().map(|v| v.to_str().unwrap());
    let device =
        device.filter_map(|v| v.split(';').next()).find(|v| v.starts_with("device=")).unwrap().to_owned();
    let guess = json!({ "login": "owner", "password": "guess" });
    let mut refused = 0;
    for _ in 0..15 {
        // Whatever a stranger writes into X-Forwarded-For.
        let request = house.client().request(Method::POST, "/api/v1/session");
        let forged = format!("198.51.100.{refused}");
        let response = request.header("x-forwarded-for", forged).json(&guess).send().await.unwrap();
        match response.status().as_u16() {
            429 => {
                assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
                refused += 1;
            }
            status => assert_eq!(status, 401),
        }
    }
    // One of the ten tries was the owner's own sign-in.
    assert_eq!(refused, 6);
    browser.cookie = Some(device);
    assert_eq!(browser.post("/api/v1/session", right).await.0.as_u16(), 200);
}

/// One try to sign in, from an address that a trusted proxy names.
async fn try_from(client: &Client, address: &str, login: &str, password: &str) -> u16 {
    let request = client.request(Method::POST, "/api/v1/session").header("x-forwarded-for", address);
    let input = json!({ "login": login, "password": password });
    request.json(&input).send().await.unwrap().status().as_u16()
}

const BEHIND_A_PROXY: &str = "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]";

/// C15: 10,000 tries, from one address and from 500.
#[tokio::test(flavor = "multi_thread")]
async fn c15_ten_thousand_guesses_get_ten_a_minute() {
    let house = House::start_with(Database::Sqlite, BEHIND_A_PROXY).await;
    house.person("owner").await;
    let mut browser = house.client();
    let right = json!({ "login": "owner", "password": PASSWORD });
    let first = browser.request(Method::POST, "/api/v1/session").json(&right).send().await.unwrap();
    let cookies = first.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let device = cookies.filter_map(|v| v.split(';').next()).find(|v| v.starts_with("device="));
    browser.cookie = Some(device.unwrap().to_owned());
    let began = Instant::now();
    let stranger = house.client();
    let guess = |n: usize, addresses: usize| {
        let (stranger, n) = (stranger.clone(), n);
        async move {
            let address = format!("203.0.{}.{}", n % addresses / 250, n % 250);
            try_from(&stranger, &address, "owner", "guess").await
        }
    };
    for addresses in [1, 500] {
        let answers = futures_util::stream::iter(0..5_000).map(|n| guess(n, addresses));
        let answers: Vec<u16> = answers.buffer_unordered(32).collect().await;
        let heard = answers.iter().filter(|status| **status != 429).count();
        assert!(answers.iter().all(|status| [401, 429].contains(status)));
        let minutes = usize::try_from(began.elapsed().as_secs() / 60).unwrap() + 1;
        assert!(
            heard <= 10 * minutes,
            "{heard} guesses were heard in {minutes} minutes, {addresses} addresses"
        );
        // Meanwhile the owner signs in at their own browser.
        assert_eq!(browser.post("/api/v1/session", right.clone()).await.0.as_u16(), 200);
    }
}

/// C15: whether somebody is known cannot be told from how long the no takes.
#[tokio::test(flavor = "multi_thread")]
async fn c15_a_known_and_an_unknown_login_take_as_long() {
    let house = House::start_with(Database::Sqlite, BEHIND_A_PROXY).await;
    let client = house.client();
    let mut apart = Vec::new();
    // A busy machine may part them once; what tells them apart does it every time.
    for round in 0..5 {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for n in 0..11 {
            let (login, nobody) = (format!("known-{round}-{n}"), format!("nobody-{round}-{n}"));
            house.person(&login).await;
            for (login, times) in [(login, &mut known), (nobody, &mut unknown)] {
                let address = format!("203.0.{round}.{n}");
                let asked = Instant::now();
                assert_eq!(try_from(&client, &address, &login, "guess").await, 401);
                times.push(asked.elapsed());
            }
        }
        known.sort();
        unknown.sort();
        apart.push(known[5].abs_diff(unknown[5]));
    }
    assert!(apart.iter().any(|apart| *apart < Duration::from_millis(10)), "{apart:?}");
}

/// C15: however many sign in at the same time, four hashes are made at a time.
#[tokio::test(flavor = "multi_thread")]
async fn c15_a_crowd_at_the_door_takes_bounded_memory() {
    let house = House::start().await;
    house.person("somebody").await;
    let folder = house.stop().await;
    configure(&folder, ".");
    let config = folder.path("config.toml");
    let text = std::fs::read_to_string(&config).unwrap().replacen("[http]", BEHIND_A_PROXY, 1);
    std::fs::write(&config, text).unwrap();
    let gateway = Gateway::start(serve(&folder));
    let client = Client::new(gateway.address);
    let most = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
    };
    // One hash is made at the start.
    assert_eq!(try_from(&client, "203.0.113.1", "somebody", "guess").await, 401);
    let before = most();
    let tries = (0..200u8).map(|n| {
        let (client, login) = (client.clone(), format!("nobody-{n}"));
        async move { try_from(&client, &format!("198.51.100.{n}"), &login, "guess").await }
    });
    let answers = futures_util::future::join_all(tries).await;
    assert!(answers.iter().all(|status| *status == 401), "{answers:?}");
    let grown = most() - before;
    // Three more than the first, and 200 connections. All at once would be 3.8 GiB.
    assert!(grown < 3 * 19 + 60, "{grown} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_everything_that_rested_on_the_old_one() {
    let house = House::start().await;
    let person = house.person("zhang").await;
    let mut phone = house.client().signed_in("zhang").await;
    let other = house.signed_in(&person).await;
    phone.key().await;
    let change = async |client: &Client, current: &str, new: &str| {
        let input = json!({ "current": current, "new": new });
        let response = client.request(Method::PUT, "/api/v1/password").json(&input).send().await.unwrap();
        let cookie = response.headers().contains_key("set-cookie").then(|| {
            let mut client = client.clone();
            client.take_cookie(&response);
            client.cookie.unwrap()
        });
        (response.status().as_u16(), cookie, response.text().await.unwrap())
    };
    let (status, _, text) = change(&phone, "guess", "a new long password").await;
    assert!(status == 422 && text.contains("/current"), "{text}");
    let (status, _, text) = change(&phone, PASSWORD, "short").await;
    assert!(status == 422 && text.contains("/new") && text.contains("10 characters"), "{text}");
    let old = phone.cookie.clone();
    let (status, cookie, text) = change(&phone, PASSWORD, "a new long password").await;
    assert_eq!(status, 200, "{text}");
    assert_ne!(cookie, old, "a session of its own");
    for ended in [&phone, &other] {
        assert_eq!(ended.get("/api/v1/session").await.0, 401);
    }
    phone.cookie = cookie;
    assert_eq!(phone.get("/api/v1/session").await.0, 200);
    assert!(house.store.viewer_keys(&person.id).await.unwrap().is_empty());
    // An unlocked phone is no place to guess.
    let mut heard = 0;
    for _ in 0..12 {
        heard += usize::from(change(&phone, "guess", "a new long password").await.0 == 422);
    }
    assert!(heard < 10, "{heard}");

    let owner = house.sign_in_as(Role::Owner).await;
    let administrator = house.sign_in_as(Role::Administrator).await;
    let path = format!("/api/v1/persons/{}/password", person.id);
    assert_eq!(administrator.post(&path, json!({})).await.0, 403, "an account may belong to several sites");
    let (_, answer) = owner.post(&path, json!({})).await;
    assert_eq!(phone.get("/api/v1/session").await.0, 401);
    let (_, me) = owner.get("/api/v1/session").await;
    let own = format!("/api/v1/persons/{}/password", me["person"]["id"].as_str().unwrap());
    assert_eq!(owner.post(&own, json!({})).await.0, 409);
    let person = house.store.person(&person.id).await.unwrap().unwrap();
    let password = answer["password"].as_str().unwrap().to_owned();
    assert!(!person.password_hash.expose().contains(&password));
    let (_, log) = owner.get("/api/v1/audit?limit=500").await;
    let log = log.to_string();
    for action in ["password.refused", "password.change", "password.reset"] {
        assert!(log.contains(action), "{action}");
    }
    assert!(!log.contains(&password) && !log.contains("a new long password"));
}

/// A request that takes its time must not act on what its sender was when it began.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_does_not_outlive_the_right_to_send_it() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let guard = house.person("guard").await;
    let client = house.signed_in(&guard).await;
    let bodies = [
        ("PUT /api/v1/password", json!({ "current": PASSWORD, "new": "a password of my own" })),
        ("POST /api/v1/viewer-keys", json!({ "name": "for later" })),
    ];
    let mut held = Vec::new();
    for (route, body) in bodies {
        let body = body.to_string();
        let mut stream = tokio::net::TcpStream::connect(house.http).await.unwrap();
        let head = format!(
            "{route} HTTP/1.1\r\nhost: x\r\ncookie: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            client.cookie.as_ref().unwrap(),
            body.len()
        );
        stream.write_all(&[head.as_bytes(), &body.as_bytes()[..body.len() - 1]].concat()).await.unwrap();
        held.push((route, stream));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let path = format!("/api/v1/persons/{}", guard.id);
    assert_eq!(owner.patch(&path, json!({ "disabled": true })).await.0, 204);
    for (route, stream) in &mut held {
        stream.write_all(b"}").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{route}: {answer}");
    }
    let after = house.store.person(&guard.id).await.unwrap().unwrap();
    assert!(after.disabled && after.password_hash == guard.password_hash);
    assert!(house.store.viewer_keys(&guard.id).await.unwrap().is_empty());
    // Whoever proved the old password before the reset gets no session after it.
    assert_eq!(owner.patch(&path, json!({ "disabled": false })).await.0, 204);
    assert_eq!(owner.post(&format!("{path}/password"), json!({})).await.0, 200);
    assert!(
        !house
            .store
            .set_password(&guard.id, &guard.password_hash, &guard.password_hash, false)
            .await
            .unwrap()
    );
}
