//! A disk that hangs, as a memory card that dies or a server that is away: whoever watches goes on
//! watching, it is told, nobody waits for ever, and what was acknowledged is there afterwards.

use crate::full_disk::{BATCH, OVER, accepted, batch, doors, furnished, more, until_wrong};
use crate::support::client::Client;
use crate::support::live::{Heard, Live};
use crate::support::process::{Gateway, configure, preload, serve};
use sqlx::Connection as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long it hangs.
const HANGS: Duration = Duration::from_secs(20);
/// Between two frames, at most: the camera's are 40 ms apart, and the machine does other things, too.
const GAP: Duration = Duration::from_secs(2);

/// Somebody who watches all the time: the longest gap between two fragments so far, in milliseconds.
fn watching(mut page: Live) -> (Arc<AtomicU64>, tokio::task::JoinHandle<()>) {
    let longest = Arc::new(AtomicU64::new(0));
    let gap = Arc::clone(&longest);
    let task = tokio::spawn(async move {
        let mut last = Instant::now();
        loop {
            match tokio::time::timeout(Duration::from_millis(50), page.next()).await {
                Ok(Heard::Binary(_)) => last = Instant::now(),
                Ok(Heard::Closed(_)) => return,
                Ok(Heard::Text(_)) | Err(_) => {}
            }
            gap.fetch_max(u64::try_from(last.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
        }
    });
    (longest, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_hangs_open_pictures_go_on_and_afterwards_what_was_acknowledged_is_there() {
    let house = furnished().await;
    let (folder, token) = (&house.folder, &house.token);
    configure(folder, ".");
    more(folder, "[disk]\nreserve_bytes = 1048576\nfloor_bytes = 1048576\n");
    let switch = std::env::temp_dir().join(web::token::new());
    let mut command = serve(folder);
    preload(&mut command, folder, "hangs");
    command.env("HANGS", folder.path("")).env("HANGS_SWITCH", &switch);
    // A machine of two cores.
    command.env("TOKIO_WORKER_THREADS", "2");
    let gateway = Gateway::start(command);
    let device = Client::new(gateway.address);
    let patrol = Client::new(gateway.address).signed_in("patrol").await;
    let owner = Client::new(gateway.address).signed_in("owner").await;
    let mut page = Live::open(&patrol, &house.camera).await;
    page.binary().await;
    let (longest, view) = watching(page);
    let (_, answer) = device.events(token, BATCH, &batch("before", 5)).await;
    assert_eq!(accepted(&answer), 6);

    std::fs::write(&switch, "").unwrap();
    let began = Instant::now();
    let over = tokio::spawn(async move {
        tokio::time::sleep_until(began + HANGS).await;
        std::fs::remove_file(&switch).unwrap();
    });
    let told = tokio::spawn(async move {
        let (_, detail) = until_wrong(&owner, &["disk_hangs"], HANGS).await;
        (owner, detail, began.elapsed())
    });
    let mut answers = JoinSet::new();
    for n in 0..4 {
        let (device, token) = (Client::new(gateway.address), token.clone());
        answers
            .spawn(async move { (n, device.events(&token, BATCH, &batch(&format!("hung-{n}"), 5)).await) });
    }
    // Whoever is on duty is written down elsewhere, which hangs as well.
    let unwritten = Live::try_open(&patrol, &house.camera, "main").await.err();
    let mut again = Vec::new();
    while let Some(answered) = answers.join_next().await {
        let (n, (status, answer)) = answered.unwrap();
        again.extend((status.as_u16() != 202).then_some(n));
        let durable = began.elapsed() >= HANGS;
        assert!(durable || status.as_u16() == 503, "nothing is acknowledged that is not durable: {answer}");
    }
    let refused = began.elapsed();
    over.await.unwrap();
    let gap = Duration::from_millis(longest.load(Ordering::Relaxed));
    println!("refused after {refused:?}, the longest gap is {gap:?}");
    assert!(!view.is_finished() && gap < GAP, "the view that was open goes on: a gap of {gap:?}");
    assert!(refused < HANGS, "nobody waits until it is over");
    assert_eq!(unwritten, Some(503), "nobody watches unwritten");
    let (owner, detail, took) = told.await.unwrap();
    println!("told after {took:?}: {detail}");

    until_wrong(&owner, &[], OVER).await;
    for n in again {
        let (status, answer) = device.events(token, BATCH, &batch(&format!("hung-{n}"), 5)).await;
        assert_eq!(status.as_u16(), 202, "sent again, it is kept: {answer}");
    }
    let began = Instant::now();
    while doors(&patrol).await != 25 {
        assert!(began.elapsed() < OVER, "{} of 25 events", doors(&patrol).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let rows = patrol.get("/api/v1/incidents?limit=500").await.1["items"].as_array().unwrap().clone();
    assert_eq!(rows.iter().map(|row| row["alarms"].as_i64().unwrap()).sum::<i64>(), 5, "{rows:?}");
    // Nobody is held to watch who was refused.
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", folder.path("test.db").display());
    let mut database = sqlx::AnyConnection::connect(&url).await.unwrap();
    let began = Instant::now();
    loop {
        let open: i64 = sqlx::query_scalar("select count(*) from viewings where ended_at is null")
            .fetch_one(&mut database)
            .await
            .unwrap();
        if open == 1 && !folder.path("spool").exists() {
            break;
        }
        assert!(began.elapsed() < OVER, "{open} views are open in the register");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    view.abort();
}
