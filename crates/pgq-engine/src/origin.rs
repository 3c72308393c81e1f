//! Origins of HTTP requests in a canonical spelling. Grants and requests are parsed by the same
//! rules and then compared.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

use super::address;

/// `scheme://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub(super) https: bool,
    pub(super) host: Host,
    pub(super) port: u16,
}

/// Anything that some library would parse as an address is an address here, and never a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Host {
    Name(String),
    Address(IpAddr),
}

impl Origin {
    /// The origin that a request really goes to. `None` if its target is ambiguous.
    pub(super) fn of(uri: &Uri) -> Option<Origin> {
        let https = match uri.scheme()? {
            scheme if *scheme == Scheme::HTTPS => true,
            scheme if *scheme == Scheme::HTTP => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        // `user@host` misleads people who read a grant or a log, so it is not accepted at all.
        if authority.as_str().contains('@') {
            return None;
        }
        let host = Host::parse(authority.host())?;
        // No well-meaning program writes "host:" or "host:0", and a port that is not a number must
        // not become the default port.
        let rest = authority.as_str().strip_prefix(authority.host())?;
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse::<u16>().ok().filter(|port| *port != 0)?,
            None if rest.is_empty() => {
                if https {
                    443
                } else {
                    80
                }
            }
            None => return None,
        };
        Some(Origin { https, host, port })
    }

    /// For the `Host` header: includes the port only if it is not the scheme's default.
    pub(super) fn authority(&self) -> String {
        if self.port == if self.https { 443 } else { 80 } {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl Host {
    fn parse(text: &str) -> Option<Host> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Host::Address(address::unwrapped(address.into())));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return None;
        }
        let last = name.rsplit('.').next()?;
        // The rule of browsers: a host whose last part is a number is an address, or invalid.
        if last.bytes().all(|b| b.is_ascii_digit())
            || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return ipv4(&name).map(|address| Host::Address(address.into()));
        }
        Some(Host::Name(name))
    }
}

/// What `inet_aton` accepts: `2130706433`, `0x7f.1`, `0177.0.0.1`.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| match (part.strip_prefix("0x"), part.strip_prefix('0')) {
        (Some(""), _) | (_, Some("")) => Some(0),
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) => u64::from_str_radix(octal, 8).ok(),
        (None, None) => part.parse().ok(),
    };
    let parts = text.split('.').map(number).collect::<Option<Vec<u64>>>()?;
    let (last, front) = parts.split_last()?;
    if front.len() > 3 || front.iter().any(|part| *part > 255) || *last >= 1 << (8 * (4 - front.len())) {
        return None;
    }
    let high = front.iter().enumerate().map(|(index, part)| part << (8 * (3 - index))).sum::<u64>();
    u32::try_from(high + last).ok().map(Ipv4Addr::from_bits)
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Origin, String> {
        let bad = || {
            format!(
                "{text:?} is not an origin; write it like \"https://hooks.example.com\" or \"http://127.0.0.1:8080\""
            )
        };
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
        Origin::of(&uri).filter(|_| plain).ok_or_else(bad)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.https { "https" } else { "http" }, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_of_an_address_is_that_address() {
        for text in [
            "http://2130706433/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://0177.0.0.1/",
            "http://0x7F000001/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://127.0.0.1./",
        ] {
            let origin: Origin = text.parse().expect(text);
            assert_eq!(origin.to_string(), "http://127.0.0.1:80", "{text}");
        }
    }

    #[test]
    fn what_is_not_beyond_doubt_is_no_origin() {
        for bad in [
            "example.com",
            "ftp://example.com",
            "https://example.com/path",
            "https://",
            "http://user@example.com",
            "http://a:b@c",
            "http://256.1",
            "http://1.2.3.4.5",
            "http://08",
            "http://a..b",
            "http://a%2eb",
            "http://example.com:0",
            "http://example.com:",
            "http://1.2.3.09",
        ] {
            assert!(bad.parse::<Origin>().expect_err(bad).contains(bad));
        }
    }
}
