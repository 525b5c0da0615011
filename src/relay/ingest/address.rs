//! Which addresses a camera may have, checked when we connect and pinned:
//! what was checked is what is connected to (no second name look-up).

use async_trait::async_trait;
use ipnet::IpNet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use url::{Host, Url};

/// Where names are looked up. Tests have their own.
#[async_trait]
pub trait Resolver: std::fmt::Debug + Send + Sync {
    /// All addresses of a name.
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The machine's own.
#[derive(Debug)]
struct System;

#[async_trait]
impl Resolver for System {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// The networks that are refused unless they are allowed by configuration.
#[derive(Clone, Debug)]
pub struct Policy {
    allowed: Vec<IpNet>,
    names: Arc<dyn Resolver>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// Why an address is refused; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The URL is not one of a camera.
    #[error("a camera's address begins with rtsp://, this one with {0}://")]
    Scheme(String),
    /// The URL has no host.
    #[error("the camera's address names no host")]
    NoHost,
    /// The name does not resolve.
    #[error("the name {0} is not known; check the spelling or use the IP address")]
    Unknown(String),
    /// The address is in a network where no camera should be.
    #[error(
        "{0} is {1}, where no camera is expected; allow the network in cameras.allow_networks if it is right"
    )]
    Network(IpAddr, &'static str),
}

impl Policy {
    /// Refuses special networks except those in `allowed`.
    #[must_use]
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed, names: Arc::new(System) }
    }

    /// The same, with names looked up elsewhere.
    #[must_use]
    pub fn with_names(self, names: Arc<dyn Resolver>) -> Self {
        Self { names, ..self }
    }

    /// Whether a camera may be at `ip`.
    pub fn check(&self, ip: IpAddr) -> Result<(), Refused> {
        let ip = canonical(ip);
        if self.allowed.iter().any(|net| net.contains(&ip)) {
            return Ok(());
        }
        match special(ip) {
            Some(kind) => Err(Refused::Network(ip, kind)),
            None => Ok(()),
        }
    }

    /// Checks what a URL says without asking a name server: scheme and literal address.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        if url.scheme() != "rtsp" {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        self.check_host(url)
    }

    /// Checks the host alone: a literal address, or a name that is known without asking.
    pub fn check_host(&self, url: &Url) -> Result<(), Refused> {
        match literal(url)?.or_else(|| url.host_str().and_then(known_name)) {
            Some(ip) => self.check(ip),
            None => Ok(()),
        }
    }

    /// The address to connect to: resolved once, every answer checked.
    pub async fn resolve(&self, url: &Url) -> Result<SocketAddr, Refused> {
        self.check_url(url)?;
        self.resolve_host(url, url.port().unwrap_or(554)).await
    }

    /// The same for a URL of any scheme, whose scheme the caller has looked at.
    pub async fn resolve_host(&self, url: &Url, port: u16) -> Result<SocketAddr, Refused> {
        self.check_host(url)?;
        if let Some(ip) = literal(url)? {
            return Ok(SocketAddr::new(canonical(ip), port));
        }
        let host = url.host_str().ok_or(Refused::NoHost)?;
        let found = self.names.look_up(host, port).await.map_err(|_| Refused::Unknown(host.to_owned()))?;
        let mut first = None;
        // One bad answer among good ones is a name that plays games: refuse it whole.
        for address in found {
            self.check(address.ip())?;
            first.get_or_insert(SocketAddr::new(canonical(address.ip()), port));
        }
        first.ok_or_else(|| Refused::Unknown(host.to_owned()))
    }
}

/// The literal address in a URL. `url` parses the number forms of IPv4
/// (decimal, octal, hexadecimal) only for web schemes, so they are parsed here
/// the way a resolver would take them.
fn literal(url: &Url) -> Result<Option<IpAddr>, Refused> {
    Ok(match url.host().ok_or(Refused::NoHost)? {
        Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
        Host::Domain(name) => {
            let as_web = Url::parse(&format!("http://{name}/")).ok();
            match as_web.as_ref().and_then(Url::host) {
                Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
                Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
                Some(Host::Domain(_)) => None,
                None => return Err(Refused::Unknown(name.to_owned())),
            }
        }
    })
}

