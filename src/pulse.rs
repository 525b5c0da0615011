//! The database's pulse: it beats when somebody may have written to it, of this process or of
//! another. Who waits for something in it asks after a beat, and sleeps while there is none.
//!
//! A thread of its own feels it: waking one costs a tenth of waking the runtime, and a disk
//! that hangs stops nobody else.

use std::io;
use std::thread;
use std::time::Duration;
use store::traces::Traces;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often it is felt, and beats: what another process does is heard within this.
const EVERY: Duration = Duration::from_millis(300);
/// It goes on for so long after the last trace: what is written can be read only when it is
/// durable, and a slow disk takes its time.
const LONG: Duration = Duration::from_secs(10);
/// It beats at least this often: a file system may not say when a file was written.
const AT_LEAST: Duration = Duration::from_secs(30);

/// Begins to feel it, until nobody listens to `pulse`. A database on a server leaves no `traces`:
/// then it beats each time.
pub fn begin(traces: Option<Traces>, pulse: watch::Sender<()>) -> io::Result<()> {
    thread::Builder::new().name("pulse".to_owned()).spawn(move || feel(traces, &pulse)).map(drop)
}

#[expect(clippy::disallowed_methods, reason = "no worker's thread sleeps here, but one of its own")]
fn feel(mut traces: Option<Traces>, pulse: &watch::Sender<()>) {
    let (mut written, mut beaten) = (Instant::now(), Instant::now());
    while !pulse.is_closed() {
        thread::sleep(EVERY);
        if traces.as_mut().is_none_or(Traces::are_new) {
            written = Instant::now();
        }
        if written.elapsed() < LONG || beaten.elapsed() >= AT_LEAST {
            beaten = Instant::now();
            pulse.send_replace(());
        }
    }
}
