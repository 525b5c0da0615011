//! The administrator: the first owner, sites, places, cameras, devices.

use crate::support::House;
use crate::support::camera::{self, AAC, SUB};
use crate::support::client::Client;
use domain::CameraId;
use domain::repository::Cameras as _;
use domain::role::Role;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_owner_is_made_once() {
    let house = House::start().await;
    let token = house.setup_token.clone().expect("nobody is registered yet");
    let owner = |token: &str, password: &str| json!({ "token": token, "login": "wang", "name": "Wang", "password": password, "locale": "en" });
    let client = house.client();
    assert_eq!(client.post("/api/v1/setup", owner("wrong", "long enough 1")).await.0, 410);
    let (status, problem) = client.post("/api/v1/setup", owner(&token, "short")).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/password")));
    // Two at once: one wins.
    let (a, b) = tokio::join!(
        client.post("/api/v1/setup", owner(&token, "long enough 1")),
        client.post(
            "/api/v1/setup",
            json!({
                "token": token, "login": "li", "name": "Li", "password": "long enough 2"
            })
        )
    );
    let mut statuses = [a.0.as_u16(), b.0.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 410]);
    assert_eq!(client.post("/api/v1/setup", owner(&token, "long enough 3")).await.0, 410);
    assert!(token.len() == 64);
}

async fn refused(owner: &Client, base: &Value, field: &str, value: Value) -> String {
    let mut input = base.clone();
    input[field] = value.clone();
    let (status, problem) = owner.post("/api/v1/cameras", input).await;
    assert_eq!(status.as_u16(), 422, "{field} = {value}: {problem}");
    assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"), "{problem}");
    problem["errors"][0]["detail"].as_str().unwrap().to_owned()
}

