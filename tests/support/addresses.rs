//! Every way to write an address where no camera is.

use std::net::Ipv4Addr;

/// What stands between `rtsp://` and the path.
pub fn forbidden() -> Vec<String> {
    let mut forms = Vec::new();
    for ip in [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "169.254.169.254",
        "169.254.0.1",
        "100.100.100.200",
        "192.0.0.8",
        "192.0.2.1",
        "198.51.100.1",
        "224.0.0.251",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        let v4: Ipv4Addr = ip.parse().unwrap();
        let (number, [a, b, c, d]) = (u32::from(v4), v4.octets());
        let (high, low) = (number >> 16, number & 0xffff);
        forms.extend([
            ip.to_owned(),
            format!("{ip}:554"),
            number.to_string(),
            format!("{number:#x}"),
            format!("0{number:o}"),
            format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
            format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("{a}.{b}.{}", number & 0xffff),
            format!("{a}.{}", number & 0xff_ffff),
            format!("{a:#x}.{b}.0{c:o}.{d}"),
            format!("{ip}."),
            format!("[::ffff:{ip}]"),
            format!("[::ffff:{high:x}:{low:x}]"),
            format!("[0:0:0:0:0:ffff:{high:x}:{low:x}]"),
            format!("[64:ff9b::{high:x}:{low:x}]"),
            format!("[2002:{high:x}:{low:x}::1]"),
            format!("10.0.0.1@{ip}"),
            format!("10.0.0.1:554@{ip}"),
            format!("10.0.0.1%40{ip}@{ip}"),
            ip.replace('.', "%2e"),
            // Full-width digits and dots, which IDNA folds.
            ip.chars().map(|c| c.to_digit(10).map_or(c, |n| char::from_u32(0xff10 + n).unwrap())).collect(),
            ip.replace('.', "\u{3002}"),
        ]);
    }
    forms.extend(
        [
            "localhost",
            "LocalHost.",
            "a.b.localhost",
            "metadata.google.internal",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::]",
            "[::127.0.0.1]",
            "[fe80::1]",
            "[fe80::1%25lo]",
            "[ff02::1]",
            "[fd00:ec2::254]",
            "[64:ff9b:1::7f00:1]",
            "[2001:0:7f00:1::]",
            "[2001:db8::1]",
        ]
        .map(str::to_owned),
    );
    assert!(forms.len() >= 120, "{} forms", forms.len());
    forms
}
