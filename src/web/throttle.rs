//! How often somebody may try to sign in: per account and per address. And how often
//! one who is signed in may change something.
//!
//! Whoever guesses at an account from anywhere uses up that account's tries for
//! strangers. The account's own browsers carry a device cookie and have tries of
//! their own, so guessing does not lock the owner out (OWASP: device cookies).

use crate::Problem;
use crate::bucket::{Buckets, Rate};
use crate::token;
use domain::{DeviceId, PersonId};
use ipnet::IpNet;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Tries of one account, from all strangers together or from its own browsers.
const PER_ACCOUNT: usize = 10;
/// Tries from one address, at whatever accounts.
const PER_ADDRESS: usize = 30;
/// The stretch of time they are counted in.
const WINDOW: Duration = Duration::from_secs(60);
/// Registrations from one address within an hour; a whole building may be behind it.
const REGISTRATIONS: usize = 20;
const HOUR: Duration = Duration::from_secs(3_600);
/// Accounts and addresses that are remembered. Beyond it the tenth of them that has been
/// idle longest is forgotten: whoever comes from everywhere must not keep others out,
/// and who is being guessed at just now is not idle.
const MOST: usize = 50_000;

/// Acts of somebody who only lives here: a minute of pressing every button of the page.
const RESIDENT: Rate = Rate { burst: 60, every: Duration::from_secs(1) };
/// Acts of somebody who holds a role, who may let a script do it. A list of two thousand
/// cameras is one act.
const STAFF: Rate = Rate { burst: 600, every: Duration::from_millis(100) };

/// Events of one device, alarms not counted: what it has kept over a night comes at once.
const DEVICE: Rate = Rate { burst: 5_000, every: Duration::from_millis(5) };

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// The account's name as it was typed, and whether its own browser asks.
    Account([u8; 32], bool),
    Address(IpAddr),
    /// Where somebody sends tokens from that are no device's.
    Tokens(IpAddr),
}

/// When what was tried, within a stretch of time.
struct Tries<K> {
    window: Duration,
    at: Mutex<HashMap<K, VecDeque<Instant>>>,
}

impl<K: Clone + Eq + Hash> Tries<K> {
    fn new(window: Duration) -> Self {
        Self { window, at: Mutex::default() }
    }

    /// Takes one try under each key; refuses if there have been too many under one.
    fn take(&self, keys: &[(K, usize)]) -> Result<(), Problem> {
        let now = Instant::now();
        let mut tries = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= MOST {
            make_room(&mut tries, now, self.window);
        }
        for (key, most) in keys {
            let Some(at) = tries.get_mut(key) else { continue };
            while at.front().is_some_and(|first| now.duration_since(*first) >= self.window) {
                at.pop_front();
            }
            if let Some(first) = at.front().filter(|_| at.len() >= *most) {
                return Err(Problem::TooMany(self.window - now.duration_since(*first)));
            }
        }
        for (key, _) in keys {
            tries.entry(key.clone()).or_default().push_back(now);
        }
        Ok(())
    }
}

/// Forgets what is over, and if that is not enough the longest idle.
fn make_room<K: Eq + Hash>(tries: &mut HashMap<K, VecDeque<Instant>>, now: Instant, window: Duration) {
    tries.retain(|_, at| at.back().is_some_and(|last| now.duration_since(*last) < window));
    if tries.len() < MOST {
        return;
    }
    let mut last: Vec<Instant> = tries.values().filter_map(|at| at.back().copied()).collect();
    let (_, oldest, _) = last.select_nth_unstable(MOST / 10);
    let oldest = *oldest;
    tries.retain(|_, at| at.back().is_some_and(|last| *last > oldest));
}

/// Counts tries. Knows which browsers have signed in to which account before.
pub(crate) struct Throttle {
    tries: Tries<Key>,
    registrations: Tries<IpAddr>,
    acts: Buckets<PersonId>,
    events: Buckets<DeviceId>,
    secret: [u8; 32],
}

impl Default for Throttle {
    fn default() -> Self {
        let (tries, registrations) = (Tries::new(WINDOW), Tries::new(HOUR));
        Self {
            tries,
            registrations,
            acts: Buckets::default(),
            events: Buckets::default(),
            secret: token::random(),
        }
    }
}

impl Throttle {
    /// Takes one try at `login`; refuses if there have been too many.
    pub(crate) fn take(&self, login: &str, device: Option<&str>, address: IpAddr) -> Result<(), Problem> {
        let own = device.is_some_and(|device| device == self.device(login));
        let account = Sha256::digest(login.trim().as_bytes()).into();
        self.tries
            .take(&[(Key::Account(account, own), PER_ACCOUNT), (Key::Address(network(address)), PER_ADDRESS)])
    }

    /// Takes one act of this person, before anything is written.
    pub(crate) fn take_act(&self, person: &PersonId, staff: bool) -> Result<(), Problem> {
        self.acts.take(person, if staff { STAFF } else { RESIDENT }).map_err(Problem::TooMany)
    }

    /// Takes events of this device; if there are too many, says how long to wait.
    pub(crate) fn take_events(&self, device: &DeviceId, some: usize) -> Option<Duration> {
        self.events.take_some(device, DEVICE, u32::try_from(some).unwrap_or(u32::MAX)).err()
    }

