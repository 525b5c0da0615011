//! The two session descriptions of WHEP: the viewer's offer is read, ours is written
//! (RFC 8866, RFC 8829, RFC 9429).

use std::fmt::Write as _;
use std::net::IpAddr;

/// The longest offer that is read: a browser's has 4 to 8 KiB.
pub const MAX_OFFER: usize = 64 << 10;
const MAX_SECTIONS: usize = 16;
const MAX_FORMATS: usize = 128;

/// An offer that cannot be used; the text says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// What a section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
    /// Data channels and the like: refused.
    Other,
}

/// A payload type that the viewer can read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) payload_type: u8,
    /// In lower case.
    pub(super) encoding: String,
    pub(super) clock_rate: u32,
    pub(super) parameters: String,
}

impl Format {
    /// A value of `a=fmtp`.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(n, value)| n.eq_ignore_ascii_case(name).then_some(value.trim()))
    }
}

/// An `m=` section.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) kind: Kind,
    /// The line's own words, for refusing it: media and protocol.
    media: String,
    protocol: String,
    first_format: String,
    pub(super) mid: String,
    pub(super) formats: Vec<Format>,
    /// Whether the viewer wants to receive.
    pub(super) receives: bool,
}

/// ICE user name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) ufrag: String,
    pub(super) password: String,
}

/// What a viewer offers.
#[derive(Clone, Debug)]
pub struct Offer {
    pub(super) ice: Credentials,
    /// SHA-256 of the certificate that the viewer will show.
    pub(super) fingerprint: [u8; 32],
    pub(super) sections: Vec<Section>,
    /// The sections that may share one way, by mid (RFC 9143).
    bundle: Vec<String>,
}

/// RFC 8839 section 5.4.
fn is_ice_word(text: &str, least: usize) -> bool {
    (least..=256).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// RFC 8866 section 9, `token`.
fn is_token(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(&b))
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let (hash, digits) = text.split_once(' ')?;
    if !hash.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut out = [0; 32];
    let mut pairs = digits.trim().split(':');
    for byte in &mut out {
        *byte = u8::from_str_radix(pairs.next().filter(|pair| pair.len() == 2)?, 16).ok()?;
    }
    pairs.next().is_none().then_some(out)
}

/// What is said once for all, or in each section alike.
#[derive(Default)]
struct Said {
    ufrag: Option<String>,
    password: Option<String>,
    fingerprint: Option<[u8; 32]>,
    has_fingerprint: bool,
    passive_only: bool,
    bundle: Vec<String>,
}

impl Offer {
    /// Reads an offer.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.len() > MAX_OFFER {
            return Err(Malformed("the offer is longer than 64 KiB"));
        }
        let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        if lines.next() != Some("v=0") {
            return Err(Malformed("the offer does not begin with v=0; send a session description (SDP)"));
        }
        let (mut said, mut sections) = (Said::default(), Vec::<Section>::new());
        for line in lines {
            let Some((kind, value)) = line.split_once('=') else {
                return Err(Malformed("a line of the offer has no ="));
            };
            match kind {
                "m" => {
                    if sections.len() >= MAX_SECTIONS {
                        return Err(Malformed("the offer has too many sections"));
                    }
                    sections.push(Section::parse(value)?);
                }
                "a" => {
                    let (name, value) = value.split_once(':').unwrap_or((value, ""));
                    said.attribute(name, value)?;
                    if let Some(section) = sections.last_mut() {
                        section.attribute(name, value)?;
                    }
                }
                _ => {}
            }
        }
        said.whole(sections)
    }
}

impl Offer {
    /// Whether two sections may go the one way that there is.
    pub(super) fn share(&self, one: usize, other: usize) -> bool {
        let bundled =
            |at: usize| self.sections.get(at).is_some_and(|section| self.bundle.contains(&section.mid));
        one == other || (bundled(one) && bundled(other))
    }
}

