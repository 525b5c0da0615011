//! The decode process: the only program with FFmpeg in it, and nothing else.
//!
//! It reads orders from stdin and writes answers to stdout (`media::job`). It has no
//! URL, no demuxer, no network and no file: before it reads the first byte that a
//! camera has sent it locks itself in (`sandbox`). One process lives for one still
//! picture or for one converted stream, so whoever breaks into it through a camera's
//! bytes meets no other camera's picture.
//!
//! What belongs here: decoding, scaling, encoding. What does not: choices of what to
//! make and when, which the gateway takes. Nobody depends on it.

mod converter;
mod pipe;
mod prove;
mod sandbox;
mod sound;
mod still;
mod video;

use media::job::{Answer, Failure, Order};
use std::process::ExitCode;

/// What the process is started for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// One still picture.
    Still,
    /// One stream, until stdin ends.
    Convert,
}

const USAGE: &str = "usage: sharp-eyes-decode still|convert (started by the gateway), \
    or sharp-eyes-decode --prove-sandbox ATTEMPT";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let work = match arguments[..] {
        ["still"] => Work::Still,
        ["convert"] => Work::Convert,
        ["--prove-sandbox", attempt] => return prove::run(attempt),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut pipe = pipe::Pipe::new();
    // The libraries are loaded and set up; from here on nothing needs a file.
    if ffmpeg_next::init().is_err() {
        return fail(&mut pipe, Failure::Unsupported);
    }
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    let landlock = match sandbox::enter(work) {
        Ok(landlock) => landlock,
        Err(error) => {
            eprintln!("the decode process cannot lock itself in, so it does nothing: {error}");
            return fail(&mut pipe, Failure::NotLockedIn);
        }
    };
    let served = pipe.say(&Answer::Ready(landlock)).and_then(|()| match work {
        Work::Still => one_still(&mut pipe),
        Work::Convert => converter::run(&mut pipe),
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(pipe: &mut pipe::Pipe, failure: Failure) -> ExitCode {
    // Nobody may be listening any more.
    let _ = pipe.say(&Answer::Failed(failure));
    ExitCode::FAILURE
}

fn one_still(pipe: &mut pipe::Pipe) -> std::io::Result<()> {
    match pipe.next()? {
        None => Ok(()),
        Some(Order::Still { picture, width, units }) => {
            let answer = match still::jpeg(&picture, width, &units) {
                Ok(jpeg) => Answer::Still(jpeg.into()),
                Err(failure) => Answer::Failed(failure),
            };
            pipe.say(&answer)
        }
        Some(_) => Err(pipe::malformed()),
    }
}
