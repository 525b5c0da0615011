//! What the gateway and its decode process say to each other over two pipes.
//!
//! One message after the other, each with its length in front (four bytes, big
//! endian). The child reads what cameras have sent and may have been taken over by
//! it, so neither side believes the other: lengths have a ceiling, every field is
//! checked, nothing panics, and there is no text in an answer.

use crate::params::{Codec, Track, TrackParams};
use crate::{nal, params};
use bytes::Bytes;

/// The largest body of a message: the largest access unit the gateway takes from a
/// camera, with room for parameter sets.
pub const LARGEST: usize = (8 << 20) + (64 << 10);

/// A message that is none. Whoever sent it is not listened to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message cannot be read")]
pub struct Malformed;

/// What the gateway asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// One still picture, as JPEG.
    Still {
        /// How the picture is coded.
        picture: Picture,
        /// The widest it may be, in pixels; it is never made larger than it is.
        width: u16,
        /// The key access unit and those that follow it, each as length-prefixed NAL units.
        /// The last one is shown.
        units: Vec<Bytes>,
    },
    /// What the units that follow are, and what they become. Whatever was under way
    /// is forgotten.
    Convert(Conversion),
    /// The next access unit.
    Unit(Unit),
}

/// A picture's coding: what its decoder must know first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Which of the two.
    pub coding: Coding,
    /// Parameter sets, length-prefixed NAL units.
    pub sets: Bytes,
}

/// How a picture may be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// H.264
    H264,
    /// H.265
    H265,
}

/// AAC as it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// The `AudioSpecificConfig`.
    pub config: Bytes,
    /// Ticks a second of its timestamps.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
}

impl Sound {
    /// Channels of the Opus that it becomes.
    #[must_use]
    pub fn opus_channels(&self) -> u16 {
        self.channels.clamp(1, 2)
    }
}

/// What a conversion is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    /// Becomes H.264.
    pub video: Option<Picture>,
    /// Becomes Opus, 48 kHz, 20 ms a packet.
    pub audio: Option<Sound>,
    /// Pictures up to this time are read and not written: viewers have them already.
    pub after: Option<i64>,
}

/// One access unit on its way in or out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Which track.
    pub track: Track,
    /// A decoder can start here.
    pub key: bool,
    /// When it is shown, in ticks of the track's clock.
    pub pts: i64,
    /// As [`crate::Frame::data`] is.
    pub data: Bytes,
}

/// What the decode process says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is locked in and waits. Always the first.
    Ready(Landlock),
    /// The still picture, JPEG.
    Still(Bytes),
    /// What the H.264 that follows is: `AVCDecoderConfigurationRecord` and size.
    Video {
        /// The record.
        record: Bytes,
        /// In pixels.
        width: u16,
        /// In pixels.
        height: u16,
    },
    /// An access unit.
    Unit(Unit),
    /// The order cannot be carried out.
    Failed(Failure),
}

/// How far the kernel keeps the process from files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landlock {
    /// In every way that this version of Landlock knows.
    Full,
    /// In the ways that an older kernel knows.
    Partly,
    /// Not at all; the list of system calls alone does.
    None,
}

/// Why an order cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The process could not lock itself in, so it does nothing.
    NotLockedIn,
    /// What came is no picture, or a broken one.
    NotAPicture,
    /// The codec libraries lack what is needed.
    Unsupported,
}

impl Picture {
    /// The coding of a video track; nothing for anything else.
    #[must_use]
    pub fn of(params: &TrackParams) -> Option<Self> {
        let coding = match params.codec {
            Codec::H264(_) => Coding::H264,
            Codec::H265(_) => Coding::H265,
            _ => return None,
        };
        Some(Self { coding, sets: nal::join(params.parameter_sets()).into() })
    }
}

impl Sound {
    /// AAC as a conversion reads it; nothing for anything else.
    #[must_use]
    pub fn of(params: &TrackParams) -> Option<Self> {
        let Codec::Aac(config) = &params.codec else { return None };
        Some(Self { config: config.clone(), rate: params.clock_rate, channels: params.channels })
    }

    /// What the track is afterwards.
    #[must_use]
    pub fn opus(&self) -> TrackParams {
        TrackParams::audio(params::Codec::Opus, 48_000, self.opus_channels())
    }
}

/// The length of the body that follows these four bytes.
pub fn length(prefix: [u8; 4]) -> Result<usize, Malformed> {
    let length = usize::try_from(u32::from_be_bytes(prefix)).map_err(|_| Malformed)?;
    if (1..=LARGEST).contains(&length) { Ok(length) } else { Err(Malformed) }
}

