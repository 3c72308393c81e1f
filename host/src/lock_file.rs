//! `pgq-host.lock`: which digest each reference had when somebody wrote it down.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use pgq_registry::Reference;
use serde::{Deserialize, Serialize};

use crate::install::write_whole;

/// In the working directory if no other is named.
pub const DEFAULT_LOCK: &str = "pgq-host.lock";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    /// The digest of the manifest, by reference.
    pub references: BTreeMap<String, String>,
}

impl LockFile {
    /// # Errors
    ///
    /// Fails if the file is missing or no lock file.
    pub fn read(path: &Path) -> anyhow::Result<LockFile> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read the lock file {}; write it with `pgq-host plugin lock`", path.display())
        })?;
        toml::from_str(&text).with_context(|| format!("the lock file {} is not valid", path.display()))
    }

    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!(
            "# Which bytes each reference stands for. `pgq-host plugin lock` writes it; `run --locked` serves no others.\n\n{}",
            toml::to_string(self)?
        );
        write_whole(path, text.as_bytes()).with_context(|| format!("cannot write the lock file {}", path.display()))
    }

    /// The references with the digests that are written here.
    ///
    /// # Errors
    ///
    /// Fails if one is missing, or names another digest itself.
    pub fn pin(&self, references: &[Reference]) -> anyhow::Result<Vec<Reference>> {
        let pin = |reference: &Reference| {
            let Some(digest) = self.references.get(&reference.to_string()) else {
                bail!("{reference} is not in the lock file; add it with `pgq-host plugin lock`");
            };
            if reference.digest().is_some_and(|own| own != digest) {
                bail!("{reference} names another digest than the lock file, which has {digest}");
            }
            let pinned = reference.with_digest(digest);
            // What a person wrote may be anything.
            pinned.to_string().parse::<Reference>().with_context(|| format!("the lock file's digest of {reference}"))
        };
        references.iter().map(pin).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_get_the_digests_that_were_written_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, digest) = (folder.path().join(DEFAULT_LOCK), format!("sha256:{}", "0f".repeat(32)));
        let reference: Reference = "oci://r.example.com/pay:1".parse().expect("a reference");
        let lock = LockFile { references: [(reference.to_string(), digest.clone())].into() };
        lock.write(&path).expect("written");
        let lock = LockFile::read(&path).expect("read");
        let pinned = lock.pin(std::slice::from_ref(&reference)).expect("pinned");
        assert_eq!(pinned[0].digest(), Some(&*digest));
        let other: Reference = "oci://r.example.com/pay:2".parse().expect("a reference");
        assert!(lock.pin(&[other]).expect_err("unknown").to_string().contains("plugin lock"));
        let damaged = LockFile { references: [(reference.to_string(), "sha256:1".to_owned())].into() };
        assert!(damaged.pin(&[reference]).is_err());
        assert!(LockFile::read(folder.path()).is_err());
    }
}
