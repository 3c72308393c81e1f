//! The copy of one reference on this machine: a folder with one component, its signatures, the manifest
//! that leads to it, and a note of which it is.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use pgq_engine::digest::sha256;
use pgq_registry::{Client, Reference, RegistryError};
use serde::{Deserialize, Serialize};

use super::held::{self, Content};
use crate::install::write_whole;
use crate::plugins::signature_path;

const NOTE: &str = "pulled.json";
const MANIFEST: &str = "manifest.json";

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    reference: String,
    /// Of the manifest.
    digest: String,
    /// Of the component.
    component: String,
    /// Of what holds the signatures.
    signatures: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct HeldCopy {
    reference: Reference,
    folder: PathBuf,
    note: Option<Note>,
}

/// A folder of its own for each reference: two of them may have the same last name.
pub fn folder(cache: &Path, reference: &Reference) -> PathBuf {
    cache.join("registry").join(&sha256(reference.to_string().as_bytes())[..32])
}

impl HeldCopy {
    /// Find what is there from earlier. What does not match its note is removed and pulled again.
    pub(super) fn open(cache: &Path, reference: Reference, most: u64) -> io::Result<HeldCopy> {
        let folder = folder(cache, &reference);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let mut copy = HeldCopy { reference, folder, note: None };
        copy.note = copy.intact(most);
        if copy.note.is_none() {
            for path in [copy.file(), signature_path(&copy.file()), copy.folder.join(MANIFEST), copy.folder.join(NOTE)]
            {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(copy)
    }

    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Whether something can be served.
    pub(super) fn is_there(&self) -> bool {
        self.note.is_some()
    }

    fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.reference.name()))
    }

    /// The note, if the files are what it says.
    fn intact(&self, most: u64) -> Option<Note> {
        let note: Note = serde_json::from_slice(&fs::read(self.folder.join(NOTE)).ok()?).ok()?;
        let manifest = fs::read(self.folder.join(MANIFEST)).ok()?;
        let is_digest = |bytes: &[u8], digest: &str| digest.strip_prefix("sha256:") == Some(&*sha256(bytes));
        let pinned = self.reference.digest().is_none_or(|digest| digest == note.digest);
        let small = fs::metadata(self.file()).is_ok_and(|file| file.is_file() && file.len() <= most);
        let is_it = pinned && small && is_digest(&manifest, &note.digest);
        (is_it && is_digest(&fs::read(self.file()).ok()?, &note.component)).then_some(note)
    }

    /// Compare with the registry, and pull what changed. Returns the digest of what is new.
    pub(super) async fn refresh(&mut self, client: &Client, most: u64) -> Result<Option<String>, RegistryError> {
        let digest = match self.reference.digest() {
            Some(digest) => digest.to_owned(),
            None => client.digest(&self.reference).await?,
        };
        let signatures = client.signatures_digest(&self.reference, &digest).await?;
        match &self.note {
            Some(note) if note.digest == digest && note.signatures == signatures => Ok(None),
            // Somebody signed it meanwhile.
            Some(note) if note.digest == digest => {
                let manifest = self.blocking(|copy| fs::read(copy.folder.join(MANIFEST))).await?;
                let content = held::signatures(client, &self.reference, signatures.as_deref(), &manifest).await?;
                let note = Note { signatures, ..note.clone() };
                let write = move |copy: &HeldCopy| {
                    copy.write_signatures(content.as_deref())?;
                    copy.write_note(&note)?;
                    Ok(note)
                };
                self.note = Some(self.blocking(write).await?);
                Ok(Some(digest))
            }
            _ => {
                let content = held::pull(client, &self.reference.with_digest(&digest), most).await?;
                self.note = Some(self.blocking(move |copy| copy.write(&content)).await?);
                Ok(Some(digest))
            }
        }
    }

    /// The disk is waited for on a thread of its own.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&HeldCopy) -> io::Result<T> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let copy = self.clone();
        match tokio::task::spawn_blocking(move || work(&copy)).await {
            Ok(done) => done.map_err(|error| self.cannot(&error)),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Each file appears whole, the note last.
    fn write(&self, Content { pulled, signatures, signatures_digest }: &Content) -> io::Result<Note> {
        let note = Note {
            reference: self.reference.to_string(),
            digest: pulled.digest.clone(),
            component: format!("sha256:{}", sha256(&pulled.component)),
            signatures: signatures_digest.clone(),
        };
        write_whole(&self.folder.join(MANIFEST), &pulled.manifest)?;
        self.write_signatures(signatures.as_deref())?;
        // A tag that moved between two manifests of the same component changes nothing.
        if self.note.as_ref().is_none_or(|held| held.component != note.component) {
            write_whole(&self.file(), &pulled.component)?;
        }
        self.write_note(&note)?;
        Ok(note)
    }

    fn write_signatures(&self, content: Option<&str>) -> io::Result<()> {
        let path = signature_path(&self.file());
        match content {
            Some(content) => write_whole(&path, content.as_bytes()),
            None => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    fn write_note(&self, note: &Note) -> io::Result<()> {
        let text = serde_json::to_string_pretty(note).map_err(io::Error::other)?;
        write_whole(&self.folder.join(NOTE), text.as_bytes())
    }

    fn cannot(&self, error: &io::Error) -> RegistryError {
        let what = self.folder.display().to_string();
        RegistryError::Format { what, cause: format!("it cannot be written: {error}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgq_registry::Pulled;

    fn content(component: &[u8]) -> Content {
        let manifest = b"{}".to_vec();
        let digest = format!("sha256:{}", sha256(&manifest));
        let pulled = Pulled { digest, manifest, component: component.to_vec() };
        Content { pulled, signatures: Some("signature\n".into()), signatures_digest: None }
    }

    #[test]
    fn what_was_pulled_is_found_again_and_what_was_changed_since_is_removed() {
        let cache = tempfile::tempdir().expect("a folder");
        let reference: Reference = "oci://localhost:5000/team/pay:1".parse().expect("a reference");
        let open = || HeldCopy::open(cache.path(), reference.clone(), 1 << 10).expect("a copy");
        let copy = open();
        assert!(!copy.is_there());
        copy.write(&content(b"component")).expect("written");
        let copy = open();
        assert!(copy.is_there() && copy.file().ends_with("pay.wasm"));
        fs::write(copy.file(), b"tampered!").expect("written");
        assert!(!open().is_there());
        assert!(!copy.file().exists() && !signature_path(&copy.file()).exists());
        let other: Reference = "oci://localhost:5000/other/pay:1".parse().expect("a reference");
        assert_ne!(folder(cache.path(), &other), folder(cache.path(), &reference));
    }
}
