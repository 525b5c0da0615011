//! How sockets towards viewers are set up.

use socket2::SockRef;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// Unsent bytes the kernel may hold for a viewer: beyond this the viewer is
/// slow and the hub's cursor, not the kernel, decides what it gets.
const NOT_SENT: u32 = 128 << 10;

/// No delay, little staleness.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(NOT_SENT)
}

/// When it is closed, what the kernel still holds is thrown away and the other end sees
/// a reset: to a slow viewer it would go on for seconds after the right to it has ended.
pub fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
