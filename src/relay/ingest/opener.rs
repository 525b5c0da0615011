//! From a camera's address to a session that delivers frames.

use super::address::{Policy, Refused};
use super::fence::{Fence, Full};
use super::{Source, Transport};
use bytes::Bytes;
use media::{Codec, Params, Ticks, TrackParams};
use retina::client::{
    Credentials, Demuxed, InitialTimestampPolicy, PlayOptions, Session, SessionOptions, SetupOptions, Stream,
    TeardownPolicy,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef};
use std::sync::Arc;

/// How retina 0.4 begins to tell that there was no connection; it tells it in words only.
const NOT_CONNECTED: &str = "Unable to connect to RTSP server: ";

/// What a session may hold until it plays: an answer and what is made of it. Real ones have a
/// few KB; the longest here is read into 256 KiB.
const OPENING: isize = 512 << 10;
/// What it may hold while it plays: a picture on its way, in a buffer that doubles up to 4 MiB,
/// and the places of its pieces. The largest pictures of real cameras have about 2 MiB.
const PLAYING: isize = 6 << 20;
/// The longest side of a picture, and the most pixels: level 6.2 of H.264 and of H.265.
const LONGEST_SIDE: u32 = 16_888;
const MOST_PIXELS: u32 = 8_192 * 4_352;

/// Why a camera could not be opened, as a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The address is not one we connect to.
    #[error(transparent)]
    Address(#[from] Refused),
    /// Nobody answers there.
    #[error("the camera cannot be reached: {0}")]
    Unreachable(Arc<str>),
    /// It did not answer in time.
    #[error("the camera did not answer within 5 s")]
    TimedOut,
    /// It does not accept the login.
    #[error("the camera refused the password")]
    Refused,
    /// It wants a login and none is set.
    #[error("the camera asks for a password and none is set")]
    NoLogin,
    /// It would make us show the password readably.
    #[error(
        "the camera offers only Basic login, which shows the password to the network; allow it for this camera if you accept that"
    )]
    BasicOnly,
    /// It has no such stream.
    #[error("the camera has no stream at this path")]
    NoStream,
    /// What it sends cannot be served.
    #[error("the camera sends {0}; H.264 or H.265 is needed")]
    Codec(Arc<str>),
    /// It does not speak RTSP properly.
    #[error("the camera's answer was not understood: {0}")]
    Protocol(Arc<str>),
    /// What it sends has no end.
    #[error("the camera's answer is far longer than any camera's; check that the address is one")]
    Endless,
}

impl OpenError {
    pub(super) fn retina(error: &retina::Error) -> Self {
        match error.status_code() {
            Some(401 | 403) => Self::Refused,
            Some(404) => Self::NoStream,
            Some(status) if status >= 400 => Self::Protocol(format!("status {status}").into()),
            None if error.to_string().contains(http_auth::READABLE) => Self::BasicOnly,
            None if let Some(why) = first_line(error).strip_prefix(NOT_CONNECTED) => {
                let (why, _) = why.split_once(" (os error").unwrap_or((why, ""));
                Self::Unreachable(why.to_lowercase().into())
            }
            // An answer of 200 that does not say what it should, or no answer at all.
            _ => Self::Protocol(first_line(error).into()),
        }
    }

    /// Whether this counts as a refused login, which cameras punish.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused | Self::BasicOnly | Self::NoLogin)
    }
}

/// retina's errors carry hex dumps of what came; the first line says enough.
pub(super) fn first_line(error: &retina::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().chars().take(200).collect()
}

/// A camera session that delivers frames.
pub(super) struct Opened {
    pub(super) frames: Demuxed,
    pub(super) video: usize,
    pub(super) audio: Option<usize>,
    fence: Fence,
}

/// What a session delivers.
pub(super) enum Item {
    /// An access unit. `key` is what retina says: IDR pictures only.
    Video { time: Time, key: bool, new_params: bool, data: Bytes },
    /// Sound.
    Audio { time: Time, data: Bytes },
    /// Something that nobody here needs: RTCP, or a camera's analytics, dropped on arrival.
    Other,
}

/// When an item was taken, since the session's first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) ticks: Ticks,
    pub(super) seconds: f64,
}

impl From<retina::Timestamp> for Time {
    fn from(time: retina::Timestamp) -> Self {
        Self { ticks: Ticks(time.elapsed()), seconds: time.elapsed_secs() }
    }
}

/// Why a session that delivered ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The camera has ended it.
    Closed,
    /// It sent what cannot be understood.
    Broken(retina::Error),
    /// It held more than any picture needs.
    Full,
}

/// Connects, logs in and starts to play. The caller sets the time limit.
pub(super) async fn open(source: &Source, policy: &Policy) -> Result<Opened, OpenError> {
    let address = policy.resolve(&source.url).await?;
    let mut url = source.url.clone();
    url.set_ip_host(address.ip()).map_err(|()| Refused::NoHost)?;

    let credentials = source.login.as_ref().map(|(username, password)| Credentials {
        username: username.clone(),
        password: http_auth::password(&password.0, source.allow_basic),
    });
    let mut fence = Fence::new(OPENING);
    let opened = fence.run(begin(url, credentials, source)).await;
    let (frames, video, audio) = opened.map_err(|Full| OpenError::Endless)??;
    fence.set_limit(PLAYING);
    Ok(Opened { frames, video, audio, fence })
}

