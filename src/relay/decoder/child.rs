//! One decode process and the pipes to it.
//!
//! It reads what cameras have sent, so it is believed in nothing: answers are checked
//! and bounded, it has no environment, none of our files, and it is killed when its
//! handle goes.

use bytes::{Buf as _, BytesMut};
use media::job::{self, Answer, Failure, Landlock, Order};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Once;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tracing::{debug, error, warn};

/// How long it may take until it is locked in: its libraries are many.
const START: Duration = Duration::from_secs(10);
/// How long its end is waited for once it has closed its pipe.
const END: Duration = Duration::from_secs(2);
/// What it has said at its end, at most.
const LAST_WORDS: u64 = 500;
/// The signal of a system call that no decoder makes.
const FORBIDDEN_CALL: i32 = 31;
/// Orders that wait in memory because it does not take them yet: past this no further
/// one is given.
const WAITING: usize = 1 << 20;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// There is no such program, or it does not start.
    #[error("the decode process is not installed or does not start")]
    NotThere,
    /// It ended by itself.
    #[error("the decode process failed")]
    Died,
    /// It said what it must not.
    #[error("the decode process answered with something else")]
    Malformed,
    /// It took too long and was killed.
    #[error("the decode process took too long")]
    Overrun,
    /// It could not do it, and said so.
    #[error("{}", why(*.0))]
    Failed(Failure),
}

fn why(failure: Failure) -> &'static str {
    match failure {
        Failure::NotLockedIn => "the decode process cannot lock itself in on this system",
        Failure::NotAPicture => "what the camera sent is no picture",
        Failure::Unsupported => "the codec libraries of this system lack what is needed",
    }
}

impl From<job::Malformed> for Trouble {
    fn from(_: job::Malformed) -> Self {
        Self::Malformed
    }
}

/// What a process is started for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// One still picture.
    Still,
    /// One stream.
    Convert,
}

/// A running decode process that is locked in. Dropping it kills it.
pub(crate) struct Child {
    process: tokio::process::Child,
    orders: ChildStdin,
    answers: ChildStdout,
    errors: Option<ChildStderr>,
    waiting: BytesMut,
    read: BytesMut,
}

impl Child {
    /// Starts `program` and waits until it is locked in.
    pub(super) async fn start(program: &Path, work: Work) -> Result<Self, Trouble> {
        let mut command = Command::new(program);
        command
            .arg(match work {
                Work::Still => "still",
                Work::Convert => "convert",
            })
            .env_clear()
            // Each pool of memory would take 64 MiB of what the process may have.
            .env("MALLOC_ARENA_MAX", "1")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C is for the gateway, which ends it in order.
            .process_group(0)
            .kill_on_drop(true);
        let not_there = |why: &dyn std::fmt::Display| {
            warn!(program = %program.display(), %why, "the decode process does not start");
            Trouble::NotThere
        };
        let mut process = command.spawn().map_err(|error| not_there(&error))?;
        let (Some(orders), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(not_there(&"no pipes"));
        };
        let errors = process.stderr.take();
        let (waiting, read) = (BytesMut::new(), BytesMut::new());
        let mut child = Self { process, orders, answers, errors, waiting, read };
        match tokio::time::timeout(START, child.work()).await {
            Ok(Ok(Answer::Ready(landlock))) => {
                say_once(landlock);
                Ok(child)
            }
            Ok(Ok(Answer::Failed(failure))) => {
                error!(why = why(failure), "the decode process does not work here");
                Err(Trouble::Failed(failure))
            }
            Ok(Ok(_)) => Err(Trouble::Malformed),
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => Err(Trouble::Overrun),
        }
    }

    /// Its process id, while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Puts an order among those that wait; [`Child::work`] hands them over.
    pub(crate) fn order(&mut self, order: &Order) {
        self.waiting.extend_from_slice(&order.write());
    }

    /// Whether further orders should wait where they are.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING
    }

    /// Hands over what waits until it answers. Safe to drop and call again.
    pub(crate) async fn work(&mut self) -> Result<Answer, Trouble> {
        loop {
            if let Some(answer) = self.take_read()? {
                return Ok(answer);
            }
            let Self { orders, answers, waiting, read, .. } = self;
            let ended = tokio::select! {
                written = orders.write_buf(waiting), if !waiting.is_empty() => written.is_err(),
                got = answers.read_buf(read) => !got.is_ok_and(|bytes| bytes > 0),
            };
            if ended {
                return Err(self.end().await);
            }
        }
    }

    /// The first whole answer of what was read.
    fn take_read(&mut self) -> Result<Option<Answer>, Trouble> {
        let Some(prefix) = self.read.first_chunk::<4>() else { return Ok(None) };
        let length = job::length(*prefix)?;
        if self.read.len() < length + 4 {
            self.read.reserve((length + 4 - self.read.len()).min(1 << 20));
            return Ok(None);
        }
        self.read.advance(4);
        let body = self.read.split_to(length).freeze();
        Ok(Some(Answer::parse(body)?))
    }

    /// It has closed a pipe: says how it ended.
    async fn end(&mut self) -> Trouble {
        let Ok(Ok(status)) = tokio::time::timeout(END, self.process.wait()).await else {
            return Trouble::Died;
        };
        let mut words = Vec::new();
        if let Some(errors) = self.errors.take() {
            let _ = tokio::time::timeout(END, errors.take(LAST_WORDS).read_to_end(&mut words)).await;
        }
        let words: String =
            String::from_utf8_lossy(&words).chars().filter(|c| !c.is_control()).take(200).collect();
        if status.signal() == Some(FORBIDDEN_CALL) {
            error!(
                "the decode process was killed for a system call that no decoder makes: \
                 what a camera sent has taken it over"
            );
        } else {
            debug!(%status, words, "a decode process has ended");
        }
        // The loader says what is missing and ends with 127.
        if status.code() == Some(127) {
            warn!(words, "the decode process does not start");
            return Trouble::NotThere;
        }
        Trouble::Died
    }
}

/// Says what the kernel lacks, the first time.
fn say_once(landlock: Landlock) {
    static SAID: Once = Once::new();
    SAID.call_once(|| match landlock {
        Landlock::Full => debug!("the decode process is locked in"),
        Landlock::Partly => warn!("this kernel knows an older Landlock: the decode process is locked in with what it has"),
        Landlock::None => {
            warn!("this kernel has no Landlock: the list of system calls alone keeps the decode process from files");
        }
    });
}
