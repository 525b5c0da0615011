//! A response body that ends with the right to it.

use crate::sitting::{Sitting, Stay};
use crate::wire::Cut;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use relay::admission::End;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Bytes that are handed over at a time: so much more may leave when the right has ended.
const CHUNK: usize = 64 << 10;

/// Bytes on their way to a viewer.
struct Delivery {
    pieces: VecDeque<Bytes>,
    left: usize,
    end: Pin<Box<dyn Future<Output = End> + Send>>,
    /// Keeps the sitting, counts what is delivered, and lets it cut the connection.
    stay: Stay,
}

/// A body of these pieces for the viewer of `sitting`, whose connection is cut if they
/// take nothing or lose the right meanwhile.
pub(crate) fn body(sitting: &Arc<Sitting>, pieces: impl Into<VecDeque<Bytes>>, cut: &Cut) -> Body {
    let pieces = pieces.into();
    let left = pieces.iter().map(Bytes::len).sum();
    let stay = sitting.stay(Some(cut));
    Body::new(Delivery { pieces, left, end: Box::pin(sitting.end()), stay })
}

impl HttpBody for Delivery {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.end.as_mut().poll(context).is_ready() {
            let ended = io::Error::new(io::ErrorKind::PermissionDenied, "the right to watch has ended");
            return Poll::Ready(Some(Err(ended)));
        }
        let Some(piece) = self.pieces.front_mut() else { return Poll::Ready(None) };
        let chunk = piece.split_to(piece.len().min(CHUNK));
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        self.left -= chunk.len();
        self.stay.moved(chunk.len());
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.left).unwrap_or(u64::MAX))
    }
}