/// DESCRIBE, SETUP and PLAY; answers which streams are the picture and the sound.
async fn begin(
    url: url::Url,
    credentials: Option<Credentials>,
    source: &Source,
) -> Result<(Demuxed, usize, Option<usize>), OpenError> {
    // retina would send TEARDOWN to the address the camera names in Content-Base,
    // which may be anybody's: the connection is closed instead.
    let options = SessionOptions::default()
        .creds(credentials)
        .teardown(TeardownPolicy::Never)
        .user_agent("sharp-eyes".into());
    let described = Session::describe(url, options).await;
    let mut session = described.map_err(|error| match OpenError::retina(&error) {
        OpenError::Refused if source.login.is_none() => OpenError::NoLogin,
        error => error,
    })?;

    let video = choose_video(session.streams())?;
    let audio = if source.audio { choose_audio(session.streams()) } else { None };
    for track in [Some(video), audio].into_iter().flatten() {
        let transport = match source.transport {
            Transport::Tcp => retina::client::Transport::Tcp(Default::default()),
            Transport::Udp => retina::client::Transport::Udp(Default::default()),
        };
        let options = SetupOptions::default().transport(transport).frame_format(FrameFormat::MP4);
        session.setup(track, options).await.map_err(|e| OpenError::retina(&e))?;
    }
    let options = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
    let playing = session.play(options).await.map_err(|e| OpenError::retina(&e))?;
    let frames = playing.demuxed().map_err(|e| OpenError::retina(&e))?;
    Ok((frames, video, audio))
}

fn choose_video(streams: &[Stream]) -> Result<usize, OpenError> {
    let videos = || streams.iter().enumerate().filter(|(_, s)| s.media() == "video");
    videos().find(|(_, s)| matches!(s.encoding_name(), "h264" | "h265")).map(|(n, _)| n).ok_or_else(|| {
        let sent = videos().next().map_or("no picture", |(_, s)| s.encoding_name());
        OpenError::Codec(sent.to_uppercase().into())
    })
}

fn choose_audio(streams: &[Stream]) -> Option<usize> {
    streams
        .iter()
        .position(|s| s.media() == "audio" && matches!(s.encoding_name(), "mpeg4-generic" | "pcma" | "pcmu"))
}

impl Opened {
    /// What comes next.
    pub(super) async fn next(&mut self) -> Result<Item, Ending> {
        let item = match self.fence.next(&mut self.frames).await {
            Err(Full) => return Err(Ending::Full),
            Ok(None) => return Err(Ending::Closed),
            Ok(Some(Err(error))) => return Err(Ending::Broken(error)),
            Ok(Some(Ok(item))) => item,
        };
        // What leaves the session is made outside the fence: a few bytes that stay counted with
        // each picture are megabytes in a week.
        Ok(match item {
            CodecItem::VideoFrame(frame) => {
                let (time, key) = (frame.timestamp().into(), frame.is_random_access_point());
                let new_params = frame.has_new_parameters();
                let data = self.fence.within(|| frame.into_data());
                self.fence.handed_out(data.capacity());
                Item::Video { time, key, new_params, data: data.into() }
            }
            CodecItem::AudioFrame(frame) => {
                let (time, data) = (frame.timestamp().into(), Bytes::copy_from_slice(frame.data()));
                self.fence.within(|| drop(frame));
                Item::Audio { time, data }
            }
            other => {
                self.fence.within(|| drop(other));
                Item::Other
            }
        })
    }

    /// Bytes that the session holds, as far as they are counted.
    pub(super) fn held(&self) -> isize {
        self.fence.held()
    }

    /// The sound the camera offers, whether it is taken or not.
    pub(super) fn offered_audio(&self) -> Option<String> {
        let audio = self.frames.streams().iter().find(|stream| stream.media() == "audio")?;
        Some(match audio.encoding_name() {
            "mpeg4-generic" => "AAC".to_owned(),
            "pcma" | "pcmu" => "G.711".to_owned(),
            // A camera's text: short, and in letters.
            other => other.chars().filter(char::is_ascii_graphic).take(20).collect::<String>().to_uppercase(),
        })
    }

    /// What the camera says it sends; nothing while it has not said it.
    pub fn params(&self) -> Result<Option<Params>, OpenError> {
        let stream = |n: usize| self.frames.streams().get(n);
        let Some(ParametersRef::Video(video)) = stream(self.video).and_then(Stream::parameters) else {
            return Ok(None);
        };
        let (width, height) = video.pixel_dimensions();
        if width.max(height) > LONGEST_SIDE || width.saturating_mul(height) > MOST_PIXELS {
            return Err(OpenError::Codec("pictures of an impossible size".into()));
        }
        let size = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let (width, height) = (size(width), size(height));
        let parsed = match stream(self.video).map(Stream::encoding_name) {
            Some("h265") => TrackParams::h265(video.extra_data(), width, height),
            _ => TrackParams::h264(video.extra_data(), width, height),
        };
        let video = parsed.map_err(|bad| OpenError::Protocol(bad.to_string().into()))?;
        let audio = self.audio.and_then(stream).and_then(audio_params);
        Ok(Some(Params { video: Some(Arc::new(video)), audio: audio.map(Arc::new) }))
    }
}

fn audio_params(stream: &Stream) -> Option<TrackParams> {
    let Some(ParametersRef::Audio(audio)) = stream.parameters() else { return None };
    let codec = match stream.encoding_name() {
        "pcma" => Codec::Pcma,
        "pcmu" => Codec::Pcmu,
        _ => Codec::Aac(Bytes::copy_from_slice(audio.extra_data())),
    };
    Some(TrackParams::audio(codec, audio.clock_rate(), audio.channels().get()))
}
