//! How sockets towards viewers are set up.

use socket2::SockRef;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// Unsent bytes the kernel may hold for a viewer: beyond this the viewer is
/// slow and the hub's cursor, not the kernel, decides what it gets.
const NOT_SENT: u32 = 128 << 10;

/// Whoever takes nothing for this long is let go by the kernel, and what it holds for them is
/// thrown away, even after the connection was closed here (RFC 5482; C29: within ten seconds).
const LETS_GO: Duration = Duration::from_secs(8);

/// No delay, little staleness, and an end with who takes nothing.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(LETS_GO))?;
    socket.set_tcp_notsent_lowat(NOT_SENT)
}

/// When it is closed, what the kernel still holds is thrown away and the other end sees
/// a reset: to a slow viewer it would go on for seconds after the right to it has ended.
pub fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
