//! A registered camera as the media plane sees it.

use domain::CameraId;
use domain::camera::{self, Camera, StreamKind};
use relay::StreamId;
use relay::ingest::{Password, Pull, Source, Transport};
use url::Url;

/// The name of a camera's stream in the media plane.
#[must_use]
pub fn stream_id(camera: &CameraId, stream: StreamKind) -> StreamId {
    StreamId { camera: camera.as_str().into(), feed: stream.word() }
}

/// Where one of its streams comes from; nothing if it has no such stream, or an
/// address that cannot be read.
#[must_use]
pub fn source(camera: &Camera, stream: StreamKind) -> Option<Source> {
    let url = Url::parse(camera.url(stream)?).ok()?;
    let password = camera.password.as_ref().map_or("", |password| password.expose());
    Some(Source {
        url,
        login: camera.username.clone().map(|username| (username, Password(password.into()))),
        allow_basic: camera.allow_basic,
        transport: match camera.transport {
            camera::Transport::Tcp => Transport::Tcp,
            camera::Transport::Udp => Transport::Udp,
        },
        pull: match camera.pull {
            camera::Pull::OnDemand => Pull::OnDemand,
            camera::Pull::Always => Pull::Always,
        },
        audio: camera.audio_reason.is_some(),
    })
}
