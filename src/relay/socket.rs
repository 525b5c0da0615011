//! How sockets towards viewers are set up, and how they are cut.

use socket2::SockRef;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Unsent bytes the kernel may hold for a viewer: beyond this the viewer is
/// slow and the hub's cursor, not the kernel, decides what it gets.
const NOT_SENT: u32 = 128 << 10;

/// No delay, little staleness.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(NOT_SENT)
}

/// What the kernel still holds for the viewer is thrown away when the socket closes: to
/// a slow viewer it would go on for seconds after the right to it has ended.
pub(crate) fn discard_unsent(socket: SockRef<'_>) {
    // It only fails on a socket that is broken, which holds nothing.
    let _ = socket.set_linger(Some(Duration::ZERO));
}

/// Cuts a [`Wire`] that is held elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Scissors(Arc<AtomicBool>);

impl Scissors {
    /// When the wire closes, what it has not delivered is thrown away.
    pub fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A connection whose undelivered bytes can be thrown away by who no longer holds it:
/// inside the HTTP server, or under TLS.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    scissors: Scissors,
}

impl Wire {
    /// Around a connection.
    #[must_use]
    pub fn new(stream: TcpStream, scissors: Scissors) -> Self {
        Self { stream, scissors }
    }

    /// Reads without taking away.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(buffer).await
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.scissors.0.load(Ordering::Acquire) {
            discard_unsent(SockRef::from(&self.stream));
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
