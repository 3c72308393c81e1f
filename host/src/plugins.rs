//! The plugins this host serves, published as immutable snapshots of the rollouts.
//!
//! A snapshot is built whole and then published whole. Code that holds one keeps using it, so a
//! running job finishes on the version it started with.

mod breaker_phase;
mod breaker_rule;
mod chosen;
mod circuit_breaker;
mod claim_mode;
mod content;
mod exposure;
mod folder;
mod improve;
mod load;
mod log_rule;
mod pauses;
mod review;
mod rollout;
mod rollouts;
mod run_class;
mod scan;
mod signed_file;
mod snapshot;
mod throttle;
mod version;
mod version_store;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use breaker_rule::BreakerRule;
pub use chosen::Chosen;
pub use circuit_breaker::CircuitBreaker;
pub use claim_mode::{ClaimMode, claim_label};
pub use exposure::Exposure;
pub use folder::{Caps, Files, Folder, FolderError, Reread};
pub use improve::ImproveTask;
pub use load::{LoadResult, LoadTask};
pub use log_rule::{KeepLines, LogRule};
pub use pauses::{Hold, Pauses};
pub use rollouts::{Rollouts, SETTLE_TIME};
pub use run_class::RunClass;
pub use signed_file::signature_path;
pub use throttle::Throttle;
pub use version_store::VersionStore;

use crate::meter::EntrypointMetrics;
use crate::sealing::SealRule;
use pgq_engine::{LoadError, Loaded};
use pgq_job::EntrypointOptions;
use pgq_job::judgement::{Judgement, Standing};
use pgq_queue::HistoryLevel;
use pgq_trust::Untrusted;

/// An entrypoint and the plugin version that runs it.
#[derive(Debug)]
pub struct Served {
    pub entrypoint: Arc<str>,
    pub plugin: Arc<Loaded>,
    /// The declared options, limited by the operator's caps.
    pub options: EntrypointOptions,
    /// Counts the crashes of this version.
    pub breaker: Arc<CircuitBreaker>,
    /// Whether its runs are usually long.
    pub run_class: Arc<RunClass>,
    /// Whether its runs take longer than a row may stay locked.
    pub lasting: Arc<RunClass>,
    /// Whether its jobs may be locked only, and marked late.
    pub locks: bool,
    /// What is kept of its jobs.
    pub history: HistoryLevel,
    /// What is kept of what its runs print.
    pub logs: LogRule,
    /// What must be sealed of its jobs, and what is.
    pub seals: SealRule,
    /// Limits how often its jobs may return to the queue at once.
    pub throttle: Arc<Throttle>,
    /// Whether an operator paused it.
    pub held: Arc<AtomicBool>,
    pub metrics: Arc<EntrypointMetrics>,
}

impl Served {
    /// Whether its jobs must not begin now: it crashes, or an operator paused it.
    pub fn is_paused(&self) -> bool {
        self.breaker.is_open() || self.held.load(Ordering::Relaxed)
    }
}

/// How a new version of a plugin is rolled out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Canary {
    /// Its share of the jobs, from 0 to 1, until it is promoted.
    pub share: f64,
    /// Runs, over all its entrypoints, after which it is promoted.
    pub runs: u32,
}

/// Why the content of a file is not what is served. Each message names the cause and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedCause {
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    /// Not a regular file, so it is not read.
    #[error("it is {0}; put a regular file, or a link to one, in its place")]
    NoFile(&'static str),
    /// Not read at all.
    #[error(
        "the file has {bytes} bytes or more, and the limit is {max_bytes}; build it in release mode and strip it, or raise plugin-size-mib under [limits] in pgq-host.toml"
    )]
    TooLarge { bytes: u64, max_bytes: u64 },
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The operator does not trust whoever made it. A fact of this host's configuration, so other
    /// hosts are not told.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// Another file already serves the entrypoint.
    #[error("its entrypoint {entrypoint:?} is already served by {}; remove one of the two files, or rename the entrypoint", by.display())]
    EntrypointTaken {
        entrypoint: String,
        /// The file that serves it.
        by: PathBuf,
    },
    /// Another file already has this plugin name.
    #[error("a plugin named {name:?} is already loaded from {}, and grants and metrics are per name; remove one of the two files, or rename the plugin", by.display())]
    NameTaken {
        name: String,
        /// The file that has the name.
        by: PathBuf,
    },
    /// Its circuit breaker opened, and an earlier version took over.
    #[error(
        "version {version} was taken out of service: {crashes} of its last {runs} runs of {entrypoint:?} crashed; replace the file, or `pgq-host plugin reset {plugin}` to try it again"
    )]
    Crashing {
        plugin: String,
        /// The version that crashes.
        version: String,
        entrypoint: String,
        crashes: u32,
        runs: u32,
    },
    /// A host already found that this version cannot be loaded or that it crashes.
    #[error("{}; replace the file, or `pgq-host plugin {}", judged(.0), again(.0))]
    Judged(Box<Judgement>),
}

