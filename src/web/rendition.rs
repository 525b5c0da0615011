//! What a viewer can play: the same words on every transport.

use crate::{App, Problem};
use relay::StreamId;
use relay::hub::{Hub, State};
use relay::rendition::{Audio, Rendition, Video};
use serde::Deserialize;

/// Query parameters that ask for another codec.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// `h264`: the picture as H.264 whatever the camera sends; as the camera sends it if it is
    /// not said.
    video: Option<String>,
    /// `opus`: AAC as Opus; as the camera sends it if it is not said.
    audio: Option<String>,
}

impl Wanted {
    /// The rendition that is asked for.
    pub(crate) fn parse(&self) -> Result<Rendition, Problem> {
        let video = match self.video.as_deref() {
            None => Video::Keep,
            Some("h264") => Video::H264,
            Some(_) => return Err(Problem::field("video", "it is h264, or left out")),
        };
        let audio = match self.audio.as_deref() {
            None => Audio::Keep,
            Some("opus") => Audio::Opus,
            Some(_) => return Err(Problem::field("audio", "it is opus, or left out")),
        };
        Ok(Rendition { video, audio })
    }
}

/// The query that leads to a rendition, empty for what the camera sends.
pub(crate) fn query(rendition: Rendition) -> &'static str {
    match (rendition.video, rendition.audio) {
        (Video::Keep, Audio::Keep) => "",
        (Video::H264, Audio::Keep) => "?video=h264",
        (Video::Keep, Audio::Opus) => "?audio=opus",
        (Video::H264, Audio::Opus) => "?video=h264&audio=opus",
    }
}

/// The hub that a viewer who was admitted to `hub` reads: the same one if the camera sends
/// what is wanted, else one that is converted for all who want the same.
pub(crate) fn choose(app: &App, id: &StreamId, hub: Hub, rendition: Rendition) -> Result<Hub, Problem> {
    let converts = hub.params().map(|params| rendition.converts(&params));
    if rendition.is_as_sent() || converts == Some(false) {
        return Ok(hub);
    }
    let decoder = &app.parts.decoder;
    if converts == Some(true) && !decoder.is_there() {
        let why = "the gateway has no decode process, so it converts nothing; see decode.program";
        return Err(Problem::Unavailable(why.to_owned()));
    }
    let made = app.parts.fleet.rendition(id, rendition).ok_or(Problem::NotFound)?;
    // Somebody who would only wait is told so. Whoever watches it already has its place.
    let running = matches!(made.status().state, State::Live | State::Stale | State::Offline);
    if converts == Some(true) && !running && !decoder.has_place() && *made.interest().borrow() == 0 {
        let why = "the gateway converts as many streams as it may at the moment; try again later, or watch \
                   the camera's sub-stream";
        return Err(Problem::Unavailable(why.to_owned()));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_are_known_are_taken() {
        let parse = |video: Option<&str>, audio: Option<&str>| {
            Wanted { video: video.map(str::to_owned), audio: audio.map(str::to_owned) }.parse()
        };
        assert!(parse(None, None).unwrap().is_as_sent());
        let both = parse(Some("h264"), Some("opus")).unwrap();
        assert_eq!(both, Rendition { video: Video::H264, audio: Audio::Opus });
        assert_eq!(query(both), "?video=h264&audio=opus");
        assert!(parse(Some("vp8"), None).is_err() && parse(None, Some("")).is_err());
    }
}
