//! Sound: AAC to Opus.

use ffmpeg_next::channel_layout::ChannelLayout;
use ffmpeg_next::codec::{self, Context, Id};
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::software::resampling;
use ffmpeg_next::{Dictionary, Error, Packet, frame};
use media::Track;
use media::job::{Answer, Failure, Sound, Unit};

/// Samples a second of Opus, and ticks of its clock.
const RATE: u32 = 48_000;
/// Samples in a packet: 20 ms.
const PACKET: usize = 960;
/// Ticks by which the sound may be off its place before it is put there: 100 ms.
const OFF: i64 = 4_800;
const FORMAT: Sample = Sample::F32(Type::Packed);

/// AAC frames in, Opus packets out.
pub struct Converter {
    header: Adts,
    rate: u32,
    decoder: codec::decoder::Audio,
    resampler: Option<(resampling::Context, Shape)>,
    encoder: codec::encoder::audio::Encoder,
    layout: ChannelLayout,
    channels: usize,
    /// Samples that fill no packet yet, channels interleaved.
    waiting: Vec<f32>,
    /// When the first of them is heard, in ticks of Opus.
    at: Option<i64>,
}

#[derive(PartialEq)]
struct Shape(Sample, ChannelLayout, u32);

impl Converter {
    /// A converter of this sound.
    pub fn new(sound: &Sound) -> Result<Self, Failure> {
        Self::open(sound).ok_or(Failure::Unsupported)
    }

    fn open(sound: &Sound) -> Option<Self> {
        let one_thread = || -> Dictionary<'static> { [("threads", "1")].into_iter().collect() };
        let aac = codec::decoder::find(Id::AAC)?;
        let decoder = Context::new_with_codec(aac).decoder().open_as_with(aac, one_thread()).ok()?;
        let channels = sound.opus_channels();
        let layout = ChannelLayout::default(i32::from(channels));
        let opus = codec::encoder::find_by_name("libopus")?;
        let mut encoder = Context::new_with_codec(opus).encoder().audio().ok()?;
        encoder.set_rate(i32::try_from(RATE).ok()?);
        encoder.set_format(FORMAT);
        encoder.set_channel_layout(layout);
        encoder.set_channels(i32::from(channels));
        encoder.set_time_base((1, 48_000));
        encoder.set_bit_rate(if channels == 1 { 32_000 } else { 64_000 });
        let options: Dictionary<'_> =
            [("frame_duration", "20"), ("application", "audio"), ("threads", "1")].into_iter().collect();
        Some(Self {
            header: Adts::new(&sound.config)?,
            rate: sound.rate.max(1),
            decoder: decoder.audio().ok()?,
            resampler: None,
            encoder: encoder.open_as_with(opus, options).ok()?,
            layout,
            channels: usize::from(channels),
            waiting: Vec::new(),
            at: None,
        })
    }

    /// Takes the next AAC frame; `say` gets the packets that are full. Broken ones become nothing.
    pub fn take(&mut self, unit: &Unit, say: &mut impl FnMut(Answer)) -> Result<(), Failure> {
        let Some(bytes) = self.header.before(&unit.data) else { return Ok(()) };
        if self.decoder.send_packet(&Packet::copy(&bytes)).is_err() {
            return Ok(());
        }
        let here = unit.pts.saturating_mul(i64::from(RATE)) / i64::from(self.rate);
        self.place(here);
        let mut decoded = frame::Audio::empty();
        while self.decoder.receive_frame(&mut decoded).is_ok() {
            if self.resample(&decoded).is_err() {
                self.resampler = None;
            }
        }
        self.encode(say).map_err(|_| Failure::Unsupported)
    }

    /// Samples are counted from the first one on, unless the camera's clock says that
    /// some are missing.
    fn place(&mut self, here: i64) {
        let held = i64::try_from(self.waiting.len() / self.channels).unwrap_or(0);
        let expected = self.at.map(|at| at.saturating_add(held));
        if expected.is_none_or(|expected| expected.saturating_sub(here).saturating_abs() > OFF) {
            self.waiting.clear();
            self.at = Some(here);
        }
    }