fn input(house: &House) -> Value {
    json!({
        "place_id": house.gate, "name": "east gate", "main_url": "rtsp://10.0.0.8/main",
        "purpose": "public safety", "responsible_unit": "property office"
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_cannot_be_is_refused_with_the_reason() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let base = input(&house);
    for scheme in ["http://10.0.0.8/a", "file:///etc/passwd", "exec:ls", "ffmpeg:x", "rtsps://10.0.0.8/a"] {
        let why = refused(&owner, &base, "main_url", json!(scheme)).await;
        assert!(why.contains("rtsp://"), "{why}");
    }
    for address in
        ["169.254.169.254", "0.0.0.0", "[::1]", "[fe80::1]", "224.0.0.1", "metadata.google.internal"]
    {
        let why = refused(&owner, &base, "main_url", json!(format!("rtsp://{address}/a"))).await;
        assert!(why.contains("cameras.allow_networks"), "{why}");
    }
    assert!(refused(&owner, &base, "sub_url", json!("http://x/")).await.contains("rtsp://"));
    assert!(refused(&owner, &base, "name", json!("  ")).await.contains("empty"));
    assert!(refused(&owner, &base, "name", json!("a\nb")).await.contains("control"));
    assert!(refused(&owner, &base, "purpose", json!("")).await.contains("empty"));
    assert!(refused(&owner, &base, "place_id", json!("0".repeat(32))).await.contains("no such place"));
    assert!(refused(&owner, &base, "visibility", json!("everybody")).await.contains("expected"));
    assert!(refused(&owner, &base, "position", json!({ "lat": 91, "lon": 0 })).await.contains("90"));
    let retention = json!({ "floor_days": 40, "ceiling_days": 30 });
    assert!(refused(&owner, &base, "retention", retention).await.contains("ceiling_days"));
    assert!(refused(&owner, &base, "audio_reason", json!("")).await.contains("empty"));
    let (status, problem) = owner.post("/api/v1/cameras", json!({ "face_recognition": true })).await;
    assert_eq!(status.as_u16(), 422);
    assert!(problem["detail"].as_str().unwrap().contains("face_recognition"), "{problem}");
    let house_cameras = house.store.cameras().await.unwrap();
    assert!(house_cameras.is_empty(), "nothing was saved");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_in_an_address_are_moved_and_never_shown() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let mut base = input(&house);
    base["main_url"] = json!("rtsp://admin:s3cr%40t-canary@10.0.0.8:554/main?x=1");
    let (status, camera) = owner.post("/api/v1/cameras", base).await;
    assert_eq!(status.as_u16(), 201, "{camera}");
    assert_eq!(camera["source"]["main_url"], "rtsp://10.0.0.8:554/main?x=1");
    assert_eq!(camera["source"]["username"], "admin");
    assert_eq!(camera["source"]["has_password"], true);
    let id = CameraId::parse(camera["id"].as_str().unwrap()).unwrap();
    let password =
        async || house.store.camera(&id).await.unwrap().unwrap().password.map(|p| p.expose().to_owned());
    assert_eq!(password().await.as_deref(), Some("s3cr@t-canary"));

    let path = format!("/api/v1/cameras/{id}");
    // A change of something else keeps the password, null takes it away.
    let (_, camera) =
        owner.patch(&path, json!({ "name": "west gate", "audio_reason": "two-way intercom" })).await;
    assert_eq!((&camera["name"], &camera["audio_enabled"]), (&json!("west gate"), &json!(true)));
    assert_eq!(password().await.as_deref(), Some("s3cr@t-canary"));
    let everything = owner.get("/api/v1/cameras").await.1.to_string();
    assert!(!everything.contains("canary"));
    for file in ["test.db", "test.db-wal"] {
        let bytes = std::fs::read(house.folder.path(file)).unwrap_or_default();
        assert!(!bytes.windows(6).any(|w| w == b"canary"), "the password is readable in {file}");
    }
    // The password goes nowhere else, and not readably, unless it is written again.
    for change in [
        json!({ "main_url": "rtsp://10.6.6.6:554/main" }),
        json!({ "main_url": "rtsp://10.0.0.8:555/main" }),
        json!({ "sub_url": "rtsp://10.6.6.6/sub" }),
        json!({ "allow_basic": true }),
    ] {
        let (status, problem) = owner.patch(&path, change).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/password")));
    }
    let (status, _) = owner.patch(&path, json!({ "main_url": "rtsp://10.0.0.8:554/other" })).await;
    assert_eq!(status.as_u16(), 200, "another path of the same camera");
    let (_, camera) = owner.patch(&path, json!({ "main_url": "rtsp://viewer:new@10.0.0.9/main" })).await;
    assert_eq!(camera["source"]["username"], "viewer", "{camera}");
    assert_eq!(password().await.as_deref(), Some("new"));
    let (_, camera) = owner.patch(&path, json!({ "password": null })).await;
    assert_eq!(camera["source"]["has_password"], false);
    assert_eq!(password().await, None);
    let (status, problem) = owner.patch(&path, json!({ "nam": "x" })).await;
    assert_eq!(status.as_u16(), 422, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_tried_before_it_is_saved() {
    let login = Some(("admin", "right"));
    let cameras = [("main", camera::clip(AAC)), ("sub", camera::clip(SUB))];
    let cameras = camera::start_with_login(&cameras, login).await;
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let mut camera = input(&house);
    camera["main_url"] = json!(cameras.url("main"));
    camera["sub_url"] = json!(cameras.url("sub"));
    (camera["username"], camera["password"]) = (json!("admin"), json!("wrong"));
    camera["audio_reason"] = json!("test");
    let (status, found) = owner.post("/api/v1/cameras/probe", camera.clone()).await;
    assert_eq!(
        (status.as_u16(), &found["main"]["problem"]),
        (200, &json!("the camera refused the password"))
    );
    assert_eq!(found["sub"], Value::Null, "a refused password is not tried twice");
    camera["password"] = json!("right");
    let (_, found) = owner.post("/api/v1/cameras/probe", camera.clone()).await;
    let main = json!({ "codec": "H.264", "width": 1280, "height": 720, "fps": 25.0, "gop_seconds": 2.0,
        "audio": "AAC", "problem": null });
    assert_eq!(found["main"], main);
    assert_eq!(found["sub"]["width"], 384);
    camera["main_url"] = json!("rtsp://169.254.169.254/a");
    assert_eq!(owner.post("/api/v1/cameras/probe", camera).await.0.as_u16(), 422);
    assert!(house.store.cameras().await.unwrap().is_empty(), "nothing was saved");
    let (_, log) = owner.get("/api/v1/audit").await;
    let tries = log["items"].as_array().unwrap().iter().filter(|e| e["action"] == "camera.probe").count();
    assert_eq!(tries, 2, "who was contacted, and that it was tried, is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_a_tree_without_private_places() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let place = |name: &str, kind: &str, parent: Value| json!({ "site_id": house.site, "name": name, "kind": kind, "parent_id": parent });
    for private in ["bathroom", "changing_room", "dormitory_room", "guest_room", "home"] {
        let (status, problem) = owner.post("/api/v1/places", place("x", private, Value::Null)).await;
        assert_eq!(status.as_u16(), 422);
        assert!(problem["detail"].as_str().unwrap().contains("private place"), "{problem}");
    }
    let (_, building) = owner.post("/api/v1/places", place("building 3", "building", Value::Null)).await;
    let (status, hall) = owner.post("/api/v1/places", place("hall", "lobby", building["id"].clone())).await;
    assert_eq!((status.as_u16(), &hall["parent_id"]), (201, &building["id"]));
    let path = format!("/api/v1/places/{}", building["id"].as_str().unwrap());
    let (status, problem) = owner.patch(&path, json!({ "parent_id": hall["id"] })).await;
    assert_eq!(status.as_u16(), 422);
    assert!(problem["detail"].as_str().unwrap().contains("part of itself"));
    assert_eq!(owner.delete(&path).await.as_u16(), 409, "something is in it");
    assert_eq!(owner.delete(&format!("/api/v1/places/{}", hall["id"].as_str().unwrap())).await.as_u16(), 204);
    assert_eq!(owner.delete(&path).await.as_u16(), 204);
    let site = format!("/api/v1/sites/{}", house.site);
    assert_eq!(owner.delete(&site).await.as_u16(), 409);
    let (status, problem) = owner.patch(&site, json!({ "time_zone": "Mars/Olympus" })).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/time_zone")));
    let (_, changed) = owner.patch(&site, json!({ "resident_policy": "off" })).await;
    assert_eq!(changed["resident_policy"], "off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_gets_its_token_once_and_the_old_one_ends() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let input = json!({ "place_id": house.lobby, "name": "door 3", "kind": "door" });
    let (status, device) = owner.post("/api/v1/devices", input).await;
    assert_eq!((status.as_u16(), &device["has_token"]), (201, &json!(false)));
    let path = format!("/api/v1/devices/{}/token", device["id"].as_str().unwrap());
    let token = async || owner.post(&path, json!({})).await.1["token"].as_str().unwrap().to_owned();
    let (first, second) = (token().await, token().await);
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/d", "type": "sharpeyes.door.opened" });
    let send = async |token: &str| house.client().events(token, "application/json", &event).await.0.as_u16();
    assert_eq!(send(&first).await, 401);
    assert_eq!(send(&second).await, 202);
    let listed = owner.get("/api/v1/devices").await.1;
    assert!(!listed.to_string().contains(&second), "it is shown once only");
    assert_eq!(listed["items"][0]["has_token"], true);
}
