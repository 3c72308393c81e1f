//! Which addresses belong to the operator's own network. A plugin reaches those only if
//! `private-networks` grants them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range like `10.1.0.0/16`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, unwrapped(address)) {
            (IpAddr::V4(network), IpAddr::V4(address)) => v4_in(address, network, self.prefix),
            (IpAddr::V6(network), IpAddr::V6(address)) => v6_in(address, network, self.prefix),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let bad = || format!("{text:?} is not a network; write it like \"10.1.0.0/16\", \"fd00::/8\" or \"127.0.0.1\"");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| bad())?;
        let network = Network { address, prefix };
        let kept = match address {
            IpAddr::V4(address) => prefix <= bits && mask_v4(address, prefix) == address,
            IpAddr::V6(address) => prefix <= bits && mask_v6(address, prefix) == address,
        };
        // Whoever writes 10.1.2.3/8 means either one address or a range of eight bits, and we must
        // not guess which.
        if kept { Ok(network) } else { Err(format!("{}; bits after the prefix must be zero", bad())) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The IPv4 address embedded in an IPv6 address (mapped, compatible, NAT64, 6to4), since a gateway
/// may deliver to it.
pub(super) fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let octets = v6.octets();
    let low = || Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
    let inner = match v6.segments() {
        [0, 0, 0, 0, 0, 0xFFFF, ..] | [0x64, 0xFF9B, 0, 0, 0, 0, ..] => low(),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => low(),
        [0x2002, ..] => Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5]),
        _ => return address,
    };
    inner.into()
}

/// Whether it is an ordinary address on the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match unwrapped(address) {
        IpAddr::V4(address) => {
            !PRIVATE_V4.iter().any(|(network, prefix)| v4_in(address, Ipv4Addr::from(*network), *prefix))
        }
        // Only 2000::/3 is allocated for public use. Loopback, link-local, ULA and multicast
        // addresses are outside it.
        IpAddr::V6(address) => {
            v6_in(address, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
                && !PRIVATE_V6.iter().any(|(network, prefix)| v6_in(address, Ipv6Addr::from(*network), *prefix))
        }
    }
}

const PRIVATE_V4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),       // "this" network, unspecified
    ([10, 0, 0, 0], 8),      // RFC 1918
    ([100, 64, 0, 0], 10),   // carriers' NAT; Alibaba's metadata at 100.100.100.200
    ([127, 0, 0, 0], 8),     // loopback
    ([169, 254, 0, 0], 16),  // link-local; metadata of most clouds at 169.254.169.254
    ([172, 16, 0, 0], 12),   // RFC 1918
    ([192, 0, 0, 0], 24),    // protocol assignments
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 88, 99, 0], 24),  // 6to4 relays
    ([192, 168, 0, 0], 16),  // RFC 1918
    ([198, 18, 0, 0], 15),   // benchmarks
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 3),     // multicast, reserved, broadcast
];

const PRIVATE_V6: &[([u16; 8], u8)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),      // protocol assignments, Teredo, benchmarks
    ([0x2001, 0x0DB8, 0, 0, 0, 0, 0, 0], 32), // documentation
    ([0x3FFF, 0, 0, 0, 0, 0, 0, 0], 20),      // documentation
];

fn mask_v4(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0))
}

fn mask_v6(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0))
}

fn v4_in(address: Ipv4Addr, network: Ipv4Addr, prefix: u8) -> bool {
    mask_v4(address, prefix) == network
}

fn v6_in(address: Ipv6Addr, network: Ipv6Addr, prefix: u8) -> bool {
    mask_v6(address, prefix) == network
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_known_in_every_wrapping() {
        for private in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "192.0.2.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "64:ff9b:1::1",
            "100::1",
        ] {
            assert!(!is_public(private.parse().expect("address")), "{private}");
        }
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
            "2002:101:101::",
        ] {
            assert!(is_public(public.parse().expect("address")), "{public}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses_in_every_wrapping_and_no_others() {
        let network: Network = "10.1.0.0/16".parse().expect("network");
        for (address, inside) in
            [("10.1.255.255", true), ("10.2.0.0", false), ("::ffff:10.1.0.1", true), ("fd00::1", false)]
        {
            assert_eq!(network.contains(address.parse().expect("address")), inside, "{address}");
        }
        assert!("0.0.0.0/0".parse::<Network>().expect("all").contains(IpAddr::from([127, 0, 0, 1])));
        assert!("127.0.0.1".parse::<Network>().expect("one").contains(IpAddr::from([127, 0, 0, 1])));
        for bad in ["10.1.0.0/33", "10.1.2.3/8", "localhost", "10.1/16", "fd00::/129", "10.0.0.0/x"] {
            assert!(bad.parse::<Network>().expect_err(bad).contains(bad));
        }
    }
}
