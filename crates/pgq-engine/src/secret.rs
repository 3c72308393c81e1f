//! Secrets: the host inserts them into a request's headers in place of `{{secret:NAME}}`, and never
//! prints them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::origin::Origin;

/// Text that appears in no log and no error.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: impl Into<Arc<str>>) -> Secret {
        Secret(text.into())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a header can carry it.
    pub fn fits_a_header(&self) -> bool {
        !self.0.is_empty() && HeaderValue::from_str(&self.0).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A secret and where it may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretGrant {
    pub secret: Secret,
    /// `None` means every granted origin with https.
    pub origins: Option<Vec<Origin>>,
}

impl SecretGrant {
    fn allows(&self, origin: &Origin) -> bool {
        self.origins.as_ref().map_or(origin.https, |origins| origins.contains(origin))
    }
}

const OPEN: &[u8] = b"{{secret:";
const CLOSE: &[u8] = b"}}";

/// Insert the secrets. An error says why the request must not be sent. It names the secret, but
/// never its value.
pub(super) fn substitute(
    headers: &mut HeaderMap,
    secrets: &BTreeMap<String, SecretGrant>,
    origin: &Origin,
) -> Result<(), String> {
    for value in headers.values_mut() {
        if find(value.as_bytes(), OPEN).is_some() {
            let filled = fill(value.as_bytes(), secrets, origin)?;
            *value = HeaderValue::from_bytes(&filled)
                .map_err(|_| "with the secret inserted, it is not a valid header value".to_owned())?;
            value.set_sensitive(true);
        }
    }
    Ok(())
}

fn fill(mut text: &[u8], secrets: &BTreeMap<String, SecretGrant>, origin: &Origin) -> Result<Vec<u8>, String> {
    let mut filled = Vec::new();
    // A single pass, so that a secret that looks like a placeholder is sent as it is.
    while let Some(start) = find(text, OPEN) {
        filled.extend_from_slice(&text[..start]);
        let rest = &text[start + OPEN.len()..];
        let end = find(rest, CLOSE).ok_or("the placeholder of a secret is not closed; write {{secret:NAME}}")?;
        let name = String::from_utf8_lossy(&rest[..end]);
        let grant = secrets.get(&*name).ok_or_else(|| format!("there is no secret {name:?}; set secrets.{name:?}"))?;
        if !grant.allows(origin) {
            return Err(format!(
                "the secret {name:?} is not granted for {origin}; add it to the origins of secrets.{name:?}"
            ));
        }
        filled.extend_from_slice(grant.secret.expose().as_bytes());
        text = &rest[end + CLOSE.len()..];
    }
    filled.extend_from_slice(text);
    Ok(filled)
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(origins: Option<&[&str]>) -> BTreeMap<String, SecretGrant> {
        let origins = origins.map(|origins| origins.iter().map(|origin| origin.parse().expect("origin")).collect());
        BTreeMap::from([("token".to_owned(), SecretGrant { secret: Secret::new("s3cret}}{{secret:token}}"), origins })])
    }

    fn sent(value: &str, origins: Option<&[&str]>, to: &str) -> Result<HeaderValue, String> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(value).expect("a value"));
        substitute(&mut headers, &secrets(origins), &to.parse().expect("origin"))?;
        Ok(headers.remove("authorization").expect("there"))
    }

    #[test]
    fn a_secret_goes_to_its_origins_only_and_over_plain_http_only_when_told() {
        let value = sent("Bearer {{secret:token}}!", None, "https://a").expect("sent");
        assert_eq!(value, "Bearer s3cret}}{{secret:token}}!");
        assert!(value.is_sensitive());
        sent("{{secret:token}}", None, "http://a").expect_err("plain http");
        sent("{{secret:token}}", Some(&["http://a"]), "http://a").expect("explicit");
        sent("{{secret:token}}", Some(&["https://b"]), "https://a").expect_err("another origin");
    }

    #[test]
    fn what_cannot_be_put_in_is_refused_and_named_without_its_value() {
        for (value, named) in [("{{secret:other}}", "other"), ("{{secret:token", "not closed"), ("{{secret:}}", "\"\"")]
        {
            let error = sent(value, None, "https://a").expect_err("refused");
            assert!(error.contains(named) && !error.contains("s3cret"), "{error}");
        }
        assert!(!format!("{:?}", secrets(None)).contains("s3cret"));
    }
}
