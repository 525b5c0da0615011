//! Joining with a site's code: a claim gives nothing before it is decided, and
//! leaves nothing behind when it is not.

use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::database::{BOTH, Database, open};
use crate::support::live::Live;
use crate::support::{House, PASSWORD};
use ::store::Store;
use domain::person::Person;
use domain::registration::{Filed, JoinCode, Registration, State, WAITING};
use domain::repository::{Joining as _, Persons as _, Rights as _, Sites as _};
use domain::role::Role;
use domain::site::{ResidentPolicy, Site, SiteKind};
use domain::{Clock as _, PersonId, RegistrationId, Secret, SiteId, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use sharp_eyes::audit::verify;
use sharp_eyes::clock::SystemClock;
use web::token::random;

async fn ok(answer: (reqwest::StatusCode, Value)) -> Value {
    assert!(answer.0.is_success(), "{answer:?}");
    answer.1
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

fn newcomer(code: &str, unit: &str) -> Value {
    json!({ "code": code, "name": "Zhao", "password": PASSWORD, "unit": unit, "message": "second floor" })
}

/// Registers; answers the browser and the login that was made.
async fn register(house: &House, code: &str, unit: &str) -> (Client, String) {
    let mut client = house.client();
    let request = client.request(Method::POST, "/api/v1/register").json(&newcomer(code, unit));
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 201);
    client.take_cookie(&response);
    let body: Value = response.json().await.unwrap();
    (client, text(&body["person"], "login"))
}

async fn switch_on(house: &House, who: &Client) -> String {
    text(&ok(who.post(&format!("/api/v1/sites/{}/join-code", house.site), json!({})).await).await, "code")
}

async fn queue(house: &House, who: &Client) -> Vec<Value> {
    let path = format!("/api/v1/registrations?state=waiting&site_id={}", house.site);
    ok(who.get(&path).await).await["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_unit_gives_nothing_before_the_decision() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    for database in BOTH {
        let house = House::start_on(database).await;
        let camera = house.camera(&cameras.url("a")).await;
        let (_, token) = house.door(&house.lobby).await;
        let event =
            json!({ "specversion": "1.0", "id": "1", "source": "/d", "type": "sharpeyes.door.opened" });
        house.client().events(&token, "application/json", &event).await;
        // An administrator of the site does it, not only an owner.
        let chief = house.sign_in_as(Role::Administrator).await;
        let path = format!("/api/v1/sites/{}/join-code", house.site);
        assert_eq!(ok(chief.get(&path).await).await, json!({ "on": false, "since": null }), "off by default");
        let code = switch_on(&house, &chief).await;

        let (zhao, login) = register(&house, &code, "building 3, second floor").await;
        assert!(login.len() == 8 && login.bytes().all(|b| b.is_ascii_digit()), "{login}");
        for path in
            ["/api/v1/sites", "/api/v1/places", "/api/v1/cameras", "/api/v1/door-events", "/api/v1/approvals"]
        {
            assert_eq!(ok(zhao.get(path).await).await["items"], json!([]), "{database:?} {path}");
        }
        assert_eq!(Live::try_open(&zhao, &camera, "main").await.err(), Some(404));
        let key = zhao.key().await;
        let key = Some((key.login.as_str(), key.key.as_str()));
        let played = camsim::viewers::Viewer::play(house.rtsp, &format!("{camera}/main"), key).await;
        assert!(played.err().unwrap().to_string().contains("404"));
        for (status, path) in [
            (404, format!("/api/v1/cameras/{camera}/viewings")),
            (404, format!("/api/v1/sites/{}", house.site)),
            (403, format!("/api/v1/units?site_id={}", house.site)),
            (404, format!("/api/v1/registrations?site_id={}", house.site)),
        ] {
            assert_eq!(zhao.get(&path).await.0.as_u16(), status, "{database:?} {path}");
        }
        let ask = json!({ "site_id": house.site });
        assert_eq!(
            zhao.post("/api/v1/approvals", ask).await.0.as_u16(),
            422,
            "there is no such site for them"
        );
        let session = ok(zhao.get("/api/v1/session").await).await;
        assert_eq!(session["roles"], json!([]));

        // What they see is that they wait; and nobody else's claim.
        let own = ok(zhao.get("/api/v1/registrations").await).await;
        let own = &own["items"][0];
        assert_eq!((&own["state"], &own["unit"]), (&json!("waiting"), &json!("building 3, second floor")));
        assert_eq!(own["site"], "幸福里");
        let id = text(own, "id");
        for (how, body) in [
            ("accept", json!({ "label": "x", "entrance_id": house.lobby })),
            ("refuse", json!({ "reason": "x" })),
        ] {
            let path = format!("/api/v1/registrations/{id}/{how}");
            assert_eq!(zhao.post(&path, body).await.0.as_u16(), 403, "nobody decides about themselves");
        }
        let waiting = queue(&house, &chief).await;
        assert_eq!((waiting.len(), &waiting[0]["name"]), (1, &json!("Zhao")), "{database:?}");

        // Into a new unit. It is a membership, and a request to watch: another decision.
        let decide = format!("/api/v1/registrations/{id}/accept");
        for (body, pointer) in [
            (json!({}), "/household_id"),
            (json!({ "unit_id": "0".repeat(32) }), "/unit_id"),
            (json!({ "household_id": "0".repeat(32) }), "/household_id"),
            (json!({ "label": "3-1-201", "entrance_id": "0".repeat(32) }), "/entrance_id"),
            (json!({ "label": "", "entrance_id": house.lobby }), "/label"),
        ] {
            let (status, problem) = chief.post(&decide, body).await;
            assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!(pointer)));
        }
        let accepted = chief.post(&decide, json!({ "label": "3-1-201", "entrance_id": house.lobby })).await;
        assert_eq!(ok(accepted).await["state"], "accepted", "{database:?}");
        assert_eq!(
            chief.post(&decide, json!({ "label": "9", "entrance_id": house.lobby })).await.0.as_u16(),
            409
        );
        assert_eq!(ok(zhao.get("/api/v1/door-events").await).await["items"].as_array().unwrap().len(), 1);
        assert_eq!(ok(zhao.get("/api/v1/cameras").await).await["items"], json!([]));
        let approval = ok(zhao.get("/api/v1/approvals").await).await["items"][0].clone();
        assert_eq!(approval["state"], "requested");
        ok(chief.post(&format!("/api/v1/approvals/{}/grant", text(&approval, "id")), json!({})).await).await;
        Live::open(&zhao, &camera).await.binary().await;

        // A second one joins the household that is there.
        let (li, _) = register(&house, &code, "3-1-201").await;
        let id = text(&queue(&house, &chief).await[0], "id");
        let households = ok(chief.get(&format!("/api/v1/households?site_id={}", house.site)).await).await;
        let household = &households["items"][0];
        let decide = format!("/api/v1/registrations/{id}/accept");
        let lived_in = chief.post(&decide, json!({ "unit_id": household["unit_id"] })).await;
        assert_eq!(lived_in.0.as_u16(), 422, "somebody lives there");
        ok(chief.post(&decide, json!({ "household_id": household["id"] })).await).await;
        assert_eq!(ok(li.get("/api/v1/cameras").await).await["items"].as_array().unwrap().len(), 1);
        // The password that was chosen and the login that was made sign in.
        let again = json!({ "login": login, "password": PASSWORD });
        assert_eq!(house.client().post("/api/v1/session", again).await.0.as_u16(), 200);

        let log =
            ok(chief.get(&format!("/api/v1/audit?limit=500&site_id={}", house.site)).await).await.to_string();
        for action in ["join_code.create", "registration.create", "registration.accepted", "approval.granted"]
        {
            assert!(log.contains(action), "{action}");
        }
        assert!(!log.contains(PASSWORD) && !log.contains(&code) && !log.contains("second floor"));
        verify(&*house.store, vec![]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_wrong_changed_or_off_answers_alike() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let path = format!("/api/v1/sites/{}/join-code", house.site);
    let answer = async |code: &str| {
        let request = house.client().request(Method::POST, "/api/v1/register").json(&newcomer(code, "3-1"));
        let response = request.send().await.unwrap();
        let mut headers = response.headers().clone();
        headers.remove("date");
        (response.status().as_u16(), headers, response.text().await.unwrap())
    };
    let never = answer(&"0".repeat(64)).await;
    assert_eq!(never.0, 410);
    let first = switch_on(&house, &owner).await;
    assert_eq!(answer(&first).await.0, 201);
    let second = switch_on(&house, &owner).await;
    assert_eq!(answer(&first).await, never, "a code that was changed");
    assert_eq!(answer(&second).await.0, 201);
    assert_eq!(owner.delete(&path).await.as_u16(), 204);
    assert_eq!(owner.delete(&path).await.as_u16(), 404);
    assert_eq!(answer(&second).await, never, "a code that is off");
    assert_eq!(queue(&house, &owner).await.len(), 2);
    // A login is never asked for, so no answer tells whether one exists.
    let mut input = newcomer(&second, "3-1");
    input["login"] = json!("owner");
    assert_eq!(house.client().post("/api/v1/register", input).await.0.as_u16(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_read_with_its_reason_and_can_be_asked_again() {
    let house = House::start_on(Database::Postgres).await;
    let owner = house.sign_in_as(Role::Owner).await;
    let code = switch_on(&house, &owner).await;
    let (zhao, _) = register(&house, &code, "3-1-999").await;
    let again = json!({ "code": code, "unit": "3-1-201" });
    let (status, problem) = zhao.post("/api/v1/registrations", again.clone()).await;
    assert_eq!((status.as_u16(), &problem["type"]), (409, &json!("conflict")), "one at a time");
    let id = text(&queue(&house, &owner).await[0], "id");
    let refuse = format!("/api/v1/registrations/{id}/refuse");
    assert_eq!(owner.post(&refuse, json!({ "reason": " " })).await.0.as_u16(), 422, "a no needs a reason");
    ok(owner.post(&refuse, json!({ "reason": "no such door" })).await).await;
    assert_eq!(owner.post(&refuse, json!({ "reason": "x" })).await.0.as_u16(), 409);
    let own = ok(zhao.get("/api/v1/registrations").await).await;
    assert_eq!(
        (&own["items"][0]["state"], &own["items"][0]["reason"]),
        (&json!("refused"), &json!("no such door"))
    );
    assert_eq!(ok(zhao.get("/api/v1/sites").await).await["items"], json!([]));
    // With the account that is there.
    ok(zhao.post("/api/v1/registrations", again.clone()).await).await;
    assert_eq!(queue(&house, &owner).await.len(), 1);
    let mut wrong = again;
    wrong["code"] = json!("0".repeat(64));
    assert_eq!(zhao.post("/api/v1/registrations", wrong).await.0.as_u16(), 410);

    // An account that is switched off waits no more.
    let person = text(&ok(zhao.get("/api/v1/session").await).await["person"], "id");
    let off = owner.patch(&format!("/api/v1/persons/{person}"), json!({ "disabled": true })).await;
    assert_eq!(off.0.as_u16(), 204);
    assert!(queue(&house, &owner).await.is_empty());
    let path = format!("/api/v1/registrations?state=refused&site_id={}", house.site);
    let refused = ok(owner.get(&path).await).await;
    assert_eq!(refused["items"].as_array().unwrap().len(), 2);
    assert_eq!(refused["items"][1]["reason"], "disabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_is_throttled_by_code() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let code = switch_on(&house, &owner).await;
    let mut answers = Vec::new();
    for _ in 0..12 {
        // Too short a password: nobody is registered, and the try counts.
        let mut input = newcomer(&code, "3-1");
        input["password"] = json!("short");
        answers.push(house.client().post("/api/v1/register", input).await.0.as_u16());
    }
    assert_eq!(answers, [[422; 10].as_slice(), &[429; 2]].concat());
    assert!(queue(&house, &owner).await.is_empty());
}

fn person(login: &str) -> Person {
    Person {
        id: PersonId::from_random(random()),
        login: login.into(),
        name: "赵".into(),
        locale: "zh-CN".into(),
        password_hash: Secret::new("$argon2id$x"),
        disabled: false,
        created_at: Timestamp(6),
    }
}

fn registration(site: &SiteId, person: &Person, at: i64) -> Registration {
    Registration {
        id: RegistrationId::from_random(random()),
        site_id: site.clone(),
        person_id: person.id.clone(),
        unit: "3-1-201".into(),
        message: "hello".into(),
        state: State::Waiting,
        created_at: Timestamp(at),
        decided_by: None,
        decided_at: None,
        reason: None,
    }
}

/// A site with a code, and who switched it on.
async fn with_code(store: &Store) -> (SiteId, Person) {
    let site = Site {
        id: SiteId::from_random(random()),
        name: "幸福里".into(),
        kind: SiteKind::Compound,
        time_zone: "Asia/Shanghai".into(),
        resident_policy: ResidentPolicy::Approved,
        created_at: Timestamp(1),
    };
    store.add_site(&site).await.unwrap();
    let owner = person("owner");
    store.add_person(&owner).await.unwrap();
    let code = JoinCode {
        site_id: site.id.clone(),
        token_hash: vec![7],
        created_by: owner.id.clone(),
        created_at: Timestamp(2),
    };
    store.set_join_code(&code).await.unwrap();
    assert_eq!(store.join_code(&site.id).await.unwrap(), Some(code.clone()));
    assert_eq!(store.join_code_by_token(&[7]).await.unwrap(), Some(code));
    assert_eq!(store.join_code_by_token(&[8]).await.unwrap(), None);
    (site.id, owner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_lets_only_so_many_wait() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        let store = std::sync::Arc::new(store);
        let (site, _) = with_code(&store).await;
        // Many at once: the bound holds between them.
        let one = |n: u32| {
            let (store, site) = (std::sync::Arc::clone(&store), site.clone());
            tokio::spawn(async move {
                let person = person(&format!("p{n}"));
                store.register(&[7], &registration(&site, &person, 5), Some(&person)).await.unwrap()
            })
        };
        let mut filed = Vec::new();
        for first in (0..WAITING + 20).step_by(20) {
            let twenty: Vec<_> = (first..first + 20).map(one).collect();
            for each in twenty {
                filed.push(each.await.unwrap());
            }
        }
        let waiting = filed.iter().filter(|f| **f == Filed::Waiting).count();
        assert_eq!(waiting, usize::try_from(WAITING).unwrap(), "{database:?}");
        assert_eq!(filed.iter().filter(|f| **f == Filed::Full).count(), 20);
        assert_eq!(store.registrations(&site).await.unwrap().len(), waiting);
        // Who was turned away has no account either.
        assert_eq!(store.persons().await.unwrap().len(), waiting + 1);
        assert!(store.remove_join_code(&site).await.unwrap());
        assert!(!store.remove_join_code(&site).await.unwrap());
        let late = person("late");
        let filed = store.register(&[7], &registration(&site, &late, 5), Some(&late)).await.unwrap();
        assert_eq!(filed, Filed::WrongCode, "{database:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_decided_or_was_refused_is_deleted_with_its_account() {
    for database in BOTH {
        let (store, _folder) = open(database).await;
        let (site, owner) = with_code(&store).await;
        let [ignored, refused, accepted, fresh] = ["ignored", "refused", "accepted", "fresh"].map(person);
        let mut filed = Vec::new();
        for (person, at) in [(&ignored, 10), (&refused, 10), (&accepted, 10), (&fresh, 90)] {
            let made = registration(&site, person, at);
            assert_eq!(store.register(&[7], &made, Some(person)).await.unwrap(), Filed::Waiting);
            assert_eq!(store.registration(&made.id).await.unwrap(), Some(made.clone()), "{database:?}");
            filed.push(made);
        }
        // Somebody who has an account, and a right of another kind.
        let own = registration(&site, &owner, 10);
        assert_eq!(store.register(&[7], &own, None).await.unwrap(), Filed::Waiting);
        let twice = registration(&site, &owner, 11);
        assert_eq!(store.register(&[7], &twice, None).await.unwrap(), Filed::Already);

        let decided = |made: &Registration, state| Registration {
            state,
            decided_by: Some(owner.id.clone()),
            decided_at: Some(Timestamp(50)),
            reason: (state == State::Refused).then(|| "no such door".to_owned()),
            ..made.clone()
        };
        let no = decided(&filed[1], State::Refused);
        assert!(store.refuse_registration(&no).await.unwrap());
        assert!(!store.refuse_registration(&no).await.unwrap(), "once");
        assert_eq!(store.registrations_of(&refused.id).await.unwrap(), [no]);
        let unit = domain::household::Unit {
            id: domain::UnitId::from_random(random()),
            site_id: site.clone(),
            entrance_id: {
                let place = domain::place::Place {
                    id: domain::PlaceId::from_random(random()),
                    site_id: site.clone(),
                    parent_id: None,
                    name: "lobby".into(),
                    kind: domain::place::PlaceKind::Lobby,
                    created_at: Timestamp(1),
                };
                store.add_place(&place).await.unwrap();
                place.id
            },
            label: "3-1-201".into(),
            created_at: Timestamp(50),
        };
        let home = domain::household::Household {
            id: domain::HouseholdId::from_random(random()),
            unit_id: unit.id.clone(),
            from: Timestamp(50),
            until: None,
        };
        let yes = decided(&filed[2], State::Accepted);
        assert!(store.accept_registration(&yes, Some(&unit), Some(&home), &home.id).await.unwrap());
        assert!(!store.accept_registration(&yes, None, None, &home.id).await.unwrap(), "once");
        assert_eq!(store.memberships(&site).await.unwrap().len(), 1);

        let logins = async || {
            store.persons().await.unwrap().into_iter().map(|person| person.login).collect::<Vec<_>>()
        };
        // 30 days after it was made, if nobody decided …
        assert_eq!(store.remove_old_registrations(Timestamp(11), SystemClock.now()).await.unwrap(), 2);
        assert_eq!(logins().await, ["accepted", "fresh", "owner", "refused"], "{database:?}");
        // … or after the decision. The account that lives there stays.
        assert_eq!(store.remove_old_registrations(Timestamp(51), SystemClock.now()).await.unwrap(), 2);
        assert_eq!(logins().await, ["accepted", "fresh", "owner"], "{database:?}");
        assert_eq!(store.registrations(&site).await.unwrap().len(), 1);
        assert_eq!(verify(&store, vec![]).await.unwrap().seq, 4, "each removal is in the chain");
    }
}
