//! What is in the chain has happened, and what has happened is in the chain.

use crate::support::House;
use crate::support::client::Client;
use crate::support::database::BOTH;
use domain::approval::{State, Subject};
use domain::repository::{Registers as _, Rights as _};
use domain::role::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sharp_eyes::audit::verify;

/// How often something is in the chain.
async fn noted(house: &House, action: &str, object: &str) -> usize {
    let links = house.store.chain(0, 10_000).await.unwrap();
    links.iter().filter(|link| link.entry.action.starts_with(action) && link.entry.object == object).count()
}

async fn made(client: &Client, path: &str, body: Value) -> String {
    let (status, made) = client.post(path, body).await;
    assert_eq!(status.as_u16(), 201, "{path}: {made}");
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_decide_at_once_one_is_in_the_chain() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (one, two) =
            (house.sign_in_as(Role::Administrator).await, house.sign_in_as(Role::Administrator).await);
        let person = house.person("zhang").await;
        let mut lost = 0;
        for _ in 0..20 {
            let mut approval = house.approval(Subject::Person(person.id.clone()), &person);
            approval.state = State::Requested;
            house.store.add_approval(&approval).await.unwrap();
            let path = |how: &str| format!("/api/v1/approvals/{}/{how}", approval.id);
            let (grant, refuse) = (path("grant"), path("refuse"));
            let (yes, no) =
                tokio::join!(one.post(&grant, json!({})), two.post(&refuse, json!({ "reason": "no" })));
            let mut statuses = [yes.0.as_u16(), no.0.as_u16()];
            statuses.sort_unstable();
            // A refusal that was decided before the grant can be granted after all.
            let made = statuses.iter().filter(|status| **status == 200).count();
            assert!(made > 0 && statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
            lost += 2 - made;
            let id = approval.id.as_str();
            assert_eq!(noted(&house, "approval.", id).await, made, "{database:?}: {statuses:?}");
        }
        assert!(lost > 0, "they never met");
        verify(&*house.store, vec![]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_or_done_already_is_not_noted() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let owner = house.sign_in_as(Role::Owner).await;
        let place = json!({ "site_id": house.site, "name": "yard", "kind": "gate" });
        let place = made(&owner, "/api/v1/places", place).await;
        let zone = json!({ "site_id": house.site, "name": "east", "place_ids": [place] });
        let zone = made(&owner, "/api/v1/zones", zone).await;
        let person = house.person("wang").await;
        let role = json!({ "person_id": person.id, "role": "patrol", "site_id": house.site });
        let role = made(&owner, "/api/v1/roles", role).await;
        let unit = made(&owner, "/api/v1/units", json!({ "entrance_id": place, "label": "3-1" })).await;
        let household = made(&owner, "/api/v1/households", json!({ "unit_id": unit })).await;
        let invitation = made(&owner, "/api/v1/invitations", json!({ "household_id": household })).await;
        let camera = json!({
            "place_id": place, "name": "a", "main_url": "rtsp://127.0.0.1:9/a",
            "purpose": "safety", "responsible_unit": "office",
        });
        let camera = made(&owner, "/api/v1/cameras", camera).await;
        let group = json!({ "site_id": house.site, "name": "group" });
        let group = made(&owner, "/api/v1/groups", group).await;
        for (action, object) in [
            ("group.create", &group),
            ("place.create", &place),
            ("zone.create", &zone),
            ("role.give", &role),
            ("unit.create", &unit),
            ("household.create", &household),
            ("invitation.create", &invitation),
            ("camera.create", &camera),
        ] {
            assert_eq!(noted(&house, action, object).await, 1, "{database:?} {action}");
        }
        let site = house.site.to_string();
        let of_site = format!("?site_id={site}");
        for (path, first, second, action, object) in [
            (format!("sites/{site}"), 409, 409, "site.delete", &site),
            (format!("places/{place}"), 409, 409, "place.delete", &place),
            (format!("cameras/{camera}"), 204, 404, "camera.delete", &camera),
            (format!("invitations/{invitation}"), 204, 404, "invitation.withdraw", &invitation),
            (format!("roles/{role}{of_site}"), 204, 404, "role.end", &role),
            (format!("zones/{zone}{of_site}"), 204, 404, "zone.delete", &zone),
            (format!("groups/{group}"), 204, 404, "group.end", &group),
            (format!("households/{household}"), 204, 404, "household.end", &household),
        ] {
            let path = format!("/api/v1/{path}");
            assert_eq!(owner.delete(&path).await.as_u16(), first, "{database:?} {path}");
            assert_eq!(owner.delete(&path).await.as_u16(), second, "{database:?} {path}");
            let done = usize::from(first == 204);
            assert_eq!(noted(&house, action, object).await, done, "{database:?} {action}");
        }
        let (status, _) = owner.post("/api/v1/units", json!({ "entrance_id": place, "label": "3-1" })).await;
        assert_eq!(status.as_u16(), 409, "there is one of this label");
        let links = house.store.chain(0, 10_000).await.unwrap();
        assert_eq!(links.iter().filter(|link| link.entry.action == "unit.create").count(), 1);
        verify(&*house.store, vec![]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_noted_is_not_done() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let person = house.person("wang").await;
    let approval = {
        let mut approval = house.approval(Subject::Person(person.id.clone()), &person);
        approval.state = State::Requested;
        house.store.add_approval(&approval).await.unwrap();
        approval.id
    };
    house.sql("create trigger full before insert on audit begin select raise(abort, 'full'); end").await;
    let site = house.site.clone();
    for (method, path, body) in [
        (
            Method::POST,
            "roles".to_owned(),
            json!({ "person_id": person.id, "role": "patrol", "site_id": site }),
        ),
        (Method::POST, format!("approvals/{approval}/grant"), json!({})),
        (Method::PATCH, format!("persons/{}", person.id), json!({ "disabled": true })),
        (Method::POST, format!("persons/{}/password", person.id), json!({})),
        (Method::PATCH, format!("sites/{site}"), json!({ "resident_policy": "off" })),
        (
            Method::POST,
            "zones".to_owned(),
            json!({ "site_id": site, "name": "east", "place_ids": [house.gate] }),
        ),
        (Method::POST, "groups".to_owned(), json!({ "site_id": site, "name": "group" })),
        (Method::POST, "alarms".to_owned(), json!({ "kind": "panic", "place_id": house.gate })),
    ] {
        let (status, problem) = owner.send(method, &format!("/api/v1/{path}"), Some(body)).await;
        assert_eq!(status.as_u16(), 503, "{path}: {problem}");
    }
    house.sql("drop trigger full").await;
    let standing = house.store.standing(&person.id).await.unwrap().unwrap();
    assert!(standing.grants.is_empty() && !standing.disabled);
    assert_eq!(standing.approvals[0].state, State::Requested);
    assert_eq!(house.store.zones(&site).await.unwrap(), []);
    for empty in [format!("groups?site_id={site}"), "incidents".to_owned()] {
        assert_eq!(owner.get(&format!("/api/v1/{empty}")).await.1["items"], json!([]), "{empty}");
    }
    let (_, shown) = owner.get(&format!("/api/v1/sites/{site}")).await;
    assert_eq!(shown["resident_policy"], "approved");
    house.client().signed_in("wang").await;
    verify(&*house.store, vec![]).await.unwrap();
}
