//! Invitations: who has made one can see that it is open, and take it back.

use crate::support::House;
use crate::support::client::Client;
use crate::support::database::BOTH;
use domain::HouseholdId;
use domain::repository::Rights as _;
use domain::role::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn invite(chief: &Client, household: &HouseholdId) -> (String, String) {
    let (status, shown) = chief.post("/api/v1/invitations", json!({ "household_id": household })).await;
    assert_eq!(status, StatusCode::CREATED, "{shown}");
    let text = |name: &str| shown[name].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

async fn join(house: &House, token: &str, login: &str) -> (u16, Value) {
    let input = json!({ "token": token, "login": login, "name": "Zhang", "password": "a long password" });
    let (status, mut problem) = house.client().post("/api/v1/join", input).await;
    problem["instance"] = Value::Null;
    (status.as_u16(), problem)
}

async fn open(house: &House, chief: &Client) -> Vec<Value> {
    let (status, list) = chief.get(&format!("/api/v1/invitations?site_id={}", house.site)).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    list["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_listed_until_it_is_used_withdrawn_or_over() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let chief = house.sign_in_as(Role::Administrator).await;
        let (home, other) = (house.household("3-1-502").await, house.household("3-1-503").await);
        let (first, used) = invite(&chief, &home).await;
        let (second, withdrawn) = invite(&chief, &home).await;
        let (third, moved) = invite(&chief, &other).await;
        let listed = open(&house, &chief).await;
        let ids = |list: &[Value]| -> Vec<String> {
            let mut ids: Vec<_> = list.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
            ids.sort();
            ids
        };
        let mut all = vec![first.clone(), second.clone(), third.clone()];
        all.sort();
        assert_eq!(ids(&listed), all, "{database:?}");
        let text = json!(listed).to_string();
        assert!(![&used, &withdrawn, &moved].iter().any(|token| text.contains(*token)), "no token is shown");
        let of_home = listed.iter().filter(|one| one["household_id"] == json!(home)).count();
        assert_eq!(of_home, 2);

        // Withdrawn: like a link that never was, to whoever holds it and to who withdraws it again.
        let path = format!("/api/v1/invitations/{second}");
        assert_eq!(chief.delete(&path).await, StatusCode::NO_CONTENT, "{database:?}");
        assert_eq!(chief.delete(&path).await, StatusCode::NOT_FOUND);
        let unknown = join(&house, &"0".repeat(withdrawn.len()), "zhang").await;
        assert_eq!((unknown.0, join(&house, &withdrawn, "zhang").await), (410, unknown), "{database:?}");

        // Used: it is somebody's membership, and not to be taken back this way.
        assert_eq!(join(&house, &used, "zhang").await.0, 201);
        assert_eq!(chief.delete(&format!("/api/v1/invitations/{first}")).await, StatusCode::NOT_FOUND);
        assert_eq!(ids(&open(&house, &chief).await), std::slice::from_ref(&third));
        let households = format!("/api/v1/households/{other}");
        assert_eq!(chief.delete(&households).await, StatusCode::NO_CONTENT);
        assert!(open(&house, &chief).await.is_empty(), "they have moved out");

        let (_, late) = invite(&chief, &home).await;
        house.clock.jump(7 * 24 * 3_600 * 1_000_000);
        let chief = house.sign_in_as(Role::Administrator).await;
        assert!(open(&house, &chief).await.is_empty(), "it is over");
        assert_eq!(join(&house, &late, "late").await.0, 410);

        let (_, log) = chief.get(&format!("/api/v1/audit?site_id={}&limit=500", house.site)).await;
        let of = |action: &str| {
            let entries = log["items"].as_array().unwrap().iter();
            entries.filter(|entry| entry["action"] == action && entry["object"] == json!(second)).count()
        };
        assert_eq!((of("invitation.create"), of("invitation.withdraw")), (1, 1), "{database:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_are_the_sites_own() {
    let house = House::start().await;
    let chief = house.sign_in_as(Role::Administrator).await;
    let household = house.household("3-1-502").await;
    let (id, token) = invite(&chief, &household).await;
    let (path, list) =
        (format!("/api/v1/invitations/{id}"), format!("/api/v1/invitations?site_id={}", house.site));
    for (role, status) in [(Role::Resident, 403), (Role::Patrol, 403), (Role::Auditor, 403)] {
        let other = house.sign_in_as(role).await;
        assert_eq!((other.delete(&path).await.as_u16(), other.get(&list).await.0.as_u16()), (status, status));
    }
    // An administrator of another site: it is not there.
    let site = house.another_site().await;
    let person = house.person("elsewhere").await;
    let mut grant = house.grant(&person, Role::Administrator);
    grant.site_id = Some(site);
    house.store.add_grant(&grant).await.unwrap();
    let stranger = house.signed_in(&person).await;
    assert_eq!((stranger.delete(&path).await.as_u16(), stranger.get(&list).await.0.as_u16()), (404, 404));
    assert_eq!(join(&house, &token, "zhang").await.0, 201, "it was not withdrawn by any of them");
}
