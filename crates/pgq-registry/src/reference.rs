//! `oci://registry/name:tag@sha256:...`: where a component is.

use std::fmt;
use std::str::FromStr;

use super::error::RegistryError;

pub(super) const SCHEME: &str = "oci://";

/// Where a component is: a tag that may move, a digest that says which bytes, or both, of which the
/// digest counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Whether the text is meant to be one.
    pub fn is(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The machine and its port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The digest of the manifest, if the reference names it.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The last part of its name, for a file.
    pub fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }

    /// What to ask the registry for: the digest, or else the tag.
    pub(super) fn asked(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }

    /// The same with this digest.
    pub fn with_digest(&self, digest: &str) -> Reference {
        Reference { digest: Some(digest.to_owned()), ..self.clone() }
    }

    /// Another tag of the same name.
    pub(super) fn with_tag(&self, tag: String) -> Reference {
        Reference { tag: Some(tag), digest: None, ..self.clone() }
    }

    /// The name without tag and digest, as signatures have it.
    pub(super) fn plain_name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Reference, RegistryError> {
        let wrong = |cause: &str| {
            RegistryError::Reference(format!(
                "{text:?} is not a reference: {cause}; write it like oci://registry.example.com/team/name:tag or @sha256:..."
            ))
        };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not start with oci://"))?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        let (registry, rest) = rest.split_once('/').ok_or_else(|| wrong("it has no name after the registry"))?;
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        if registry.is_empty() || !registry.chars().all(is_host) {
            return Err(wrong("the registry is not a host name, with a port or without"));
        }
        let part = |part: &str| {
            let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
            part.chars().all(inner) && ends(part.chars().next()) && ends(part.chars().last())
        };
        if repository.len() > 255 || !repository.split('/').all(part) {
            return Err(wrong("a name has parts of a-z, 0-9, `.`, `_` and `-`, with `/` between them"));
        }
        let is_tag = |tag: &str| {
            tag.len() <= 128
                && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("a tag has up to 128 letters, digits, `.`, `_` and `-`"));
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(wrong("a digest is sha256: and 64 hexadecimal digits in lower case"));
        }
        let own = |text: &str| text.to_owned();
        Ok(Reference {
            registry: own(registry),
            repository: own(repository),
            tag: tag.map(own),
            digest: digest.map(own),
        })
    }
}

/// Whether the text is a digest as registries write it.
pub(super) fn is_digest(text: &str) -> bool {
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_written_as_they_were() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        for text in [
            "oci://localhost:5000/hello:1.0".to_owned(),
            "oci://r.example.com/team/pay.er".to_owned(),
            format!("oci://r.example.com/a/b@{digest}"),
            format!("oci://[::1]:5000/a:latest@{digest}"),
        ] {
            let reference: Reference = text.parse().expect("valid");
            assert_eq!(reference.to_string(), text);
        }
        let reference: Reference = format!("oci://r/a/b:x@{digest}").parse().expect("valid");
        assert_eq!((reference.name(), reference.asked()), ("b", &*digest));
    }

    #[test]
    fn what_could_leave_a_path_or_name_another_is_refused() {
        for text in [
            "hello:1.0",
            "oci://hello",
            "oci:///hello",
            "oci://r/",
            "oci://r/..",
            "oci://r/a/../b",
            "oci://r/A",
            "oci://r/a:",
            "oci://r/a:-x",
            "oci://r/a?b",
            "oci://r/a:1/2",
            "oci://u:p@r/a",
            "oci://r/a@sha256:12",
            "oci://r/a@sha512:12",
            "oci://r/a%2fb",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
