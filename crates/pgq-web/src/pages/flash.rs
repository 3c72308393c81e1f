//! What was done, said on the next page: it travels in a cookie that only the server writes.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};

const NAME: &str = "pgq_said";
/// A browser keeps 4 KiB of a cookie, and each byte is two digits.
const MOST: usize = 1_500;

/// A sentence about a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flash {
    /// Whether all was done that was asked for.
    pub(crate) good: bool,
    pub(crate) text: String,
}

impl Flash {
    pub(crate) fn good(text: impl Into<String>) -> Flash {
        Flash { good: true, text: text.into() }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Flash {
        Flash { good: false, text: text.into() }
    }

    /// The header that keeps it until the next page of the site below this prefix.
    pub(crate) fn cookie(&self, path: &str) -> Option<HeaderValue> {
        let mut text = self.text.clone();
        text.truncate(text.floor_char_boundary(MOST));
        let json = serde_json::to_vec(&Flash { text, ..self.clone() }).ok()?;
        let digits = json.iter().fold(String::new(), |mut digits, byte| {
            // Writing to a string never fails.
            let _ = write!(digits, "{byte:02x}");
            digits
        });
        header(path, &digits, 60)
    }

    /// The header that forgets it.
    pub(crate) fn forgotten(path: &str) -> Option<HeaderValue> {
        header(path, "", 0)
    }

    /// What the last change left.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Flash> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, digits) = pairs.find(|(name, _)| *name == NAME)?;
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let json: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        serde_json::from_slice(&json?).ok()
    }
}

fn header(path: &str, value: &str, age: u32) -> Option<HeaderValue> {
    let path = if path.is_empty() { "/" } else { path };
    HeaderValue::from_str(&format!("{NAME}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Strict")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flash_comes_back_as_it_was_said() {
        let said = Flash::good("Requeued 3 of 4 jobs of \"gr\u{f6}\u{df}e; a=b\"");
        let cookie = said.cookie("/pgq").expect("a header");
        let cookie = cookie.to_str().expect("ASCII");
        assert!(cookie.ends_with("; Path=/pgq; Max-Age=60; HttpOnly; SameSite=Strict"), "{cookie}");
        let sent = format!("other=1; {}", cookie.split(';').next().expect("a pair"));
        let headers =
            |text: &str| HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(text).expect("a header"))]);
        assert_eq!(Flash::read(&headers(&sent)), Some(said));
        for broken in ["pgq_said=", "pgq_host_said=7", "pgq_host_said=zz", "pgq_host_said=7b7d", "x"] {
            assert_eq!(Flash::read(&headers(broken)), None, "{broken}");
        }
        let long = Flash::bad("\u{f6}".repeat(5_000)).cookie("").expect("a header");
        assert!(long.len() < 4_000 && long.to_str().is_ok_and(|text| text.contains("; Path=/;")));
    }
}
