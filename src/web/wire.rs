//! A connection that can be cut from outside.
//!
//! A response whose reader takes nothing stands still: nobody asks it for more, so it
//! cannot end by itself. Cutting ends the connection, and what the kernel still holds
//! for it is not sent any more.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Cuts one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<State>);

#[derive(Debug, Default)]
struct State {
    done: AtomicBool,
    /// Requests that came by the connection.
    requests: AtomicU64,
    /// The task of the connection, while it waits.
    waiting: Mutex<Option<Waker>>,
}

impl Cut {
    /// Ends the connection.
    pub(crate) fn cut(&self) {
        self.0.done.store(true, Ordering::Release);
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// The next request has come: its reader has what was sent before.
    pub(crate) fn asked(&self) {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
    }

    /// A hold on the answer that has just been sent.
    pub(crate) fn answered(&self) -> Answered {
        Answered { cut: self.clone(), request: self.0.requests.load(Ordering::Acquire) }
    }

    fn is_done(&self) -> bool {
        self.0.done.load(Ordering::Acquire)
    }

    /// Wakes this task when the connection is cut.
    fn wait(&self, context: &Context<'_>) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waiting = Some(context.waker().clone());
        }
    }
}

/// An answer that has been sent, which the kernel may still hold.
#[derive(Debug)]
pub(crate) struct Answered {
    cut: Cut,
    request: u64,
}

impl Answered {
    /// Ends the connection, unless it is in use for something else by now.
    pub(crate) fn cut(&self) {
        if self.cut.0.requests.load(Ordering::Acquire) == self.request {
            self.cut.cut();
        }
    }
}

/// A TCP connection with its [`Cut`].
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    cut: Cut,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, cut: Cut) -> Self {
        Self { stream, cut }
    }

    /// What comes next, without taking it.
    pub(crate) async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(bytes).await
    }

    /// What `attempt` says; an error once the connection is cut.
    fn unless_cut<T>(
        &mut self,
        context: &mut Context<'_>,
        attempt: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !self.cut.is_done() {
            let done = attempt(Pin::new(&mut self.stream), context);
            if done.is_ready() {
                return done;
            }
            self.cut.wait(context);
            // It may have been cut just before.
            if !self.cut.is_done() {
                return Poll::Pending;
            }
        }
        relay::reset_on_close(&self.stream)?;
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Whoever cut it may have let go of it before it was asked for anything again.
        if self.cut.is_done() {
            let _ = relay::reset_on_close(&self.stream);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.unless_cut(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unless_cut(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unless_cut(context, |stream, context| stream.poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_cut(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_cut(context, |stream, context| stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_stalled_writer_is_woken_and_what_the_kernel_held_is_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let cut = Cut::default();
        let mut wire = Wire::new(stream, cut.clone());
        let mut written = 0;
        let writing = async {
            loop {
                match wire.write(&[7; 4_096]).await {
                    Ok(n) => written += n,
                    Err(error) => return error.kind(),
                }
            }
        };
        let cutting = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            cut.cut();
        };
        let (ended, ()) = tokio::join!(writing, cutting);
        assert_eq!(ended, io::ErrorKind::ConnectionAborted);
        drop(wire);
        let (mut read, mut buffer) = (0, vec![0; 4_096]);
        let error = loop {
            match reader.read(&mut buffer).await {
                Ok(0) => panic!("it ended as if all had been sent"),
                Ok(n) => read += n,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(read < written, "{read} of {written}");
    }
}
