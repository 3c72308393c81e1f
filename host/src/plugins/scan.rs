//! From a folder to a snapshot.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{PluginSet, RefusedCause};
use crate::job::EntrypointOptions;
use crate::wasm::{self, CodeCache, Engine, Grants};

/// The operator's caps over what plugins declare.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Longest run.
    pub timeout: Duration,
    /// Most memory of one run, in bytes.
    pub memory: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Caps { timeout: Duration::from_secs(3600), memory: 1 << 30 }
    }
}

impl Caps {
    /// What is declared, as far as it may be.
    pub fn apply(&self, declared: &EntrypointOptions) -> EntrypointOptions {
        EntrypointOptions { timeout: declared.timeout.min(self.timeout), memory: declared.memory.min(self.memory), ..declared.clone() }
    }
}

/// The folder itself is at fault.
#[derive(Debug, thiserror::Error)]
#[error("the plugins folder {} cannot be read: {source}; create it, or name another with --plugins", folder.display())]
pub struct ScanError {
    folder: PathBuf,
    source: io::Error,
}

/// Where plugins come from and what they may do.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The folder; files elsewhere, and files that do not end in `.wasm`, are not looked at.
    pub path: PathBuf,
    /// By plugin name.
    pub grants: BTreeMap<String, Grants>,
    /// The operator's.
    pub caps: Caps,
}

impl Folder {
    /// Read, check and compile all that is there. A file that is no plugin is refused with its cause; the others are served.
    pub async fn scan(&self, engine: &Engine, cache: &CodeCache) -> Result<PluginSet, ScanError> {
        let mut files = BTreeMap::new();
        for path in self.list().map_err(|source| ScanError { folder: self.path.clone(), source })? {
            let loaded = self.load(engine, cache, &path).await;
            files.insert(path, loaded);
        }
        Ok(PluginSet::assemble(files, &self.caps))
    }

    fn list(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.extension() == Some(OsStr::new("wasm")) && !hidden {
                paths.push(path);
            }
        }
        Ok(paths)
    }

    async fn load(&self, engine: &Engine, cache: &CodeCache, path: &Path) -> Result<Arc<wasm::Loaded>, RefusedCause> {
        let bytes = tokio::fs::read(path).await.map_err(|error| RefusedCause::Unreadable(error.to_string()))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let grants = |name: &str| self.grants.get(name).cloned().unwrap_or_default();
        Ok(Arc::new(wasm::load(engine, cache, &stem, bytes, grants).await?))
    }
}
