//! How people say how they can be reached, and that nobody else's business is touched by it.

use crate::support::House;
use crate::support::browser::Browser;
use crate::support::database::BOTH;
use domain::Clock as _;
use domain::message::repository::Contacts as _;
use domain::repository::{Persons as _, Registers as _};
use domain::role::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use web::token::new;

const CONTACT: &str = "/api/v1/contact";
const PUSH: &str = "/api/v1/push-subscription";

fn settings() -> String {
    let key = std::env::temp_dir().join(format!("sharp-eyes-push-{}.key", new()));
    format!("[push]\ncontact = \"mailto:alarms@example.net\"\nkey_file = \"{}\"\n", key.display())
}

fn subscription(browser: &Browser, endpoint: &str) -> Value {
    let (key, auth) = browser.keys();
    json!({ "endpoint": endpoint, "keys": { "p256dh": key, "auth": auth } })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_kept_and_what_is_left_out_is_gone() {
    for database in BOTH {
        let house = House::start_with(database, &settings()).await;
        let client = house.sign_in_as(Role::Resident).await;
        let put = async |body: Value| client.send(Method::PUT, CONTACT, Some(body)).await;
        let (_, empty) = client.get(CONTACT).await;
        assert_eq!(
            (&empty["mail"], &empty["phone"], &empty["quiet"]),
            (&json!(null), &json!(null), &json!(null))
        );
        assert_eq!(empty["push_key"].as_str().unwrap().len(), 87, "65 bytes in base64url");
        let quiet = json!({ "from_minute": 1320, "until_minute": 420 });
        let all = json!({ "mail": "me@example.net", "phone": "13800138000", "quiet": quiet });
        let (status, said) = put(all).await;
        assert_eq!(
            (status, &said["mail"], &said["quiet"]),
            (StatusCode::OK, &json!("me@example.net"), &quiet)
        );
        assert_eq!(client.get(CONTACT).await.1, said);
        let (_, less) = put(json!({ "phone": "13800138000" })).await;
        assert_eq!(
            (&less["mail"], &less["phone"], &less["quiet"]),
            (&json!(null), &json!("13800138000"), &json!(null))
        );
        for (body, pointer) in [
            (json!({ "mail": "nobody" }), "/mail"),
            (json!({ "mail": "a@b.cn\r\nBcc: x@y.cn" }), "/mail"),
            (json!({ "phone": "call me" }), "/phone"),
            (json!({ "quiet": { "from_minute": 60, "until_minute": 60 } }), "/quiet"),
            (json!({ "quiet": { "from_minute": 0, "until_minute": 1440 } }), "/quiet"),
        ] {
            let (status, why) = put(body.clone()).await;
            assert_eq!((status.as_u16(), &why["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}");
        }
        assert_eq!(client.get(CONTACT).await.1, less, "what was refused has changed nothing");
        // It is noted that it was changed, and not to what.
        let chain = house.store.chain(0, 1_000).await.unwrap();
        let changes: Vec<_> = chain.iter().filter(|link| link.entry.action == "contact.change").collect();
        assert_eq!(changes.len(), 2);
        assert!(changes.iter().all(|link| link.entry.detail == "{}"));
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_told_until_its_session_ends() {
    for database in BOTH {
        let house = House::start_with(database, &settings()).await;
        let person = house.person("somebody").await;
        let (phone, desk) = (house.signed_in(&person).await, house.signed_in(&person).await);
        let count = async || house.store.subscriptions(&person.id, house.clock.now()).await.unwrap().len();
        let put = async |client: &crate::support::client::Client, body: Value| {
            client.send(Method::PUT, PUSH, Some(body)).await
        };
        for (client, endpoint) in
            [(&phone, "https://push.example.net/1"), (&desk, "https://push.example.net/2")]
        {
            let (status, why) = put(client, subscription(&Browser::new(), endpoint)).await;
            assert_eq!(status, StatusCode::NO_CONTENT, "{why}");
        }
        assert_eq!(count().await, 2);
        // Asked for again, and with the address that its browser had before: it is one.
        put(&phone, subscription(&Browser::new(), "https://push.example.net/3")).await;
        put(&phone, subscription(&Browser::new(), "https://push.example.net/2")).await;
        assert_eq!(count().await, 1);
        let (_, here) = phone.get(CONTACT).await;
        assert_eq!((&here["push_here"], &here["push_devices"]), (&json!(true), &json!(1)));
        assert_eq!(desk.get(CONTACT).await.1["push_here"], json!(false));
        assert_eq!(desk.delete(PUSH).await, StatusCode::NOT_FOUND, "it is the other's");
        assert_eq!(phone.delete(PUSH).await, StatusCode::NO_CONTENT);
        assert_eq!(count().await, 0);
        for client in [&phone, &desk] {
            let endpoint = format!("https://push.example.net/{}", new());
            put(client, subscription(&Browser::new(), &endpoint)).await;
        }
        // Signed out, by oneself and from afar; and idle for too long.
        assert_eq!(phone.delete("/api/v1/session").await, StatusCode::NO_CONTENT);
        assert_eq!(count().await, 1);
        house.clock.jump(8 * 24 * 3_600 * 1_000_000);
        assert_eq!(count().await, 0);
        house.clock.jump(-8 * 24 * 3_600 * 1_000_000);
        assert_eq!(count().await, 1);
        house.store.set_disabled(&person.id, true).await.unwrap();
        assert_eq!(count().await, 0);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_browser_answers_is_refused() {
    let house = House::start_with(crate::support::database::Database::Sqlite, &settings()).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let browser = Browser::new();
    let good = subscription(&browser, "https://push.example.net/1");
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (pointer, value) in [
        ("/endpoint", json!("http://push.example.net/1")),
        ("/endpoint", json!("https://me:secret@push.example.net/1")),
        ("/endpoint", json!(format!("https://push.example.net/{}", "a".repeat(1_000)))),
        ("/endpoint", json!("push")),
        ("/keys/p256dh", json!("AAAA")),
        ("/keys/p256dh", json!("!")),
        ("/keys/auth", json!("AAAA")),
    ] {
        let (status, why) = client.send(Method::PUT, PUSH, Some(with(pointer, value.clone()))).await;
        assert_eq!((status.as_u16(), &why["errors"][0]["pointer"]), (422, &json!(pointer)), "{value}");
    }
    let off = House::start().await;
    let client = off.sign_in_as(Role::Patrol).await;
    assert_eq!(client.get(CONTACT).await.1["push_key"], json!(null));
    let (status, why) = client.send(Method::PUT, PUSH, Some(good)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(why["detail"].as_str().unwrap().contains("push.contact"), "{why}");
}