fn judged(judgement: &Judgement) -> String {
    let Judgement { version, host, reason, standing, .. } = judgement;
    match (standing, version) {
        _ if judgement.is_quarantine() => {
            format!("version {} is quarantined by {host}: {reason}", version.as_deref().unwrap_or("unknown"))
        }
        (Standing::RolledBack, Some(version)) => {
            format!("version {version} was taken out of service by {host}: {reason}")
        }
        _ => format!("this file was refused by {host}: {reason}"),
    }
}

/// The verb that has it tried again.
fn again(judgement: &Judgement) -> String {
    match judgement.is_quarantine() {
        true => format!("lift {}` to serve it again", judgement.sha256.get(..12).unwrap_or(&judgement.sha256)),
        false => format!("reset {}` to try it again", judgement.plugin),
    }
}

impl RefusedCause {
    /// Whether the same file may load later without anybody changing anything.
    fn is_transient(&self) -> bool {
        match self {
            RefusedCause::Unreadable(_) => true,
            RefusedCause::Load(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Whether the cause is who signed it, or who did not.
    pub fn is_about_signers(&self) -> bool {
        matches!(self, RefusedCause::Untrusted(_) | RefusedCause::Load(LoadError::OtherSigner { .. }))
    }

    /// Whether the cause is the version in the file, whatever else is in the folder.
    fn is_about_version(&self) -> bool {
        matches!(
            self,
            RefusedCause::Crashing { .. }
                | RefusedCause::Judged(_)
                | RefusedCause::Load(_)
                | RefusedCause::Untrusted(_)
        )
    }
}

/// One file of the folder and its state.
#[derive(Debug, Clone)]
pub struct File {
    pub path: PathBuf,
    /// The version that is served: the one in the file, or the last good one before it.
    pub serving: Option<Arc<Loaded>>,
    /// The version on trial, which runs a share of the jobs.
    pub canary: Option<Arc<Loaded>>,
    /// Why the file's content is not what is served.
    pub fault: Option<RefusedCause>,
    /// Digest of the file's content, if it could be read.
    pub sha256: Option<String>,
    /// Entrypoints that are not claimed for now because their runs crash.
    pub paused: Vec<(Arc<str>, Instant)>,
}

#[derive(Debug, Clone)]
struct Entry {
    stable: Arc<Served>,
    canary: Option<(f64, Arc<Served>)>,
    paused: bool,
    /// How an operator paused it.
    hold: Option<Hold>,
}

#[derive(Debug, Clone, Default)]
pub struct PluginSet {
    files: Vec<File>,
    entries: HashMap<Arc<str>, Entry>,
    loading: Vec<PathBuf>,
    lost: Vec<Arc<str>>,
}

impl PluginSet {
    /// The stable version of this entrypoint, never its canary.
    pub fn get(&self, entrypoint: &str) -> Option<&Served> {
        self.entries.get(entrypoint).map(|entry| &*entry.stable)
    }

    /// The version that runs the next job of this entrypoint. `dice`, from 0 to 1, decides between
    /// the stable version and its canary.
    pub fn pick(&self, entrypoint: &str, dice: f64) -> Option<&Arc<Served>> {
        let entry = self.entries.get(entrypoint)?;
        Some(match &entry.canary {
            Some((share, canary)) if dice < *share && canary.allowance() != Some(0) && !canary.is_paused() => canary,
            _ => &entry.stable,
        })
    }

    /// Every entrypoint that is served, in no particular order.
    pub fn served(&self) -> impl Iterator<Item = &Served> {
        self.entries.values().map(|entry| &*entry.stable)
    }

    /// Every entrypoint that jobs may be claimed for: served and not paused.
    pub fn claimable(&self) -> impl Iterator<Item = &Served> {
        self.entries.values().filter(|entry| !entry.paused && entry.hold.is_none()).map(|entry| &*entry.stable)
    }

    /// The stable version of this entrypoint, if jobs may be claimed for it.
    pub fn get_claimable(&self, entrypoint: &str) -> Option<&Served> {
        let entry = self.entries.get(entrypoint).filter(|entry| !entry.paused && entry.hold.is_none());
        entry.map(|entry| &*entry.stable)
    }

    /// How an operator paused this entrypoint, if one did.
    pub fn hold(&self, entrypoint: &str) -> Option<Hold> {
        self.entries.get(entrypoint)?.hold
    }

    /// The entrypoints that operators paused, by name.
    pub fn held(&self) -> Vec<&str> {
        let held = self.entries.iter().filter(|(_, entry)| entry.hold.is_some());
        let mut names: Vec<&str> = held.map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names
    }

    /// All files, ordered by name.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Files that are being loaded for the first time.
    pub fn loading(&self) -> &[PathBuf] {
        &self.loading
    }

    /// Entrypoints that were served earlier and no longer are.
    pub fn lost(&self) -> &[Arc<str>] {
        &self.lost
    }

    /// The plugins that are served.
    pub fn plugins(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        self.files.iter().filter_map(|file| file.serving.as_ref())
    }
}
