//! Where requests may go: to public addresses by https; by http, or to others, only in
//! networks that the settings allow. A name is looked up once, every answer is checked,
//! and what was checked is what is connected to.

use ipnet::IpNet;
use relay::ingest::address::{Resolver, purpose};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use url::Url;

/// Why a request goes nowhere; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a web address.
    #[error("its address begins with {0}://; write https://")]
    Scheme(String),
    /// No host.
    #[error("its address names no host")]
    NoHost,
    /// Not a public address.
    #[error("{0} is {1}; allow its network if it is right (notify.allow_networks, push.allow_networks)")]
    Network(IpAddr, &'static str),
    /// In the open.
    #[error("{0} is reached without TLS; write https://, or allow its network (notify.allow_networks)")]
    Plain(IpAddr),
    /// The name does not resolve.
    #[error("the name {0} is not known")]
    Unknown(String),
}

/// Whether it is a web address at all.
pub fn check_scheme(url: &Url) -> Result<(), Refused> {
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Refused::Scheme(url.scheme().to_owned()));
    }
    url.has_host().then_some(()).ok_or(Refused::NoHost)
}

/// Says where requests may go.
#[derive(Clone, Debug)]
pub struct Guard {
    allowed: Vec<IpNet>,
    names: Arc<dyn Resolver>,
}

/// The machine's own names.
#[derive(Debug)]
struct System;

#[async_trait::async_trait]
impl Resolver for System {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Networks that are somebody's own.
fn private(ip: IpAddr) -> Option<&'static str> {
    let is_private = match ip {
        IpAddr::V4(ip) => {
            ip.is_private()
                || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
                || matches!(ip.octets(), [198, 18 | 19, ..])
        }
        // Unique local, and site-local of old.
        IpAddr::V6(ip) => {
            let [first, ..] = Ipv6Addr::segments(&ip);
            first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0
        }
    };
    is_private.then_some("in a private network")
}

impl Guard {
    /// Nothing but public addresses, and those of these networks.
    #[must_use]
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed, names: Arc::new(System) }
    }

    /// The same, with names looked up elsewhere.
    #[must_use]
    pub fn with_names(self, names: Arc<dyn Resolver>) -> Self {
        Self { names, ..self }
    }

    /// Whether requests may go to `ip`, by TLS or without.
    pub fn check(&self, ip: IpAddr, tls: bool) -> Result<(), Refused> {
        let (ip, special) = purpose(ip);
        if self.allowed.iter().any(|network| network.contains(&ip)) {
            return Ok(());
        }
        match special.or_else(|| private(ip)) {
            Some(kind) => Err(Refused::Network(ip, kind)),
            None if tls => Ok(()),
            None => Err(Refused::Plain(ip)),
        }
    }

    /// All addresses of a name. One that may not be among those that may is a name that plays games.
    pub async fn resolve(&self, host: &str, port: u16, tls: bool) -> Result<Vec<SocketAddr>, Refused> {
        let unknown = || Refused::Unknown(host.to_owned());
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let found = match literal {
            Some(ip) => vec![SocketAddr::new(ip, port)],
            None => self.names.look_up(host, port).await.map_err(|_| unknown())?,
        };
        for address in &found {
            self.check(address.ip(), tls)?;
        }
        if found.is_empty() { Err(unknown()) } else { Ok(found) }
    }
}

/// Looks names up for requests with TLS, or without.
pub(super) struct Names(pub(super) Guard, pub(super) bool);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, tls) = (self.0.clone(), self.1);
        Box::pin(async move {
            let found = guard.resolve(name.as_str(), 0, tls).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, ip: &str, tls: bool) -> bool {
        guard.check(ip.parse().unwrap(), tls).is_ok()
    }

    #[test]
    fn requests_go_to_public_addresses_by_tls_and_elsewhere_only_if_it_is_allowed() {
        let guard = Guard::new(vec!["10.1.0.0/16".parse().unwrap()]);
        for public in ["8.8.8.8", "203.0.114.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(check(&guard, public, true) && !check(&guard, public, false), "{public}");
        }
        for inside in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "224.0.0.1",
        ] {
            assert!(!check(&guard, inside, true), "{inside}");
        }
        assert!(check(&guard, "10.1.2.3", true) && check(&guard, "10.1.2.3", false));
        assert!(check(&guard, "::ffff:10.1.2.3", false) && !check(&guard, "10.2.0.1", true));
    }
}
