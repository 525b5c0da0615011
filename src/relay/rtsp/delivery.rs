//! Bytes to a viewer: one write per frame over TCP, one datagram per packet over UDP.

use bytes::{Buf as _, Bytes};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use tokio::net::UdpSocket;
use tokio::net::tcp::OwnedWriteHalf;

/// Bytes that may wait before no more requests are read: answers, and one
/// wake-up's frames.
const FULL: usize = 64 << 10;

/// What waits to be written to one connection: at most one wake-up's frames,
/// and the answers to what was read until it was full.
#[derive(Default)]
pub(super) struct Out {
    queue: VecDeque<Bytes>,
    bytes: usize,
}

/// What a write did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrote {
    pub(super) bytes: usize,
    pub(super) writes: usize,
}

impl Out {
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.queue.push_back(bytes);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the client should take something before it asks for more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > FULL
    }

    /// Writes what `stream` takes now.
    pub(super) fn try_flush(&mut self, stream: &OwnedWriteHalf) -> io::Result<Wrote> {
        let mut wrote = Wrote { bytes: 0, writes: 0 };
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let mut used = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(bytes);
                used += 1;
            }
            // One frame is the usual case, and the plain call costs less.
            let written = match slices.get(..used) {
                Some([one]) => stream.try_write(one),
                several => stream.try_write_vectored(several.unwrap_or_default()),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    wrote.bytes += n;
                    wrote.writes += 1;
                    self.consume(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(wrote)
    }

    fn consume(&mut self, mut written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(front) = self.queue.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.queue.pop_front();
        }
    }
}

/// A track's pair of UDP sockets towards one viewer.
pub(super) struct Datagrams {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Datagrams {
    /// An even port for RTP and the next for RTCP (RFC 3550 section 11),
    /// connected to the viewer so that only it is heard.
    pub(super) async fn bind(local: IpAddr, viewer: IpAddr, rtp: u16, rtcp: u16) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..32 {
            let probe = UdpSocket::bind(SocketAddr::new(local, 0)).await?;
            let even = probe.local_addr()?.port() & !1;
            drop(probe);
            let pair = async {
                let first = UdpSocket::bind(SocketAddr::new(local, even)).await?;
                let second = UdpSocket::bind(SocketAddr::new(local, even + 1)).await?;
                first.connect(SocketAddr::new(viewer, rtp)).await?;
                second.connect(SocketAddr::new(viewer, rtcp)).await?;
                Ok(Self { rtp: first, rtcp: second })
            };
            match pair.await {
                Ok(pair) => return Ok(pair),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) fn ports(&self) -> io::Result<(u16, u16)> {
        Ok((self.rtp.local_addr()?.port(), self.rtcp.local_addr()?.port()))
    }

    /// Sends a packet. False if the socket is full and it should be tried again;
    /// any other failure loses it, as UDP does.
    pub(super) fn send(&self, packet: &[u8]) -> bool {
        !matches!(self.rtp.try_send(packet), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Completes when the socket takes packets again.
    pub(super) async fn writable(&self) {
        let _ = self.rtp.writable().await;
    }

    pub(super) fn send_report(&self, packet: &[u8]) {
        let _ = self.rtcp.try_send(packet);
    }

    /// Whether the viewer has said anything since the last call: its receiver
    /// reports keep the session alive.
    pub(super) fn heard(&self) -> bool {
        let mut buffer = [0; 1_500];
        let mut heard = false;
        for socket in [&self.rtp, &self.rtcp] {
            // Bounded: a flood is not worth reading to its end.
            for _ in 0..64 {
                match socket.try_recv(&mut buffer) {
                    Ok(_) => heard = true,
                    Err(_) => break,
                }
            }
        }
        heard
    }
}