impl Order {
    /// The message, with its length.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Still { picture, width, units } => {
                let about = units.iter().map(|unit| unit.len() + 4).sum::<usize>();
                let mut to = Writer::new(0, about + picture.sets.len());
                to.picture(picture);
                to.u16(*width);
                to.u32(u32::try_from(units.len()).unwrap_or(u32::MAX));
                for unit in units {
                    to.bytes(unit);
                }
                to.done()
            }
            Self::Convert(Conversion { video, audio, after }) => {
                let mut to = Writer::new(1, 256);
                to.option(video.as_ref(), Writer::picture);
                to.option(audio.as_ref(), |to, Sound { config, rate, channels }| {
                    to.bytes(config);
                    to.u32(*rate);
                    to.u16(*channels);
                });
                to.option(after.as_ref(), |to, after| to.i64(*after));
                to.done()
            }
            Self::Unit(unit) => {
                let mut to = Writer::new(2, unit.data.len());
                to.unit(unit);
                to.done()
            }
        }
    }

    /// Reads a body.
    pub fn parse(body: Bytes) -> Result<Self, Malformed> {
        let mut from = Reader(body);
        let order = match from.u8()? {
            0 => Self::Still {
                picture: from.picture()?,
                width: from.u16()?,
                // A wrong count ends with what is there.
                units: (0..from.u32()?).map(|_| from.bytes()).collect::<Result<_, _>>()?,
            },
            1 => Self::Convert(Conversion {
                video: from.option(Reader::picture)?,
                audio: from.option(|from| {
                    Ok(Sound { config: from.bytes()?, rate: from.u32()?, channels: from.u16()? })
                })?,
                after: from.option(Reader::i64)?,
            }),
            2 => Self::Unit(from.unit()?),
            _ => return Err(Malformed),
        };
        from.end(order)
    }
}

impl Answer {
    /// The message, with its length.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Ready(landlock) => {
                let mut to = Writer::new(0, 1);
                to.u8(match landlock {
                    Landlock::Full => 0,
                    Landlock::Partly => 1,
                    Landlock::None => 2,
                });
                to.done()
            }
            Self::Still(jpeg) => {
                let mut to = Writer::new(1, jpeg.len());
                to.bytes(jpeg);
                to.done()
            }
            Self::Video { record, width, height } => {
                let mut to = Writer::new(2, record.len());
                to.bytes(record);
                to.u16(*width);
                to.u16(*height);
                to.done()
            }
            Self::Unit(unit) => {
                let mut to = Writer::new(3, unit.data.len());
                to.unit(unit);
                to.done()
            }
            Self::Failed(failure) => {
                let mut to = Writer::new(4, 1);
                to.u8(match failure {
                    Failure::NotLockedIn => 0,
                    Failure::NotAPicture => 1,
                    Failure::Unsupported => 2,
                });
                to.done()
            }
        }
    }

    /// Reads a body.
    pub fn parse(body: Bytes) -> Result<Self, Malformed> {
        let mut from = Reader(body);
        let answer = match from.u8()? {
            0 => Self::Ready(match from.u8()? {
                0 => Landlock::Full,
                1 => Landlock::Partly,
                2 => Landlock::None,
                _ => return Err(Malformed),
            }),
            1 => Self::Still(from.bytes()?),
            2 => Self::Video { record: from.bytes()?, width: from.u16()?, height: from.u16()? },
            3 => Self::Unit(from.unit()?),
            4 => Self::Failed(match from.u8()? {
                0 => Failure::NotLockedIn,
                1 => Failure::NotAPicture,
                2 => Failure::Unsupported,
                _ => return Err(Malformed),
            }),
            _ => return Err(Malformed),
        };
        from.end(answer)
    }
}

/// A message as it grows; its length is put in front at the end.
struct Writer(Vec<u8>);

impl Writer {
    fn new(kind: u8, about: usize) -> Self {
        let mut bytes = Vec::with_capacity(about + 32);
        bytes.extend([0, 0, 0, 0, kind]);
        Self(bytes)
    }

    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.0.extend(value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.0.extend(value.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        // What does not fit a length fits no message either: the reader refuses it.
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
    }

    fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn picture(&mut self, picture: &Picture) {
        self.u8(match picture.coding {
            Coding::H264 => 4,
            Coding::H265 => 5,
        });
        self.bytes(&picture.sets);
    }

    fn unit(&mut self, unit: &Unit) {
        self.u8(match unit.track {
            Track::Video => 0,
            Track::Audio => 1,
        });
        self.u8(u8::from(unit.key));
        self.i64(unit.pts);
        self.bytes(&unit.data);
    }

    fn done(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len().saturating_sub(4)).unwrap_or(u32::MAX);
        if let Some(prefix) = self.0.first_chunk_mut() {
            *prefix = length.to_be_bytes();
        }
        self.0
    }
}

/// What is left of a body.
struct Reader(Bytes);

