//! One stream, until the gateway closes the pipe.

use crate::{pipe, sound, video};
use media::Track;
use media::job::{Answer, Conversion, Failure, Order};
use std::io;

#[derive(Default)]
struct Converter {
    video: Option<video::Converter>,
    audio: Option<sound::Converter>,
}

impl Converter {
    fn new(conversion: &Conversion) -> Result<Self, Failure> {
        let Conversion { video, audio, after } = conversion;
        Ok(Self {
            video: video.as_ref().map(|picture| video::Converter::new(picture, *after)).transpose()?,
            audio: audio.as_ref().map(sound::Converter::new).transpose()?,
        })
    }
}

/// Carries out orders as they come.
pub fn run(pipe: &mut pipe::Pipe) -> io::Result<()> {
    let mut converter = Converter::default();
    while let Some(order) = pipe.next()? {
        let mut said = Ok(());
        let done = {
            let mut say = |answer: Answer| {
                if said.is_ok() {
                    said = pipe.say(&answer);
                }
            };
            match &order {
                Order::Still { .. } => return Err(pipe::malformed()),
                Order::Convert(conversion) => Converter::new(conversion).map(|new| converter = new),
                Order::Unit(unit) => match (unit.track, &mut converter.video, &mut converter.audio) {
                    (Track::Video, Some(video), _) => video.take(unit, &mut say),
                    (Track::Audio, _, Some(audio)) => audio.take(unit, &mut say),
                    _ => return Err(pipe::malformed()),
                },
            }
        };
        said?;
        if let Err(failure) = done {
            pipe.say(&Answer::Failed(failure))?;
            return Err(io::ErrorKind::Other.into());
        }
    }
    Ok(())
}
