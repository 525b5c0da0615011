//! Who may do what. The rows come from the router: a new route is in the matrix
//! by itself, and fails it until its access is right.

use crate::support::House;
use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::live::Live;
use domain::repository::Rights as _;
use domain::role::{Grant, Role};
use domain::{Clock as _, GrantId, SiteId};
use reqwest::Method;
use serde_json::{Value, json};
use sharp_eyes::clock::SystemClock;
use web::access::Access;
use web::router::{Declared, declared};

/// The path with ids that are of nothing.
fn filled(route: &Declared) -> String {
    let nothing = "0".repeat(32);
    let path =
        route.path.replace("{id}", &nothing).replace("{person}", &nothing).replace("{session}", &nothing);
    let path = path.replace("{household}", &nothing).replace("{act}", "ack");
    // Lists of a site's people say which site; elsewhere it is not looked at.
    path.replace("{stream}", "main") + "?site_id=" + &nothing
}

async fn status(client: &Client, route: &Declared) -> u16 {
    let method: Method = route.method.parse().unwrap();
    let request = client.request(method, &filled(route)).header("content-type", "application/json");
    let body = if route.method == "GET" { "" } else { "{}" };
    request.body(body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authorisation_matrix() {
    let house = House::start().await;
    let routes = declared();
    assert!(routes.len() > 25, "the router was read");
    let public: Vec<String> = routes
        .iter()
        .filter(|r| r.access == Access::Public)
        .map(|r| format!("{} {}", r.method, r.path))
        .collect();
    assert_eq!(
        public,
        [
            "POST /api/v1/setup",
            "POST /api/v1/session",
            "POST /api/v1/join",
            "POST /api/v1/register",
            "GET /api/v1/trust",
            "GET /ca.crt",
            "GET /api/v1/session/passkey",
            "POST /api/v1/session/passkey/begin",
            "POST /api/v1/session/passkey",
        ],
        "no other route is open to all"
    );
    // Whoever is signed in may change what is their own, and ask; the rest is managed.
    let own = [
        "/api/v1/session",
        "/api/v1/sessions/{id}",
        "/api/v1/password",
        "/api/v1/passkeys",
        "/api/v1/passkeys/begin",
        "/api/v1/passkeys/{id}",
        "/api/v1/viewer-keys",
        "/api/v1/viewer-keys/{id}",
        "/api/v1/approvals",
        "/api/v1/approvals/{id}/renew",
        "/api/v1/registrations",
        // How one can be reached oneself.
        "/api/v1/contact",
        "/api/v1/push-subscription",
        // Watching begins with a POST here; whether they may is decided for each camera.
        "/api/v1/cameras/{id}/{stream}/whep",
        "/api/v1/cameras/{id}/{stream}/whep/{session}",
        // A press for help, one's own alarm, a neighbour's, and one's household's consent.
        "/api/v1/alarms",
        "/api/v1/incidents/{id}/{act}",
        "/api/v1/incidents/{id}/answer",
        "/api/v1/groups/{id}/members",
        "/api/v1/groups/{id}/members/{household}",
    ];
    let personal = |r: &&Declared| r.method != "GET" && matches!(r.access, Access::Own | Access::SignedIn);
    for route in routes.iter().filter(personal) {
        assert!(own.contains(&route.path.as_str()), "{} {} is open to everybody", route.method, route.path);
    }
    let disabled = {
        let patrol = house.sign_in_as(Role::Patrol).await;
        let (_, me) = patrol.get("/api/v1/session").await;
        let id = domain::PersonId::parse(me["person"]["id"].as_str().unwrap()).unwrap();
        disable(&house, &id).await;
        patrol
    };
    for route in &routes {
        let roles = [
            Role::Resident,
            Role::Patrol,
            Role::GridWorker1,
            Role::GridWorker3,
            Role::DutyOperator,
            Role::Auditor,
            Role::Administrator,
            Role::Owner,
        ];
        for role in [None].into_iter().chain(roles.map(Some)) {
            // A new session each time, because one of the routes signs out.
            let client = match role {
                None => house.client(),
                Some(role) => house.sign_in_as(role).await,
            };
            let got = status(&client, route).await;
            let refused = [401, 403].contains(&got);
            let expected = match (route.access, role) {
                // Setup answers 422 and sign-in 422: the input is empty.
                (Access::Public, _) => !refused,
                (Access::Own | Access::SignedIn, role) => refused == role.is_none(),
                (Access::Manage, None) => got == 401,
                (Access::Manage, Some(Role::Owner)) => !refused,
                // What an administrator does in other sites, they may not know of; new
                // sites and whole accounts are the owner's.
                (Access::Manage, Some(Role::Administrator)) => {
                    let owners = ["/api/v1/sites", "/api/v1/persons/{id}", "/api/v1/persons/{id}/password"];
                    !refused || owners.contains(&route.path.as_str())
                }
                (Access::Audit, Some(Role::Owner | Role::Administrator | Role::Auditor)) => !refused,
                (Access::Audit, None) => got == 401,
                (Access::Respond, Some(Role::Resident | Role::Administrator | Role::Auditor)) => got == 403,
                (Access::Respond, Some(_)) => !refused,
                (Access::Respond, None) => got == 401,
                (Access::Manage | Access::Audit, Some(_)) => got == 403,
                // Tokens that are none are not tried for ever.
                (Access::Device, _) => got == 401 || got == 429,
            };
            assert!(expected, "{} {} as {role:?}: {got} ({:?})", route.method, route.path, route.access);
            assert!(got < 500 || got == 503, "{} {} as {role:?}: {got}", route.method, route.path);
        }
        if matches!(route.access, Access::Own | Access::SignedIn | Access::Manage | Access::Respond) {
            assert_eq!(
                status(&disabled, route).await,
                401,
                "a disabled account: {} {}",
                route.method,
                route.path
            );
        }
    }
}

async fn disable(house: &House, id: &domain::PersonId) {
    let url = format!("sqlite:{}", house.folder.path("test.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    sqlx::query("update persons set disabled = 1 where id = $1")
        .bind(id.as_str())
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_looks_like_what_is_not_there() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let hidden = house
        .camera_like(&cameras.url("a"), |camera| camera.visibility = domain::camera::Visibility::Patrol)
        .await;
    let resident = house.sign_in_as(Role::Resident).await;
    let nothing = "f".repeat(32);
    for path in ["/api/v1/cameras/{}", "/api/v1/cameras/{}/snapshot.jpg", "/api/v1/cameras/{}/main/live"] {
        let read = async |id: &str| {
            let response = resident.request(Method::GET, &path.replace("{}", id)).send().await.unwrap();
            let mut headers = response.headers().clone();
            headers.remove("date");
            (response.status(), headers, response.text().await.unwrap())
        };
        let upgrade = path.ends_with("live");
        let (there, not_there) = (read(hidden.as_str()).await, read(&nothing).await);
        assert_eq!(there, not_there, "{path}");
        assert_eq!(there.0.as_u16(), if upgrade { 426 } else { 404 }, "{path}");
    }
    let list = resident.get("/api/v1/cameras").await.1;
    assert_eq!(list["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resident_is_not_told_where_the_pictures_come_from() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let path = format!("/api/v1/cameras/{id}");
    let seen = house.sign_in_as(Role::Resident).await.get(&path).await.1.to_string();
    assert!(!seen.contains("rtsp://") && !seen.contains("source"), "{seen}");
    // Not in its troubles either.
    let gone = house.camera("rtsp://127.0.0.1:9/secret-path").await;
    let wanted = house.hub(&gone).want();
    crate::support::until(|| house.hub(&gone).status().state == relay::hub::State::Offline).await;
    let path = format!("/api/v1/cameras/{gone}");
    let seen = house.sign_in_as(Role::Resident).await.get(&path).await.1;
    assert_eq!((&seen["status"]["state"], &seen["status"]["detail"]), (&json!("offline"), &json!("")));
    let seen = house.sign_in_as(Role::Owner).await.get(&path).await.1;
    assert!(seen["status"]["detail"].as_str().unwrap().contains("cannot be reached"));
    drop(wanted);
    let path = format!("/api/v1/cameras/{id}");
    let seen = house.sign_in_as(Role::Owner).await.get(&path).await.1;
    assert_eq!(seen["source"]["main_url"], cameras.url("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_is_another_world() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let (_, other) = owner
        .post(
            "/api/v1/sites",
            json!({ "name": "other", "kind": "village", "time_zone": "Asia/Shanghai", "resident_policy": "approved" }),
        )
        .await;
    let other_site = SiteId::parse(other["id"].as_str().unwrap()).unwrap();
    let person = house.person("stranger").await;
    let grant = Grant {
        id: GrantId::from_random(web::token::random()),
        person_id: person.id,
        role: Role::Patrol,
        site_id: Some(other_site.clone()),
        zone: None,
        from: SystemClock.now(),
        until: None,
    };
    house.store.add_grant(&grant).await.unwrap();
    let stranger = house.client().signed_in("stranger").await;
    let ids = |list: &Value| {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&stranger.get("/api/v1/sites").await.1), [other_site.as_str()]);
    assert_eq!(ids(&stranger.get("/api/v1/places").await.1), Vec::<String>::new());
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let id = house.camera(&cameras.url("a")).await;
    let (_, token) = house.door(&house.lobby).await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/d", "type": "sharpeyes.door.opened" });
    house.client().events(&token, "application/json", &event).await;
    for list in ["/api/v1/cameras", "/api/v1/door-events"] {
        assert_eq!(stranger.get(list).await.1["items"], json!([]), "{list}");
    }
    assert_eq!(stranger.get(&format!("/api/v1/cameras/{id}")).await.0.as_u16(), 404);
    assert_eq!(Live::try_open(&stranger, &id, "main").await.err(), Some(404));
    let key = stranger.key().await;
    let login = Some((key.login.as_str(), key.key.as_str()));
    let played = camsim::viewers::Viewer::play(house.rtsp, &format!("{id}/main"), login).await;
    assert!(played.err().unwrap().to_string().contains("404"));
    assert_eq!(stranger.get(&format!("/api/v1/sites/{}", house.site)).await.0.as_u16(), 404);
    assert_eq!(stranger.get(&format!("/api/v1/places/{}", house.gate)).await.0.as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_cannot_act_for_the_person_at_the_browser() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let routes: Vec<Declared> = declared().into_iter().filter(|route| route.method != "GET").collect();
    for route in &routes {
        for (header, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "not an origin"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let method: Method = route.method.parse().unwrap();
            let request = owner.request(method, &filled(route)).header(header, value);
            let response =
                request.header("content-type", "application/json").body("{}").send().await.unwrap();
            assert_eq!(
                response.status().as_u16(),
                403,
                "{} {} with {header}: {value}",
                route.method,
                route.path
            );
            assert!(response.headers().get("access-control-allow-origin").is_none());
        }
    }
    // A form's content types are no JSON.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let request = owner.request(Method::POST, "/api/v1/sites").header("content-type", kind);
        assert_eq!(request.body("{}").send().await.unwrap().status().as_u16(), 415, "{kind}");
    }
    // Our own page may.
    let own = owner.request(Method::POST, "/api/v1/viewer-keys").header("origin", &owner.base);
    let own = own.header("sec-fetch-site", "same-origin").json(&json!({ "name": "x" })).send().await.unwrap();
    assert_eq!(own.status().as_u16(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_headers() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    for path in ["/", "/api/v1/session", "/api/v1/cameras", "/api/v1/nothing", "/api/v1/openapi.json"] {
        let response = owner.request(Method::GET, path).send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
        assert!(
            header("content-security-policy").contains("default-src 'self'; script-src 'self'"),
            "{path}"
        );
        assert!(!header("content-security-policy").contains("unsafe"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "private, no-store", "{path}");
    }
}
