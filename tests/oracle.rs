//! What may not be known is not told: not by an answer, not by how long it takes
//! (C05), and not by a cache that others share (C07).

use crate::support::House;
use crate::support::client::Client;
use domain::approval::Subject;
use domain::device::DeviceKind;
use domain::registration::{Filed, JoinCode, Registration, State};
use domain::repository::{Joining as _, Persons as _, Rights as _};
use domain::role::{Grant, Role, Zone};
use domain::{Clock as _, GrantId, RegistrationId, SiteId, ZoneId};
use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};
use web::router::{Declared, declared};
use web::token::{hex, random};

/// Ids of another site, by the part of the path they belong to.
type Foreign = BTreeMap<&'static str, String>;

/// Everything there is in the house's site; and another site.
async fn two_worlds(house: &House) -> (Foreign, SiteId) {
    let camera = house.camera("rtsp://127.0.0.1:9/a").await;
    let person = house.person("theirs").await;
    let client = house.signed_in(&person).await;
    let household = house.household("theirs").await;
    house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
    let approval = house.approval(Subject::Household(household.clone()), &person);
    house.store.add_approval(&approval).await.unwrap();
    let grant = house.grant(&person, Role::Patrol);
    house.store.add_grant(&grant).await.unwrap();
    let (device, door) = house.door(&house.lobby).await;
    let (button, _) = house.device(&house.lobby, DeviceKind::Button).await;
    let zone = Zone {
        id: ZoneId::from_random(random()),
        site_id: house.site.clone(),
        name: "theirs".into(),
        places: [house.gate.clone()].into(),
        created_at: house.clock.now(),
    };
    house.store.add_zone(&zone).await.unwrap();
    let code = JoinCode {
        site_id: house.site.clone(),
        token_hash: random::<32>().to_vec(),
        created_by: person.id.clone(),
        created_at: house.clock.now(),
    };
    house.store.set_join_code(&code).await.unwrap();
    let claim = Registration {
        id: RegistrationId::from_random(random()),
        site_id: house.site.clone(),
        person_id: person.id.clone(),
        unit: "theirs".into(),
        message: String::new(),
        state: State::Waiting,
        created_at: house.clock.now(),
        decided_by: None,
        decided_at: None,
        reason: None,
    };
    assert_eq!(house.store.register(&code.token_hash, &claim, None).await.unwrap(), Filed::Waiting);
    let session = house.store.sessions(&person.id).await.unwrap().remove(0);
    let passkey = hex(&random::<16>());
    house
        .sql(&format!(
            "insert into passkeys (id, person_id, credential_id, credential, name, created_at)
             values ('{passkey}', '{}', x'00', '{{}}', 'theirs', 1)",
            person.id
        ))
        .await;
    let owner = house.sign_in_as(Role::Owner).await;
    let invitation = owner.post("/api/v1/invitations", json!({ "household_id": household })).await.1;
    let (status, pressed) = client.post("/api/v1/alarms", json!({ "kind": "panic" })).await;
    assert_eq!(status, StatusCode::CREATED, "{pressed}");
    let incident = pressed["incident_id"].as_str().unwrap().to_owned();
    let group = hex(&random::<16>());
    house
        .sql(&format!(
            "insert into joint_groups (id, site_id, name, created_at) values ('{group}', '{}', 'theirs', 1)",
            house.site
        ))
        .await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/d", "type": "sharpeyes.door.opened" });
    assert_eq!(house.client().events(&door, "application/json", &event).await.0, StatusCode::ACCEPTED);
    let (_, events) = owner.get("/api/v1/door-events").await;
    let foreign = BTreeMap::from([
        ("door-events", events["items"][0]["id"].as_str().unwrap().to_owned()),
        ("invitations", invitation["id"].as_str().unwrap().to_owned()),
        ("sites", house.site.to_string()),
        ("places", house.gate.to_string()),
        ("cameras", camera.to_string()),
        ("approvals", approval.id.to_string()),
        ("households", household.to_string()),
        ("persons", person.id.to_string()),
        ("roles", grant.id.to_string()),
        ("zones", zone.id.to_string()),
        ("registrations", claim.id.to_string()),
        ("devices", device.to_string()),
        ("buttons", button.to_string()),
        ("incidents", incident),
        ("groups", group),
        ("passkeys", passkey),
        ("sessions", session.id.to_string()),
        ("viewer-keys", client.key().await.id),
    ]);
    let site = json!({ "name": "other", "kind": "village", "time_zone": "Asia/Shanghai", "resident_policy": "approved" });
    let (_, site) = owner.post("/api/v1/sites", site).await;
    (foreign, SiteId::parse(site["id"].as_str().unwrap()).unwrap())
}

/// Somebody new with this role there: what one person may try is limited.
async fn somebody(house: &House, site: &SiteId, role: Role) -> Client {
    let person = house.person(&format!("{}-{}", role.word(), hex(&random::<4>()))).await;
    let grant = Grant {
        id: GrantId::from_random(random()),
        site_id: Some(site.clone()),
        ..house.grant(&person, role)
    };
    house.store.add_grant(&grant).await.unwrap();
    house.signed_in(&person).await
}

/// Status, headers but for the date, and body.
async fn whole(response: Response) -> (StatusCode, BTreeMap<String, Vec<u8>>, String) {
    let headers = response.headers().iter().filter(|(name, _)| *name != "date");
    let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    (response.status(), headers, response.text().await.unwrap())
}

