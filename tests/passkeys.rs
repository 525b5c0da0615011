//! Passkeys: registering, signing in, and everything that is no proof.

use crate::support::authenticator::{Authenticator, PRESENT};
use crate::support::client::Client;
use crate::support::database::{BOTH, Database};
use crate::support::live::Live;
use crate::support::{House, PASSWORD};
use domain::PersonId;
use domain::person::{Person, SignedInBy};
use domain::repository::{Passkeys as _, Persons as _, Registers as _, Rights as _};
use domain::role::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use web::access::Access;
use web::router::declared;

const ORIGIN: &str = "http://localhost:8080";
const HTTP: &str = "[http]\npublic_url = \"http://localhost:8080\"\n";
const REQUIRED: &str =
    "[http]\npublic_url = \"http://localhost:8080\"\n[accounts]\nstaff_passkeys = \"required\"\n";

/// Somebody who holds a role, and their browser.
async fn staff(house: &House, login: &str) -> (Person, Client) {
    let person = house.person(login).await;
    house.store.add_grant(&house.grant(&person, Role::Patrol)).await.unwrap();
    let client = house.signed_in(&person).await;
    (person, client)
}

async fn register(client: &Client) -> (Authenticator, Value) {
    let (status, asked) = client.post("/api/v1/passkeys/begin", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{asked}");
    let (device, credential) = Authenticator::register(ORIGIN, &asked["options"]);
    let (status, passkey) =
        client.post("/api/v1/passkeys", json!({ "name": "phone", "credential": credential })).await;
    assert_eq!(status, StatusCode::CREATED, "{passkey}");
    (device, passkey)
}

/// A browser that has begun to sign in, and what it was asked.
async fn begin(house: &House) -> (Client, Value) {
    let mut browser = house.client();
    let response = browser.request(Method::POST, "/api/v1/session/passkey/begin").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    browser.take_cookie(&response);
    let asked: Value = response.json().await.unwrap();
    (browser, asked["options"].clone())
}

async fn finish(browser: &Client, credential: &Value) -> (StatusCode, Value) {
    browser.post("/api/v1/session/passkey", json!({ "credential": credential })).await
}

/// Signs in; the browser has the new session's cookie.
async fn sign_in(house: &House, device: &mut Authenticator) -> Client {
    let (mut browser, asked) = begin(house).await;
    let input = json!({ "credential": device.answer(&asked) });
    let response =
        browser.request(Method::POST, "/api/v1/session/passkey").json(&input).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{}", response.text().await.unwrap());
    browser.take_cookie(&response);
    browser
}

/// The first `count` refused sign-ins in the audit log: who, and why.
async fn refusals(house: &House, count: usize) -> Vec<(Option<PersonId>, String)> {
    for _ in 0..1_000 {
        let links = house.store.audit(&domain::repository::EntryFilter::newest(100)).await.unwrap();
        let entries =
            links.into_iter().rev().map(|link| link.entry).filter(|e| e.action == "session.refused");
        let why = |detail: &str| serde_json::from_str::<Value>(detail).unwrap()["why"].to_string();
        let found: Vec<_> = entries.map(|e| (e.actor, why(&e.detail).replace('"', ""))).take(count).collect();
        if found.len() == count {
            return found;
        }
        // They are noted beside the answer, not before it.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{count} refusals should have been noted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_signs_in_as_a_password_does() {
    for database in BOTH {
        let house = House::start_with(database, HTTP).await;
        let (person, client) = staff(&house, "li").await;
        let (mut device, passkey) = register(&client).await;
        assert_eq!(device.user, u128::from_str_radix(person.id.as_str(), 16).unwrap().to_be_bytes());
        let browser = sign_in(&house, &mut device).await;
        let (status, who) = browser.get("/api/v1/session").await;
        assert_eq!((status, &who["person"]["login"]), (StatusCode::OK, &json!("li")));
        assert_eq!(browser.get("/api/v1/cameras").await.0, StatusCode::OK);
        let by: Vec<_> = house.store.sessions(&person.id).await.unwrap().iter().map(|s| s.by).collect();
        assert!(by.contains(&SignedInBy::Passkey) && by.contains(&SignedInBy::Password), "{by:?}");
        let list = client.get("/api/v1/passkeys").await.1;
        assert_eq!((&list["items"][0]["id"], &list["items"][0]["name"]), (&passkey["id"], &json!("phone")));
        assert!(list["items"][0]["used_at"].is_string(), "{list}");
        // The session that this browser had before is over.
        let (mut again, asked) = begin(&house).await;
        let old = browser.cookie.clone().unwrap();
        again.cookie = Some(format!("{}; {old}", again.cookie.unwrap()));
        assert_eq!(finish(&again, &device.answer(&asked)).await.0, StatusCode::OK);
        assert_eq!(browser.get("/api/v1/session").await.0, StatusCode::UNAUTHORIZED);
        // Everything is in the log, and nobody else can remove it.
        let links = house.store.audit(&domain::repository::EntryFilter::newest(100)).await.unwrap();
        let acts: Vec<_> = links.iter().rev().map(|link| link.entry.action.as_str()).collect();
        assert_eq!(acts, ["passkey.create", "session.begin", "session.begin"]);
        assert!(links[0].entry.detail.contains("passkey"), "{}", links[0].entry.detail);
        let path = format!("/api/v1/passkeys/{}", passkey["id"].as_str().unwrap());
        let (_, other) = staff(&house, "wang").await;
        assert_eq!(other.delete(&path).await, StatusCode::NOT_FOUND);
        assert_eq!(other.get("/api/v1/passkeys").await.1["items"], json!([]));
        assert_eq!(client.delete(&path).await, StatusCode::NO_CONTENT);
        // Gone is gone, also for a ceremony that had begun.
        let (browser, asked) = begin(&house).await;
        assert_eq!(finish(&browser, &device.answer(&asked)).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(refusals(&house, 1).await, [(None, "unknown".into())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_proof_is_refused_and_every_refusal_is_the_same() {
    for database in BOTH {
        let house = House::start_with(database, HTTP).await;
        let (person, client) = staff(&house, "li").await;
        let (mut device, _) = register(&client).await;
        let (_, other) = staff(&house, "wang").await;
        let (mut others, _) = register(&other).await;
        let (mut problems, mut whys) = (Vec::new(), Vec::new());
        let mut refused = async |why: &str, browser: &Client, credential: &Value| {
            let (status, problem) = finish(browser, credential).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{why}: {problem}");
            problems.push(problem);
            whys.push(why.to_owned());
        };
        // An answer is good once, whoever has overheard it.
        let (browser, asked) = begin(&house).await;
        let answer = device.answer(&asked);
        assert_eq!(finish(&browser, &answer).await.0, StatusCode::OK);
        refused("not_begun", &browser, &answer).await;
        refused("proof", &begin(&house).await.0, &answer).await;
        // Another browser, which has begun nothing, with a good answer.
        let (_, asked) = begin(&house).await;
        refused("not_begun", &house.client(), &device.answer(&asked)).await;
        type Change = fn(&mut Authenticator);
        let changes: [(&str, Change); 5] = [
            ("proof", |device| device.origin = "http://localhost:8081".into()),
            ("proof", |device| device.origin = "https://evil.example".into()),
            ("proof", |device| device.rp = "evil.example".into()),
            ("proof", |device| device.flags = PRESENT),
            ("unknown", |device| device.id = vec![7; 32]),
        ];
        for (why, change) in changes {
            let (browser, asked) = begin(&house).await;
            let mut changed = device.clone();
            change(&mut changed);
            refused(why, &browser, &changed.answer(&asked)).await;
        }
        // Somebody else's credential under this person's name, and their key under this credential.
        let (browser, asked) = begin(&house).await;
        let mut mixed = Authenticator { user: device.user.clone(), ..others.clone() };
        refused("unknown", &browser, &mixed.answer(&asked)).await;
        let (browser, asked) = begin(&house).await;
        let mut mixed = Authenticator { user: device.user.clone(), id: device.id.clone(), ..others.clone() };
        refused("proof", &browser, &mixed.answer(&asked)).await;
        // A disabled account.
        house.store.set_disabled(&person.id, true).await.unwrap();
        let (browser, asked) = begin(&house).await;
        refused("disabled", &browser, &device.answer(&asked)).await;
        assert!(problems.iter().all(|problem| *problem == problems[0]), "{problems:?}");
        assert_eq!(problems[0]["type"], "wrong-passkey");
        // The log knows more: ten of an address a minute, the rest as a number.
        for ((actor, why), expected) in refusals(&house, 10).await.into_iter().zip(whys) {
            assert_eq!(why, expected);
            assert_eq!(actor, (why == "proof").then(|| person.id.clone()));
        }
        // What all this did to the other one: nothing.
        sign_in(&house, &mut others).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_device_counts_backwards_and_is_found_out() {
    for database in BOTH {
        let house = House::start_with(database, HTTP).await;
        let (person, client) = staff(&house, "li").await;
        let (mut device, _) = register(&client).await;
        let mut copy = device.clone();
        sign_in(&house, &mut device).await;
        let (browser, asked) = begin(&house).await;
        assert_eq!(finish(&browser, &copy.answer(&asked)).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(refusals(&house, 1).await, [(Some(person.id), "counter".into())]);
        sign_in(&house, &mut device).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_adds_a_passkey_says_again_who_they_are() {
    for database in BOTH {
        let house = House::start_with(database, HTTP).await;
        let (person, client) = staff(&house, "li").await;
        let ask = async |password: Value| client.post("/api/v1/passkeys/begin", password).await;
        house.clock.jump(5 * 60 * 1_000_000);
        for wrong in [json!({}), json!({ "password": "a wrong password" })] {
            let (status, problem) = ask(wrong).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
            assert_eq!(problem["errors"][0]["pointer"], "/password");
        }
        let (status, asked) = ask(json!({ "password": PASSWORD })).await;
        assert_eq!(status, StatusCode::OK, "{asked}");
        let (_, credential) = Authenticator::register(ORIGIN, &asked["options"]);
        let input = json!({ "name": "phone", "credential": credential });
        // Another session of the same person has not begun it.
        let elsewhere = house.signed_in(&person).await;
        assert_eq!(elsewhere.post("/api/v1/passkeys", input.clone()).await.0, StatusCode::CONFLICT);
        assert_eq!(client.post("/api/v1/passkeys", input.clone()).await.0, StatusCode::CREATED);
        assert_eq!(client.post("/api/v1/passkeys", input).await.0, StatusCode::CONFLICT, "once");
        // Made for another page, or answering an older question.
        for foreign in [true, false] {
            let (_, asked) = ask(json!({ "password": PASSWORD })).await;
            let origin = if foreign { "https://evil.example" } else { ORIGIN };
            let (_, credential) = Authenticator::register(origin, &asked["options"]);
            if !foreign {
                ask(json!({ "password": PASSWORD })).await;
            }
            let input = json!({ "name": "phone", "credential": credential });
            assert_eq!(client.post("/api/v1/passkeys", input).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        }
        assert_eq!(house.store.passkeys(&person.id).await.unwrap().len(), 1);
        // Guessing here is guessing.
        let mut last = StatusCode::OK;
        for _ in 0..10 {
            last = ask(json!({ "password": "a wrong password" })).await.0;
        }
        assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_passkeys_are_required_a_password_only_leads_to_one() {
    for database in BOTH {
        let house = House::start_with(database, REQUIRED).await;
        let (person, old) = staff(&house, "li").await;
        let password = json!({ "login": "li", "password": PASSWORD });
        let mut limited = house.client().signed_in("li").await;
        assert_eq!(limited.get("/api/v1/session").await.1["passkey_needed"], true);
        let (mut device, _) = register(&limited).await;
        assert_eq!(limited.get("/api/v1/cameras").await.0, StatusCode::FORBIDDEN, "it was begun by password");
        // Who has one must use it; who does not know the password is not told.
        let (status, problem) = house.client().post("/api/v1/session", password).await;
        assert_eq!((status, &problem["type"]), (StatusCode::FORBIDDEN, &json!("passkey-needed")));
        assert_eq!(refusals(&house, 1).await, [(Some(person.id.clone()), "passkey_needed".into())]);
        let guess = async |login: &str| {
            let input = json!({ "login": login, "password": "a wrong password" });
            house.client().post("/api/v1/session", input).await
        };
        assert_eq!(guess("li").await, guess("nobody").await);
        limited = sign_in(&house, &mut device).await;
        assert_eq!(limited.get("/api/v1/session").await.1["passkey_needed"], false);
        assert_eq!(limited.get("/api/v1/cameras").await.0, StatusCode::OK);
        assert_eq!(old.get("/api/v1/cameras").await.0, StatusCode::FORBIDDEN, "sessions from before too");
        // A new password is no way around it.
        let input = json!({ "current": PASSWORD, "new": "another long password" });
        let changed = old.request(Method::PUT, "/api/v1/password").json(&input).send().await.unwrap();
        assert_eq!(changed.json::<Value>().await.unwrap()["passkey_needed"], true);
        // Residents may go on with passwords.
        let resident = house.sign_in_as(Role::Resident).await;
        assert_eq!(resident.get("/api/v1/session").await.1["passkey_needed"], false);
        assert_eq!(resident.get("/api/v1/cameras").await.0, StatusCode::OK);
        // Who has lost everything gets a password, and with it the way to a new passkey.
        let new = sharp_eyes::admin::reset_password(&house.settings, "li").await.unwrap();
        assert_eq!(house.store.passkeys(&person.id).await.unwrap(), []);
        let (status, who) =
            house.client().post("/api/v1/session", json!({ "login": "li", "password": new })).await;
        assert_eq!((status, &who["passkey_needed"]), (StatusCode::OK, &json!(true)));
        let (browser, asked) = begin(&house).await;
        assert_eq!(finish(&browser, &device.answer(&asked)).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_passkey_that_is_needed_only_ones_own_account_is_open() {
    let house = House::start_with(Database::Sqlite, REQUIRED).await;
    let person = house.person("li").await;
    house.store.add_grant(&house.grant(&person, Role::Owner)).await.unwrap();
    let nothing = "0".repeat(32);
    let mut open = 0;
    for route in declared().iter().filter(|r| !matches!(r.access, Access::Public | Access::Device)) {
        let client = house.signed_in(&person).await;
        let path = route.path.replace("{id}", &nothing).replace("{person}", &nothing);
        let path = path.replace("{stream}", "main") + "?site_id=" + &nothing;
        let body = (route.method != "GET").then(|| json!({}));
        let (status, problem) = client.send(route.method.parse().unwrap(), &path, body).await;
        let needed = status == StatusCode::FORBIDDEN && problem["type"] == "passkey-needed";
        assert_eq!(
            needed,
            route.access != Access::Own,
            "{} {}: {status} {problem}",
            route.method,
            route.path
        );
        open += usize::from(!needed);
    }
    assert!(open >= 9, "{open}");
    let client = house.signed_in(&person).await;
    let camera = house.camera("rtsp://127.0.0.1:9/a").await;
    assert_eq!(Live::try_open(&client, &camera, "main").await.err(), Some(403));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_name_has_no_passkeys_and_says_so() {
    for more in ["", "[http]\npublic_url = \"https://192.168.1.5\"\n"] {
        let house = House::start_with(Database::Sqlite, more).await;
        let place = house.client().get("/api/v1/session/passkey").await;
        assert_eq!(place, (StatusCode::OK, json!({ "origin": null })));
        let (status, problem) = house.client().post("/api/v1/session/passkey/begin", json!({})).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(problem["detail"].as_str().unwrap().contains("http.public_url"), "{problem}");
    }
    let house = House::start_with(Database::Sqlite, HTTP).await;
    let place = house.client().get("/api/v1/session/passkey").await;
    assert_eq!(place, (StatusCode::OK, json!({ "origin": ORIGIN })));
    let (_, client) = staff(&house, "li").await;
    // One address begins only so many sign-ins, and rubbish is an answer.
    for rubbish in
        [json!({}), json!({ "credential": 1 }), json!({ "credential": { "id": "x", "rawId": "!" } })]
    {
        for path in ["/api/v1/session/passkey", "/api/v1/passkeys"] {
            assert_eq!(client.post(path, rubbish.clone()).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
    let mut begun = 0;
    while client.post("/api/v1/session/passkey/begin", json!({})).await.0 == StatusCode::OK {
        begun += 1;
    }
    assert_eq!(begun, 30);
    let (mut device, _) = register(&client).await;
    let answer = device.answer(&json!({ "challenge": "AAAA" }));
    assert_eq!(finish(&client, &answer).await.0, StatusCode::TOO_MANY_REQUESTS, "nor is the log filled");
}
