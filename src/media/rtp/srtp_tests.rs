//! Against the vectors of the RFCs, and there and back.

use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// RFC 3711 appendix B.3.
#[test]
fn keys_are_derived_as_the_rfc_shows() {
    let (key, salt) = (hex("E1F97A0D3E018BE0D64FA32C06DE4139"), hex("0EC675AD498AFEEBB6960B3AABE6"));
    let master = Master { profile: Profile::Aes128CmSha1, key: &key, salt: &salt };
    let mut out = [0; 16];
    derive(master, 0, &mut out);
    assert_eq!(out.to_vec(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    let mut out = [0; 14];
    derive(master, 2, &mut out);
    assert_eq!(out.to_vec(), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let mut out = [0; 20];
    derive(master, 1, &mut out);
    assert_eq!(out.to_vec(), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

/// RFC 7714 section 16.1.1, with the session key that it gives.
#[test]
fn a_packet_is_sealed_as_the_rfc_shows() {
    let key = UnboundKey::new(&AES_128_GCM, &hex("000102030405060708090a0b0c0d0e0f")).unwrap();
    let salt = hex("517569642070726f2071756f").try_into().unwrap();
    let gcm = || Keys::Gcm {
        key: Box::new(LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[0; 16]).unwrap())),
        salt,
    };
    let sealer =
        Sealer { rtp: Keys::Gcm { key: Box::new(LessSafeKey::new(key)), salt }, rtcp: gcm(), rtcp_index: 0 };
    let header: [u8; 12] = hex("8040f17b8041f8d35501a0b2").try_into().unwrap();
    let mut out = Vec::new();
    sealer.rtp(&header, 0, b"Gallia est omnis divisa in partes tres", &mut out);
    let sealed = "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce";
    assert_eq!(out[12..], hex(sealed));
}

fn profile() -> impl Strategy<Value = Profile> {
    prop_oneof![Just(Profile::Aes128CmSha1), Just(Profile::Aes128Gcm), Just(Profile::Aes256Gcm)]
}

proptest! {
    #[test]
    fn what_is_sealed_opens_again_and_nothing_else_does(
        profile in profile(), payload in prop::collection::vec(any::<u8>(), 0..1_300),
        sequence: u16, rollover in 0u32..3, flip in any::<prop::sample::Index>()
    ) {
        let material: Vec<u8> = (0..profile.keying_len()).map(|n| n as u8).collect();
        let (client, server) = split(profile, &material).unwrap();
        let (mut sealer, mut opener) = (Sealer::new(client).unwrap(), Opener::new(client).unwrap());
        let stranger = Opener::new(server).unwrap();
        let mut header = [0x80, 96, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        header[2..4].copy_from_slice(&sequence.to_be_bytes());
        let mut sealed = Vec::new();
        sealer.rtp(&header, rollover, &payload, &mut sealed);
        let mut again = Vec::new();
        sealer.rtp(&header, rollover, &payload, &mut again);
        prop_assert_eq!(&sealed, &again, "a packet that is sent again is the same");
        prop_assert_eq!(opener.rtp(&sealed, rollover), Some(payload.clone()));
        prop_assert_eq!(opener.rtp(&sealed, rollover + 1), None);
        prop_assert_eq!(stranger.rtp(&sealed, rollover), None);
        let at = flip.index(sealed.len());
        sealed[at] ^= 1;
        prop_assert_eq!(opener.rtp(&sealed, rollover), None);

        let report = [&[0x80, 201, 0, 1, 9, 9, 9, 9][..], &payload].concat();
        let sealed = sealer.rtcp(&report).unwrap();
        let later = sealer.rtcp(&report).unwrap();
        prop_assert_eq!(opener.rtcp(&later), Some(report.clone()));
        prop_assert_eq!(opener.rtcp(&sealed), Some(report), "it may come out of order");
        prop_assert_eq!(opener.rtcp(&sealed), None, "but not twice");
    }

    #[test]
    fn any_bytes_are_refused_without_harm(profile in profile(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let material = vec![7; profile.keying_len()];
        let mut opener = Opener::new(split(profile, &material).unwrap().0).unwrap();
        prop_assert_eq!(opener.rtp(&bytes, 0), None);
        prop_assert_eq!(opener.rtcp(&bytes), None);
    }
}
