//! The `Transport` header (RFC 2326 section 12.39).

/// How a client wants a track delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Inside the RTSP connection.
    Interleaved {
        /// The RTP channel the client proposes; RTCP is the next one.
        channel: Option<u8>,
    },
    /// Datagrams to the address the RTSP connection comes from.
    Udp {
        /// The client's RTP port.
        rtp: u16,
        /// The client's RTCP port.
        rtcp: u16,
    },
}

/// The first of the client's proposals that we can serve: unicast RTP/AVP,
/// interleaved or to ports from 1024 up.
#[must_use]
pub fn choose(header: &str) -> Option<Transport> {
    header.split(',').find_map(one)
}

fn one(spec: &str) -> Option<Transport> {
    let mut parts = spec.trim().split(';').map(str::trim);
    let profile = parts.next()?.to_ascii_uppercase();
    let (mut channel, mut ports) = (None, None);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.to_ascii_lowercase().as_str() {
            "multicast" => return None,
            "interleaved" => channel = pair(value)?.0.try_into().ok(),
            "client_port" => ports = Some(pair(value)?),
            "mode" if !value.trim_matches('"').eq_ignore_ascii_case("play") => return None,
            _ => {}
        }
    }
    match profile.as_str() {
        "RTP/AVP/TCP" => Some(Transport::Interleaved { channel }),
        "RTP/AVP" | "RTP/AVP/UDP" => {
            let (rtp, rtcp) = ports?;
            (rtp >= 1_024 && rtcp >= 1_024).then_some(Transport::Udp { rtp, rtcp })
        }
        _ => None,
    }
}

fn pair(value: &str) -> Option<(u16, u16)> {
    let (first, second) = value.split_once('-').unwrap_or((value, ""));
    let first: u16 = first.trim().parse().ok()?;
    let second = if second.is_empty() { first.checked_add(1)? } else { second.trim().parse().ok()? };
    Some((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_what_it_can_serve() {
        for (header, expected) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1", Some(Transport::Interleaved { channel: Some(0) })),
            ("RTP/AVP/TCP;unicast", Some(Transport::Interleaved { channel: None })),
            ("RTP/AVP;unicast;client_port=5000-5001", Some(Transport::Udp { rtp: 5_000, rtcp: 5_001 })),
            ("RTP/AVP/UDP;unicast;client_port=5000", Some(Transport::Udp { rtp: 5_000, rtcp: 5_001 })),
            (
                "RTP/AVP;multicast;port=3456, RTP/AVP/TCP;interleaved=4-5;mode=\"PLAY\"",
                Some(Transport::Interleaved { channel: Some(4) }),
            ),
            ("RTP/AVP;unicast;client_port=80-81", None),
            ("RTP/AVP;unicast;client_port=65535", None),
            ("RTP/SAVP;unicast;client_port=5000-5001", None),
            ("RTP/AVP/TCP;mode=RECORD", None),
            ("", None),
        ] {
            assert_eq!(choose(header), expected, "{header}");
        }
    }
}
