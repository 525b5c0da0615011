//! How fast a call for help is heard: from the press to the event at the patrol's page
//! and at those of ten neighbouring households, all of them listening over loopback.
//! `cargo bench --bench alarms`; prints medians and 99th percentiles beside the press's
//! own answer: first in quiet, then while doors tell of 2,000 events a second, of which every
//! page hears. With `SHARP_EYES_TEST_POSTGRES` (an address of a server) on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails is a panic")]
#![expect(clippy::disallowed_methods, reason = "real time is what it measures")]

use domain::incident::repository::Outbox as _;
use domain::notice::{Notice, Topic};
use domain::{Clock as _, PlaceId, SiteId};
use sharp_eyes::clock::SystemClock;
use sharp_eyes::{App, Listeners, Settings};
use sqlx::{AnyConnection, Connection as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Store;
use tokio::sync::mpsc;
use web::token;

const HOUSEHOLDS: usize = 11;
const PRESSES: usize = 200;
/// Presses that are put together are told up to here.
const EACH: usize = 10;
const KINDS: [&str; 4] = ["panic", "fire", "medical", "intrusion"];
const PATIENCE: Duration = Duration::from_secs(20);
/// Door events that are told together, and how often.
const DOORS: usize = 100;
const EVERY: Duration = Duration::from_millis(50);

fn id(kind: u32, n: usize) -> String {
    format!("{kind:08x}{n:024x}")
}

/// A compound with a patrol (person 0) and households that belong to one group.
async fn furnish(url: &str, session: &str) {
    let mut sql = AnyConnection::connect(url).await.unwrap();
    let (now, far) = (SystemClock.now().0, SystemClock.now().0 + 1_000_000_000_000_000);
    let (site, gate, group) = (id(1, 0), id(2, 0), id(5, 0));
    let mut statements = vec![
        format!("insert into sites values ('{site}', 'bench', 'compound', 'Asia/Shanghai', 'approved', 1)"),
        format!("insert into places values ('{gate}', '{site}', null, 'gate', 'gate', 1)"),
        format!(
            "insert into joint_groups (id, site_id, name, created_at) values ('{group}', '{site}', 'g', 1)"
        ),
    ];
    for n in 0..=HOUSEHOLDS {
        let (person, unit, home) = (id(3, n), id(6, n), id(7, n));
        statements.push(format!("insert into persons values ('{person}', 'p{n}', 'name', 'en', '-', 0, 1)"));
        if n == 0 {
            statements.push(format!(
                "insert into grants (id, person_id, role, site_id, from_at)
                 values ('{}', '{person}', 'patrol', '{site}', 1)",
                id(4, 0)
            ));
            continue;
        }
        statements.extend([
            format!("insert into units values ('{unit}', '{site}', '{gate}', '{n}', 1)"),
            format!("insert into households values ('{home}', '{unit}', 1, null)"),
            format!("insert into household_members values ('{person}', '{home}', 1, null)"),
            format!(
                "insert into joint_group_members (group_id, household_id, consented_by, consented_at)
                 values ('{group}', '{home}', '{person}', 1)"
            ),
        ]);
    }
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut sql).await.unwrap();
    }
    for n in 0..=HOUSEHOLDS {
        sqlx::query(
            "insert into sessions (id, person_id, token_hash, user_agent, created_at, seen_at, expires_at)
             values ($1, $2, $3, 'bench', $4, $4, $5)",
        )
        .bind(token::hex(&token::random::<16>()))
        .bind(id(3, n))
        .bind(token::hash(&format!("{session}-{n}")))
        .bind(now)
        .bind(far)
        .execute(&mut sql)
        .await
        .unwrap();
    }
    sql.close().await.unwrap();
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{name:56} p50 {:8.2?}  p99 {:8.2?}  most {:8.2?}", at(50), at(99), at(100));
}

fn told(answered: &mut Vec<Duration>, patrol: &mut Vec<Duration>, last: &mut Vec<Duration>) {
    report("press to its answer (durable)", std::mem::take(answered));
    report("press to the patrol's event (limit: p99 200 ms)", std::mem::take(patrol));
    report("press to the last of the households' (limit: p99 500 ms)", std::mem::take(last));
}

/// Tells of every alarm that this page hears, and when.
async fn listen(mut page: reqwest::Response, who: usize, heard: mpsc::Sender<(usize, Instant)>) {
    let mut text = String::new();
    while let Ok(Some(bytes)) = page.chunk().await {
        text.push_str(std::str::from_utf8(&bytes).unwrap());
        while let Some((block, rest)) = text.split_once("\n\n") {
            let alarm = block.contains("event: alarm") || block.contains("event:alarm");
            text = rest.to_owned();
            if alarm && heard.send((who, Instant::now())).await.is_err() {
                return;
            }
        }
    }
}

