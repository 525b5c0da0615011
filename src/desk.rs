//! A thread that waits for the disk, so that nobody else does: it owns what writes, and does
//! one thing after the other with it, in the order in which they were asked for.
//!
//! A disk can hang for minutes: a memory card that dies, a server that is away. As many calls
//! as there are workers of the runtime would stop every picture of the house.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

/// What may wait for the disk. When it is full, who asks waits, as for the disk itself.
const WAITING: usize = 64;

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// The way to a thread that owns a `T`. The thread ends when this is dropped and what was asked
/// for is done; a process that stops does not wait for a disk that hangs.
#[derive(Debug)]
pub struct Desk<T> {
    jobs: mpsc::Sender<Job<T>>,
}

impl<T: Send + 'static> Desk<T> {
    /// Begins a thread of this name.
    #[must_use]
    pub fn new(name: &str, mut owned: T) -> Self {
        let (jobs, mut asked) = mpsc::channel::<Job<T>>(WAITING);
        let begun = thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = asked.blocking_recv() {
                if catch_unwind(AssertUnwindSafe(|| job(&mut owned))).is_err() {
                    error!("something failed at the disk that nobody has thought of; the next is tried");
                }
            }
        });
        if let Err(error) = begun {
            error!(%error, name, "no thread can be begun; nothing is written by this one");
        }
        Self { jobs }
    }

    /// Has `work` done. If whoever asks does not wait any more it is not begun.
    pub async fn ask<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut T) -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        self.ask_or(work, |_, _| {}).await
    }

    /// The same; what was done is `undone` if whoever asked has stopped waiting meanwhile.
    pub async fn ask_or<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut T) -> io::Result<R> + Send + 'static,
        undo: impl FnOnce(&mut T, R) + Send + 'static,
    ) -> io::Result<R> {
        let (answer, answered) = oneshot::channel();
        let job = move |owned: &mut T| {
            if answer.is_closed() {
                return;
            }
            if let Err(Ok(done)) = answer.send(work(owned)) {
                undo(owned, done);
            }
        };
        let gone = || io::Error::other("what writes has failed");
        self.jobs.send(Box::new(job)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc as blocking;
    use std::time::Duration;

    #[tokio::test]
    async fn a_disk_that_hangs_stops_no_worker_and_what_was_asked_for_keeps_its_order() {
        let (release, hung) = blocking::channel::<()>();
        let desk = Desk::new("test", Vec::new());
        let first = desk.ask(move |done: &mut Vec<u8>| {
            let _ = hung.recv();
            done.push(1);
            Ok(())
        });
        let second = desk.ask(|done| {
            done.push(2);
            Ok(done.clone())
        });
        // The one worker of this runtime goes on.
        let other = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            release.send(()).unwrap();
        };
        let (first, second, ()) = tokio::join!(first, second, other);
        first.unwrap();
        assert_eq!(second.unwrap(), [1, 2]);
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_is_not_written_or_is_undone() {
        let (release, hung) = blocking::channel::<()>();
        let desk = Desk::new("test", Vec::new());
        let begun = desk.ask_or(
            move |done: &mut Vec<&str>| {
                let _ = hung.recv();
                done.push("begun");
                Ok(())
            },
            |done, ()| done.push("undone"),
        );
        let waiting = desk.ask(|done| {
            done.push("waiting");
            Ok(())
        });
        let both = async { tokio::join!(begun, waiting) };
        assert!(tokio::time::timeout(Duration::from_millis(20), both).await.is_err());
        release.send(()).unwrap();
        assert_eq!(desk.ask(|done| Ok(done.clone())).await.unwrap(), ["begun", "undone"]);
    }

    #[tokio::test]
    async fn a_panic_ends_one_thing_and_not_what_comes_after_it() {
        let desk = Desk::new("test", ());
        assert!(desk.ask::<()>(|()| panic!("nobody has thought of it")).await.is_err());
        assert_eq!(desk.ask(|()| Ok(1)).await.unwrap(), 1);
    }
}
