//! The three parts of a URL that `wasi:http` wants, and the origin that an operator grants.

use serde::Deserialize;

/// An absolute `http` or `https` URL.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    pub(crate) authority: String,
    pub(crate) path_with_query: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Url {
    /// `scheme://host[:port]`. Messages have this much of the URL only: many a webhook's path is its
    /// password.
    pub(crate) fn origin(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}", self.authority)
    }
}

impl TryFrom<String> for Url {
    type Error = &'static str;

    fn try_from(url: String) -> Result<Self, Self::Error> {
        let (scheme, rest) = url.split_once("://").ok_or("`url` has no scheme")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err("`url` is neither http nor https"),
        };
        // The fragment is for browsers.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        if authority.is_empty() {
            return Err("`url` has no host");
        }
        if authority.contains('@') {
            return Err("`url` has a password; use an `authorization` header");
        }
        Ok(Self {
            scheme,
            authority: authority.to_ascii_lowercase(),
            path_with_query: match path.starts_with('/') {
                true => path.to_owned(),
                false => format!("/{path}"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<(String, String), &'static str> {
        Url::try_from(url.to_owned()).map(|url| (url.origin(), url.path_with_query))
    }

    fn parts(origin: &str, path: &str) -> Result<(String, String), &'static str> {
        Ok((origin.to_owned(), path.to_owned()))
    }

    #[test]
    fn a_url_is_taken_apart() {
        let url = "HTTPS://Example.com:8443/a/b?c=/d#e";
        assert_eq!(parse(url), parts("https://example.com:8443", "/a/b?c=/d"));
        assert_eq!(parse("http://[::1]"), parts("http://[::1]", "/"));
        assert_eq!(parse("http://host?q=1"), parts("http://host", "/?q=1"));
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        assert!(parse("/relative").is_err());
        assert!(parse("file:///etc/passwd").is_err());
        assert!(parse("https:///path").is_err());
        assert!(parse("https://user:word@example.com").is_err());
    }
}
