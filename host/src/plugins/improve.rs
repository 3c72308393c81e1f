//! Gives a version that is served with quick code optimised code, while its jobs run.

use std::path::PathBuf;

use super::content::{self, Content, Stamp};
use super::version_store::VersionStore;
use pgq_engine::{CodeCache, Engine, Improved, Improvement};

/// A version to be improved. Its bytes are read when its turn comes.
#[derive(Debug)]
pub struct ImproveTask {
    pub(super) path: PathBuf,
    pub(super) improvement: Improvement,
    /// Where its bytes are even when the file has others by then.
    pub(super) kept: Option<VersionStore>,
    pub(super) max_bytes: u64,
}

impl ImproveTask {
    /// Compile and replace. Takes as long as the compiler does. Nothing depends on it: without it,
    /// jobs run on quick code.
    pub async fn run(self, engine: &Engine, cache: &CodeCache) {
        let (file, sha256) = (self.path.display().to_string(), self.improvement.sha256().to_owned());
        let Some(bytes) = self.bytes() else {
            tracing::debug!(file, sha256, "a version is gone before it was compiled with optimisation");
            return;
        };
        match self.improvement.run(engine, cache, &bytes).await {
            Improved::Done => tracing::debug!(file, sha256, "jobs run on optimised code from now on"),
            Improved::NotNeeded => {}
            Improved::Failed(error) => {
                tracing::warn!(
                    file,
                    sha256,
                    error,
                    "the plugin cannot be compiled with optimisation; its jobs run on slower code until the next start of this host"
                );
            }
        }
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        let sha256 = self.improvement.sha256();
        let kept = self.kept.as_ref().and_then(|kept| kept.read(&self.path, sha256, self.max_bytes));
        kept.or_else(|| match content::read(&self.path, Stamp::of(&self.path).ok()?, self.max_bytes) {
            Content::Bytes(bytes) if pgq_engine::digest::sha256(&bytes) == sha256 => Some(bytes),
            _ => None,
        })
    }
}