/// Doors that are opened all the time.
async fn doors(store: Arc<Store>) {
    let (site, gate) = (SiteId::parse(&id(1, 0)).unwrap(), PlaceId::parse(&id(2, 0)).unwrap());
    let mut tick = tokio::time::interval(EVERY);
    for n in 0.. {
        tick.tick().await;
        let notice = |m: usize| Notice {
            at: SystemClock.now(),
            topic: Topic::DoorEvent,
            site_id: site.clone(),
            place_id: Some(gate.clone()),
            object: format!("{}", n * DOORS + m),
            word: "door.opened".to_owned(),
            drill: false,
        };
        store.post(&(0..DOORS).map(notice).collect::<Vec<_>>()).await.unwrap();
    }
}

#[tokio::main]
async fn main() {
    let folder = std::env::temp_dir().join(format!("alarms-{}", token::hex(&token::random::<6>())));
    std::fs::create_dir(&folder).unwrap();
    sqlx::any::install_default_drivers();
    let name = format!("bench_{}", token::hex(&token::random::<6>()));
    let url = match std::env::var("SHARP_EYES_TEST_POSTGRES") {
        Err(_) => format!("sqlite:{}", folder.join("bench.db").display()),
        Ok(server) => {
            let mut sql = AnyConnection::connect(&format!("{server}/postgres")).await.unwrap();
            let create = sqlx::AssertSqlSafe(format!("create database {name}"));
            sqlx::query(create).execute(&mut sql).await.unwrap();
            format!("{server}/{name}")
        }
    };
    let settings = format!(
        "[database]\nurl = \"{url}\"\n[secrets]\nkey_file = \"{}\"\n[audit]\nspool_file = \"{}\"\n\
         [log]\nfilter = \"error\"\n",
        folder.join("key").display(),
        folder.join("spool").display()
    );
    let settings = Settings::parse(&settings).unwrap();
    sharp_eyes::app::open_store(&settings).await.unwrap().close().await;
    let session = token::new();
    furnish(&url, &session).await;
    let app = App::build(&settings, Arc::new(SystemClock)).await.unwrap();
    let store = Arc::clone(app.store());
    let http = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = http.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(app.run(Listeners { http, rtsp: None, webrtc: None }, async {
        let _ = stopped.await;
    }));
    // Nothing here speaks TLS, but a client is not made without a provider.
    tokio_rustls::rustls::crypto::ring::default_provider().install_default().unwrap();
    let client = reqwest::Client::new();
    let cookie = |n: usize| format!("session={session}-{n}");

    // Every page's word fits; the loop below reads as fast as they come.
    let (heard, mut hears) = mpsc::channel(1_024);
    let mut pages = tokio::task::JoinSet::new();
    for who in 0..=HOUSEHOLDS {
        let request = client.get(format!("http://{address}/api/v1/stream")).header("cookie", cookie(who));
        let page = request.send().await.unwrap();
        assert_eq!(page.status().as_u16(), 200);
        pages.spawn(listen(page, who, heard.clone()));
    }

    let (mut answered, mut patrol, mut last) = (Vec::new(), Vec::new(), Vec::new());
    let mut background = None;
    for n in 0..2 * PRESSES {
        if n == PRESSES {
            println!("{PRESSES} presses, {} pages listen", HOUSEHOLDS + 1);
            told(&mut answered, &mut patrol, &mut last);
            background = Some(tokio::spawn(doors(Arc::clone(&store))));
        }
        // So that every press is told: one kind from one home no more than ten times.
        let (home, kind) = (1 + n / EACH % HOUSEHOLDS, KINDS[n / EACH / HOUSEHOLDS % KINDS.len()]);
        tokio::time::sleep(Duration::from_millis(u64::from(token::random::<1>()[0]))).await;
        let request = client.post(format!("http://{address}/api/v1/alarms")).header("cookie", cookie(home));
        let body = format!("{{\"kind\":\"{kind}\"}}");
        let request = request.header("content-type", "application/json").body(body);
        let pressed = Instant::now();
        let press = tokio::spawn(async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 201, "{}", answer.text().await.unwrap());
            pressed.elapsed()
        });
        let mut slowest = Duration::ZERO;
        for _ in 0..=HOUSEHOLDS {
            let (who, at) = tokio::time::timeout(PATIENCE, hears.recv()).await.unwrap().unwrap();
            let took = at.duration_since(pressed);
            if who == 0 {
                patrol.push(took);
            } else {
                slowest = slowest.max(took);
            }
        }
        last.push(slowest);
        answered.push(press.await.unwrap());
    }
    println!("{PRESSES} presses while doors tell of {} events a second", DOORS * 20);
    told(&mut answered, &mut patrol, &mut last);
    if let Some(background) = background {
        background.abort();
        let _ = background.await;
    }
    drop(store);
    pages.abort_all();
    stop.send(()).unwrap();
    running.await.unwrap();
    if let Ok(server) = std::env::var("SHARP_EYES_TEST_POSTGRES") {
        let mut sql = AnyConnection::connect(&format!("{server}/postgres")).await.unwrap();
        let drop = sqlx::AssertSqlSafe(format!("drop database {name}"));
        sqlx::query(drop).execute(&mut sql).await.unwrap();
    }
    std::fs::remove_dir_all(folder).unwrap();
}