impl Said {
    fn attribute(&mut self, name: &str, value: &str) -> Result<(), Malformed> {
        match name {
            "ice-ufrag" if is_ice_word(value, 4) => {
                self.ufrag.get_or_insert_with(|| value.to_owned());
            }
            "ice-pwd" if is_ice_word(value, 22) => {
                self.password.get_or_insert_with(|| value.to_owned());
            }
            "ice-ufrag" | "ice-pwd" => return Err(Malformed("ice-ufrag or ice-pwd is not as RFC 8839 says")),
            "ice-lite" => {
                return Err(Malformed("the offer is ICE-lite, and so are we; one side must connect"));
            }
            "fingerprint" => {
                self.has_fingerprint = true;
                self.fingerprint = self.fingerprint.or_else(|| fingerprint(value));
            }
            "setup" => self.passive_only |= value == "passive",
            "group" if self.bundle.is_empty() => {
                let mut words = value.split_ascii_whitespace();
                if words.next() == Some("BUNDLE") {
                    self.bundle =
                        words.filter(|mid| is_token(mid)).take(MAX_SECTIONS).map(str::to_owned).collect();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn whole(self, sections: Vec<Section>) -> Result<Offer, Malformed> {
        if sections.is_empty() {
            return Err(Malformed("the offer has no m= section"));
        }
        if self.passive_only {
            return Err(Malformed("the offer has setup:passive; offer setup:actpass"));
        }
        let (Some(ufrag), Some(password)) = (self.ufrag, self.password) else {
            return Err(Malformed("the offer has no ice-ufrag and ice-pwd"));
        };
        let fingerprint = self.fingerprint.ok_or(Malformed(match self.has_fingerprint {
            true => "the offer has no sha-256 fingerprint",
            false => "the offer has no fingerprint; only encrypted media is sent",
        }))?;
        Ok(Offer { ice: Credentials { ufrag, password }, fingerprint, sections, bundle: self.bundle })
    }
}

impl Section {
    /// Its name, if the offer gave it one.
    fn mid_line(&self) -> String {
        if self.mid.is_empty() { String::new() } else { format!("a=mid:{}\r\n", self.mid) }
    }

    fn parse(value: &str) -> Result<Self, Malformed> {
        let mut words = value.split_ascii_whitespace();
        let (Some(media), Some(_port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
            return Err(Malformed("an m= line is incomplete"));
        };
        let all_formats: Vec<&str> = words.collect();
        let sane = |text: &str| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic());
        if all_formats.len() > MAX_FORMATS
            || ![media, protocol].into_iter().chain(all_formats.iter().copied()).all(sane)
        {
            return Err(Malformed("an m= line cannot be read"));
        }
        let rtp = protocol.eq_ignore_ascii_case("UDP/TLS/RTP/SAVPF");
        let kind = match media {
            "video" if rtp => Kind::Video,
            "audio" if rtp => Kind::Audio,
            _ => Kind::Other,
        };
        let format = |text: &&str| {
            let payload_type = text.parse().ok().filter(|pt| *pt < 128)?;
            // RFC 3551 section 6: these need no rtpmap.
            let (encoding, clock_rate) = match payload_type {
                0 => ("pcmu", 8_000),
                8 => ("pcma", 8_000),
                _ => ("", 0),
            };
            Some(Format {
                payload_type,
                encoding: encoding.to_owned(),
                clock_rate,
                parameters: String::new(),
            })
        };
        Ok(Self {
            kind,
            media: media.to_owned(),
            protocol: protocol.to_owned(),
            first_format: all_formats.first().copied().unwrap_or("0").to_owned(),
            mid: String::new(),
            formats: if kind == Kind::Other {
                Vec::new()
            } else {
                all_formats.iter().filter_map(format).collect()
            },
            receives: true,
        })
    }

    fn attribute(&mut self, name: &str, value: &str) -> Result<(), Malformed> {
        match name {
            "mid" if is_token(value) => value.clone_into(&mut self.mid),
            "mid" => return Err(Malformed("a mid is no token")),
            "sendonly" | "inactive" => self.receives = false,
            "rtpmap" | "fmtp" => {
                let Some((payload_type, rest)) = value.split_once(' ') else { return Ok(()) };
                let payload_type = payload_type.parse::<u8>().ok();
                let Some(format) = self.formats.iter_mut().find(|f| Some(f.payload_type) == payload_type)
                else {
                    return Ok(());
                };
                if name == "rtpmap" {
                    let mut parts = rest.trim().split('/');
                    format.encoding = parts.next().unwrap_or_default().to_ascii_lowercase();
                    format.clock_rate = parts.next().and_then(|rate| rate.parse().ok()).unwrap_or(0);
                } else if rest.len() <= 512 && rest.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
                    rest.trim().clone_into(&mut format.parameters);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A trickled fragment (RFC 8840 section 9): only its credentials matter to us, who
/// answer wherever the viewer asks from.
pub(super) fn fragment(text: &str) -> Result<Credentials, Malformed> {
    if text.len() > MAX_OFFER {
        return Err(Malformed("the fragment is longer than 64 KiB"));
    }
    let mut said = Said::default();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        let Some((kind, value)) = line.split_once('=') else {
            return Err(Malformed("a line of the fragment has no ="));
        };
        match kind {
            "a" => {
                let (name, value) = value.split_once(':').unwrap_or((value, ""));
                if name.starts_with("ice-") {
                    said.attribute(name, value)?;
                }
            }
            "m" => {}
            _ => return Err(Malformed("a fragment has only a= and m= lines")),
        }
    }
    match (said.ufrag, said.password) {
        (Some(ufrag), Some(password)) => Ok(Credentials { ufrag, password }),
        _ => Err(Malformed("the fragment has no ice-ufrag and ice-pwd")),
    }
}

/// What we send in a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The section's place in the offer.
    pub(super) section: usize,
    pub(super) format: Format,
    pub(super) ssrc: u32,
}

/// What goes into an answer besides the offer.
pub(super) struct Ours<'a> {
    pub(super) id: u64,
    pub(super) ice: &'a Credentials,
    pub(super) fingerprint: &'a [u8; 32],
    pub(super) addresses: &'a [IpAddr],
    pub(super) ports: super::Ports,
}

/// The lines that name our addresses: UDP first, TCP where that does not get through.
fn candidates(out: &mut String, addresses: &[IpAddr], ports: super::Ports) {
    for (n, address) in addresses.iter().enumerate() {
        // RFC 8445 section 5.1.2: host candidates; ones that come first are preferred.
        let local = 65_535u32.saturating_sub(u32::try_from(n).unwrap_or(0));
        let priority = |preference: u32| (preference << 24) + (local << 8) + 255;
        let (foundation, port) = (2 * n + 1, ports.udp);
        let _ = write!(out, "a=candidate:{foundation} 1 udp {} {address} {port} typ host\r\n", priority(126));
        if let Some(port) = ports.tcp {
            let (foundation, priority) = (foundation + 1, priority(90));
            let _ = write!(
                out,
                "a=candidate:{foundation} 1 tcp {priority} {address} {port} typ host tcptype passive\r\n"
            );
        }
    }
    out.push_str("a=end-of-candidates\r\n");
}

/// Writes the answer: `lines` are sent, other sections are refused or left silent. What
/// does not share the way of the first line is refused.
pub(super) fn answer(offer: &Offer, lines: &[Line], ours: &Ours) -> String {
    let line_of = |section| lines.iter().find(|line| line.section == section);
    let first = lines.first().map_or(0, |line| line.section);
    let taken = |n: usize, section: &Section| {
        let known = section.kind != Kind::Other && !section.formats.is_empty();
        offer.share(first, n) && (line_of(n).is_some() || known)
    };
    let mut out = format!("v=0\r\no=- {} 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", ours.id);
    let taken_ones = offer.sections.iter().enumerate().filter(|(n, section)| taken(*n, section));
    let mids: Vec<&str> = taken_ones.map(|(_, section)| section.mid.as_str()).collect();
    if mids.iter().all(|mid| offer.bundle.iter().any(|bundled| bundled == mid)) {
        let _ = write!(out, "a=group:BUNDLE {}\r\n", mids.join(" "));
    }
    out.push_str("a=ice-lite\r\na=msid-semantic: WMS sharp-eyes\r\n");
    let digits: Vec<String> = ours.fingerprint.iter().map(|b| format!("{b:02X}")).collect();
    for (n, section) in offer.sections.iter().enumerate() {
        let line = line_of(n);
        if !taken(n, section) {
            let _ = write!(
                out,
                "m={} 0 {} {}\r\nc=IN IP4 0.0.0.0\r\n{}a=inactive\r\n",
                section.media,
                section.protocol,
                section.first_format,
                section.mid_line()
            );
            continue;
        }
        let Some(format) = line.map(|line| &line.format).or(section.formats.first()) else { continue };
        let pt = format.payload_type;
        let _ = write!(
            out,
            "m={} 9 {} {pt}\r\nc=IN IP4 0.0.0.0\r\n{}a={}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
             a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\na=setup:passive\r\n",
            section.media,
            section.protocol,
            section.mid_line(),
            if line.is_some() { "sendonly" } else { "inactive" },
            ours.ice.ufrag,
            ours.ice.password,
            digits.join(":"),
        );
        let channels = if format.encoding == "opus" { "/2" } else { "" };
        let _ = write!(out, "a=rtpmap:{pt} {}/{}{channels}\r\n", encoding_name(format), format.clock_rate);
        if !format.parameters.is_empty() {
            let _ = write!(out, "a=fmtp:{pt} {}\r\n", format.parameters);
        }
        if let Some(line) = line {
            if section.kind == Kind::Video {
                let _ = write!(
                    out,
                    "a=rtcp-fb:{pt} nack\r\na=rtcp-fb:{pt} nack pli\r\na=rtcp-fb:{pt} ccm fir\r\n"
                );
            }
            let _ = write!(
                out,
                "a=msid:sharp-eyes {}\r\na=ssrc:{} cname:sharp-eyes\r\n",
                section.media, line.ssrc
            );
        }
        candidates(&mut out, ours.addresses, ours.ports);
    }
    out
}

/// The head of a fragment's only section: the one that the others are bundled with.
pub(super) fn tag(offer: &Offer, lines: &[Line]) -> String {
    let section = lines.first().and_then(|line| Some((line, offer.sections.get(line.section)?)));
    section.map_or_else(String::new, |(line, section)| {
        let (media, protocol, format) = (&section.media, &section.protocol, line.format.payload_type);
        format!("m={media} 9 {protocol} {format}\r\n{}", section.mid_line())
    })
}

/// The answer to an ICE restart (RFC 9725 section 4.3.3, RFC 8840 section 9): candidates
/// belong to a section.
pub(super) fn restarted(tag: &str, ours: &Ours) -> String {
    let Credentials { ufrag, password } = ours.ice;
    let mut out = format!("a=ice-lite\r\n{tag}a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
    candidates(&mut out, ours.addresses, ours.ports);
    out
}

fn encoding_name(format: &Format) -> String {
    match format.encoding.as_str() {
        "opus" => "opus".to_owned(),
        other => other.to_ascii_uppercase(),
    }
}

#[cfg(test)]
#[path = "sdp_tests.rs"]
mod tests;
