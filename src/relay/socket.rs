//! How sockets towards viewers are set up.

use std::io;
use tokio::net::TcpStream;

/// Unsent bytes the kernel may hold for a viewer: beyond this the viewer is
/// slow and the hub's cursor, not the kernel, decides what it gets.
const NOT_SENT: u32 = 128 << 10;

/// No delay, little staleness.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(NOT_SENT)
}
