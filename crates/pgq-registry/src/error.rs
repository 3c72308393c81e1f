//! What goes wrong with a registry, each with what was asked and what to do.

use std::fmt;

/// Why something was not pulled or pushed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("{0}")]
    Reference(String),
    #[error("{url} cannot be reached: {cause}")]
    Unreachable { url: String, cause: String },
    #[error("{url} answered {status}{said}")]
    Answer { url: String, status: u16, said: Said },
    #[error("{0} is not there; check the name and the tag, or push it first")]
    NotFound(String),
    #[error(
        "{registry} wants credentials{cause}; run `docker login {registry}` (or podman, with DOCKER_CONFIG), as the user that pgq-host runs as"
    )]
    Unauthorized { registry: String, cause: String },
    #[error("the answer to {url} has more than {most} bytes, which is the limit")]
    TooLarge { url: String, most: u64 },
    #[error("what {url} answered has the digest {found}, and {wanted} was asked for; it is not used")]
    Digest { url: String, wanted: String, found: String },
    #[error("{what} cannot be used: {cause}")]
    Format { what: String, cause: String },
    #[error(
        "{0} would be asked over plain HTTP, which only this machine itself is; use HTTPS, or name it with --insecure-registry"
    )]
    Plain(String),
    #[error("the credentials of {registry} cannot be read: {cause}")]
    Credentials { registry: String, cause: String },
}

/// What a registry said, cut and without what would control a terminal.
#[derive(Debug, Clone, Default)]
pub struct Said(String);

impl Said {
    pub(super) fn new(body: &[u8]) -> Said {
        let text = String::from_utf8_lossy(body);
        let plain = text.chars().map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c });
        Said(plain.take(300).collect::<String>().trim().to_owned())
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0.escape_debug()) }
    }
}
