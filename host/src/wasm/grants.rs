//! What an operator lets a plugin do. Nothing, unless told otherwise.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

/// `scheme://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin a request really goes to; `None` for one without an authority.
    pub(super) fn of(uri: &Uri) -> Option<Origin> {
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let authority = uri.authority()?;
        // `user@host` is never sent on by this client, but it confuses readers of a grant: refuse it altogether.
        if authority.as_str().contains('@') {
            return None;
        }
        Some(Origin {
            https,
            host: authority.host().trim_end_matches('.').to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
        })
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Origin, String> {
        let bad = || format!("{text:?} is not an origin; write it like \"https://hooks.example.com\" or \"http://127.0.0.1:8080\"");
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let plain = matches!(uri.scheme_str(), Some("http" | "https")) && matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !plain {
            return Err(bad());
        }
        Origin::of(&uri).ok_or_else(bad)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.https { "https" } else { "http" }, self.host, self.port)
    }
}

/// One plugin's grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Where it may send HTTP requests.
    pub http: Vec<Origin>,
    /// What `wasi:config/store` answers.
    pub config: BTreeMap<String, String>,
}

impl Grants {
    pub(super) fn allows(&self, uri: &Uri) -> bool {
        Origin::of(uri).is_some_and(|origin| self.http.contains(&origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_origin_is_allowed() {
        let grants = Grants { http: vec!["https://Hooks.example.com".parse().expect("origin")], ..Grants::default() };
        let allows = |uri: &str| grants.allows(&uri.parse().expect("uri"));
        assert!(allows("https://hooks.example.com/a?b"));
        assert!(allows("https://hooks.example.com.:443/"));
        for other in [
            "http://hooks.example.com/",
            "https://hooks.example.com:8443/",
            "https://hooks.example.com.evil.org/",
            "https://hooks.example.com@evil.org/",
            "https://evil.org/hooks.example.com",
        ] {
            assert!(!allows(other), "{other}");
        }
    }

    #[test]
    fn a_grant_that_is_no_origin_is_named() {
        for bad in ["example.com", "ftp://example.com", "https://example.com/path", "https://"] {
            assert!(bad.parse::<Origin>().expect_err("refused").contains(bad));
        }
    }
}
