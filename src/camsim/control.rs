//! The switches for misbehaviour, as methods for tests and as lines of text
//! for people: `stall east-gate on`, `refuse on`, `drop`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};

/// One camera's switches.
#[derive(Debug, Default)]
pub struct Knobs {
    pub(crate) stalled: AtomicBool,
    pub(crate) repeats: AtomicBool,
    pub(crate) other_resolution: AtomicBool,
}

/// What happens once to every open connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// It is closed.
    Drop,
    /// These bytes come in the middle of the stream.
    Inject(Vec<u8>),
}

/// The port's switches and its cameras'.
#[derive(Debug)]
pub struct Control {
    knobs: HashMap<String, Arc<Knobs>>,
    password_changed: AtomicBool,
    pub(crate) logins: AtomicUsize,
    pub(crate) refuse: watch::Sender<bool>,
    pub(crate) trickle: watch::Sender<bool>,
    /// Bounded: a connection that lags behind 16 strikes misses the oldest.
    pub(crate) strikes: broadcast::Sender<Strike>,
}

impl Control {
    pub(crate) fn new(knobs: HashMap<String, Arc<Knobs>>) -> Self {
        Self {
            knobs,
            password_changed: AtomicBool::new(false),
            logins: AtomicUsize::new(0),
            refuse: watch::Sender::new(false),
            trickle: watch::Sender::new(false),
            strikes: broadcast::Sender::new(16),
        }
    }

    pub(crate) fn password_changed(&self) -> bool {
        self.password_changed.load(Ordering::Relaxed)
    }

    /// The port is closed (and its connections dropped), or open again.
    pub fn refuse(&self, on: bool) {
        self.refuse.send_replace(on);
    }

    /// The camera at `path` stays connected but sends nothing.
    pub fn stall(&self, path: &str, on: bool) {
        if let Some(knobs) = self.knobs.get(path) {
            knobs.stalled.store(on, Ordering::Relaxed);
        }
    }

    /// The camera at `path` sends the picture that it sent last again and again.
    pub fn repeat(&self, path: &str, on: bool) {
        if let Some(knobs) = self.knobs.get(path) {
            knobs.repeats.store(on, Ordering::Relaxed);
        }
    }

    /// The camera at `path` sends its other clip from its next key frame on.
    pub fn other_resolution(&self, path: &str, on: bool) {
        if let Some(knobs) = self.knobs.get(path) {
            knobs.other_resolution.store(on, Ordering::Relaxed);
        }
    }

    /// The cameras accept another password than before.
    pub fn change_password(&self, on: bool) {
        self.password_changed.store(on, Ordering::Relaxed);
    }

    /// Every answer comes at one byte a second.
    pub fn trickle(&self, on: bool) {
        self.trickle.send_replace(on);
    }

    /// All connections are dropped once.
    pub fn drop_all(&self) {
        let _ = self.strikes.send(Strike::Drop);
    }

    /// A burst of bytes that are no RTSP comes in mid-stream.
    pub fn garbage(&self) {
        let mut bytes = vec![0; 4_096];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        let _ = self.strikes.send(Strike::Inject(bytes));
    }

    /// A message that declares a body of 2⁶³ bytes comes in mid-stream.
    pub fn huge(&self) {
        let text = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 9223372036854775808\r\n\r\n";
        let _ = self.strikes.send(Strike::Inject(text.to_vec()));
    }

    /// Carries out one line.
    pub fn order(&self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let on = match words.last() {
            Some(&"on") => Some(true),
            Some(&"off") => Some(false),
            _ => None,
        };
        let known = |path: &str| {
            self.knobs.contains_key(path).then_some(()).ok_or(format!("there is no camera {path}"))
        };
        match (words.as_slice(), on) {
            (["drop"], None) => self.drop_all(),
            (["garbage"], None) => self.garbage(),
            (["huge"], None) => self.huge(),
            (["refuse", _], Some(on)) => self.refuse(on),
            (["trickle", _], Some(on)) => self.trickle(on),
            (["password", _], Some(on)) => self.change_password(on),
            (["stall", path, _], Some(on)) => {
                known(path)?;
                self.stall(path, on);
            }
            (["repeat", path, _], Some(on)) => {
                known(path)?;
                self.repeat(path, on);
            }
            (["resolution", path, _], Some(on)) => {
                known(path)?;
                self.other_resolution(path, on);
            }
            _ => {
                return Err("orders are: drop, garbage, huge, refuse|trickle|password on|off, \
                            stall|repeat|resolution PATH on|off"
                    .to_owned());
            }
        }
        Ok(())
    }
}

/// Takes orders as lines of text on `listener`, one connection at a time.
pub async fn listen(listener: TcpListener, control: Arc<Control>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = match control.order(&line) {
                Ok(()) => "ok\n".to_owned(),
                Err(why) => format!("{why}\n"),
            };
            if write.write_all(answer.as_bytes()).await.is_err() {
                break;
            }
        }
    }
}
