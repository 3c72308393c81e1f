//! Keys that seal payloads, in a file as a host reads it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use pgq_sealing::{Keys, Purpose, new_key, with_key};
use tempfile::TempDir;

/// A file of keys of a test's own.
pub struct SealingKeys {
    folder: TempDir,
    text: String,
}

impl SealingKeys {
    /// With fresh keys of these ids.
    pub fn new(ids: &[&str]) -> SealingKeys {
        let mut keys = SealingKeys { folder: tempfile::tempdir().expect("a folder"), text: String::new() };
        ids.iter().for_each(|id| keys.add(id));
        keys.publish(&keys.text);
        keys
    }

    /// One more key, which is not in the file yet.
    pub fn add(&mut self, id: &str) {
        let before = (!self.text.is_empty()).then_some(self.text.as_bytes());
        let text = with_key(before, &new_key(id).expect("made")).expect("a set").to_string();
        self.text = text;
    }

    /// All of them.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Only the key of this id.
    pub fn only(&self, id: &str) -> String {
        let mut set: serde_json::Value = serde_json::from_str(&self.text).expect("JSON");
        if let Some(keys) = set["keys"].as_array_mut() {
            keys.retain(|key| key["kid"] == id);
        }
        set.to_string()
    }

    /// Put this text into the file, whole and at once.
    pub fn publish(&self, text: &str) {
        self.write("keys.jwks", text);
    }

    /// The same under another name, for another host.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let beside = self.folder.path().join("new");
        std::fs::write(&beside, text).expect("written");
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).expect("set");
        let path = self.folder.path().join(name);
        std::fs::rename(beside, &path).expect("renamed");
        path
    }

    /// The file that hosts read.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("keys.jwks")
    }

    /// An envelope with this payload.
    pub fn seal(&self, id: &str, entrypoint: &str, payload: &[u8]) -> Vec<u8> {
        self.seal_as(id, Purpose::Payload, entrypoint, payload)
    }

    /// An envelope for this.
    pub fn seal_as(&self, id: &str, purpose: Purpose, entrypoint: &str, content: &[u8]) -> Vec<u8> {
        let keys = Keys::read(self.text.as_bytes()).expect("keys");
        keys.seals(Some(id)).expect("the key").seal(content, purpose, entrypoint).expect("sealed")
    }

    /// What is in an envelope.
    pub fn open(&self, envelope: &[u8], purpose: Purpose, entrypoint: &str) -> Vec<u8> {
        let keys = Keys::read(self.text.as_bytes()).expect("keys");
        let id = pgq_sealing::sealed_by(envelope)
            .unwrap_or_else(|| panic!("not sealed: {}", String::from_utf8_lossy(envelope)));
        keys.opens(&id).expect("the key").open(envelope, purpose, entrypoint).expect("opened")
    }
}
