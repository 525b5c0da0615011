//! Zones: a role that is held for a part of a site, and its end with the zone.

use crate::support::House;
use crate::support::camera::{self, H264};
use crate::support::database::BOTH;
use crate::support::live::Live;
use domain::repository::{Registers as _, Rights as _, Sites as _};
use domain::role::Role;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// The close code, within the promise.
async fn ends(live: &mut Live, answered: Instant) -> Option<u16> {
    let ended = tokio::time::timeout_at(answered + Duration::from_secs(2), live.closed()).await;
    ended.expect("the picture went on")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_in_a_zone_reaches_its_places_and_ends_with_it() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    for database in BOTH {
        let house = House::start_on(database).await;
        let admin = house.sign_in_as(Role::Administrator).await;
        let (at_gate, lobby) = (house.camera(&cameras.url("a")).await, house.lobby.clone());
        let at_lobby = house.camera_like(&cameras.url("a"), |camera| camera.place_id = lobby).await;
        let zone = json!({ "site_id": house.site, "name": "东片", "place_ids": [house.gate] });
        let (status, zone) = admin.post("/api/v1/zones", zone).await;
        assert_eq!(status.as_u16(), 201, "{zone}");
        let (zone_id, path) = (zone["id"].clone(), format!("/api/v1/zones/{}", zone["id"].as_str().unwrap()));

        let of = |path: &str| format!("{path}?site_id={}", house.site);
        let patrol = house.person("zone patrol").await;
        let role =
            json!({ "person_id": patrol.id, "role": "patrol", "site_id": house.site, "zone_id": zone_id });
        let (status, role) = admin.post("/api/v1/roles", role).await;
        assert_eq!(
            (status.as_u16(), &role["zone_id"], &role["zone"]),
            (201, &zone_id, &json!("东片")),
            "{role}"
        );
        let patrol = house.signed_in(&patrol).await;
        let sees = async |camera: &domain::CameraId| {
            patrol.get(&format!("/api/v1/cameras/{camera}")).await.0.as_u16()
        };
        assert_eq!((sees(&at_gate).await, sees(&at_lobby).await), (200, 404), "{database:?}");

        // Places come and go, and the picture with them.
        let mut live = Live::open(&patrol, &at_gate).await;
        live.binary().await;
        let (status, changed) = admin.patch(&path, json!({ "place_ids": [house.lobby] })).await;
        let answered = Instant::now();
        assert_eq!((status.as_u16(), &changed["place_ids"]), (200, &json!([house.lobby])), "{changed}");
        assert_eq!(ends(&mut live, answered).await, Some(4001));
        assert_eq!((sees(&at_gate).await, sees(&at_lobby).await), (404, 200), "{database:?}");

        let mut live = Live::open(&patrol, &at_lobby).await;
        live.binary().await;
        assert_eq!(admin.delete(&of(&path)).await.as_u16(), 204);
        let answered = Instant::now();
        assert_eq!(ends(&mut live, answered).await, Some(4001));
        assert_eq!(sees(&at_lobby).await, 404);
        assert_eq!(patrol.get("/api/v1/sites").await.1["items"], json!([]), "the role itself ended");
        assert_eq!(admin.delete(&of(&path)).await.as_u16(), 404);
        let (_, list) = admin.get(&format!("/api/v1/zones?site_id={}", house.site)).await;
        assert_eq!(list["items"], json!([]));
        // What was once held is still told, with the zone it was held in.
        let (_, roles) = admin.get(&format!("/api/v1/roles?site_id={}", house.site)).await;
        let held = roles["items"].as_array().unwrap().iter().find(|held| held["id"] == role["id"]).unwrap();
        assert!(held["until"].is_string() && held["zone"] == "东片", "{held}");
        let log = house.store.chain(0, 1_000).await.unwrap();
        let deleted = log.iter().find(|link| link.entry.action == "zone.delete").unwrap();
        assert_eq!(deleted.entry.detail, json!({ "roles_ended": [role["id"]] }).to_string());
        assert!(
            ["zone.create", "zone.update"].iter().all(|a| log.iter().any(|link| link.entry.action == **a))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_of_places_of_its_own_site() {
    let house = House::start().await;
    let (owner, admin) = (house.sign_in_as(Role::Owner).await, house.sign_in_as(Role::Administrator).await);
    let village =
        json!({ "name": "other", "kind": "village", "time_zone": "Asia/Shanghai", "resident_policy": "off" });
    let (_, other) = owner.post("/api/v1/sites", village).await;
    let foreign = json!({ "site_id": other["id"], "parent_id": null, "name": "theirs", "kind": "gate" });
    let (_, foreign) = owner.post("/api/v1/places", foreign).await;
    let base = json!({ "site_id": house.site, "name": "east", "place_ids": [house.gate] });
    let refused = async |field: &str, value: serde_json::Value| {
        let mut input = base.clone();
        input[field] = value;
        let (status, why) = admin.post("/api/v1/zones", input).await;
        assert_eq!(status.as_u16(), 422, "{why}");
        why["errors"][0]["pointer"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused("place_ids", json!([house.gate, foreign["id"]])).await, "/place_ids/1");
    assert_eq!(refused("place_ids", json!(["x"])).await, "/place_ids/0");
    assert_eq!(refused("place_ids", json!([])).await, "/place_ids");
    assert_eq!(refused("place_ids", json!(vec![house.gate.as_str(); 201])).await, "/place_ids");
    assert_eq!(refused("name", json!(" ")).await, "/name");
    assert_eq!(refused("site_id", other["id"].clone()).await, "/site_id", "another site's is not there");
    let (status, zone) = admin.post("/api/v1/zones", base.clone()).await;
    assert_eq!(status.as_u16(), 201);
    assert_eq!(refused("name", json!("east")).await, "/name", "the name is taken");
    let path = format!("/api/v1/zones/{}", zone["id"].as_str().unwrap());
    assert_eq!(
        owner.patch(&path, json!({ "site_id": other["id"], "place_ids": [foreign["id"]] })).await.0.as_u16(),
        422
    );
    assert_eq!(admin.patch(&path, json!({ "name": "east" })).await.0.as_u16(), 200, "its own name stays");

    // A zone is for those who walk it: whoever manages or audits has the whole site.
    let person = house.person("somebody").await.id;
    let role = |role: &str, zone: &serde_json::Value, site: &serde_json::Value| json!({ "person_id": person, "role": role, "site_id": site, "zone_id": zone });
    for (client, input) in [
        (&owner, role("administrator", &zone["id"], &json!(house.site))),
        (&owner, role("auditor", &zone["id"], &json!(house.site))),
        (&owner, role("patrol", &zone["id"], &other["id"])),
        (&admin, role("patrol", &json!("0".repeat(32)), &json!(house.site))),
    ] {
        let (status, why) = client.post("/api/v1/roles", input).await;
        assert_eq!((status.as_u16(), &why["errors"][0]["pointer"]), (422, &json!("/zone_id")), "{why}");
    }
    let of = |path: &str| format!("{path}?site_id={}", house.site);
    // Others' zones are not there; the site's people may not change theirs.
    let (_, theirs) = owner
        .post("/api/v1/zones", json!({ "site_id": other["id"], "name": "x", "place_ids": [foreign["id"]] }))
        .await;
    let theirs = format!("/api/v1/zones/{}", theirs["id"].as_str().unwrap());
    assert_eq!(admin.delete(&of(&theirs)).await.as_u16(), 404);
    assert_eq!(admin.patch(&theirs, json!({ "name": "y" })).await.0.as_u16(), 404);
    let patrol = house.sign_in_as(Role::Patrol).await;
    assert_eq!(patrol.send(Method::DELETE, &of(&path), None).await.0.as_u16(), 403);
    // A place that goes takes itself out; a zone of nothing reaches nothing.
    assert!(house.store.remove_place(&house.gate).await.unwrap());
    assert!(house.store.zones(&house.site).await.unwrap()[0].places.is_empty());
}
