//! The readers of bytes from outside, as the fuzz targets call them: `tests/fuzz` lets libFuzzer
//! look for bytes that break them, the story `tests/malformed.rs` tries many in each test run.
//! A reader must not panic, whatever comes; some are asked a little more.

use media::rtp::feedback;
use media::rtsp::{digest, message, transport};

/// A reader, by the name of its target and of its folder in `tests/fuzz/seeds`.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("alert_stream", crate::alert_stream::fuzz),
    ("cloudevents", web::fuzz::cloudevents),
    ("event_spool", crate::event_spool::fuzz),
    ("framing", relay::whep::fuzz::framing),
    ("hikvision", web::fuzz::hikvision),
    ("hls", web::fuzz::hls),
    ("import", web::fuzz::import),
    ("login", crate::alert_stream::fuzz_login),
    ("mqtt", crate::mqtt::fuzz),
    ("onvif", web::fuzz::onvif),
    ("rtcp", rtcp),
    ("rtsp", rtsp),
    ("sdp", relay::whep::fuzz::sdp),
    ("spool", crate::spool::fuzz),
    ("stun", relay::whep::fuzz::stun),
    ("zigbee", web::fuzz::zigbee),
    ("zkteco", web::fuzz::zkteco),
];

/// What a reader of ours sends on its connection: messages and interleaved packets.
fn rtsp(mut bytes: &[u8]) {
    while let Ok(Some((message, used))) = message::parse(bytes) {
        assert!(used > 0 && used <= bytes.len(), "it goes on");
        if let message::Message::Request(request) = message {
            let _ = request.headers.get("Authorization").and_then(digest::parse);
            for header in request.headers.all("Transport") {
                let _ = transport::choose(header);
            }
        }
        bytes = bytes.get(used..).unwrap_or_default();
    }
}

/// What a reader of ours says of the stream.
fn rtcp(bytes: &[u8]) {
    let mut said = 0_usize;
    feedback::read(bytes, |_| said += 1);
    // A loss takes four bytes and names at most seventeen packets.
    assert!(said <= bytes.len() * 5, "{said} from {} bytes", bytes.len());
}
