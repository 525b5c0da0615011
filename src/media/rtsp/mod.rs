//! RTSP 1.0 texts (RFC 2326): messages with limits, transports, SDP, digest.

pub mod digest;
pub mod message;
pub mod sdp;
pub mod transport;
