//! RTCP sender reports (RFC 3550 section 6.4.1): they tell a reader which wall
//! time an RTP timestamp is, which is how picture and sound stay together.

use std::time::Duration;

/// What a sender report says.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport {
    /// The track's synchronisation source.
    pub ssrc: u32,
    /// Wall time of `timestamp`, since the Unix epoch.
    pub wall: Duration,
    /// The RTP timestamp at that moment.
    pub timestamp: u32,
    /// Packets sent to this reader.
    pub packets: u32,
    /// Payload bytes sent to this reader.
    pub octets: u32,
}

/// Seconds from 1900 (NTP) to 1970 (Unix).
const NTP_EPOCH: u64 = 2_208_988_800;

impl SenderReport {
    /// The compound packet: SR, then SDES with the canonical name `cname`
    /// (RFC 3550 sections 6.1 and 6.5).
    #[must_use]
    pub fn to_bytes(&self, cname: &str) -> Vec<u8> {
        let seconds = self.wall.as_secs().wrapping_add(NTP_EPOCH);
        let fraction = (u64::from(self.wall.subsec_nanos()) << 32) / 1_000_000_000;
        let mut out = vec![0x80, 200, 0, 6];
        out.extend(self.ssrc.to_be_bytes());
        out.extend(&seconds.to_be_bytes()[4..]);
        out.extend(&fraction.to_be_bytes()[4..]);
        out.extend(self.timestamp.to_be_bytes());
        out.extend(self.packets.to_be_bytes());
        out.extend(self.octets.to_be_bytes());

        let name: Vec<u8> = cname.bytes().take(200).collect();
        // SSRC, CNAME item, at least one zero, up to a multiple of four.
        let words = (4 + 2 + name.len()) / 4 + 1;
        out.extend([0x81, 202, 0, u8::try_from(words).unwrap_or(u8::MAX)]);
        out.extend(self.ssrc.to_be_bytes());
        out.extend([1, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
        out.extend(&name);
        out.resize(28 + 4 + words * 4, 0);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_compound_of_whole_words() {
        for cname in ["", "a", "ab", "abc", "sharp-eyes"] {
            let report = SenderReport {
                ssrc: 1,
                wall: Duration::from_millis(1_500),
                timestamp: 2,
                packets: 3,
                octets: 4,
            };
            let bytes = report.to_bytes(cname);
            assert_eq!(bytes.len() % 4, 0);
            let sdes_words = usize::from(u16::from_be_bytes([bytes[30], bytes[31]]));
            assert_eq!(28 + 4 + sdes_words * 4, bytes.len());
            assert_eq!(bytes.last(), Some(&0));
            assert_eq!(bytes[8..16], [0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0]);
        }
    }
}