    fn resample(&mut self, decoded: &frame::Audio) -> Result<(), Error> {
        let mut layout = decoded.channel_layout();
        if layout.is_empty() {
            layout = ChannelLayout::default(i32::from(decoded.channels()));
        }
        let shape = Shape(decoded.format(), layout, decoded.rate());
        if self.resampler.as_ref().is_none_or(|(_, now)| *now != shape) {
            let new = resampling::Context::get(shape.0, shape.1, shape.2, FORMAT, self.layout, RATE)?;
            self.resampler = Some((new, shape));
        }
        let Some((resampler, shape)) = &mut self.resampler else { return Ok(()) };
        // Room for all of it: what has none would wait inside and grow.
        let ratio = usize::try_from(RATE.div_ceil(shape.2.max(1))).unwrap_or(1);
        let mut out = frame::Audio::new(FORMAT, decoded.samples() * ratio + 256, self.layout);
        resampler.run(decoded, &mut out)?;
        let bytes = out.samples() * self.channels * size_of::<f32>();
        let samples = out.data(0).get(..bytes).unwrap_or_default();
        self.waiting.extend(samples.as_chunks::<4>().0.iter().map(|four| f32::from_ne_bytes(*four)));
        Ok(())
    }

    fn encode(&mut self, say: &mut impl FnMut(Answer)) -> Result<(), Error> {
        let length = PACKET * self.channels;
        while self.waiting.len() >= length {
            let mut samples = frame::Audio::new(FORMAT, PACKET, self.layout);
            samples.set_rate(RATE);
            let bytes: Vec<u8> = self.waiting.drain(..length).flat_map(f32::to_ne_bytes).collect();
            samples.data_mut(0).get_mut(..bytes.len()).ok_or(Error::InvalidData)?.copy_from_slice(&bytes);
            let at = self.at.unwrap_or_default();
            self.at = Some(at.saturating_add(960));
            samples.set_pts(Some(at));
            self.encoder.send_frame(&samples)?;
            let mut packet = Packet::empty();
            while self.encoder.receive_packet(&mut packet).is_ok() {
                let data = packet.data().unwrap_or_default().to_vec().into();
                let pts = packet.pts().unwrap_or(at);
                say(Answer::Unit(Unit { track: Track::Audio, key: true, pts, data }));
            }
        }
        Ok(())
    }
}

/// The header that each AAC frame gets in front (ISO 13818-7, 6.2), so that the decoder
/// needs nothing else.
struct Adts {
    object: u8,
    frequency: u8,
    channels: u8,
}

impl Adts {
    /// From the `AudioSpecificConfig` (ISO 14496-3, 1.6.2.1); nothing for what ADTS
    /// cannot say, which no camera sends.
    fn new(config: &[u8]) -> Option<Self> {
        let bits = |at: usize, count: usize| {
            (at..at + count).try_fold(0u8, |value, bit| {
                let byte = config.get(bit / 8)?;
                Some(value << 1 | (byte >> (7 - bit % 8) & 1))
            })
        };
        let (mut object, frequency, channels) = (bits(0, 5)?, bits(5, 4)?, bits(9, 4)?);
        if matches!(object, 5 | 29) {
            // Told with its extension: frequency of that, then the object inside.
            object = bits(17, 5)?;
        }
        let plain = (1..=4).contains(&object) && frequency < 13 && (1..=7).contains(&channels);
        plain.then_some(Self { object, frequency, channels })
    }

    /// The frame with its header.
    fn before(&self, data: &[u8]) -> Option<Vec<u8>> {
        let length = u16::try_from(data.len() + 7).ok().filter(|length| *length < 1 << 13)?;
        // Thirteen bits over three bytes, five from the end.
        let [_, first, second, third] = (u32::from(length) << 5).to_be_bytes();
        let mut bytes = vec![
            0xff,
            0xf1,
            (self.object - 1) << 6 | self.frequency << 2 | self.channels >> 2,
            (self.channels & 3) << 6 | first,
            second,
            third | 0x1f,
            0xfc,
        ];
        bytes.extend_from_slice(data);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adts_header_says_what_the_config_says() {
        // LC, 16 kHz, mono.
        let adts = Adts::new(&[0x14, 0x08]).unwrap();
        assert_eq!((adts.object, adts.frequency, adts.channels), (2, 8, 1));
        let bytes = adts.before(&[0xaa; 1_000]).unwrap();
        assert_eq!(bytes[..7], [0xff, 0xf1, 0x60, 0x40, 0x7d, 0xff, 0xfc]);
        assert_eq!(bytes.len(), 1_007);
        // 6,007 is 2 × 2,048 + 238 × 8 + 7.
        let bytes = adts.before(&[0xaa; 6_000]).unwrap();
        assert_eq!(bytes[3..6], [0x42, 0xee, 0xff]);
        assert!(adts.before(&[0; 8_192]).is_none());
        assert!(Adts::new(&[0x14]).is_none() && Adts::new(&[]).is_none());
    }
}
