//! Approvals that lapse are asked for again and decided again; requests go when
//! what they rest on goes.

use crate::support::House;
use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::database::BOTH;
use crate::support::live::{Heard, Live};
use domain::approval::{Approval, Subject};
use domain::person::Person;
use domain::repository::Rights as _;
use domain::role::Role;
use domain::schedule::{Schedule, Window};
use domain::{Clock as _, HouseholdId};
use reqwest::Method;
use serde_json::{Value, json};
use sharp_eyes::clock::SystemClock;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn ok(answer: (reqwest::StatusCode, Value)) -> Value {
    assert!(answer.0.is_success(), "{answer:?}");
    answer.1
}

/// A household with one member, who is signed in, and its approval after `change`.
async fn resident(
    house: &House,
    login: &str,
    change: impl FnOnce(&mut Approval),
) -> (Client, Person, HouseholdId, Approval) {
    let person = house.person(login).await;
    let household = house.household(login).await;
    house.store.add_member(&household, &person.id, SystemClock.now()).await.unwrap();
    let mut approval = house.approval(Subject::Household(household.clone()), &person);
    change(&mut approval);
    house.store.add_approval(&approval).await.unwrap();
    (house.signed_in(&person).await, person, household, approval)
}

async fn of_site(house: &House, who: &Client, state: &str) -> Vec<Value> {
    let path = format!("/api/v1/approvals?site_id={}&state={state}", house.site);
    ok(who.get(&path).await).await["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_lapses_is_asked_for_again_and_decided_again() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    for database in BOTH {
        let house = House::start_on(database).await;
        let camera = house.camera(&cameras.url("a")).await;
        let chief = house.sign_in_as(Role::Administrator).await;
        let now = SystemClock.now();
        let all_week =
            Schedule(vec![Window { days: (1..=7).collect(), from_minute: 0, until_minute: 1_440 }]);
        let (zhang, _, _, soon) = resident(&house, "zhang", |a| {
            a.until = now.after(29 * DAY);
            a.schedule = Some(all_week);
        })
        .await;
        let (li, _, _, later) = resident(&house, "li", |a| a.until = now.after(31 * DAY)).await;
        let (_, _, _, lapsed) = resident(&house, "wang", |a| {
            a.from = now.before(2 * DAY);
            a.until = now.before(DAY);
        })
        .await;

        let lapsing = of_site(&house, &chief, "lapsing").await;
        assert_eq!(lapsing.len(), 1, "{database:?}: {lapsing:?}");
        assert_eq!((&lapsing[0]["id"], &lapsing[0]["lapses_soon"]), (&json!(soon.id), &json!(true)));
        assert_eq!(of_site(&house, &chief, "expired").await[0]["id"], json!(lapsed.id));

        let renew = |approval: &Approval| format!("/api/v1/approvals/{}/renew", approval.id);
        assert_eq!(li.post(&renew(&later), json!({})).await.0.as_u16(), 409, "it does not lapse soon");
        assert_eq!(li.post(&renew(&soon), json!({})).await.0.as_u16(), 404, "it is not theirs");
        assert_eq!(chief.post(&renew(&soon), json!({})).await.0.as_u16(), 404, "nobody asks for others");
        let asked = ok(zhang.post(&renew(&soon), json!({ "message": "please" })).await).await;
        assert_eq!((&asked["state"], &asked["renews"]), (&json!("requested"), &json!(soon.id)));
        assert_eq!(zhang.post(&renew(&soon), json!({})).await.0.as_u16(), 409, "it waits already");
        assert_eq!(
            house.store.approval(&soon.id).await.unwrap().unwrap().until,
            soon.until,
            "nothing by itself"
        );

        // The picture that rests on the old one goes on with the new one; and one
        // revocation ends it.
        let mut live = Live::open(&zhang, &camera).await;
        live.binary().await;
        let grant = format!("/api/v1/approvals/{}/grant", asked["id"].as_str().unwrap());
        let granted = ok(chief.post(&grant, json!({})).await).await;
        assert!(granted["schedule"].is_array(), "asking again does not ask for more hours: {granted}");
        assert_eq!(of_site(&house, &chief, "renewed").await[0]["id"], json!(soon.id), "{database:?}");
        live.binary().await;
        let revoke = format!("/api/v1/approvals/{}/revoke", granted["id"].as_str().unwrap());
        ok(chief.post(&revoke, json!({ "reason": "noise" })).await).await;
        while !matches!(live.next().await, Heard::Closed(code) if code == Some(4_001)) {}

        // What was revoked is read with its reason, and can be asked for again.
        let own = ok(zhang.get("/api/v1/approvals").await).await;
        let revoked = own["items"].as_array().unwrap().iter().find(|a| a["state"] == "revoked").unwrap();
        assert_eq!(revoked["reason"], "noise");
        ok(zhang
            .post(&format!("/api/v1/approvals/{}/renew", revoked["id"].as_str().unwrap()), json!({}))
            .await)
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_leave_the_queue_with_those_who_asked() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let owner = house.sign_in_as(Role::Owner).await;
        let requested = |approval: &mut Approval| approval.state = domain::approval::State::Requested;
        let (_, _, moved, of_moved) = resident(&house, "moved", requested).await;
        let (_, leaver, shared, of_leaver) = resident(&house, "leaver", requested).await;
        let (_, off, _, of_off) = resident(&house, "off", requested).await;
        let (_, stays, _, of_stays) = resident(&house, "stays", requested).await;
        house.store.add_member(&shared, &stays.id, SystemClock.now()).await.unwrap();
        assert_eq!(of_site(&house, &owner, "requested").await.len(), 4);

        assert_eq!(owner.delete(&format!("/api/v1/households/{moved}")).await.as_u16(), 204);
        let path = format!("/api/v1/households/{shared}/members/{}", leaver.id);
        assert_eq!(owner.send(Method::DELETE, &path, None).await.0.as_u16(), 204);
        let path = format!("/api/v1/persons/{}", off.id);
        assert_eq!(owner.patch(&path, json!({ "disabled": true })).await.0.as_u16(), 204);

        let waiting = of_site(&house, &owner, "requested").await;
        assert_eq!((waiting.len(), &waiting[0]["id"]), (1, &json!(of_stays.id)), "{database:?}");
        for (approval, reason) in [(of_moved, "moved_out"), (of_leaver, "left"), (of_off, "disabled")] {
            let kept = house.store.approval(&approval.id).await.unwrap().unwrap();
            assert_eq!(kept.state, domain::approval::State::Withdrawn, "{database:?} {reason}");
            assert_eq!(kept.reason.as_deref(), Some(reason));
            let log = ok(owner.get("/api/v1/audit?limit=500").await).await;
            let noted = log["items"].as_array().unwrap().iter().any(|entry| {
                entry["action"] == "approval.withdrawn" && entry["object"] == json!(approval.id)
            });
            assert!(noted, "{database:?} {reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_a_household_reads_its_approvals_no_more() {
    let house = House::start().await;
    let (zhang, person, household, _) = resident(&house, "zhang", |_| {}).await;
    assert_eq!(ok(zhang.get("/api/v1/approvals").await).await["items"].as_array().unwrap().len(), 1);
    house.store.end_member(&household, &person.id, SystemClock.now()).await.unwrap();
    assert_eq!(ok(zhang.get("/api/v1/approvals").await).await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_held_for_a_zone_and_from_a_day() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    for database in BOTH {
        let house = House::start_on(database).await;
        let at_gate = house.camera(&cameras.url("a")).await;
        let at_lobby = house.camera_like(&cameras.url("a"), |c| c.place_id = house.lobby.clone()).await;
        let owner = house.sign_in_as(Role::Owner).await;
        let zone = json!({ "site_id": house.site, "name": "east", "place_ids": [house.gate] });
        let zone = ok(owner.post("/api/v1/zones", zone).await).await;
        let stray = json!({ "site_id": house.site, "name": "x", "place_ids": ["0".repeat(32)] });
        assert_eq!(owner.post("/api/v1/zones", stray).await.0.as_u16(), 422);
        let person = house.person("patrol").await;
        let patrol = house.signed_in(&person).await;
        let role = |zone_id: &Value, from: &str, until: &str| {
            json!({ "person_id": person.id, "role": "patrol", "site_id": house.site, "zone_id": zone_id,
                "from": from, "until": until })
        };
        let now = SystemClock.now();
        let (yesterday, tomorrow, later) =
            (now.before(DAY).to_string(), now.after(DAY).to_string(), now.after(2 * DAY).to_string());
        for (input, pointer) in [
            (role(&json!("0".repeat(32)), &tomorrow, &later), "/zone_id"),
            (role(&zone["id"], "soon", &later), "/from"),
            (role(&zone["id"], &later, &tomorrow), "/until"),
        ] {
            let (status, problem) = owner.post("/api/v1/roles", input).await;
            assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!(pointer)));
        }
        ok(owner.post("/api/v1/roles", role(&zone["id"], &tomorrow, &later)).await).await;
        assert_eq!(Live::try_open(&patrol, &at_gate, "main").await.err(), Some(404), "not before its day");
        let held = ok(owner.post("/api/v1/roles", role(&zone["id"], &yesterday, &later)).await).await;
        assert_eq!((&held["zone"], &held["zone_id"]), (&json!("east"), &zone["id"]));
        Live::open(&patrol, &at_gate).await.binary().await;
        assert_eq!(Live::try_open(&patrol, &at_lobby, "main").await.err(), Some(404), "another zone's");
        let path = format!("/api/v1/zones/{}?site_id={}", zone["id"].as_str().unwrap(), house.site);
        let list = format!("/api/v1/zones?site_id={}", house.site);
        let listed = ok(owner.get(&list).await).await;
        assert_eq!(listed["items"][0]["place_ids"], json!([house.gate]));
        // The roles that are held for it end, the one that was to begin too.
        assert_eq!(owner.delete(&path).await.as_u16(), 204, "{database:?}");
        assert_eq!(ok(owner.get(&list).await).await["items"], json!([]));
        house.clock.jump(25 * 3_600 * 1_000_000);
        assert_eq!(Live::try_open(&house.signed_in(&person).await, &at_gate, "main").await.err(), Some(404));
    }
}
