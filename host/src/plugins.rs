//! The plugins that this host serves, as one immutable snapshot, and the rollouts that it is taken
//! of.
//!
//! A snapshot is built whole and then published whole; whoever holds one keeps using it, so that a
//! running job finishes on the version it started with.

mod breaker_rule;
mod circuit_breaker;
mod claim_mode;
mod content;
mod exposure;
mod folder;
mod kept;
mod look;
mod review;
mod rollout;
mod rollouts;
mod run_class;
mod snapshot;
mod throttle;
mod version;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

pub use breaker_rule::BreakerRule;
pub use circuit_breaker::CircuitBreaker;
pub use claim_mode::{ClaimMode, ClaimModes};
pub use exposure::Exposure;
pub use folder::{Caps, Files, Folder, FolderError, Reread};
pub use kept::KeptVersions;
pub use look::{Loading, LookedAt};
pub use rollouts::{Rollouts, SETTLE};
pub use run_class::RunClass;
pub use throttle::Throttle;

use crate::meter::EntrypointMetrics;
use pgq_engine::{LoadError, Loaded};
use pgq_job::EntrypointOptions;
use pgq_job::judgement::{Judgement, Standing};

/// An entrypoint, and what runs it.
#[derive(Debug, Clone)]
pub struct Served {
    pub entrypoint: Arc<str>,
    pub plugin: Arc<Loaded>,
    /// As declared, under the operator's caps.
    pub options: EntrypointOptions,
    /// How this version did so far.
    pub breaker: Arc<CircuitBreaker>,
    /// Whether its runs compute for long.
    pub run_class: Arc<RunClass>,
    /// Whether its runs take longer than a row may stay locked.
    pub lasting: Arc<RunClass>,
    /// Whether its jobs may be locked only, and marked late.
    pub locks: bool,
    /// How often its jobs may come back at once.
    pub throttle: Arc<Throttle>,
    pub metrics: Arc<EntrypointMetrics>,
}

/// How a new version of a plugin is brought in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Canary {
    /// Its share of the jobs, from 0 to 1, until it has proved itself.
    pub share: f64,
    /// Runs, over all its entrypoints, that prove it.
    pub runs: u32,
}

/// Why what is in a file is not what is served. Each message names cause and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedCause {
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    /// It is not even opened, or not read.
    #[error("it is {0}; put a regular file, or a link to one, in its place")]
    NoFile(&'static str),
    /// It is not even tried.
    #[error(
        "the file has {bytes} bytes or more, and {most} are read at most; build it in release mode and strip it, or raise plugin-size-mib under [limits] in pgq-host.toml"
    )]
    TooLarge { bytes: u64, most: u64 },
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Another file got there first.
    #[error("its entrypoint {entrypoint:?} is served by {} already; remove one of the two, or rename the entrypoint", by.display())]
    EntrypointTaken {
        entrypoint: String,
        /// The file that has it.
        by: PathBuf,
    },
    /// Another file got there first.
    #[error("a plugin named {name:?} is loaded from {} already; grants and metrics go by that name: remove one of the two files, or rename the plugin", by.display())]
    NameTaken {
        name: String,
        /// The file that has it.
        by: PathBuf,
    },
    /// Its circuit breaker opened, and there was a version to go back to.
    #[error(
        "version {version} was taken out of service: {crashes} of its last {runs} runs of {entrypoint:?} crashed; replace the file, or `pgq-host plugin reset {plugin}` to try it again"
    )]
    Crashing {
        plugin: String,
        /// Of the version that crashes.
        version: String,
        entrypoint: String,
        crashes: u32,
        runs: u32,
    },
    /// A host has found out before that this version cannot be served, or that it crashes.
    #[error("{}; replace the file, or `pgq-host plugin reset {}` to try it again", judged(.0), .0.plugin)]
    Judged(Box<Judgement>),
}

fn judged(judgement: &Judgement) -> String {
    let Judgement { version, host, reason, standing, .. } = judgement;
    match (standing, version) {
        (Standing::RolledBack, Some(version)) => {
            format!("version {version} was taken out of service by {host}: {reason}")
        }
        _ => format!("this file was refused by {host}: {reason}"),
    }
}

impl RefusedCause {
    /// Whether the same file may be served a while later, with nobody doing anything about it.
    fn may_pass(&self) -> bool {
        match self {
            RefusedCause::Unreadable(_) => true,
            RefusedCause::Load(error) => error.may_pass(),
            _ => false,
        }
    }

    /// Whether it is about the version in the file, whatever else is in the folder.
    fn is_of_a_version(&self) -> bool {
        matches!(self, RefusedCause::Crashing { .. } | RefusedCause::Judged(_) | RefusedCause::Load(_))
    }
}

/// One file, and what is made of it.
#[derive(Debug, Clone)]
pub struct File {
    pub path: PathBuf,
    /// What is served of it: the version in the file, or the last good one before it.
    pub serving: Option<Arc<Loaded>>,
    /// The version that proves itself on a share of the jobs.
    pub canary: Option<Arc<Loaded>>,
    /// Why the file's content is not what is served.
    pub fault: Option<RefusedCause>,
    /// Entrypoints that are not claimed for now, because their runs crash.
    pub paused: Vec<(Arc<str>, Instant)>,
}

#[derive(Debug, Clone)]
struct Entry {
    stable: Served,
    canary: Option<(f64, Served)>,
    paused: bool,
}

#[derive(Debug, Clone, Default)]
pub struct PluginSet {
    files: Vec<File>,
    entries: HashMap<Arc<str>, Entry>,
    loading: Vec<PathBuf>,
    lost: Vec<Arc<str>>,
}

impl PluginSet {
    /// Who serves this entrypoint; not its canary.
    pub fn get(&self, entrypoint: &str) -> Option<&Served> {
        self.entries.get(entrypoint).map(|entry| &entry.stable)
    }

    /// Who runs the next job of this entrypoint. `dice`, from 0 to 1, decides between a version and
    /// its canary.
    pub fn pick(&self, entrypoint: &str, dice: f64) -> Option<&Served> {
        let entry = self.entries.get(entrypoint)?;
        Some(match &entry.canary {
            Some((share, canary)) if dice < *share && canary.allowance() != Some(0) => canary,
            _ => &entry.stable,
        })
    }

    /// All that is served, in no order.
    pub fn served(&self) -> impl Iterator<Item = &Served> {
        self.entries.values().map(|entry| &entry.stable)
    }

    /// All that jobs may be claimed for: what is served and not paused.
    pub fn claimable(&self) -> impl Iterator<Item = &Served> {
        self.entries.values().filter(|entry| !entry.paused).map(|entry| &entry.stable)
    }

    /// Who serves this entrypoint, if jobs may be claimed for it.
    pub fn get_claimable(&self, entrypoint: &str) -> Option<&Served> {
        self.entries.get(entrypoint).filter(|entry| !entry.paused).map(|entry| &entry.stable)
    }

    /// All files, in the order of their names.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Files that are being looked at for the first time.
    pub fn loading(&self) -> &[PathBuf] {
        &self.loading
    }

    /// Entrypoints that were served since the start and are not any more.
    pub fn lost(&self) -> &[Arc<str>] {
        &self.lost
    }

    /// The plugins that are served.
    pub fn plugins(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        self.files.iter().filter_map(|file| file.serving.as_ref())
    }
}