    /// Takes one try at a device's token.
    pub(crate) fn take_token(&self, address: IpAddr) -> Result<(), Problem> {
        self.tries.take(&[(Key::Tokens(network(address)), PER_ADDRESS)])
    }

    /// Takes one registration from this address.
    pub(crate) fn take_registration(&self, address: IpAddr) -> Result<(), Problem> {
        self.registrations.take(&[(network(address), REGISTRATIONS)])
    }

    /// Takes one try at nobody in particular.
    pub(crate) fn take_address(&self, address: IpAddr) -> Result<(), Problem> {
        self.tries.take(&[(Key::Address(network(address)), PER_ADDRESS)])
    }

    /// What a browser gets that has signed in to `login`. It is good until the
    /// gateway restarts; then the browser is a stranger again for one sign-in.
    pub(crate) fn device(&self, login: &str) -> String {
        let mut hash = Sha256::new();
        for part in [&self.secret[..], login.trim().as_bytes(), &self.secret[..]] {
            hash.update(part);
        }
        token::hex(&hash.finalize())
    }
}

/// One home has one IPv4 address, but 2⁶⁴ IPv6 addresses.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
        },
        v4 => v4,
    }
}

/// The address a request comes from: the connection's, or behind a proxy that is
/// known, the last one in `X-Forwarded-For` that is not itself a known proxy.
pub(crate) fn client(peer: IpAddr, forwarded: &[&str], proxies: &[IpNet]) -> IpAddr {
    let known = |ip: &IpAddr| proxies.iter().any(|net| net.contains(ip));
    let hops =
        forwarded.iter().flat_map(|value| value.split(',')).map(|hop| hop.trim().parse::<IpAddr>().ok());
    let mut client = peer;
    for hop in hops.collect::<Vec<_>>().into_iter().rev() {
        // What stands before something unreadable was written by who knows whom.
        let (true, Some(hop)) = (known(&client), hop) else { break };
        client = hop;
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn ten_tries_a_minute_from_all_strangers_together() {
        let throttle = Throttle::default();
        for n in 0..10u8 {
            assert_eq!(throttle.take("li", None, IpAddr::from([10, 0, 0, n])), Ok(()));
        }
        let refused = throttle.take("li", None, ip("10.0.0.99"));
        assert_eq!(refused, Err(Problem::TooMany(WINDOW)));
        // The owner's own browser is not locked out, and another account neither.
        let own = throttle.device("li");
        assert_eq!(throttle.take("li", Some(&own), ip("10.0.0.99")), Ok(()));
        assert_eq!(throttle.take("wang", None, ip("10.0.0.99")), Ok(()));
        assert!(throttle.take("li", Some(&throttle.device("wang")), ip("10.0.0.98")).is_err());
        tokio::time::advance(WINDOW).await;
        assert_eq!(throttle.take("li", None, ip("10.0.0.1")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn thirty_tries_a_minute_from_one_address() {
        let throttle = Throttle::default();
        for n in 0..30 {
            assert_eq!(throttle.take(&format!("person-{n}"), None, ip("2001:db8::1")), Ok(()));
        }
        assert!(throttle.take("another", None, ip("2001:db8::ffff")).is_err(), "the same network");
        assert!(throttle.take("another", None, ip("2001:db8:0:1::1")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn twenty_registrations_an_hour_from_one_address() {
        let throttle = Throttle::default();
        for _ in 0..20 {
            assert_eq!(throttle.take_registration(ip("10.0.0.1")), Ok(()));
        }
        tokio::time::advance(WINDOW).await;
        assert!(throttle.take_registration(ip("10.0.0.1")).is_err());
        assert_eq!(throttle.take_registration(ip("10.0.0.2")), Ok(()));
        tokio::time::advance(HOUR).await;
        assert_eq!(throttle.take_registration(ip("10.0.0.1")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_is_let_in_however_many_have_come_before() {
        let throttle = Throttle::default();
        let address = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        for n in 0..u32::try_from(MOST).unwrap() {
            assert_eq!(throttle.take_address(address(n)), Ok(()));
            if n % 1_000 == 0 {
                tokio::time::advance(Duration::from_millis(100)).await;
            }
        }
        // One who is guessed at just now.
        for _ in 0..PER_ACCOUNT {
            assert_eq!(throttle.take("li", None, ip("203.0.113.9")), Ok(()));
        }
        for n in 0..u32::try_from(MOST / 2).unwrap() {
            assert_eq!(throttle.take_address(address(100_000 + n)), Ok(()), "{n}");
            if n % 1_000 == 0 {
                tokio::time::advance(Duration::from_millis(100)).await;
            }
        }
        assert!(throttle.take("li", None, ip("203.0.113.10")).is_err(), "it is not forgotten");
        assert!(throttle.tries.at.lock().unwrap().len() <= MOST + 2);
    }

    #[test]
    fn a_forwarded_address_counts_only_behind_a_known_proxy() {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for (peer, forwarded, expected) in [
            ("203.0.113.9", vec!["1.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", vec!["1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", vec!["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", vec!["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", vec!["1.2.3.4, nonsense"], "10.0.0.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
        ] {
            assert_eq!(client(ip(peer), &forwarded, &proxies), ip(expected), "{peer} {forwarded:?}");
        }
    }
}
