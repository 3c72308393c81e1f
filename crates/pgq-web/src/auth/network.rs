//! A range of addresses, like 10.0.0.0/8.

use std::net::IpAddr;
use std::str::FromStr;

/// An address and how many of its bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: u128,
    /// Of the 128 of an IPv6 address, in which an IPv4 address has its place.
    bits: u8,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("{text:?} is no range of addresses; write 10.0.0.0/8, 127.0.0.1 or fd00::/8");
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let before = if address.is_ipv4() { 96 } else { 0 };
        let bits = bits.map_or(Ok(128 - before), |bits| bits.parse::<u8>().map_err(|_| wrong()))?;
        let bits = bits.checked_add(before).filter(|bits| *bits <= 128).ok_or_else(wrong)?;
        Ok(Network { address: number(address), bits })
    }
}

impl Network {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let ignored = 128 - u32::from(self.bits);
        let upper = |address: u128| address.checked_shr(ignored).unwrap_or(0);
        upper(self.address) == upper(number(address))
    }
}

/// An IPv4 address is the same whether it was said to be one or mapped into IPv6.
fn number(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_by_its_first_bits() {
        let is_in = |network: &str, address: &str| {
            network.parse::<Network>().expect("valid").contains(address.parse().expect("an address"))
        };
        assert!(is_in("10.0.0.0/8", "10.9.8.7") && !is_in("10.0.0.0/8", "11.0.0.1"));
        assert!(is_in("127.0.0.1", "127.0.0.1") && !is_in("127.0.0.1", "127.0.0.2"));
        assert!(is_in("10.0.0.0/8", "::ffff:10.0.0.1") && is_in("::/0", "::1"));
        assert!(is_in("0.0.0.0/0", "1.2.3.4") && !is_in("0.0.0.0/0", "fd00::1"));
        assert!(is_in("fd00::/8", "fd12::1") && !is_in("fd00::/8", "fe80::1"));
        for bad in ["", "10.0.0.0/33", "::/129", "proxy", "10.0.0.0/x", "10.0.0.0/255"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
