//! Checks, honest and forged, and where media goes by them.

use super::*;
use is::stun::TransId;
use proptest::prelude::*;

fn route(port: u16) -> Route {
    Route { peer: SocketAddr::from(([192, 0, 2, 1], port)), local: None, tcp: None }
}

fn request(username: &str, password: &str, nominate: bool) -> Vec<u8> {
    let message = StunMessage::binding_request(username, TransId::new(), true, 7, 1, nominate);
    let mut buffer = [0; 512];
    let length = message.to_bytes(Some(password.as_bytes()), &mut buffer, hmac).unwrap();
    buffer[..length].to_vec()
}

fn lite(now: Instant) -> Lite {
    let local = Credentials { ufrag: "ours".into(), password: "secret".into() };
    let remote = Credentials { ufrag: "theirs".into(), password: "their secret".into() };
    Lite::new(local, remote, now)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A viewer's answer to our question.
fn answer(question: &[u8], password: &str) -> Vec<u8> {
    let asked = StunMessage::parse(question).unwrap();
    let reply = StunMessage::binding_reply(asked.trans_id(), route(9).peer);
    let mut buffer = [0; 256];
    let length = reply.to_bytes(Some(password.as_bytes()), &mut buffer, hmac).unwrap();
    buffer[..length].to_vec()
}

/// The viewer wants media there, and is there.
fn select(ice: &mut Lite, packet: &[u8], at: Route, now: Instant) -> Option<()> {
    ice.check(packet, at, now)?;
    ice.heard(&at, 1_000);
    if let Some((to, question)) = ice.question(now) {
        assert_eq!(to, at);
        let password = ice.remote.password.clone();
        ice.answered(&answer(&question, &password), at);
    }
    Some(())
}

#[test]
fn only_who_knows_the_password_is_answered_and_with_less_than_was_asked() {
    let mut ice = lite(now());
    for (username, password) in
        [("ours:theirs", "wrong"), ("ours:others", "secret"), ("other:theirs", "secret")]
    {
        assert!(ice.check(&request(username, password, true), route(1), now()).is_none());
    }
    assert!(ice.selected().is_none() && !ice.knows(&route(1)));
    let asked = request("ours:theirs", "secret", true);
    let checked = ice.check(&asked, route(1), now()).unwrap();
    assert!(checked.learnt && checked.reply.len() <= asked.len());
    assert!(ice.knows(&route(1)));
}

#[test]
fn c28_media_goes_only_to_where_the_viewer_has_read_a_question() {
    let (begin, mut ice) = (now(), lite(now()));
    let asked = request("ours:theirs", "secret", true);
    select(&mut ice, &asked, route(1), begin).unwrap();
    assert_eq!(ice.selected(), Some(route(1)));
    // Somebody else's address on a check: it hears less than was said in its name.
    let (mut came, mut went, mut question) = (0, 0, Vec::new());
    for n in 0..100 {
        let now = begin + Duration::from_millis(n * 60);
        let checked = ice.check(&asked, route(2), now).unwrap();
        if n > 0 {
            ice.heard(&route(2), asked.len());
        }
        (came, went) = (came + asked.len(), went + checked.reply.len());
        if let Some((to, packet)) = ice.question(now) {
            assert_eq!(to, route(2));
            went += packet.len();
            question = packet;
        }
        assert!(went <= came, "{went} of {came}");
        assert!(!ice.may_send(&route(2), came, 1));
    }
    assert_eq!(ice.selected(), Some(route(1)));
    // What the forger can send without having read the question, or from elsewhere.
    let mut guessed = answer(&question, "their secret");
    guessed[19] ^= 1;
    for (packet, from) in [
        (answer(&asked, "their secret"), route(2)),
        (guessed, route(2)),
        (answer(&question, "secret"), route(2)),
        (answer(&question, "their secret"), route(1)),
        (question.clone(), route(2)),
    ] {
        ice.answered(&packet, from);
        assert_eq!(ice.selected(), Some(route(1)));
    }
    ice.answered(&answer(&question, "their secret"), route(2));
    assert_eq!(ice.selected(), Some(route(2)));
    assert!(ice.may_send(&route(2), 1 << 20, 1));
    // And back, where it has proven to be before.
    ice.check(&asked, route(1), begin).unwrap();
    assert_eq!(ice.selected(), Some(route(1)));
}

#[test]
fn who_comes_by_tcp_is_there() {
    let mut ice = lite(now());
    let tcp = Route { tcp: Some(7), ..route(1) };
    ice.check(&request("ours:theirs", "secret", true), tcp, now()).unwrap();
    assert_eq!(ice.selected(), Some(tcp));
    assert!(ice.question(now()).is_none());
    ice.lost(7, now());
    assert_eq!((ice.selected(), ice.nominated()), (None, None));
}

#[test]
fn a_viewer_with_many_addresses_is_bounded_and_keeps_the_one_it_uses() {
    let mut ice = lite(now());
    select(&mut ice, &request("ours:theirs", "secret", true), route(1), now()).unwrap();
    for port in 2..100 {
        ice.check(&request("ours:theirs", "secret", false), route(port), now());
    }
    assert_eq!(ice.routes.len(), MAX_ROUTES);
    assert_eq!(ice.selected(), Some(route(1)));
    assert!(ice.knows(&route(1)));
}

#[test]
fn consent_ends_when_checks_end() {
    let (begin, mut ice) = (now(), lite(now()));
    select(&mut ice, &request("ours:theirs", "secret", true), route(1), begin).unwrap();
    assert!(ice.has_consent(begin + Duration::from_secs(29)));
    // From elsewhere somebody else may be asking.
    ice.check(&request("ours:theirs", "secret", true), route(2), begin + Duration::from_secs(20));
    assert!(!ice.has_consent(begin + CONSENT));
}

#[test]
fn after_a_restart_the_old_password_is_worth_nothing() {
    let mut ice = lite(now());
    select(&mut ice, &request("ours:theirs", "secret", true), route(1), now()).unwrap();
    let theirs = Credentials { ufrag: "theirs2".into(), password: "their new secret".into() };
    ice.restart(Credentials { ufrag: "new".into(), password: "newer".into() }, theirs);
    assert!(ice.check(&request("ours:theirs", "secret", true), route(2), now()).is_none());
    assert_eq!(ice.selected(), Some(route(1)), "media goes on meanwhile");
    select(&mut ice, &request("new:theirs2", "newer", true), route(2), now()).unwrap();
    assert_eq!(ice.selected(), Some(route(2)));
}

proptest! {
    #[test]
    fn bytes_that_mean_nothing_teach_nothing(packet in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut ice = lite(now());
        let _ = ufrag_of(&packet);
        ice.answered(&packet, route(1));
        prop_assert!(ice.check(&packet, route(1), now()).is_none());
        prop_assert!(ice.selected().is_none() && !ice.knows(&route(1)));
    }

    #[test]
    fn a_check_that_was_changed_on_its_way_teaches_nothing(
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut packet = request("ours:theirs", "secret", true);
        // The last eight bytes are the fingerprint, which tells STUN from other
        // packets; the password vouches for all before.
        let vouched = packet.len() - 8;
        let at = at.index(vouched);
        packet[at] ^= 1 << bit;
        packet.truncate(cut.map_or(packet.len(), |cut| cut.index(packet.len())));
        let _ = ufrag_of(&packet);
        let mut ice = lite(now());
        prop_assert!(ice.check(&packet, route(1), now()).is_none(), "byte {at}");
        prop_assert!(!ice.knows(&route(1)));
    }
}
