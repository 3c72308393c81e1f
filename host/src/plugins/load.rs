//! Loads one file: read, check, compile, link, describe. Cancelled when the file is removed or
//! changes meanwhile.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::content::{self, Content};
use super::improve::ImproveTask;
use super::signed_file::{PairStamp, Signature};
use super::version_store::VersionStore;
use super::{Folder, RefusedCause};
use pgq_engine::{self as wasm, CodeCache, Engine, Loaded};
use pgq_job::Signer;
use pgq_job::judgement::Judgements;
use pgq_trust::Untrusted;

/// Loads from the cache take milliseconds.
const A_WHILE: Duration = Duration::from_secs(1);

/// A load in progress. Dropping it cancels the load, so that no compiler runs for a file that was
/// removed or changed.
#[derive(Debug)]
pub(super) struct LoadGuard {
    number: u64,
    _cancel: DropGuard,
}

/// Which version of a file to load.
#[derive(Debug)]
pub(super) enum Target {
    /// The one in the file now, if the file still has this stamp.
    Current {
        stamp: PairStamp,
        /// The content that was loaded last.
        last: Option<Identity>,
        /// No version of it is served, so an earlier version is better than none.
        nothing_served: bool,
    },
    /// An earlier version, other than this one.
    Earlier { sha256: String },
}

/// The content of a file and of its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) sha256: String,
    /// The digest of the signatures, where they matter.
    pub(super) signature: Option<String>,
}

/// What a load needs to know about the host.
#[derive(Debug, Clone)]
pub(super) struct LoadContext {
    pub(super) judgements: Arc<Judgements>,
    pub(super) rules: Arc<str>,
    /// `None` stores no versions.
    pub(super) kept: Option<VersionStore>,
}

/// A file to be loaded.
#[derive(Debug)]
pub struct LoadTask {
    path: PathBuf,
    target: Target,
    known: LoadContext,
    /// How many attempts have failed.
    tries: u32,
    number: u64,
    cancelled: CancellationToken,
}

/// The result of loading one file.
#[derive(Debug)]
pub struct LoadResult {
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) fetch: Fetch,
    /// What was loaded with quick code.
    improve: Vec<ImproveTask>,
}

/// What a load found.
#[derive(Debug)]
pub(super) enum Fetch {
    /// The file was written to or removed while it was read: scan again.
    Changing,
    /// The same bytes as the last time.
    Same,
    /// A plugin, or the reason why it cannot be served.
    New {
        /// `None` if the bytes could not be read.
        identity: Option<Identity>,
        loaded: Result<Arc<Loaded>, RefusedCause>,
        /// An earlier version to serve, if this one cannot be.
        fallback: Option<Arc<Loaded>>,
    },
    /// An earlier version, if there is one.
    Earlier(Option<Arc<Loaded>>),
}

impl Fetch {
    /// The versions that may be served from now on.
    fn loaded(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        let (new, other) = match self {
            Fetch::New { loaded, fallback, .. } => (loaded.as_ref().ok(), fallback.as_ref()),
            Fetch::Earlier(earlier) => (None, earlier.as_ref()),
            Fetch::Changing | Fetch::Same => (None, None),
        };
        new.into_iter().chain(other)
    }
}

impl LoadGuard {
    /// Whether this is the load that ended, not an earlier one that was cancelled too late.
    pub(super) fn is(&self, number: u64) -> bool {
        self.number == number
    }
}

impl LoadTask {
    /// The load with this number, and the guard that cancels it.
    pub(super) fn new(
        path: PathBuf,
        target: Target,
        known: LoadContext,
        tries: u32,
        number: u64,
    ) -> (LoadTask, LoadGuard) {
        let cancelled = CancellationToken::new();
        let guard = LoadGuard { number, _cancel: cancelled.clone().drop_guard() };
        (LoadTask { path, target, known, tries, number, cancelled }, guard)
    }

    /// How many bytes of the host's memory the file's content may take.
    pub fn bytes(&self, folder: &Folder) -> u64 {
        match &self.target {
            Target::Current { stamp, .. } => stamp.file().size().min(folder.caps.plugin_size),
            Target::Earlier { .. } => folder.caps.plugin_size,
        }
    }

    fn improve(&self, fetch: &Fetch, max_bytes: u64) -> Vec<ImproveTask> {
        let task = |improvement| ImproveTask {
            path: self.path.clone(),
            improvement,
            kept: self.known.kept.clone(),
            max_bytes,
        };
        fetch.loaded().filter_map(|loaded| loaded.improvement()).map(task).collect()
    }

    /// Read, check, compile, link and describe. Takes as long as the compiler does. Never fails:
    /// every failure is a fact about the file.
    pub async fn run(self, folder: &Folder, engine: &Engine, cache: &CodeCache) -> LoadResult {
        let cache = &cache.quick_first();
        let loading = async {
            match &self.target {
                Target::Current { stamp, last, nothing_served } => {
                    self.load_current(folder, engine, cache, *stamp, last.as_ref(), *nothing_served).await
                }
                Target::Earlier { sha256 } => {
                    Fetch::Earlier(self.load_earlier(folder, engine, cache, Some(sha256)).await)
                }
            }
        };
        let fetch = match self.cancelled.run_until_cancelled(AssertUnwindSafe(loading).catch_unwind()).await {
            None => Fetch::Changing,
            Some(Ok(fetch)) => fetch,
            Some(Err(_panic)) => {
                let cause = RefusedCause::Unreadable("the host panicked while loading it".into());
                Fetch::New { identity: None, loaded: Err(cause), fallback: None }
            }
        };
        let improve = self.improve(&fetch, folder.caps.plugin_size);
        LoadResult { path: self.path, number: self.number, fetch, improve }
    }

