//! What rights cost in a large compound: 5,000 residents, 200 cameras, 10,000
//! approvals. `cargo bench --bench rights`; prints medians and 99th percentiles
//! beside the time SQLite needs to hand over the same rows.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails is a panic")]
#![expect(clippy::disallowed_methods, reason = "real time is what it measures")]

use domain::access::{Standing, decide_watch};
use domain::repository::{ApprovalFilter, Cameras as _, Page, Persons as _, Rights as _, Sites as _};
use domain::{Clock as _, PersonId};
use sharp_eyes::clock::SystemClock;
use sharp_eyes::{App, Listeners, Settings};
use sqlx::Connection as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use web::token;

const RESIDENTS: u32 = 5_000;
const CAMERAS: u32 = 200;
const REQUESTS: usize = 200;
const DECISIONS: u32 = 1_000_000;

/// An id that says which it is.
fn id(kind: u32, n: u32) -> String {
    format!("{kind:08x}{n:024x}")
}

/// A compound with everything in force; the owner's session is `token`.
async fn furnish(database: &Path, token: &str) {
    let mut sql = sqlx::SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    let mut tx = sql.begin().await.unwrap();
    let now = SystemClock.now().0;
    let (site, gate, far) = (id(1, 0), id(2, 0), now + 1_000_000_000_000_000);
    let mut statements = vec![
        format!("insert into sites values ('{site}', 'bench', 'compound', 'Asia/Shanghai', 'approved', 1)"),
        format!("insert into places values ('{gate}', '{site}', null, 'gate', 'gate', 1)"),
        format!("insert into persons values ('{0}', 'owner', 'owner', 'en', '-', 0, 1)", id(3, 0)),
        format!(
            "insert into grants (id, person_id, role, from_at) values ('{}', '{}', 'owner', 1)",
            id(4, 0),
            id(3, 0)
        ),
    ];
    for n in 0..CAMERAS {
        statements.push(format!(
            "insert into cameras (id, site_id, place_id, name, main_url, allow_basic, transport, pull, purpose,
                responsible_unit, visibility, floor_days, ceiling_days, created_at)
             values ('{}', '{site}', '{gate}', 'camera {n}', 'rtsp://192.0.2.1/{n}', 0, 'tcp', 'on_demand', 'safety',
                'office', 'residents', 30, 90, 1)",
            id(5, n)
        ));
    }
    for n in 1..=RESIDENTS {
        let (person, unit, household) = (id(3, n), id(6, n), id(7, n));
        statements.extend([
            format!(
                "insert into persons values ('{person}', 'resident-{n}', 'name {n}', 'zh-CN', '-', 0, 1)"
            ),
            format!("insert into units values ('{unit}', '{site}', '{gate}', 'unit {n}', 1)"),
            format!("insert into households values ('{household}', '{unit}', 1, null)"),
            format!("insert into household_members values ('{person}', '{household}', 1, null)"),
        ]);
        // Two each: one for the site, one for a camera.
        for (kind, camera) in [(8, "null".to_owned()), (9, format!("'{}'", id(5, n % CAMERAS)))] {
            statements.push(format!(
                "insert into approvals (id, site_id, household_id, camera_id, state, from_at, until_at, message,
                    requested_by, requested_at)
                 values ('{}', '{site}', '{household}', {camera}, 'granted', 1, {far}, '', '{person}', 1)",
                id(kind, n)
            ));
        }
    }
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
    }
    for (person, token) in [(id(3, 0), token), (id(3, 1), &*format!("{token}-resident"))] {
        sqlx::query(
            "insert into sessions (id, person_id, token_hash, user_agent, created_at, seen_at, expires_at)
             values ($1, $2, $3, 'bench', $4, $4, $5)",
        )
        .bind(token::hex(&token::random::<16>()))
        .bind(person)
        .bind(token::hash(token))
        .bind(now)
        .bind(far)
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{name:52} p50 {:8.2?}  p99 {:8.2?}", at(50), at(99));
}

#[tokio::main]
async fn main() {
    let folder = std::env::temp_dir().join(format!("rights-{}", token::hex(&token::random::<6>())));
    std::fs::create_dir(&folder).unwrap();
    let database = folder.join("bench.db");
    let settings = format!(
        "[database]\nurl = \"sqlite:{}\"\n[secrets]\nkey_file = \"{}\"\n[log]\nfilter = \"error\"\n",
        database.display(),
        folder.join("key").display()
    );
    let settings = Settings::parse(&settings).unwrap();
    // Once for the tables, then for the people in them.
    sharp_eyes::app::open_store(&settings).await.unwrap().close().await;
    let session = token::new();
    furnish(&database, &session).await;
    let app = App::build(&settings, Arc::new(SystemClock)).await.unwrap();
    let store = Arc::clone(app.store());

    let scene = store.scene().await.unwrap();
    let cameras = store.cameras().await.unwrap();
    let who = PersonId::parse(&id(3, 1)).unwrap();
    let standing: Standing = store.standing(&who).await.unwrap().unwrap();
    let site = cameras[0].site_id.clone();
    println!(
        "{} residents, {} cameras, {} approvals",
        store.persons().await.unwrap().len() - 1,
        cameras.len(),
        store
            .approvals(&ApprovalFilter::of(site.clone()), &Page { after: None, limit: u32::MAX })
            .await
            .unwrap()
            .len()
    );
    let (now, began) = (SystemClock.now(), Instant::now());
    for n in 0..DECISIONS {
        let camera = &cameras[n as usize % cameras.len()];
        assert!(decide_watch(black_box(&standing), black_box(camera), &scene, now).is_allowed());
    }
    println!("{:52} {:?} each", "decide", began.elapsed() / DECISIONS);

    let http = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = http.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(app.run(Listeners { http, rtsp: None, webrtc: None }, async {
        let _ = stopped.await;
    }));
    // Nothing here speaks TLS, but a client is not made without a provider.
    tokio_rustls::rustls::crypto::ring::default_provider().install_default().unwrap();
    let client = reqwest::Client::new();
    for (name, path, cookie) in [
        ("the session (the limit: one request)", "/api/v1/session".to_owned(), session.clone()),
        (
            "who can see this camera",
            format!("/api/v1/cameras/{}/viewers-allowed", cameras[0].id),
            session.clone(),
        ),
        ("see as this person", format!("/api/v1/persons/{who}/cameras"), session.clone()),
        ("people of the site", format!("/api/v1/persons?site_id={site}"), session.clone()),
        ("a resident's cameras", "/api/v1/cameras".to_owned(), format!("{session}-resident")),
        (
            "approvals, the first page (limit: p99 50 ms)",
            format!("/api/v1/approvals?site_id={site}"),
            session.clone(),
        ),
        (
            "approvals, from the middle (limit: p99 50 ms)",
            format!("/api/v1/approvals?site_id={site}&state=granted&cursor={RESIDENTS}"),
            session.clone(),
        ),
        ("approvals that wait", format!("/api/v1/approvals?site_id={site}&state=requested"), session.clone()),
    ] {
        let mut times = Vec::new();
        for _ in 0..REQUESTS {
            let asked = Instant::now();
            let request = client.get(format!("http://{address}{path}"));
            let response = request.header("cookie", format!("session={cookie}")).send().await.unwrap();
            assert_eq!(response.status().as_u16(), 200, "{path}");
            black_box(response.bytes().await.unwrap());
            times.push(asked.elapsed());
        }
        report(name, times);
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}
