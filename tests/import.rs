//! Many cameras from one list: an installer's spreadsheet, looked at before it is
//! saved, and saved whole or not at all.

use crate::support::House;
use crate::support::client::Client;
use crate::support::database::{BOTH, Database};
use domain::place::{Place, PlaceKind};
use domain::repository::{Cameras as _, Registers as _, Sites as _};
use domain::role::Role;
use domain::{Clock as _, PlaceId, SiteId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::Path;

const HEADER: &str = "name,place,main_url,username,password,purpose,responsible_unit";

async fn send(client: &Client, site: &SiteId, dry: bool, body: impl Into<Vec<u8>>) -> (u16, Value) {
    let path = format!("/api/v1/cameras/import?site_id={site}{}", if dry { "&dry_run=true" } else { "" });
    let request = client.request(Method::POST, &path).header("content-type", "text/csv; charset=utf-8");
    let response = request.body(body.into()).send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

/// `/row/column` and the sentence of every error, in a dry run's answer or a refusal's.
fn errors(answer: &Value) -> Vec<String> {
    let rows = answer["rows"].as_array().cloned().unwrap_or_default();
    let of = |list: &Value| list["errors"].as_array().cloned().unwrap_or_default();
    let all = rows.iter().flat_map(of).chain(of(answer));
    let text = |error: Value| {
        format!("{} {}", error["pointer"].as_str().unwrap(), error["detail"].as_str().unwrap())
    };
    all.map(text).collect()
}

async fn place(house: &House, parent: &PlaceId, name: &str) -> PlaceId {
    let place = Place {
        id: PlaceId::from_random(web::token::random()),
        site_id: house.site.clone(),
        parent_id: Some(parent.clone()),
        name: name.into(),
        kind: PlaceKind::Road,
        created_at: house.clock.now(),
    };
    house.store.add_place(&place).await.unwrap();
    place.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_looked_at_and_then_saved_whole() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let admin = house.sign_in_as(Role::Administrator).await;
        let inner = place(&house, &house.gate, "内侧").await;
        let list = "\u{feff}名称;点位;主码流地址;sub_url;username;password;allow_basic;transport;pull;用途;责任单位;visibility;audio_reason;floor_days;ceiling_days;lat;lon\r\n\
            球机;east gate;rtsp://10.0.0.8/a;;admin; import canary ;是;UDP;always;safety;office;residents;;30;60;30.25;120.5\r\n\
            枪机;east gate/内侧;rtsp://u:import%2Fcanary@10.0.0.9/a;rtsp://10.0.0.9/b;;;;;;safety;office;;intercom;;;;\r\n";
        let (status, seen) = send(&admin, &house.site, true, list).await;
        assert_eq!(status, 200, "{seen}");
        assert_eq!((&seen["imported"], &seen["wrong"]), (&json!(0), &json!(0)), "{seen}");
        assert_eq!(
            (&seen["rows"][1]["row"], &seen["rows"][1]["main_url"]),
            (&json!(3), &json!("rtsp://10.0.0.9/a"))
        );
        assert!(house.store.cameras().await.unwrap().is_empty(), "a dry run saves nothing");

        let (status, done) = send(&admin, &house.site, false, list).await;
        assert_eq!((status, &done["imported"]), (200, &json!(2)), "{done}");
        let cameras = house.store.cameras().await.unwrap();
        let named = |name: &str| cameras.iter().find(|camera| camera.name == name).unwrap();
        let (dome, bullet) = (named("球机"), named("枪机"));
        assert_eq!(done["rows"][0]["camera_id"], dome.id.as_str());
        assert_eq!((&dome.place_id, &bullet.place_id), (&house.gate, &inner), "{database:?}");
        let password = |camera: &domain::camera::Camera| camera.password.clone().unwrap().expose().to_owned();
        assert_eq!((password(dome), password(bullet)), (" import canary ".into(), "import/canary".into()));
        assert_eq!(bullet.username.as_deref(), Some("u"));
        assert_eq!((dome.transport.word(), dome.pull.word(), dome.allow_basic), ("udp", "always", true));
        assert_eq!((dome.retention.floor_days, dome.retention.ceiling_days), (30, 60));
        assert_eq!(dome.position.unwrap().lon, 120.5);
        // C25: sound is off until somebody says why.
        assert_eq!((&dome.audio_reason, bullet.audio_reason.as_deref()), (&None, Some("intercom")));
        assert_eq!(bullet.visibility.word(), "patrol", "what is not said is what POST does");

        // One entry, before it was done, with what was made; no password anywhere.
        let log = house.store.chain(0, 100).await.unwrap();
        let entry = log.iter().find(|link| link.entry.action == "camera.import").unwrap();
        let detail: Value = serde_json::from_str(&entry.entry.detail).unwrap();
        assert_eq!(detail, json!({ "count": 2, "cameras": [dome.id, bullet.id] }));
        let told = format!("{seen}{done}{log:?}{}", admin.get("/api/v1/cameras").await.1);
        assert!(!told.contains("canary"), "{told}");

        // Again: accepted, as POST would, but said.
        let (_, again) = send(&admin, &house.site, true, list).await;
        assert_eq!(again["rows"][0]["warnings"][0]["pointer"], "/2/main_url", "{again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_imports_nothing_and_every_error_is_named() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let admin = house.sign_in_as(Role::Administrator).await;
        let list = format!(
            "{HEADER},transport,visibility,floor_days,ceiling_days,lat,lon,allow_basic\n\
             good,east gate,rtsp://10.0.0.8/a,,,safety,office,,,,,,,\n\
             ,east gat,http://10.0.0.8/a,,,,office,hunter2,hunter2,hunter2,1,91,0,hunter2\n\n\
             bad,,rtsp://127.0.0.1.nip/a,,{},safety\n\
             far,lobby 3,rtsp://169.254.169.254/a,,,safety,office,,,9,3,91,0,,stray\n\
             half,lobby 3,rtsp://10.0.0.8/a,,,safety,office,,,9,,,0\n",
            "p".repeat(129)
        );
        let (status, seen) = send(&admin, &house.site, true, list.clone()).await;
        assert_eq!((status, &seen["wrong"]), (200, &json!(4)), "{seen}");
        let expected = [
            "/3/transport use one of: tcp, udp",
            "/3/visibility use one of: patrol, residents",
            "/3/floor_days write a number of days, like 30",
            "/3/allow_basic write yes or no",
            "/3/place there is no such place in the site; did you mean east gate?",
            "/3/main_url a camera's address begins with rtsp://, this one with http://",
            "/3/name it is empty; give it a name",
            "/3/purpose it is empty; give it a name",
            "/3/lat lat is within ±90 and lon within ±180 degrees",
            "/5/place it is empty; write a place, like North yard/Gate",
            "/5/password at most 128 bytes, without control characters",
            "/5/responsible_unit it is empty; give it a name",
            "/6/ a cell has no column name above it; is a separator inside a text?",
            "/6/main_url 169.254.169.254 is a link-local or metadata address, where no camera is expected; \
             allow the network in cameras.allow_networks if it is right",
            "/6/floor_days floor_days is at most ceiling_days, and that at most 3650",
            "/6/lat lat is within ±90 and lon within ±180 degrees",
            "/7/lat lat and lon go together; write both or none",
            "/7/floor_days floor_days and ceiling_days go together; write both or none",
        ];
        assert_eq!(errors(&seen), expected);
        assert!(!seen.to_string().contains("hunter2"), "a cell that slipped may be a password");
        let (status, refused) = send(&admin, &house.site, false, list).await;
        assert_eq!((status, &refused["type"]), (422, &json!("input")));
        assert_eq!(errors(&refused), expected);
        assert!(house.store.cameras().await.unwrap().is_empty(), "{database:?}: the good row was saved");
        let log = house.store.chain(0, 100).await.unwrap();
        assert!(log.iter().all(|link| link.entry.action != "camera.import"));
    }
}

/// What fails inside the transaction, after all checks, leaves nothing either.
#[tokio::test(flavor = "multi_thread")]
async fn cameras_are_added_all_or_none() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let good = crate::support::camera_at(&house.site, &house.gate, "rtsp://10.0.0.8/a");
        let stray = crate::support::camera_at(
            &house.site,
            &PlaceId::from_random(web::token::random()),
            "rtsp://10.0.0.9/a",
        );
        let added = house.store.add_cameras(&[good, stray]).await;
        assert_eq!(added, Err(domain::repository::Error::Reference), "{database:?}");
        assert!(house.store.cameras().await.unwrap().is_empty(), "{database:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_list_is_refused_with_the_reason() {
    let house = House::start().await;
    let admin = house.sign_in_as(Role::Administrator).await;
    let refused = async |body: Vec<u8>| {
        let (status, answer) = send(&admin, &house.site, true, body).await;
        assert_eq!(status, 422, "{answer}");
        errors(&answer).join("\n")
    };
    assert!(refused(vec![]).await.contains("it is empty"));
    assert!(refused(HEADER.into()).await.contains("no row"));
    assert!(refused(vec![0xff; 9]).await.contains("neither UTF-8 nor GBK"));
    let text = refused(format!("{},ptz,audio\na,b", HEADER.replace("purpose", "purpos")).into()).await;
    assert_eq!(
        text,
        "/1/purpos there is no such column; did you mean purpose?\n\
         /1/ptz there is no such column; did you mean pull?\n\
         /1/audio there is no such column; did you mean audio_reason?\n\
         /1/purpose the column is missing; every camera has it"
    );
    let row = "\na,east gate,rtsp://10.0.0.8/a,,,safety,office";
    let long = format!("{HEADER}{}", row.repeat(2_001));
    assert!(refused(long.into()).await.contains("more than 2000 rows"));
    // Of a list in which nothing is right, so much is said as can be read.
    let bad = "\n,,,,,,";
    let (_, many) = send(&admin, &house.site, true, format!("{HEADER}{}", "\n,x,,,,,".repeat(2_000))).await;
    assert!(errors(&many).len() < 510 && many["unchecked"].as_u64().unwrap() > 1_800, "{bad}");

    let import = format!("/api/v1/cameras/import?site_id={}", house.site);
    let post = async |client: &Client, path: &str, kind: &str, body: Vec<u8>| {
        let request = client.request(Method::POST, path).header("content-type", kind);
        request.body(body).send().await.unwrap().status()
    };
    assert_eq!(
        post(&admin, &import, "text/csv", vec![b'a'; (1 << 20) + 1]).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    for kind in ["text/plain", "multipart/form-data", "application/json"] {
        assert_eq!(post(&admin, &import, kind, HEADER.into()).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    // Only the site's managers; to others' managers the site is not there.
    let list: Vec<u8> = format!("{HEADER}{row}").into();
    for (role, expected) in [(Role::Patrol, 403), (Role::Resident, 403), (Role::Auditor, 403)] {
        let client = house.sign_in_as(role).await;
        assert_eq!(post(&client, &import, "text/csv", list.clone()).await.as_u16(), expected);
    }
    let owner = house.sign_in_as(Role::Owner).await;
    let village =
        json!({ "name": "other", "kind": "village", "time_zone": "Asia/Shanghai", "resident_policy": "off" });
    let (_, other) = owner.post("/api/v1/sites", village).await;
    let other = SiteId::parse(other["id"].as_str().unwrap()).unwrap();
    assert_eq!(send(&admin, &other, true, list.clone()).await.0, 404);
    assert_eq!(send(&owner, &SiteId::from_random([0; 16]), true, list.clone()).await.0, 404);
    // The other site has no such place: a row cannot reach into another site.
    let (_, seen) = send(&owner, &other, true, list).await;
    assert_eq!(errors(&seen), ["/2/place the site has no places yet; add them first"]);
    assert!(house.store.cameras().await.unwrap().is_empty());
}

/// C25: a list brings no places, so none that is private; nothing listens or turns.
#[tokio::test(flavor = "multi_thread")]
async fn c25_a_list_cannot_bring_a_private_place_or_sound() {
    let house = House::start().await;
    let admin = house.sign_in_as(Role::Administrator).await;
    let before = house.store.places().await.unwrap();
    for private in ["bathroom", "changing_room", "east gate/bathroom", "dormitory_room", "home"] {
        let place = json!({ "site_id": house.site, "parent_id": null, "name": "x", "kind": private.rsplit('/').next() });
        let (status, why) = admin.post("/api/v1/places", place).await;
        assert_eq!(
            (status.as_u16(), why["detail"].to_string().contains("private place")),
            (422, true),
            "{why}"
        );
        let list = format!("{HEADER}\na,{private},rtsp://10.0.0.8/a,,,safety,office");
        let (status, why) = send(&admin, &house.site, false, list).await;
        assert_eq!(status, 422);
        assert!(errors(&why)[0].starts_with("/2/place there is no such place"), "{why}");
    }
    assert_eq!(house.store.places().await.unwrap(), before);
    // Blank is no reason.
    let list = format!("{HEADER},audio_reason\na,east gate,rtsp://10.0.0.8/a,,,safety,office,   ");
    assert_eq!(send(&admin, &house.site, false, list).await.0, 200);
    assert!(house.store.cameras().await.unwrap().iter().all(|camera| camera.audio_reason.is_none()));
}

/// What the page offers to fill in is what the gateway takes, also as Excel saves
/// it again in China.
#[tokio::test(flavor = "multi_thread")]
async fn the_templates_can_be_imported() {
    let house = House::start_on(Database::Sqlite).await;
    let admin = house.sign_in_as(Role::Administrator).await;
    for (name, place_name) in [("zh", "东门"), ("en", "East gate")] {
        let file = format!("src/web/ui/public/assets/cameras-{name}-v1.csv");
        let template = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let at = Place {
            id: PlaceId::from_random(web::token::random()),
            site_id: house.site.clone(),
            parent_id: None,
            name: place_name.into(),
            kind: PlaceKind::Gate,
            created_at: house.clock.now(),
        };
        house.store.add_place(&at).await.unwrap();
        let (status, seen) = send(&admin, &house.site, true, template).await;
        assert_eq!((status, errors(&seen)), (200, vec![]), "{seen}");
        assert_eq!(seen["rows"].as_array().unwrap().len(), 1);
    }
    // "名称,点位,主码流地址,用途,责任单位" and a row, in GBK.
    let gbk = b"\xc3\xfb\xb3\xc6,\xb5\xe3\xce\xbb,\xd6\xf7\xc2\xeb\xc1\xf7\xb5\xd8\xd6\xb7,\xd3\xc3\xcd\xbe,\xd4\xf0\xc8\xce\xb5\xa5\xce\xbb\r\n\
        \xc7\xf2\xbb\xfa,\xb6\xab\xc3\xc5,rtsp://10.0.0.8/a,safety,office\r\n";
    let (status, seen) = send(&admin, &house.site, true, gbk.to_vec()).await;
    assert_eq!((status, &seen["rows"][0]["name"]), (200, &json!("球机")), "{seen}");
}
