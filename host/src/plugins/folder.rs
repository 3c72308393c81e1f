//! The folders of plugins on disk, and the operator's settings for them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::signed_file::PairStamp;
use super::{Canary, Chosen, ClaimMode, KeepLines, LogRule};
use crate::sealing::SealRules;
use pgq_engine::{DEFAULT_COMPILE_TIMEOUT, Grants};
use pgq_job::EntrypointOptions;
use pgq_queue::HistoryLevel;
use pgq_trust::Trust;

/// The operator's caps on what plugins declare.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// The longest run allowed.
    pub timeout: Duration,
    /// The most memory that one run may use, in bytes.
    pub memory: usize,
    /// How many jobs one instance may run. 1 forces a fresh instance for each job.
    pub reuse: u32,
    /// The longest compilation allowed.
    pub compile_timeout: Duration,
    /// How many workers may be lost while a job runs alone on them, before the job is held.
    pub max_crashes: u32,
    /// The largest file that is read, in bytes.
    pub plugin_size: u64,
}

/// The largest components in practice, those written in Python, have 20 to 40 MB.
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
    /// The declared options, limited by these caps.
    pub fn apply(&self, declared: &EntrypointOptions) -> EntrypointOptions {
        EntrypointOptions {
            timeout: declared.timeout.min(self.timeout),
            memory: declared.memory.min(self.memory),
            reuse: declared.reuse.min(self.reuse),
            ..declared.clone()
        }
    }
}

/// A folder itself cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the plugins folder {} cannot be read: {source}; create it, or name another with --plugins", folder.display())]
pub struct FolderError {
    folder: PathBuf,
    source: io::Error,
}

/// Where plugins come from, and what they may do.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The folders of plugins. Only files in them whose names end in `.wasm` are read, not those in
    /// folders below.
    pub paths: Vec<PathBuf>,
    pub grants: BTreeMap<String, Grants>,
    /// By plugin name: the rule under which its new versions are rolled out.
    pub canaries: BTreeMap<String, Canary>,
    /// How jobs are claimed.
    pub claims: Chosen<ClaimMode>,
    /// What is kept of jobs.
    pub history: Chosen<HistoryLevel>,
    /// Whose lines are kept.
    pub keeps: Chosen<KeepLines>,
    /// How much of them, and for how long.
    pub logs: LogRule,
    pub caps: Caps,
    /// Whose components are served. `None`: anybody's.
    pub trust: Option<Arc<Trust>>,
    /// What must be sealed, and what is.
    pub seals: SealRules,
}

impl Folder {
    /// The folders, for people.
    pub fn shown(&self) -> String {
        let paths: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        paths.join(", ")
    }

    /// A digest of everything besides the file that a refusal depends on. A host with other rules
    /// (another build, other limits) does not adopt the refusal.
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

    /// What the plugin of this name is granted.
    pub(super) fn grants_of(&self, name: &str) -> Grants {
        self.grants.get(name).cloned().unwrap_or_default()
    }
}

/// Reads the operator's plugin settings again.
#[derive(Clone)]
pub struct Reread(Arc<dyn Fn() -> anyhow::Result<Folder> + Send + Sync>);

impl Reread {
    /// By this, which may block: it is only ever called on a thread for that.
    pub fn by(read: impl Fn() -> anyhow::Result<Folder> + Send + Sync + 'static) -> Reread {
        Reread(Arc::new(read))
    }

    /// # Errors
    ///
    /// Fails if the settings cannot be read or are invalid.
    pub async fn read(&self) -> anyhow::Result<Folder> {
        let read = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || read()).await {
            Ok(folder) => folder,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

impl fmt::Debug for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reread")
    }
}

/// The files of a folder and their stamps, with those of their signatures.
pub type Files = BTreeMap<PathBuf, PairStamp>;

impl Folder {
    /// The plugin files with their stamps. A file without one, such as a dangling symlink, is
    /// skipped.
    ///
    /// # Errors
    ///
    /// Fails if one of the folders cannot be read.
    pub fn list(&self) -> Result<Files, FolderError> {
        let mut files = BTreeMap::new();
        for folder in &self.paths {
            let error = |source| FolderError { folder: folder.clone(), source };
            for entry in std::fs::read_dir(folder).map_err(error)? {
                let path = entry.map_err(error)?.path();
                let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if path.extension() == Some(OsStr::new("wasm"))
                    && !hidden
                    && let Ok(stamp) = PairStamp::of(&path)
                {
                    files.insert(path, stamp);
                }
            }
        }
        Ok(files)
    }
}
