//! What a request brings along to say whose it is.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, header};

/// Said in the request, and not yet believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    None,
    Bearer(String),
    Basic {
        name: String,
        password: String,
    },
    /// Keys of sessions: a browser may send several cookies of one name.
    Sessions(Vec<String>),
    /// Of a kind that is not known.
    Unknown,
}

/// Cookies of one name that are looked at.
const MAX_COOKIES: usize = 4;

impl Credentials {
    pub(super) fn of(headers: &HeaderMap, cookie: &str) -> Credentials {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            let keys = cookies(headers, cookie);
            return if keys.is_empty() { Credentials::None } else { Credentials::Sessions(keys) };
        };
        let Some((scheme, rest)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
            return Credentials::Unknown;
        };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Credentials::Bearer(rest.to_owned());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Credentials::Unknown;
        }
        let text = BASE64_STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match text.as_deref().and_then(|text| text.split_once(':')) {
            Some((name, password)) => Credentials::Basic { name: name.to_owned(), password: password.to_owned() },
            None => Credentials::Unknown,
        }
    }
}

/// The values of this cookie.
pub(super) fn cookies(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).take(MAX_COOKIES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> Credentials {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), value.parse::<http::HeaderValue>().expect("a value"))
        });
        Credentials::of(&headers.collect(), "pgq")
    }

    #[test]
    fn a_header_goes_before_cookies_and_nothing_odd_passes() {
        assert_eq!(of(&[]), Credentials::None);
        assert_eq!(of(&[("authorization", "Bearer  abc")]), Credentials::Bearer("abc".into()));
        let basic = Credentials::Basic { name: "a".into(), password: "b:c".into() };
        assert_eq!(of(&[("authorization", "basic YTpiOmM="), ("cookie", "pgq=1")]), basic);
        assert_eq!(of(&[("cookie", "x=1; pgq=2;pgq=3")]), Credentials::Sessions(vec!["2".into(), "3".into()]));
        assert_eq!(of(&[("cookie", "xpgq=1; pgq")]), Credentials::None);
        for odd in ["", "Basic", "Basic %%", "Basic YQ==", "Basic /////w==", "Digest x", "Bearer"] {
            assert_eq!(of(&[("authorization", odd), ("cookie", "pgq=1")]), Credentials::Unknown, "{odd}");
        }
    }
}
