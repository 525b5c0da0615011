//! C45: the decode process can do nothing but compute, and its end costs a picture.

use crate::support::decoder::program;
use crate::support::foreign::run;
use std::time::Duration;

/// Runs one attempt inside: what it printed, and the signal that ended it.
async fn attempt(name: &str) -> (String, Option<i32>) {
    use std::os::unix::process::ExitStatusExt as _;
    let program = tokio::task::spawn_blocking(program).await.unwrap();
    let output = run(program.to_str().unwrap(), &["--prove-sandbox", name], Duration::from_secs(120)).await;
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