/// A body that would do, so that the id is looked at.
fn body(route: &Declared) -> serde_json::Value {
    match route.path.rsplit('/').next().unwrap_or_default() {
        "refuse" | "revoke" => json!({ "reason": "because" }),
        "{act}" => json!({ "version": 1 }),
        "answer" => json!({ "answer": "coming" }),
        "members" => json!({ "household_id": "0".repeat(32), "consent": true }),
        _ if route.method == "PATCH" && route.path.contains("persons") => json!({ "disabled": true }),
        _ if route.method == "PATCH" => json!({ "name": "x" }),
        _ => json!({}),
    }
}

/// C05: 10,000 probes.
#[tokio::test(flavor = "multi_thread")]
async fn c05_a_foreign_id_answers_like_one_that_is_of_nothing() {
    let house = House::start().await;
    let (foreign, site) = two_worlds(&house).await;
    let roles = [Role::Administrator, Role::Patrol];
    let routes: Vec<Declared> = declared().into_iter().filter(|route| route.path.contains("{id}")).collect();
    let rounds = 10_000 / (routes.len() * roles.len() * 2) + 1;
    let mut probes = 0;
    for role in roles {
        for route in &routes {
            let (client, role) = (somebody(&house, &site, role).await, role.word());
            let kind = route.path.trim_start_matches("/api/v1/").split('/').next().unwrap();
            let id = foreign.get(kind).unwrap_or_else(|| panic!("{}: no foreign {kind} to try", route.path));
            let ask = async |id: &str| {
                let path = route.path.replace("{id}", id).replace("{person}", &foreign["persons"]);
                let path = path.replace("{household}", &foreign["households"]).replace("{act}", "ack");
                let path = path.replace("{stream}", "main") + "?site_id=" + &foreign["sites"];
                let request = client.request(route.method.parse::<Method>().unwrap(), &path);
                let request = request.header("idempotency-key", hex(&random::<8>()));
                let request = if route.method == "GET" { request } else { request.json(&body(route)) };
                let asked = Instant::now();
                let answer = whole(request.send().await.unwrap()).await;
                (answer, asked.elapsed())
            };
            let mut apart = Vec::new();
            // A busy machine may part them once; what tells them apart does it every time.
            while apart.len() < 5 && apart.iter().all(|apart| *apart >= Duration::from_millis(5)) {
                let (mut real, mut unreal) = (Vec::new(), Vec::new());
                for _ in 0..rounds {
                    let (there, took) = ask(id).await;
                    real.push(took);
                    let (nothing, took) = ask(&hex(&random::<16>())).await;
                    unreal.push(took);
                    assert_eq!(there, nothing, "{} {} as {role}", route.method, route.path);
                    assert!(
                        there.0.is_client_error(),
                        "{} {} as {role}: {there:?}",
                        route.method,
                        route.path
                    );
                    probes += 2;
                }
                apart.push(median(&mut real).abs_diff(median(&mut unreal)));
            }
            let together = apart.iter().any(|apart| *apart < Duration::from_millis(5));
            assert!(together, "{} {} as {role}: {apart:?}", route.method, route.path);
        }
    }
    assert!(probes >= 10_000, "{probes}");
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A cache in front of the gateway that keeps whatever it is not forbidden to
/// keep (RFC 9111, section 3), and does not look at cookies.
#[derive(Default)]
struct Cache {
    kept: HashMap<String, String>,
    hits: usize,
}

impl Cache {
    async fn get(&mut self, client: &Client, path: &str) -> Option<String> {
        if let Some(body) = self.kept.get(path) {
            self.hits += 1;
            return Some(body.clone());
        }
        let response = client.request(Method::GET, path).send().await.unwrap();
        let control = response.headers().get("cache-control").map_or("", |value| value.to_str().unwrap());
        let control = control.to_ascii_lowercase();
        let may_keep = !control.split(',').any(|word| ["private", "no-store"].contains(&word.trim()));
        // A stream of events has no end, so only what it may keep is read to its end.
        let endless = response.headers()["content-type"].as_bytes().starts_with(b"text/event-stream");
        if endless && !may_keep {
            return None;
        }
        let body = response.text().await.unwrap();
        if may_keep {
            self.kept.insert(path.to_owned(), body.clone());
        }
        Some(body)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c07_a_shared_cache_has_nothing_to_give_to_another() {
    let house = House::start().await;
    let camera = house.camera("rtsp://127.0.0.1:9/a").await;
    let owner = house.sign_in_as(Role::Owner).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let (_, me) = owner.get("/api/v1/session").await;
    let mut cache = Cache::default();
    let paths: Vec<String> = declared()
        .into_iter()
        .filter(|route| route.method == "GET")
        .map(|route| {
            let id = match route.path.trim_start_matches("/api/v1/").split('/').next().unwrap() {
                "sites" => house.site.to_string(),
                "places" => house.gate.to_string(),
                "persons" => me["person"]["id"].as_str().unwrap().to_owned(),
                _ => camera.to_string(),
            };
            let path = route.path.replace("{id}", &id).replace("{stream}", "main");
            format!("{path}?site_id={}", house.site)
        })
        .collect();
    assert!(paths.len() > 20);
    for client in [&owner, &resident, &house.client()] {
        for path in &paths {
            cache.get(client, path).await;
            cache.get(client, &path.replace(house.site.as_str(), "x")).await;
        }
    }
    assert_eq!((cache.hits, cache.kept.len()), (0, 0), "{:?}", cache.kept.keys());
    // The proxy does keep what it may, or this would prove nothing.
    let page = cache.get(&house.client(), "/").await.unwrap();
    for asset in page.split('"').filter(|text| text.starts_with("/assets/")) {
        cache.get(&owner, asset).await;
        cache.get(&resident, asset).await;
    }
    assert!(cache.hits > 0, "the page's own files may be kept");
}