impl Reader {
    fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length <= self.0.len() { Ok(self.0.split_to(length)) } else { Err(Malformed) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.first_chunk().copied().ok_or(Malformed)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed)?;
        self.take(length)
    }

    fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    fn picture(&mut self) -> Result<Picture, Malformed> {
        let coding = match self.u8()? {
            4 => Coding::H264,
            5 => Coding::H265,
            _ => return Err(Malformed),
        };
        Ok(Picture { coding, sets: self.bytes()? })
    }

    fn unit(&mut self) -> Result<Unit, Malformed> {
        let track = match self.u8()? {
            0 => Track::Video,
            1 => Track::Audio,
            _ => return Err(Malformed),
        };
        Ok(Unit { track, key: self.bool()?, pts: self.i64()?, data: self.bytes()? })
    }

    /// The message, if nothing is left over.
    fn end<T>(self, message: T) -> Result<T, Malformed> {
        if self.0.is_empty() { Ok(message) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
    }

    fn unit() -> impl Strategy<Value = Unit> {
        let track = prop_oneof![Just(Track::Video), Just(Track::Audio)];
        (track, any::<bool>(), any::<i64>(), bytes()).prop_map(|(track, key, pts, data)| Unit {
            track,
            key,
            pts,
            data,
        })
    }

    fn picture() -> impl Strategy<Value = Picture> {
        let coding = prop_oneof![Just(Coding::H264), Just(Coding::H265)];
        (coding, bytes()).prop_map(|(coding, sets)| Picture { coding, sets })
    }

    fn order() -> impl Strategy<Value = Order> {
        let sound = (bytes(), any::<u32>(), any::<u16>()).prop_map(|(config, rate, channels)| Sound {
            config,
            rate,
            channels,
        });
        let conversion =
            (prop::option::of(picture()), prop::option::of(sound), prop::option::of(any::<i64>()))
                .prop_map(|(video, audio, after)| Conversion { video, audio, after });
        prop_oneof![
            (picture(), any::<u16>(), prop::collection::vec(bytes(), 0..4))
                .prop_map(|(picture, width, units)| Order::Still { picture, width, units }),
            conversion.prop_map(Order::Convert),
            unit().prop_map(Order::Unit),
        ]
    }

    fn answer() -> impl Strategy<Value = Answer> {
        let landlock = prop_oneof![Just(Landlock::Full), Just(Landlock::Partly), Just(Landlock::None)];
        let failure =
            prop_oneof![Just(Failure::NotLockedIn), Just(Failure::NotAPicture), Just(Failure::Unsupported)];
        prop_oneof![
            landlock.prop_map(Answer::Ready),
            bytes().prop_map(Answer::Still),
            (bytes(), any::<u16>(), any::<u16>()).prop_map(|(record, width, height)| Answer::Video {
                record,
                width,
                height
            }),
            unit().prop_map(Answer::Unit),
            failure.prop_map(Answer::Failed),
        ]
    }

    /// The body of a message whose length is right.
    fn body(message: Vec<u8>) -> Bytes {
        let (prefix, _) = message.split_first_chunk::<4>().unwrap();
        assert_eq!(length(*prefix).unwrap(), message.len() - 4);
        Bytes::from(message).slice(4..)
    }

    proptest! {
        #[test]
        fn an_order_is_read_as_it_was_written(order in order()) {
            prop_assert_eq!(Order::parse(body(order.write())), Ok(order));
        }

        #[test]
        fn an_answer_is_read_as_it_was_written(answer in answer()) {
            prop_assert_eq!(Answer::parse(body(answer.write())), Ok(answer));
        }

        /// What a child that was taken over may send.
        #[test]
        fn any_bytes_are_a_message_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let bytes = Bytes::from(bytes);
            if let Ok(answer) = Answer::parse(bytes.clone()) {
                prop_assert!(body(answer.write()) == bytes);
            }
            if let Ok(order) = Order::parse(bytes.clone()) {
                prop_assert!(body(order.write()) == bytes);
            }
        }

        #[test]
        fn a_message_that_was_cut_or_changed_does_no_harm(
            answer in answer(), at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<bool>()
        ) {
            let whole = body(answer.write());
            let at = at.index(whole.len());
            if cut {
                prop_assert_eq!(Answer::parse(whole.slice(..at)), Err(Malformed));
            } else {
                let mut changed = whole.to_vec();
                changed[at] = value;
                let _ = Answer::parse(changed.into());
            }
        }
    }

    #[test]
    fn a_length_has_a_ceiling() {
        assert_eq!(length([0; 4]), Err(Malformed));
        assert_eq!(length([0xff; 4]), Err(Malformed));
        let most = u32::try_from(LARGEST).unwrap();
        assert_eq!(length(most.to_be_bytes()), Ok(LARGEST));
        assert_eq!(length((most + 1).to_be_bytes()), Err(Malformed));
    }
}
