//! Requests from a client's half of the connection, bounded.

use media::rtsp::message::{self, MAX_BODY, MAX_HEAD, Malformed, Message};
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::OwnedReadHalf;

/// Bytes that are read at least at a time, if they are there.
const CHUNK: usize = 1_024;

/// Reads messages; never holds more than one message and what came behind it.
pub(super) struct Reader {
    stream: OwnedReadHalf,
    buffer: Vec<u8>,
}

/// How reading ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed, or the connection broke.
    Closed,
    /// What came cannot be read on.
    Malformed(Malformed),
}

impl Reader {
    pub(super) fn new(stream: OwnedReadHalf) -> Self {
        Self { stream, buffer: Vec::with_capacity(CHUNK) }
    }

    /// The next message. Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Result<Message, End> {
        loop {
            if let Some((message, used)) = message::parse(&self.buffer).map_err(End::Malformed)? {
                self.buffer.drain(..used);
                if self.buffer.is_empty() {
                    self.buffer.shrink_to(CHUNK);
                }
                return Ok(message);
            }
            // The parser refuses longer messages; this is for the day it does not.
            if self.buffer.len() > MAX_HEAD + MAX_BODY + 64 {
                return Err(End::Malformed(Malformed("it is too long")));
            }
            self.buffer.reserve(CHUNK);
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(End::Closed),
                Ok(_) => {}
            }
        }
    }
}