    /// Read the file once, then load those very bytes.
    async fn load_current(
        &self,
        folder: &Folder,
        engine: &Engine,
        cache: &CodeCache,
        stamp: PairStamp,
        last: Option<&Identity>,
        nothing_served: bool,
    ) -> Fetch {
        let signature = match folder.trust.as_ref().map(|_| stamp.read_signature(&self.path)) {
            Some(Signature::Changing) => return Fetch::Changing,
            Some(Signature::Bytes(bytes)) => Some(bytes),
            Some(Signature::None) | None => None,
        };
        let (identity, loaded) = match content::read(&self.path, stamp.file(), folder.caps.plugin_size) {
            Content::Changing => return Fetch::Changing,
            Content::Refused(cause) => (None, Err(cause)),
            Content::Bytes(bytes) => {
                let digest = pgq_engine::digest::sha256;
                let identity = Identity { sha256: digest(&bytes), signature: signature.as_deref().map(digest) };
                if last == Some(&identity) {
                    return Fetch::Same;
                }
                let signed_by = self.signers(folder, &bytes, signature.as_deref());
                let loaded = match (signed_by, self.known.judgements.against(&identity.sha256, &self.known.rules)) {
                    (Err(untrusted), _) => Err(untrusted.into()),
                    (Ok(_), Some(judgement)) => Err(RefusedCause::Judged(Box::new(judgement.clone()))),
                    (Ok(signed_by), None) => {
                        let loaded = self.load(folder, engine, cache, &bytes, &signed_by).await;
                        loaded.inspect(|loaded| self.keep(loaded, &bytes, signature.as_deref()))
                    }
                };
                (Some(identity), loaded)
            }
        };
        let not = identity.as_ref().map(|identity| &*identity.sha256);
        let fallback = match &loaded {
            Err(_) if nothing_served => self.load_earlier(folder, engine, cache, not).await,
            _ => None,
        };
        Fetch::New { identity, loaded, fallback }
    }

    async fn load(
        &self,
        folder: &Folder,
        engine: &Engine,
        cache: &CodeCache,
        bytes: &[u8],
        signed_by: &[Signer],
    ) -> Result<Arc<Loaded>, RefusedCause> {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let grants = |name: &str| folder.grants_of(name);
        let loaded = self.told(wasm::load(engine, cache, &stem, bytes, self.tries, signed_by, grants)).await?;
        // Only now its name and version are known.
        if let Some(trust) = &folder.trust {
            trust.check(&loaded.name, &loaded.version, signed_by)?;
        }
        Ok(Arc::new(loaded))
    }

    /// Say so if it takes a while: large run-times take seconds.
    async fn told<T>(&self, loading: impl Future<Output = T>) -> T {
        let mut loading = pin!(loading);
        match tokio::time::timeout(A_WHILE, &mut loading).await {
            Ok(loaded) => loaded,
            Err(_) => {
                tracing::info!(file = %self.path.display(), "compiling: its code is not in the cache yet");
                loading.await
            }
        }
    }

    /// Who signed these bytes, before anything else is done with them.
    fn signers(&self, folder: &Folder, bytes: &[u8], signature: Option<&[u8]>) -> Result<Vec<Signer>, Untrusted> {
        let Some(trust) = &folder.trust else { return Ok(Vec::new()) };
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        trust.signers(&file, bytes, signature)
    }

    /// Store a version that may be served, to return to it later.
    fn keep(&self, loaded: &Loaded, bytes: &[u8], signature: Option<&[u8]>) {
        if let Some(kept) = &self.known.kept {
            let LoadContext { judgements, rules, .. } = &self.known;
            let bad = |sha256: &str| judgements.against(sha256, rules).is_some();
            kept.put(&self.path, &loaded.sha256, bytes, signature, bad);
        }
    }

    /// The last version that was served, excluding `not` and versions that were taken out of
    /// service.
    async fn load_earlier(
        &self,
        folder: &Folder,
        engine: &Engine,
        cache: &CodeCache,
        not: Option<&str>,
    ) -> Option<Arc<Loaded>> {
        let LoadContext { judgements, rules, kept } = &self.known;
        let kept = kept.as_ref()?;
        let good = kept
            .versions(&self.path)
            .into_iter()
            .filter(|sha256| not != Some(sha256) && judgements.against(sha256, rules).is_none());
        for sha256 in good {
            let Some(bytes) = kept.read(&self.path, &sha256, folder.caps.plugin_size) else { continue };
            // It was trusted once, which says nothing of the keys of today.
            let signature = folder.trust.as_ref().and_then(|_| kept.signature(&self.path, &sha256));
            let loaded = match self.signers(folder, &bytes, signature.as_deref()) {
                Ok(signed_by) => self.load(folder, engine, cache, &bytes, &signed_by).await,
                Err(untrusted) => Err(untrusted.into()),
            };
            match loaded {
                Ok(loaded) => return Some(loaded),
                Err(error) => {
                    tracing::warn!(file = %self.path.display(), sha256, error = %error, "an earlier version cannot be loaded")
                }
            }
        }
        None
    }
}

impl LoadResult {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is left to do for the versions that were loaded, once.
    pub fn take_improvements(&mut self) -> Vec<ImproveTask> {
        std::mem::take(&mut self.improve)
    }
}
