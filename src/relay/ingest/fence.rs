//! What one camera can make us hold: retina has no ceilings, so what it allocates is metered
//! while it is polled, and a session that holds too much is ended.
//!
//! A poll of retina runs on one thread and works for one camera, so the difference of that
//! thread's meter is the camera's. It can only be looked at between two polls, so a poll must not
//! take much in: most of the task's budget (tokio counts 128 reads, which at 64 KiB and more
//! are no limit) is spent beforehand.
//!
//! Where the program has not installed `meter::Metered`, nothing is counted and nothing ended.

use futures_util::{Stream, StreamExt as _};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use tokio::task::coop::{RestoreOnPending, has_budget_remaining, poll_proceed};

/// A session holds more than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Reads in one poll, of whatever the kernel has (up to 6 MiB). A wake-up of a camera takes two,
/// the second of which finds nothing; what needs more is polled again.
const READS: usize = 4;
/// Beyond this there is one read in a poll, so that a buffer can double once before it is seen.
const ALERT: isize = 2 << 20;
/// More than tokio gives a task for one poll.
const WHOLE_BUDGET: usize = 128;

/// The account of one session.
#[derive(Debug)]
pub(super) struct Fence {
    held: isize,
    limit: isize,
}

impl Fence {
    /// For a session that holds nothing yet and may hold `limit` bytes.
    pub(super) fn new(limit: isize) -> Self {
        Self { held: 0, limit }
    }

    /// The session may hold this much from now on.
    pub(super) fn set_limit(&mut self, limit: isize) {
        self.limit = limit;
    }

    /// Bytes that the session holds.
    pub(super) fn held(&self) -> isize {
        self.held
    }

    /// Does work that belongs to the session.
    pub(super) fn within<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = meter::net();
        let done = work();
        self.held += meter::net() - before;
        done
    }

    /// The session has handed out memory of this size: whoever has it answers for it.
    pub(super) fn handed_out(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub_unsigned(bytes);
    }

    fn check(&self) -> Result<(), Full> {
        if self.held > self.limit { Err(Full) } else { Ok(()) }
    }

    /// One poll of the session's work.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        work: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Full>> {
        self.check()?;
        if self.held > ALERT {
            leave::<1>(context);
        } else {
            leave::<READS>(context);
        }
        match self.within(|| work(context)) {
            // What it answers may be what it holds: that is checked before the next poll.
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => {
                self.check()?;
                Poll::Pending
            }
        }
    }

    /// Runs a future within the limit.
    pub(super) async fn run<F: Future>(&mut self, future: F) -> Result<F::Output, Full> {
        let mut future = pin!(future);
        poll_fn(|context| self.poll(context, |context| future.as_mut().poll(context))).await
    }

    /// The next item of a stream, within the limit.
    pub(super) async fn next<S: Stream + Unpin>(&mut self, stream: &mut S) -> Result<Option<S::Item>, Full> {
        poll_fn(|context| self.poll(context, |context| stream.poll_next_unpin(context))).await
    }
}

/// Spends the task's budget down to `N` steps. A step that is not said to have made progress gives
/// back itself and all that were taken after it: so the last `N` are kept until nothing is
/// left, and then only the first of them gives back.
fn leave<const N: usize>(context: &mut Context<'_>) {
    let mut last = [const { None::<RestoreOnPending> }; N];
    let mut taken = 0;
    // Asked first: a step that cannot be taken would wake the task again.
    while taken < WHOLE_BUDGET && has_budget_remaining() {
        let Poll::Ready(step) = poll_proceed(context) else { break };
        let earlier = last.get_mut(taken % N).and_then(|slot| slot.replace(step));
        earlier.inspect(RestoreOnPending::made_progress);
        taken += 1;
    }
    last.rotate_left(if taken < N { 0 } else { taken % N });
    last.iter().skip(1).flatten().for_each(RestoreOnPending::made_progress);
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    #[global_allocator]
    static ALLOCATOR: meter::Metered = meter::Metered;

    /// Steps that a task has left.
    fn steps(context: &mut Context<'_>) -> usize {
        let mut steps = 0;
        while has_budget_remaining() && steps < 1_000 {
            let Poll::Ready(step) = poll_proceed(context) else { break };
            step.made_progress();
            steps += 1;
        }
        steps
    }

    #[tokio::test]
    async fn a_poll_has_as_many_steps_as_are_left_to_it() {
        let left = poll_fn(|context| {
            leave::<READS>(context);
            leave::<READS>(context);
            Poll::Ready(steps(context))
        });
        assert_eq!(left.await, READS);
        tokio::task::yield_now().await;
        let one = poll_fn(|context| {
            leave::<READS>(context);
            leave::<1>(context);
            Poll::Ready(steps(context))
        });
        assert_eq!(one.await, 1);
        tokio::task::yield_now().await;
        let fewer = poll_fn(|context| {
            leave::<3>(context);
            leave::<READS>(context);
            Poll::Ready(steps(context))
        });
        assert_eq!(fewer.await, 3, "none are added");
    }

    #[tokio::test]
    async fn a_session_that_hoards_is_ended_and_one_that_hands_on_is_not() {
        let mut fence = Fence::new(1 << 20);
        let mut hoard = Vec::new();
        let mut hoarder = stream::repeat_with(|| hoard.push(vec![0_u8; 1 << 16]));
        let mut items = 0;
        while fence.next(&mut hoarder).await.is_ok() {
            items += 1;
        }
        assert_eq!(items, 16);

        let mut fence = Fence::new(1 << 20);
        let mut pictures = stream::repeat_with(|| vec![0_u8; 1 << 19]);
        for _ in 0..100 {
            let picture = fence.next(&mut pictures).await.expect("it holds nothing").unwrap();
            fence.handed_out(picture.capacity());
        }
        assert_eq!(fence.held(), 0);
    }

    #[tokio::test]
    async fn what_would_read_for_as_long_as_it_may_is_looked_at_in_between() {
        let mut fence = Fence::new(4 << 20);
        let mut hoard = Vec::new();
        // As retina does: on and on, until the task has nothing left for this poll.
        let mut reader = stream::poll_fn(|context: &mut Context<'_>| {
            loop {
                let Poll::Ready(step) = poll_proceed(context) else { return Poll::<Option<()>>::Pending };
                step.made_progress();
                hoard.push(vec![0_u8; 1 << 20]);
            }
        });
        assert_eq!(fence.next(&mut reader).await, Err(Full));
        assert!(hoard.len() <= 5, "{} MiB", hoard.len());
    }

    #[tokio::test]
    async fn a_future_that_never_answers_is_ended_when_it_holds_too_much() {
        let mut fence = Fence::new(1 << 20);
        let endless = async {
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![0_u8; 1 << 16]);
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(fence.run(endless).await, Err::<(), _>(Full));
    }
}
