//! Where a value comes from: the configuration itself, another file, or a variable.

use std::path::PathBuf;

use serde::Deserialize;

use pgq_engine::Secret;

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "not a value; write \"text\", { file = \"/path\" } or { env = \"NAME\" }")]
pub(super) enum ValueSection {
    Text(String),
    From(Source),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    file: Option<PathBuf>,
    env: Option<String>,
}

/// A secret is never written in the configuration itself, which people copy, show and commit.
#[derive(Debug, Deserialize)]
#[serde(
    from = "SecretTable",
    expecting = "not a secret; write { file = \"/path\" } or { env = \"NAME\" }, optionally with origins = [..]"
)]
pub(super) struct SecretSection {
    pub(super) source: Source,
    pub(super) origins: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "the source of a secret, { file = \"/path\" } or { env = \"NAME\" }, and optionally its origins"
)]
struct SecretTable {
    file: Option<PathBuf>,
    env: Option<String>,
    origins: Option<Vec<String>>,
}

impl From<SecretTable> for SecretSection {
    fn from(SecretTable { file, env, origins }: SecretTable) -> SecretSection {
        SecretSection { source: Source { file, env }, origins }
    }
}

impl ValueSection {
    pub(super) fn read(self) -> Result<Secret, String> {
        match self {
            ValueSection::Text(text) => Ok(Secret::new(text)),
            ValueSection::From(source) => source.read(),
        }
    }
}

impl Source {
    /// Errors name the source, never the value.
    pub(super) fn read(&self) -> Result<Secret, String> {
        match (&self.file, &self.env) {
            (Some(path), None) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    format!("the file {} cannot be read: {error}; create it, or name another", path.display())
                })?;
                // Editors end a file with a newline.
                let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
                Ok(Secret::new(text))
            }
            (None, Some(name)) => match std::env::var(name) {
                Ok(text) => Ok(Secret::new(text)),
                Err(_) => Err(format!("the variable {name} is not set, or is not UTF-8; set it, or name another")),
            },
            _ => Err("a value has exactly one source; write { file = \"/path\" } or { env = \"NAME\" }".into()),
        }
    }
}
