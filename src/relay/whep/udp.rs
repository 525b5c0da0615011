//! The one UDP socket: many datagrams of one size leave in one call, where the kernel
//! knows how (generic segmentation offload).

use super::ice::Route;
use super::outlet::Datagrams;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Bytes the kernel may hold for all viewers together.
const SEND_BUFFER: usize = 4 << 20;
const RECEIVE_BUFFER: usize = 2 << 20;
/// What one call may carry: 64 KiB less headers, and not more pieces than kernels take.
const MOST_BYTES: usize = 65_000;
const MOST_PIECES: usize = 64;
/// How long a full socket is waited for before a viewer's packets are lost.
const PATIENCE: Duration = Duration::from_millis(50);
/// Buffers that one call to receive may fill.
const BATCH: usize = 8;
const BUFFER: usize = 64 << 10;

/// The socket with what the kernel can do.
pub(super) struct Udp {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Buffers to receive into.
pub(super) struct Buffers(Vec<Vec<u8>>, [RecvMeta; BATCH]);

impl Default for Buffers {
    fn default() -> Self {
        Self(vec![vec![0; BUFFER]; BATCH], [RecvMeta::default(); BATCH])
    }
}

/// What has left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    pub(super) calls: usize,
    pub(super) datagrams: usize,
    pub(super) bytes: usize,
}

impl Udp {
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // As much as the system allows.
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), SEND_BUFFER);
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), RECEIVE_BUFFER);
        Ok(Self { socket, state })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Receives, and hands each datagram to `each` with whence and whither it came.
    pub(super) async fn receive(
        &self,
        buffers: &mut Buffers,
        mut each: impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
    ) -> io::Result<()> {
        let Buffers(bytes, metas) = buffers;
        let got = loop {
            self.socket.readable().await?;
            let mut slices = bytes.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect::<Vec<_>>();
            let got = self.socket.try_io(Interest::READABLE, || {
                self.state.recv(UdpSockRef::from(&self.socket), &mut slices, metas)
            });
            match got {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => break other?,
            }
        };
        for (meta, bytes) in metas.iter().zip(bytes.iter()).take(got) {
            let bytes = bytes.get(..meta.len).unwrap_or_default();
            for datagram in bytes.chunks(meta.stride.max(1)) {
                each(meta.addr, meta.dst_ip, datagram);
            }
        }
        Ok(())
    }

    /// Sends one datagram, or loses it.
    pub(super) fn send_one(&self, to: Route, datagram: &[u8]) {
        let _ = self.try_send(to, datagram, None);
    }

    fn try_send(&self, to: Route, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let transmit = Transmit { destination: to.peer, ecn: None, contents, segment_size, src_ip: to.local };
        self.socket
            .try_io(Interest::WRITABLE, || self.state.try_send(UdpSockRef::from(&self.socket), &transmit))
    }

    /// Sends all of them, as few calls as it takes; what the socket does not take in
    /// time is lost.
    pub(super) async fn send(&self, to: Route, datagrams: &Datagrams) -> Left {
        let mut left = Left::default();
        let (mut at, mut start) = (0, 0);
        while let Some(run) = run(datagrams, at, start, self.state.max_gso_segments()) {
            let bytes = datagrams.bytes.get(start..run.end).unwrap_or_default();
            let segment = (run.pieces > 1).then_some(run.size);
            match self.try_send(to, bytes, segment) {
                Ok(()) => {
                    left.calls += 1;
                    left.datagrams += run.pieces;
                    left.bytes += bytes.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if tokio::time::timeout(PATIENCE, self.socket.writable()).await.is_err() {
                        return left;
                    }
                    continue;
                }
                // This kernel, or this network card, does not cut: from now on one by one.
                Err(_) if run.pieces > 1 && self.state.max_gso_segments() == 1 => continue,
                // Unreachable and the like: what UDP loses.
                Err(_) => {}
            }
            (at, start) = (at + run.pieces, run.end);
        }
        left
    }
}

/// Datagrams that leave in one call: of one size, but the last may be shorter.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    pieces: usize,
    size: usize,
    end: usize,
}

fn run(datagrams: &Datagrams, first: usize, start: usize, most: usize) -> Option<Run> {
    let mut ends = datagrams.ends.get(first..)?.iter();
    let mut end = *ends.next()?;
    let size = end - start;
    let mut pieces = 1;
    for next in ends.take(most.clamp(1, MOST_PIECES) - 1) {
        let length = next - end;
        if length > size || next - start > MOST_BYTES {
            break;
        }
        (pieces, end) = (pieces + 1, *next);
        if length < size {
            break;
        }
    }
    Some(Run { pieces, size, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagrams(sizes: &[usize]) -> Datagrams {
        let ends = sizes.iter().scan(0, |end, size| {
            *end += size;
            Some(*end)
        });
        let ends: Vec<usize> = ends.collect();
        Datagrams { bytes: vec![0; ends.last().copied().unwrap_or(0)], ends }
    }

    fn runs(sizes: &[usize], most: usize) -> Vec<usize> {
        let all = datagrams(sizes);
        let (mut at, mut start, mut out) = (0, 0, Vec::new());
        while let Some(run) = run(&all, at, start, most) {
            out.push(run.pieces);
            (at, start) = (at + run.pieces, run.end);
        }
        out
    }

    #[test]
    fn a_run_is_of_one_size_and_the_last_may_be_shorter() {
        assert_eq!(runs(&[1_200, 1_200, 1_200, 40], 64), [4]);
        assert_eq!(runs(&[60, 1_200, 1_200, 300, 1_200, 1_200], 64), [1, 3, 2]);
        assert_eq!(runs(&[1_200; 130], 64), [54, 54, 22], "no call carries more than 64 KiB");
        assert_eq!(runs(&[100; 130], 64), [64, 64, 2]);
        assert_eq!(runs(&[1_200, 1_200, 40], 1), [1, 1, 1]);
        assert!(runs(&[], 64).is_empty());
    }
}
