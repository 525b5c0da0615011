//! Frames and every wire form of a frame.
//!
//! What belongs here: the frame itself, the ring that keeps the last GOP, the
//! packetisers (RTP), the fragmenters (fMP4, HLS), the RTSP, WebSocket and playlist
//! bytes around them, and the words between the gateway and its decode process (`job`).
//! What does not: sockets, clocks, tasks, people. Everything here is a pure
//! function or a plain struct, so it is tested exhaustively without a runtime.
//! Who may depend on it: `relay`, `decode`, `camsim`, the root package.

pub mod fmp4;
pub mod frame;
pub mod gop;
pub mod hls;
pub mod job;
pub mod nal;
pub mod params;
pub mod rtp;
pub mod rtsp;
pub mod time;
pub mod websocket;

pub use frame::Frame;
pub use params::{Codec, Params, Track, TrackParams};
pub use time::Ticks;
