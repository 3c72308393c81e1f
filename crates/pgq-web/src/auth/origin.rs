//! By which name the site was asked for, and which site asked. A browser tells both, whoever wrote
//! the page that it shows.

use std::net::IpAddr;

use http::{HeaderMap, header};

/// Whether the site is known by this name. Without a login, whoever can make a browser ask is
/// answered: so a name of theirs that leads to loopback must not be one of the site's.
pub(super) fn is_known(host: &str, hosts: &[String], is_open: bool) -> bool {
    let name = name(host);
    let named = hosts.iter().any(|known| known.eq_ignore_ascii_case(name));
    named || is_loopback(name) || (hosts.is_empty() && !is_open)
}

/// Whether a request that changes something comes from a page of this site, or from no page.
pub(super) fn is_own(headers: &HeaderMap, host: &str, hosts: &[String]) -> bool {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text(header::ORIGIN.as_str())) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        // Browsers leave the former out where there is no HTTPS.
        (None, Some(origin)) => {
            let from = origin.split_once("://").map_or("", |(_, from)| from);
            from.eq_ignore_ascii_case(host) || hosts.iter().any(|known| known.eq_ignore_ascii_case(name(from)))
        }
        (None, None) => true,
    }
}

/// Without the port.
fn name(host: &str) -> &str {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.strip_suffix('.').unwrap_or(name)
}

fn is_loopback(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_login_only_loopbacks_names_are_known() {
        for host in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080", "pgq.localhost", "localhost."]
        {
            assert!(is_known(host, &[], true), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:8080", "10.0.0.1", "", "[::2]:80", "127.0.0.1.evil.example"]
        {
            assert!(!is_known(host, &[], true), "{host}");
            assert!(is_known(host, &[], false), "{host}");
        }
        let hosts = ["queue.example.com".to_owned()];
        for is_open in [true, false] {
            assert!(is_known("Queue.example.com:443", &hosts, is_open) && is_known("localhost", &hosts, is_open));
            assert!(!is_known("evil.example", &hosts, is_open));
        }
    }

    #[test]
    fn other_sites_are_told_by_what_browsers_say() {
        let own = |headers: &[(&'static str, &str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), value.parse::<http::HeaderValue>().expect("a value"))
            });
            is_own(&headers.collect(), "queue:8080", &["queue.example.com".to_owned()])
        };
        assert!(own(&[]));
        assert!(own(&[("sec-fetch-site", "same-origin"), ("origin", "https://behind.a.proxy")]));
        assert!(own(&[("sec-fetch-site", "none")]));
        assert!(own(&[("origin", "http://queue:8080")]) && own(&[("origin", "https://queue.example.com")]));
        for other in ["cross-site", "same-site", "", "x"] {
            assert!(!own(&[("sec-fetch-site", other), ("origin", "http://queue:8080")]), "{other}");
        }
        for other in
            ["null", "http://evil.example", "http://queue:8081", "queue:8080", "http://queue:8080.evil.example"]
        {
            assert!(!own(&[("origin", other)]), "{other}");
        }
    }
}
