//! What the gateway is called: the names and numbers its certificate is for.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::Host;
use web::PublicUrl;

/// Numbers that mean something else in every house: no certificate for them can
/// stand for a place on the Internet. Loopback, private (RFC 1918, 4193),
/// link-local and carriers' NAT (RFC 6598).
const LOCAL: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
];

pub(super) fn local_networks() -> Vec<IpNet> {
    LOCAL.iter().map(|network| network.parse().expect("it is a network")).collect()
}

/// The host of the public address first, then where it listens on this machine.
/// Public numbers only when the public address names them.
pub(super) fn of(public: Option<&PublicUrl>, listen: SocketAddr) -> Vec<Host> {
    let listening = match listen.ip() {
        ip if ip.is_unspecified() => interfaces(listen.is_ipv6()),
        ip => vec![ip],
    };
    let networks = local_networks();
    let local = |ip: &IpAddr| networks.iter().any(|network| network.contains(ip));
    let listening = listening.into_iter().filter(local).map(host);
    let always = [
        Host::Domain("localhost".to_owned()),
        Host::Ipv4(Ipv4Addr::LOCALHOST),
        Host::Ipv6(Ipv6Addr::LOCALHOST),
    ];
    let mut names = Vec::new();
    for name in public.and_then(PublicUrl::host).into_iter().chain(listening).chain(always) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Where people reach it: the public address, or else the first that is not
/// this machine's alone.
pub(super) fn origin(public: Option<&PublicUrl>, names: &[Host], port: u16) -> String {
    if let Some(public) = public {
        return public.origin();
    }
    let alone = |name: &&Host| match name {
        Host::Domain(_) => true,
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    let name = names.iter().find(|name| !alone(name)).cloned();
    let name = name.unwrap_or(Host::Ipv4(Ipv4Addr::LOCALHOST));
    format!("https://{name}{}", if port == 443 { String::new() } else { format!(":{port}") })
}

/// The addresses of this machine; IPv4 first, which people can type.
fn interfaces(with_ipv6: bool) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> =
        if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect();
    found.retain(|ip| ip.is_ipv4() || with_ipv6);
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

fn host(ip: IpAddr) -> Host {
    match ip {
        IpAddr::V4(ip) => Host::Ipv4(ip),
        IpAddr::V6(ip) => Host::Ipv6(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(url: &str) -> PublicUrl {
        PublicUrl::new(url.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_certificate_is_for_the_public_host_and_local_numbers() {
        let texts = |names: Vec<Host>| names.iter().map(Host::to_string).collect::<Vec<_>>();
        let url = public("https://eyes.home:8080");
        let names = of(Some(&url), "192.168.1.5:8080".parse().unwrap());
        assert_eq!(texts(names), ["eyes.home", "192.168.1.5", "localhost", "127.0.0.1", "[::1]"]);
        let names = of(None, "8.8.8.8:443".parse().unwrap());
        assert_eq!(texts(names), ["localhost", "127.0.0.1", "[::1]"]);
        let url = public("https://8.8.8.8");
        assert_eq!(texts(of(Some(&url), "8.8.8.8:443".parse().unwrap()))[0], "8.8.8.8");
        assert!(texts(of(None, "0.0.0.0:80".parse().unwrap())).contains(&"127.0.0.1".to_owned()));
    }

    #[test]
    fn people_are_sent_to_the_public_address_or_one_they_can_reach() {
        let names = of(None, "192.168.1.5:8080".parse().unwrap());
        assert_eq!(origin(None, &names, 8080), "https://192.168.1.5:8080");
        assert_eq!(origin(None, &names, 443), "https://192.168.1.5");
        assert_eq!(origin(Some(&public("https://eyes.home/x")), &names, 8080), "https://eyes.home");
        assert_eq!(origin(None, &of(None, "127.0.0.1:1".parse().unwrap()), 1), "https://127.0.0.1:1");
    }
}