/// The address of names that are known without asking anybody.
fn known_name(host: &str) -> Option<IpAddr> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host == "localhost" || host.ends_with(".localhost") {
        Some(Ipv4Addr::LOCALHOST.into())
    } else if host == "metadata.google.internal" {
        Some(Ipv4Addr::new(169, 254, 169, 254).into())
    } else {
        None
    }
}

/// IPv4 inside IPv6 is judged as IPv4: mapped, compatible, NAT64 and 6to4 forms.
fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        _ => ip,
    }
}

/// An address as it is judged, and what it is set aside for, if it is for something.
/// Private networks are not: whether they are right depends on who is asked for.
#[must_use]
pub fn purpose(ip: IpAddr) -> (IpAddr, Option<&'static str>) {
    let ip = canonical(ip);
    (ip, special(ip))
}

fn special(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => special_v4(ip),
        IpAddr::V6(ip) => special_v6(ip),
    }
}

/// IANA special-purpose registries; the private ranges are where cameras live.
fn special_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = ip.octets();
    Some(match (a, b, c) {
        (127, ..) => "this machine itself (loopback)",
        (0, ..) => "this network, not a host",
        (169, 254, _) => "a link-local or metadata address",
        (100, 100, 100) if ip.octets() == [100, 100, 100, 200] => "a metadata address",
        (192, 0, 0) => "reserved for protocols",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "reserved for documentation",
        (224..=239, ..) => "a multicast address",
        (240..=255, ..) => "a reserved or broadcast address",
        _ => return None,
    })
}

fn special_v6(ip: Ipv6Addr) -> Option<&'static str> {
    Some(match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => "this machine itself (loopback)",
        [0, 0, 0, 0, 0, 0, 0, 0] => "no address",
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] => "a metadata address",
        [first, ..] if first & 0xffc0 == 0xfe80 => "a link-local address",
        [first, ..] if first & 0xff00 == 0xff00 => "a multicast address",
        [0x64, 0xff9b, 1, ..] => "a translated address",
        [0x2001, 0, ..] => "a tunnelled address",
        [0x2001, 0xdb8, ..] => "reserved for documentation",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<(), Refused> {
        Policy::default().check_url(&Url::parse(url).unwrap())
    }

    #[test]
    fn refuses_every_form_of_a_forbidden_address() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "0.0.0.0",
            "169.254.169.254",
            "2852039166",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::7f00:1]",
            "[fe80::1]",
            "[ff02::1]",
            "[2002:7f00:1::]",
            "[::127.0.0.1]",
            "[fd00:ec2::254]",
            "metadata.google.internal",
            "100.100.100.200",
        ] {
            let refused = check(&format!("rtsp://{host}:554/live"));
            assert!(matches!(refused, Err(Refused::Network(..))), "{host}: {refused:?}");
        }
    }

    #[test]
    fn accepts_where_cameras_live() {
        for host in
            ["192.168.1.64", "10.0.0.8", "172.16.3.4", "100.64.1.1", "[fd12::64]", "cam-3.lan", "8.8.8.8"]
        {
            assert_eq!(check(&format!("rtsp://{host}/live")), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_schemes_are_no_cameras() {
        for url in
            ["file:///etc/passwd", "http://10.0.0.1/", "rtmp://10.0.0.1/a", "exec:ls", "rtsps://10.0.0.1/"]
        {
            assert!(matches!(check(url), Err(Refused::Scheme(_))), "{url}");
        }
    }

    #[tokio::test]
    async fn an_allowed_network_is_reached_by_literal_address() {
        let policy = Policy::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let url = Url::parse("rtsp://localhost:8600/a").unwrap();
        // The name may also have ::1, which is not allowed here.
        assert!(matches!(policy.resolve(&url).await, Ok(_) | Err(Refused::Network(..))));
        let url = Url::parse("rtsp://127.0.0.1/a").unwrap();
        assert_eq!(policy.resolve(&url).await, Ok("127.0.0.1:554".parse().unwrap()));
        let denied = Policy::default().resolve(&url).await.unwrap_err().to_string();
        assert!(denied.contains("allow_networks"), "{denied}");
    }
}
