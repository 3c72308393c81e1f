//! Where a request comes from, as far as that can be believed.

use std::net::IpAddr;

use http::{HeaderMap, header};

use super::network::Network;

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    /// Whether it came by HTTPS. The server itself speaks HTTP alone, so a proxy has to say so.
    pub(super) secure: bool,
    /// The name and port that the site was asked for by.
    pub(super) host: Option<String>,
}

impl Client {
    /// What the proxies say counts only if the request came from one.
    pub(super) fn of(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> Client {
        let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
        let host = only(headers, header::HOST.as_str());
        if !is_proxy(peer) {
            return Client { address: peer.to_canonical(), secure: false, host };
        }
        // Each proxy adds the address that it was asked by to the end. What stands before the last
        // one that is not ours was said by a stranger.
        let forwarded = headers.get_all("x-forwarded-for");
        let said: Vec<&str> =
            forwarded.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
        let mut address = peer;
        for hop in said.iter().rev() {
            let Ok(hop) = hop.trim().parse() else { break };
            address = hop;
            if !is_proxy(hop) {
                break;
            }
        }
        let secure = last(headers, "x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        let host = last(headers, "x-forwarded-host").map(str::to_owned).or(host);
        Client { address: address.to_canonical(), secure, host }
    }
}

/// The value of a header that is there once.
fn only(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| value.to_owned())
}

/// The value that the proxy next to us set.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> Client {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        Client::of(peer.parse().expect("an address"), &map, &["10.0.0.0/8".parse().expect("a network")])
    }

    #[test]
    fn only_proxies_are_believed_and_only_what_they_add() {
        let forged =
            [("host", "a"), ("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "b")];
        let stranger = client("9.9.9.9", &forged);
        assert_eq!(
            (stranger.address.to_string(), stranger.secure, stranger.host.as_deref()),
            ("9.9.9.9".into(), false, Some("a"))
        );
        let proxied = client("10.0.0.1", &forged);
        assert_eq!(
            (proxied.address.to_string(), proxied.secure, proxied.host.as_deref()),
            ("1.1.1.1".into(), true, Some("b"))
        );
        let of = |forwarded: &str| client("10.0.0.1", &[("x-forwarded-for", forwarded)]).address.to_string();
        assert_eq!(of("6.6.6.6, 2.2.2.2, 10.0.0.2"), "2.2.2.2", "the first was said by 2.2.2.2");
        assert_eq!(of("6.6.6.6, nonsense"), "10.0.0.1");
        assert_eq!(of("10.0.0.3"), "10.0.0.3");
    }

    #[test]
    fn a_host_that_is_said_twice_is_none() {
        assert_eq!(client("9.9.9.9", &[("host", "a"), ("host", "b")]).host, None);
        assert_eq!(client("9.9.9.9", &[]).host, None);
    }
}
