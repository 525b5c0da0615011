//! Offers as browsers and others write them, and the answers to them.

use super::*;
use proptest::prelude::*;

pub(crate) fn offer() -> String {
    let digits = ["AB"; 32].join(":");
    format!(
        "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n\
         a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=ice-options:trickle\r\n\
         a=fingerprint:sha-256 {digits}\r\na=setup:actpass\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 102 103\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:EsAw\r\n\
         a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=fingerprint:sha-256 {digits}\r\na=setup:actpass\r\na=mid:1\r\n\
         a=recvonly\r\na=rtcp-mux\r\na=rtpmap:102 H264/90000\r\na=rtcp-fb:102 nack\r\n\
         a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
         a=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\n"
    )
}

#[test]
fn an_offer_of_a_browser_is_read() {
    let offer = Offer::parse(&offer()).unwrap();
    assert_eq!(offer.ice.ufrag, "EsAw");
    assert_eq!(offer.fingerprint, [0xab; 32]);
    let kinds: Vec<_> = offer.sections.iter().map(|section| (section.kind, section.mid.as_str())).collect();
    assert_eq!(kinds, [(Kind::Audio, "0"), (Kind::Video, "1"), (Kind::Other, "2")]);
    let video = &offer.sections[1].formats[0];
    assert_eq!((video.encoding.as_str(), video.clock_rate), ("h264", 90_000));
    assert_eq!(video.parameter("packetization-mode"), Some("1"));
}

#[test]
fn the_answer_sends_what_was_chosen_and_nothing_else() {
    let offer = Offer::parse(&offer()).unwrap();
    let ice = Credentials { ufrag: "ours".into(), password: "password".into() };
    let addresses = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    let ports = crate::whep::Ports { udp: 8_189, tcp: Some(8_189) };
    let ours = Ours { id: 7, ice: &ice, fingerprint: &[1; 32], addresses: &addresses, ports };
    let lines = [Line { section: 1, format: offer.sections[1].formats[0].clone(), ssrc: 77 }];
    let text = answer(&offer, &lines, &ours);
    let sections: Vec<&str> = text.split("m=").collect();
    assert!(sections[0].contains("a=group:BUNDLE 0 1\r\n") && sections[0].contains("a=ice-lite\r\n"));
    assert!(sections[1].starts_with("audio 9") && sections[1].contains("a=inactive\r\n"));
    assert!(sections[2].starts_with("video 9 UDP/TLS/RTP/SAVPF 102\r\n"));
    for line in [
        "a=sendonly",
        "a=setup:passive",
        "a=rtpmap:102 H264/90000",
        "a=rtcp-fb:102 nack pli",
        "a=ssrc:77 cname:sharp-eyes",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host",
        "a=candidate:4 1 tcp 1526726399 2001:db8::1 8189 typ host tcptype passive",
    ] {
        assert!(sections[2].contains(&format!("{line}\r\n")), "{line}: {text}");
    }
    assert!(sections[3].starts_with("application 0 "), "{text}");
    assert!(!text.contains("rtx"));
}

/// With `lines` for these sections of the offer.
fn answered(text: &str, sections: &[usize]) -> (String, String) {
    let offer = Offer::parse(text).unwrap();
    let ice = Credentials { ufrag: "ours".into(), password: "password".into() };
    let addresses = ["192.0.2.1".parse().unwrap()];
    let ports = crate::whep::Ports { udp: 8_189, tcp: None };
    let ours = Ours { id: 7, ice: &ice, fingerprint: &[1; 32], addresses: &addresses, ports };
    let line = |section: &usize| Line {
        section: *section,
        format: offer.sections[*section].formats[0].clone(),
        ssrc: 77,
    };
    let lines: Vec<Line> = sections.iter().map(line).collect();
    (answer(&offer, &lines, &ours), restarted(&tag(&offer, &lines), &ours))
}

