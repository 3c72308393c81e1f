//! The folder on disk: what is in it, and one file of it as a plugin.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Canary, RefusedCause};
use crate::job::EntrypointOptions;
use crate::wasm::{self, CodeCache, DEFAULT_COMPILE_TIMEOUT, Engine, Grants};

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
}

impl Default for Caps {
    fn default() -> Self {
        Caps {
            timeout: Duration::from_secs(3600),
            memory: 1 << 30,
            reuse: u32::MAX,
            compile_timeout: DEFAULT_COMPILE_TIMEOUT,
            max_crashes: 3,
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
    /// By plugin name.
    pub grants: BTreeMap<String, Grants>,
    /// By plugin name: whose new versions have to prove themselves first.
    pub canaries: BTreeMap<String, Canary>,
    /// The operator's.
    pub caps: Caps,
}

impl Folder {
    /// What the plugin of this name may do.
    pub(super) fn grants_of(&self, name: &str) -> Grants {
        self.grants.get(name).cloned().unwrap_or_default()
    }
}

/// How to read again what an operator says of plugins.
#[derive(Clone)]
pub struct Reread(Arc<dyn Fn() -> anyhow::Result<Folder> + Send + Sync>);

impl Reread {
    /// By this.
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

/// What tells one content of a file from the next without reading it. The time of the last change of the inode is part of it, so that a
/// file written in place with its old size and time of modification is noticed as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of the file that the path leads to: a link that points elsewhere is a change.
    fn of(path: &Path) -> io::Result<Stamp> {
        use std::os::unix::fs::MetadataExt as _;
        let file = std::fs::metadata(path)?;
        Ok(Stamp {
            device: file.dev(),
            inode: file.ino(),
            size: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }

    /// How long the file has been as it is. A clock that was set back makes every file old.
    pub(super) fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::new(self.changed.0.try_into().unwrap_or(0), self.changed.1.try_into().unwrap_or(0));
        now.checked_sub(changed).unwrap_or(Duration::MAX)
    }
}

/// The files of a folder, as they are now.
pub type Files = BTreeMap<PathBuf, Stamp>;

/// A file, read and judged.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Somebody wrote to it meanwhile, or it is gone: look again.
    Changing,
    /// The very bytes that were looked at the last time.
    Same,
    /// A plugin, or why it is none.
    New {
        /// Of the bytes; none where they could not be read.
        sha256: Option<String>,
        /// The plugin.
        loaded: Result<Arc<wasm::Loaded>, RefusedCause>,
    },
}

/// Larger files are not read: Python's components, the largest there are, have 20 to 40 MB.
const MAX_FILE_BYTES: u64 = 128 << 20;

impl Folder {
    /// The files that count, with their stamps. A file whose stamp cannot be had (a link that leads nowhere) is passed over.
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

    /// Read the file once, and judge those bytes. `looked_at`: the digest of what was judged the last time.
    pub(super) async fn fetch(&self, engine: &Engine, cache: &CodeCache, path: &Path, stamp: Stamp, looked_at: Option<String>) -> Fetched {
        if stamp.size > MAX_FILE_BYTES {
            let cause = RefusedCause::TooLarge { bytes: stamp.size, most: MAX_FILE_BYTES };
            return Fetched::New { sha256: None, loaded: Err(cause) };
        }
        let bytes = match tokio::fs::read(path).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Fetched::Changing,
            Err(error) => return Fetched::New { sha256: None, loaded: Err(RefusedCause::Unreadable(error.to_string())) },
        };
        if Stamp::of(path).ok() != Some(stamp) {
            return Fetched::Changing;
        }
        let sha256 = crate::digest::sha256(&bytes);
        if looked_at.as_ref() == Some(&sha256) {
            return Fetched::Same;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let loaded = wasm::load(engine, cache, &stem, bytes, |name| self.grants_of(name)).await;
        Fetched::New { sha256: Some(sha256), loaded: loaded.map(Arc::new).map_err(RefusedCause::Load) }
    }
}
