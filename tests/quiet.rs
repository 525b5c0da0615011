//! A house in which nothing happens does next to nothing, and hears what another process does.

use crate::full_disk::{furnished, more};
use crate::support::client::Client;
use crate::support::live::{Heard, Live};
use crate::support::process::{Gateway, configure, serve};
use std::process::Command;
use std::time::Duration;

/// How often the threads of the database's connections have waited for something so far.
fn waits(gateway: &Gateway) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
    let texts = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok());
    let of_database = texts.filter(|text| text.starts_with("Name:\tsqlx-"));
    let waits = of_database.filter_map(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    });
    waits.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_happens_the_database_is_not_asked_and_another_process_is_heard_all_the_same() {
    let house = furnished().await;
    configure(&house.folder, ".");
    more(&house.folder, "[disk]\nreserve_bytes = 1048576\n");
    let gateway = Gateway::start(serve(&house.folder));
    let patrol = Client::new(gateway.address).signed_in("patrol").await;
    // Until nothing is left to be done of the start.
    tokio::time::sleep(Duration::from_secs(13)).await;
    let before = waits(&gateway);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let waited = waits(&gateway) - before;
    // Asked ten times a second, as it once was, they wait 170 times; asked for everything once, 50.
    assert!(waited < 100, "the connections have waited {waited} times");

    let mut page = Live::open(&patrol, &house.camera).await;
    page.binary().await;
    let mut admin = Command::new(env!("CARGO_BIN_EXE_sharp-eyes"));
    admin.args(["admin", "reset-password", "patrol", "--config"]).arg(house.folder.path("config.toml"));
    assert!(admin.output().unwrap().status.success());
    // Patrol's lease is of two minutes: only hearing of it ends the picture sooner.
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        while !matches!(page.next().await, Heard::Closed(_)) {}
    });
    ended.await.expect("what another process does is heard");
}
