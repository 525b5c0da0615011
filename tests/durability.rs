//! What was acknowledged is there: after kill -9, and when the disk is full.

use crate::support::House;
use crate::support::client::Client;
use crate::support::folder::Folder;
use crate::support::process::{Gateway, configure, serve};
use domain::repository::Rights as _;
use domain::role::{Grant, Role};
use domain::{GrantId, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::process::Command;

const BATCH: &str = "application/cloudevents-batch+json";

/// `count` events whose ids begin with `name`.
fn batch(name: &str, count: usize) -> Value {
    let event = |n: usize| json!({ "specversion": "1.0", "id": format!("{name}-{n}"), "source": "/door", "type": "sharpeyes.door.opened" });
    Value::Array((0..count).map(event).collect())
}

fn results(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect()
}

/// A stopped house with a door and somebody of the patrol, and the door's token.
async fn furnished() -> (Folder, String) {
    let house = House::start().await;
    let (_, token) = house.door(&house.lobby).await;
    let grant = Grant {
        id: GrantId::from_random(web::token::random()),
        person_id: house.person("patrol").await.id,
        role: Role::Patrol,
        site_id: Some(house.site.clone()),
        zone: None,
        from: Timestamp(0),
        until: None,
    };
    house.store.add_grant(&grant).await.unwrap();
    (house.stop().await, token)
}

async fn rows(gateway: &Gateway) -> usize {
    let patrol = Client::new(gateway.address).signed_in("patrol").await;
    let (mut rows, mut path) = (0, "/api/v1/door-events?limit=500".to_owned());
    loop {
        let (_, list) = patrol.get(&path).await;
        rows += list["items"].as_array().unwrap().len();
        let Some(next) = list["next"].as_str() else { return rows };
        path = format!("/api/v1/door-events?limit=500&cursor={next}");
    }
}

/// Sends batches, each with a press for help in it, until the gateway is gone. Answers how
/// many were acknowledged.
async fn send_until_gone(client: &Client, token: &str, cycle: usize) -> usize {
    for n in 0.. {
        let body = mixed(cycle, n);
        let request = client.request(reqwest::Method::POST, "/ingest/v1/events").bearer_auth(token);
        match request.header("content-type", BATCH).body(body.to_string()).send().await {
            Ok(response) if response.status() == StatusCode::ACCEPTED => {}
            _ => return n,
        }
    }
    unreachable!("it is killed before")
}

fn mixed(cycle: usize, n: usize) -> Value {
    let mut events = batch(&format!("{cycle}-{n}"), 5);
    let help = json!({ "specversion": "1.0", "id": format!("{cycle}-{n}"), "source": "/button", "type": "sharpeyes.alarm.panic" });
    events.as_array_mut().unwrap().push(help);
    events
}

/// C35: killed at any moment while doors and buttons tell something.
#[tokio::test(flavor = "multi_thread")]
async fn c35_what_was_acknowledged_survives_kill_9_and_is_there_once() {
    const CYCLES: usize = 100;
    let (folder, token) = furnished().await;
    configure(&folder, ".");
    let (mut sent, mut acknowledged) = (0, 0);
    for cycle in 0..CYCLES {
        let gateway = Gateway::start(serve(&folder));
        let client = Client::new(gateway.address);
        let sending = send_until_gone(&client, &token, cycle);
        let killing = async {
            // Another moment each time, as far as from the start of one request to several.
            let pause = u64::from(web::token::random::<1>()[0] % 60);
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            drop(gateway);
        };
        let (n, ()) = tokio::join!(sending, killing);
        acknowledged += n;
        // The one that was not answered is sent again, as devices do.
        let gateway = Gateway::start(serve(&folder));
        let client = Client::new(gateway.address);
        for again in n.saturating_sub(1)..=n {
            let (status, answer) = client.events(&token, BATCH, &mixed(cycle, again)).await;
            assert_eq!(status, StatusCode::ACCEPTED);
            let wanted = if again < n { "duplicate" } else { "accepted" };
            let all_one = results(&answer).windows(2).all(|pair| pair[0] == pair[1]);
            assert!(all_one, "a part of a request was kept: {answer}");
            assert!(again == n || results(&answer)[0] == wanted, "cycle {cycle}: {answer}");
        }
        sent += n + 1;
    }
    assert!(acknowledged > CYCLES / 4, "{acknowledged}: killed too early to show anything");
    let gateway = Gateway::start(serve(&folder));
    assert_eq!(rows(&gateway).await, sent * 5);
    let patrol = Client::new(gateway.address).signed_in("patrol").await;
    let mut alarms = 0;
    for incident in patrol.get("/api/v1/incidents?limit=500").await.1["items"].as_array().unwrap() {
        alarms += usize::try_from(incident["alarms"].as_i64().unwrap()).unwrap();
    }
    assert_eq!(alarms, sent, "every press is counted once");
    println!("{CYCLES} cycles: {acknowledged} of {sent} requests were acknowledged before the kill");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_reset_on_the_machine_and_the_registers_are_verified() {
    let (folder, _) = furnished().await;
    configure(&folder, ".");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sharp-eyes"));
        let output =
            command.args(arguments).arg("--config").arg(folder.path("config.toml")).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = run(&["admin", "reset-password", "nobody"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("nobody has the login"), "{text}");
    let (code, text) = run(&["admin", "reset-password", "patrol"]);
    assert_eq!(code, Some(0), "{text}");
    let password = text.trim().rsplit(' ').next().unwrap().to_owned();
    let gateway = Gateway::start(serve(&folder));
    let client = Client::new(gateway.address);
    let sign_in = async |password: &str| {
        client.post("/api/v1/session", json!({ "login": "patrol", "password": password })).await.0.as_u16()
    };
    assert_eq!(sign_in(crate::support::PASSWORD).await, 401, "the old one ends");
    assert_eq!(sign_in(&password).await, 200);
    drop(gateway);
    let (code, text) = run(&["audit", "verify"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("the registers are whole"), "{text}");
    let tampered =
        sqlx::SqlitePool::connect(&format!("sqlite:{}", folder.path("test.db").display())).await.unwrap();
    let sql = "update audit set actor = null where action = 'session.begin'";
    sqlx::query(sql).execute(&tampered).await.unwrap();
    tampered.close().await;
    let (code, text) = run(&["audit", "verify"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("NOT whole: entry"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_answer_and_loses_nothing() {
    let (folder, token) = furnished().await;
    // A disk of 3 MiB, seen by the gateway alone, with something on it to remove later.
    let disk = folder.path("disk");
    std::fs::create_dir(&disk).unwrap();
    configure(&folder, "disk");
    let script = "mount -t tmpfs -o size=3m tmpfs \"$1/disk\" && cp -p \"$1\"/test.db* \"$1/key\" \"$1/disk\" && \
                  head -c 1000000 /dev/zero > \"$1/disk/ballast\" && exec \"$2\" serve --config \"$1/config.toml\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(folder.path("")).arg(env!("CARGO_BIN_EXE_sharp-eyes"));
    let can_mount = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).status();
    assert!(
        can_mount.is_ok_and(|status| status.success()),
        "this test gives the gateway a small disk of its own, for which user namespaces must be allowed"
    );
    let gateway = Gateway::start(command);
    let client = Client::new(gateway.address);

    let mut taken = 0;
    let full = loop {
        let (status, answer) = client.events(&token, BATCH, &batch(&taken.to_string(), 100)).await;
        match status {
            StatusCode::ACCEPTED => taken += 1,
            _ => break (status, answer),
        }
        assert!(taken < 500, "the disk is never full");
    };
    assert!(taken > 0);
    assert_eq!((full.0.as_u16(), &full.1["type"]), (503, &json!("unavailable")), "{}", full.1);
    assert!(full.1["detail"].as_str().unwrap().contains("nothing was saved, try again"));
    // There is room again: the device's next try is taken, and nothing is missing or there twice.
    std::fs::remove_file(format!("/proc/{}/root{}", gateway.pid(), disk.join("ballast").display())).unwrap();
    let (status, answer) = client.events(&token, BATCH, &batch(&taken.to_string(), 100)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(results(&answer), ["accepted"; 100]);
    // What waited in the spool meanwhile is kept now, too.
    let mut there = 0;
    for _ in 0..60 {
        there = rows(&gateway).await;
        if there >= (taken + 1) * 100 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert_eq!(there, (taken + 1) * 100);
}