#[test]
fn sections_share_a_way_only_if_the_offer_says_so() {
    let alone = offer().replace("a=group:BUNDLE 0 1 2\r\n", "");
    let (text, _) = answered(&alone, &[1]);
    assert!(!text.contains("BUNDLE") && text.contains("m=audio 0 ") && text.contains("m=video 9 "), "{text}");
    let offer_of = |text: &str| Offer::parse(text).unwrap();
    assert!(offer_of(&offer()).share(0, 1) && !offer_of(&alone).share(0, 1) && offer_of(&alone).share(1, 1));
    // A group that leaves one of them out.
    let (text, _) = answered(&offer().replace("BUNDLE 0 1 2", "BUNDLE 1 2"), &[1]);
    assert!(text.contains("a=group:BUNDLE 1\r\n") && text.contains("m=audio 0 "), "{text}");
    // Without names there is no group, nor an empty name.
    let nameless = alone.replace("a=mid:1\r\n", "");
    assert!(!answered(&nameless, &[1]).0.contains("a=mid:\r\n"));
}

#[test]
fn a_fragment_of_ours_names_the_section_before_its_candidates() {
    let (_, text) = answered(&offer(), &[1]);
    let lines: Vec<&str> = text.lines().collect();
    let place = |begin: &str| lines.iter().position(|line| line.starts_with(begin)).expect(begin);
    assert_eq!(place("a=ice-lite"), 0);
    assert_eq!((place("m=video 9 UDP/TLS/RTP/SAVPF 102"), place("a=mid:1")), (1, 2));
    assert!(place("a=candidate:") > place("a=mid:1") && lines.last() == Some(&"a=end-of-candidates"));
    assert_eq!(lines.iter().filter(|line| line.starts_with("m=")).count(), 1);
    assert!(
        fragment(&text.replace("a=ice-lite\r\n", "").replace("password", "passwordThatIsLongEnough")).is_ok()
    );
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    let refused = |text: &str| Offer::parse(text).unwrap_err().to_string();
    assert!(refused("hello").contains("v=0"));
    assert!(refused("v=0\r\n").contains("no m= section"));
    let whole = offer();
    assert!(refused(&whole.replace("sha-256", "sha-1")).contains("sha-256"));
    assert!(refused(&whole.replace("a=fingerprint", "a=x")).contains("encrypted"));
    assert!(refused(&whole.replace("a=ice-pwd", "a=x")).contains("ice-pwd"));
    assert!(refused(&whole.replace("actpass", "passive")).contains("actpass"));
    assert!(refused(&format!("{whole}a=ice-lite\r\n")).contains("ICE-lite"));
    assert!(refused(&whole.replace("a=mid:1", "a=mid:1\u{7f}x")).contains("mid"));
    assert!(refused(&"x".repeat(MAX_OFFER + 1)).contains("64 KiB"));
}

#[test]
fn a_fragment_is_read_for_its_credentials() {
    let text = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
        a=candidate:1 1 udp 1 192.0.2.9 5000 typ host\r\na=end-of-candidates\r\n";
    assert_eq!(fragment(text).unwrap().ufrag, "EsAw");
    for wrong in
        ["", "nonsense", "a=ice-ufrag:ab\r\n", "v=0\r\n", "a=candidate:1 1 udp 1 192.0.2.9 5000 typ host\r\n"]
    {
        assert!(fragment(wrong).is_err(), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(v=0\r\n)?([amcos]=[a-z-]{0,12}[: ]?[ -~]{0,40}\r?\n){0,30}") {
        if let Ok(offer) = Offer::parse(&text) {
            let ice = offer.ice.clone();
            let ports = crate::whep::Ports { udp: 1, tcp: None };
            let ours = Ours { id: 7, ice: &ice, fingerprint: &[1; 32], addresses: &[], ports };
            let answer = answer(&offer, &[], &ours);
            prop_assert_eq!(answer.matches("m=").count() >= offer.sections.len(), true);
        }
        let _ = fragment(&text);
    }
}
