//! What a task waits for beside frames and what seldom comes.
//!
//! A task that is woken by a frame asks all that it waits for again, hundreds of times
//! a second and viewer. What has not called for the task itself need not be asked.

use futures_util::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled only when it has called.
pub(crate) struct Seldom<F> {
    inner: Pin<Box<F>>,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future> Seldom<F> {
    pub(crate) fn new(inner: F) -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { inner: Box::pin(inner), waker: Waker::from(Arc::clone(&bell)), bell }
    }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Before the look, so that a ring in between wakes this task.
        self.bell.task.register(context.waker());
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = self.waker.clone();
        self.inner.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    #[tokio::test(start_paused = true)]
    async fn it_is_polled_when_it_has_called_and_not_before() {
        let (send, mut receive) = oneshot::channel::<u32>();
        let mut polls = 0;
        let mut seldom = Seldom::new(std::future::poll_fn(|context| {
            polls += 1;
            Pin::new(&mut receive).poll(context)
        }));
        for _ in 0..5 {
            tokio::select! {
                biased;
                _ = &mut seldom => panic!("nothing has come"),
                () = tokio::task::yield_now() => {}
            }
        }
        let sending = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            send.send(7).unwrap();
        };
        let (got, ()) = tokio::join!(&mut seldom, sending);
        assert_eq!(got, Ok(7));
        drop(seldom);
        assert_eq!(polls, 2);
    }
}
