//! The folder on disk: what is in it, and one file of it as a plugin.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Canary, ClaimModes};
use super::content::Stamp;
use pgq_engine::{DEFAULT_COMPILE_TIMEOUT, Grants};
use pgq_job::EntrypointOptions;

/// The operator's caps over what plugins declare.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Longest run.
    pub timeout: Duration,
    /// Most memory of one run, in bytes.
    pub memory: usize,
    /// Most jobs of one instance; 1 is a fresh one for each, whatever is declared.
    pub reuse: u32,
    /// Longest compilation.
    pub compile_timeout: Duration,
    /// Most workers that may be lost while a job runs alone on them, before it is held.
    pub max_crashes: u32,
    /// Largest file that is read, in bytes.
    pub plugin_size: u64,
}

/// Python's components, the largest there are, have 20 to 40 MB.
const DEFAULT_PLUGIN_SIZE: u64 = 64 << 20;

impl Default for Caps {
    fn default() -> Self {
        Caps {
            timeout: Duration::from_secs(3600),
            memory: 1 << 30,
            reuse: u32::MAX,
            compile_timeout: DEFAULT_COMPILE_TIMEOUT,
            max_crashes: 3,
            plugin_size: DEFAULT_PLUGIN_SIZE,
        }
    }
}

impl Caps {
    /// What is declared, as far as it may be.
    pub fn apply(&self, declared: &EntrypointOptions) -> EntrypointOptions {
        EntrypointOptions {
            timeout: declared.timeout.min(self.timeout),
            memory: declared.memory.min(self.memory),
            reuse: declared.reuse.min(self.reuse),
            ..declared.clone()
        }
    }
}

/// The folder itself is at fault.
#[derive(Debug, thiserror::Error)]
#[error("the plugins folder {} cannot be read: {source}; create it, or name another with --plugins", folder.display())]
pub struct FolderError {
    folder: PathBuf,
    source: io::Error,
}

/// Where plugins come from and what they may do.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The folder; files elsewhere, and files that do not end in `.wasm`, are not looked at.
    pub path: PathBuf,
    pub grants: BTreeMap<String, Grants>,
    /// By plugin name: whose new versions have to prove themselves first.
    pub canaries: BTreeMap<String, Canary>,
    /// How jobs are claimed.
    pub claims: ClaimModes,
    pub caps: Caps,
}

impl Folder {
    /// What a refusal by a host of this build depends on besides the file: one of other hosts may
    /// be none here.
    pub(super) fn rules(&self) -> String {
        let rules = format!(
            "{} {} {} {:?}",
            crate::version::BUILD,
            self.caps.memory,
            self.caps.plugin_size,
            std::env::consts::ARCH
        );
        pgq_engine::digest::sha256(rules.as_bytes())[..16].to_owned()
    }

    /// What the plugin of this name may do.
    pub(super) fn grants_of(&self, name: &str) -> Grants {
        self.grants.get(name).cloned().unwrap_or_default()
    }
}

/// How to read again what an operator says of plugins.
#[derive(Clone)]
pub struct Reread(Arc<dyn Fn() -> anyhow::Result<Folder> + Send + Sync>);

impl Reread {
    pub fn by(read: impl Fn() -> anyhow::Result<Folder> + Send + Sync + 'static) -> Reread {
        Reread(Arc::new(read))
    }

    /// May wait for a disk.
    pub fn read(&self) -> anyhow::Result<Folder> {
        self.0()
    }
}

impl fmt::Debug for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reread")
    }
}

/// The files of a folder, as they are now.
pub type Files = BTreeMap<PathBuf, Stamp>;

impl Folder {
    /// The files that count, with their stamps. A file whose stamp cannot be had (a link that leads
    /// nowhere) is passed over.
    pub fn list(&self) -> Result<Files, FolderError> {
        let error = |source| FolderError { folder: self.path.clone(), source };
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path).map_err(error)? {
            let path = entry.map_err(error)?.path();
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.extension() == Some(OsStr::new("wasm"))
                && !hidden
                && let Ok(stamp) = Stamp::of(&path)
            {
                files.insert(path, stamp);
            }
        }
        Ok(files)
    }
}
