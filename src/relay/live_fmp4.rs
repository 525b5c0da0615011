//! Live fMP4 for a browser: what goes into the WebSocket, in order.
//!
//! First a text message `init` with the MIME type, then the init segment, then
//! one fragment per frame. Texts in between say how the stream is.

use crate::hub::{Interrupted, Item, State, Stats, Status, Subscription};
use bytes::Bytes;
use media::fmp4::init;
use media::websocket;
use std::collections::VecDeque;

/// One message to the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// JSON about the stream.
    Text(String),
    /// A whole WebSocket message, with its head: an init segment or a fragment.
    Binary(Bytes),
    /// The end, with its close code and reason.
    Close(u16, &'static str),
}

/// The right was withdrawn.
pub const WITHDRAWN: u16 = 4001;
/// The lease ran out.
pub const EXPIRED: u16 = 4002;
/// The stream ended.
pub const ENDED: u16 = 4003;
/// The codec cannot be played this way.
pub const NOT_PLAYABLE: u16 = 4004;

/// A browser's live view.
pub struct Session {
    subscription: Subscription,
    /// Messages that one item became and that are not yet taken.
    queue: VecDeque<Message>,
    mime: Option<String>,
}

impl Session {
    /// Begins with the stream's last key frame.
    #[must_use]
    pub fn new(subscription: Subscription) -> Self {
        Self { subscription, queue: VecDeque::new(), mime: None }
    }

    /// The next message, if it is there already.
    pub fn try_next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.queue.pop_front() {
                return Some(message);
            }
            let item = self.subscription.try_next()?;
            self.take(item);
        }
    }

    /// Completes with the last message when the right to watch ends, whoever has the session then.
    pub fn right_end(&self) -> impl Future<Output = Message> + Send + 'static + use<> {
        let end = self.subscription.right_end();
        async { close(end.await) }
    }

    /// Counts one write of `bytes` to this viewer.
    pub fn count_write(&self, bytes: usize) {
        self.subscription.count(1, bytes);
    }

    fn take(&mut self, item: Result<Item, Interrupted>) {
        match item {
            Ok(Item::State(status)) => self.queue.push_back(Message::Text(state(&status))),
            Ok(Item::Params(params)) => match init::build(&params) {
                Some(init) => {
                    let text = serde_json::json!({ "type": "init", "mime": init.mime }).to_string();
                    self.mime = Some(init.mime);
                    self.queue.push_back(Message::Text(text));
                    self.queue.push_back(Message::Binary(websocket::message(&init.segment)));
                }
                None => self.queue.push_back(Message::Close(NOT_PLAYABLE, "the codec cannot be played here")),
            },
            Ok(Item::Frame(frame)) => {
                let stats = self.subscription.stats();
                let message = frame.message(|bytes| {
                    Stats::add(&stats.fragments, 1);
                    Stats::add(&stats.copied_bytes, bytes);
                });
                // Sound that MP4 cannot carry has an empty message.
                if !message.is_empty() && self.mime.is_some() {
                    self.queue.push_back(Message::Binary(message));
                }
            }
            Err(Interrupted::Lagged { missed }) => {
                let text = serde_json::json!({ "type": "lagged", "missed": missed }).to_string();
                self.queue.push_back(Message::Text(text));
            }
            Err(end) => self.queue.push_back(close(end)),
        }
    }
}

fn close(end: Interrupted) -> Message {
    match end {
        Interrupted::Revoked => Message::Close(WITHDRAWN, "right withdrawn"),
        Interrupted::Expired => Message::Close(EXPIRED, "lease expired"),
        Interrupted::Ended | Interrupted::Lagged { .. } => Message::Close(ENDED, "stream ended"),
    }
}

fn state(status: &Status) -> String {
    let state = match status.state {
        State::Live => "live",
        State::Stale => "stale",
        State::Idle | State::Connecting | State::Offline | State::Refused => "reconnecting",
    };
    serde_json::json!({ "type": "state", "state": state }).to_string()
}
