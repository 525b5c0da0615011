//! C45: the decode process can do nothing but compute, and its end costs a picture.

use crate::support::House;
use crate::support::camera::{self, H264, H265};
use crate::support::database::Database;
use crate::support::decoder::program;
use crate::support::folder::Folder;
use crate::support::foreign::run;
use crate::support::live::Live;
use domain::role::Role;
use media::{Ticks, Track};
use relay::hub::Sample;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// Runs one attempt inside: what it printed, and the signal that ended it.
async fn attempt(name: &str) -> (String, Option<i32>) {
    use std::os::unix::process::ExitStatusExt as _;
    let program = tokio::task::spawn_blocking(program).await.unwrap();
    let output = run(program.to_str().unwrap(), &["--prove-sandbox", name], Duration::from_secs(600)).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("locked in"), "{name}: {text}");
    (text, output.status.signal())
}

const SIGSYS: i32 = 31;

#[tokio::test(flavor = "multi_thread")]
async fn c45_from_inside_nothing_can_be_opened_reached_started_or_hoarded() {
    // Refused: the call comes back with an error.
    for name in ["open", "create", "fork", "thread", "memory"] {
        let (text, signal) = attempt(name).await;
        assert!(text.contains("refused: ") && signal.is_none(), "{name}: {text} {signal:?}");
    }
    // Killed: no decoder ever has a reason for it.
    for name in ["socket", "connect", "execve"] {
        let (text, signal) = attempt(name).await;
        assert!(!text.contains("done") && signal == Some(SIGSYS), "{name}: {text} {signal:?}");
    }
    // The proof can fail: what is allowed is done.
    let (text, signal) = attempt("nothing").await;
    assert!(text.contains("done") && signal.is_none(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c45_computing_without_end_is_killed() {
    let (text, signal) = attempt("compute").await;
    assert!(!text.contains("done") && signal.is_some(), "{text} {signal:?}");
}

/// A program that stands in for one that was taken over.
fn impostor(folder: &Folder, name: &str, script: &str) -> PathBuf {
    let path = folder.path(name);
    std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// What it says first: it is locked in.
const READY: &str = r"printf '\0\0\0\2\0\0'";

#[tokio::test(flavor = "multi_thread")]
async fn c45_a_process_that_was_taken_over_gets_nothing_in_and_costs_a_picture() {
    let folder = Folder::new();
    let cameras = camera::start(&[("a", camera::clip(H264)), ("b", camera::clip(H265))]).await;
    for (name, script) in [
        ("noise", "exec cat /dev/urandom".to_owned()),
        ("noise-later", format!("{READY}; exec cat /dev/urandom")),
        ("long", format!("{READY}; exec cat /dev/zero")),
        ("claims-all-memory", format!(r"{READY}; printf '\377\377\377\377'; sleep 60")),
        // A message of the right form that is no JPEG but a page.
        ("page", format!(r"{READY}; printf '\0\0\0\13\1\0\0\0\6<html>'; sleep 60")),
        ("silent", format!("{READY}; sleep 60")),
        ("dies", "kill -9 $$".to_owned()),
        ("not-locked-in", r"printf '\0\0\0\2\4\0'".to_owned()),
        ("floods-stderr", format!("{READY}; exec cat /dev/zero >&2")),
    ] {
        let program = impostor(&folder, name, &script);
        let settings = format!("[decode]\nprogram = \"{}\"", program.display());
        let house = House::start_with(Database::Sqlite, &settings).await;
        let (id, other) = (house.camera(&cameras.url("a")).await, house.camera(&cameras.url("b")).await);
        let patrol = house.sign_in_as(Role::Patrol).await;
        let mut live = Live::open(&patrol, &id).await;
        live.binary().await;
        let (status, problem) = patrol.get(&format!("/api/v1/cameras/{id}/snapshot.jpg")).await;
        assert_eq!(status, 503, "{name}: {problem}");
        let path = format!("{other}/main/live?video=h264");
        let mut converted = Live::try_open_at(&patrol, &path).await.unwrap();
        let nothing = tokio::time::timeout(Duration::from_secs(1), converted.binary()).await;
        assert!(nothing.is_err(), "{name}: something came");
        // Others have noticed nothing.
        for _ in 0..3 {
            live.binary().await;
        }
        drop((live, converted));
        let ended = tokio::time::timeout(Duration::from_secs(20), house.stop()).await;
        assert!(ended.is_ok(), "{name}: the gateway does not stop");
    }
}

/// Access units as a broken or hostile camera sends them: the real ones, changed.
#[tokio::test(flavor = "multi_thread")]
async fn c45_changed_access_units_cost_their_picture_and_no_more() {
    let seed = u64::from_be_bytes(web::token::random());
    println!("seed {seed:#x}");
    let mut dice = seed | 1;
    let mut roll = move || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice >> 16).unwrap()
    };
    let decoder = relay::Decoder::new(relay::decoder::Limits {
        program: Some(tokio::task::spawn_blocking(program).await.unwrap()),
        stills: 2,
        conversions: 1,
    });
    let clock = relay::WallClock::new(|| Duration::from_secs(1_000));
    let (pass, _keeper) = relay::admission::Issuer::new().grant(Duration::from_secs(3_600));
    let id = relay::StreamId { camera: "a".into(), feed: "main" };
    let width = relay::decoder::Width::at_least(320);
    let (mut pictures, mut refused) = (0, 0);
    for clip in [H264, H265] {
        let clip = camera::clip(clip);
        let key = clip.samples.iter().find(|sample| sample.track == Track::Video && sample.key).unwrap();
        for n in 0..20 {
            let mut data = key.data.to_vec();
            match n % 4 {
                0 => {}
                1 => {
                    for _ in 0..1 + roll() % 40 {
                        let at = roll() % data.len();
                        data[at] = u8::try_from(roll() % 256).unwrap();
                    }
                }
                2 => data.truncate(roll() % data.len()),
                _ => data = (0..1 + roll() % 5_000).map(|_| u8::try_from(roll() % 256).unwrap()).collect(),
            }
            let (mut publisher, hub) = relay::hub::hub(media::gop::Budget::default(), &clock);
            publisher.set_params(clip.params.clone());
            let sample = Sample { track: Track::Video, key: true, time: Ticks(0), data: data.into() };
            publisher.push(sample);
            match decoder.still(&id, &hub, &pass, width).await {
                Ok(still) => {
                    assert!(still.jpeg.starts_with(&[0xff, 0xd8]), "seed {seed:#x}, trial {n}");
                    pictures += 1;
                }
                Err(why) => {
                    assert_ne!(n % 4, 0, "seed {seed:#x}: a good one was refused: {why}");
                    refused += 1;
                }
            }
            decoder.forget(&id);
        }
    }
    println!("{pictures} pictures, {refused} refused");
    assert!(pictures >= 10 && refused >= 5);
    decoder.close().await;
    assert!(decoder.processes().is_empty());
}
