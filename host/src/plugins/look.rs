//! Loads one file: read, check, compile, link, describe. Cancelled when the file is removed or
//! changes meanwhile.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::content::{self, Content, Stamp};
use super::kept::KeptVersions;
use super::{Folder, RefusedCause};
use pgq_engine::{self as wasm, CodeCache, Engine, Loaded};
use pgq_job::judgement::Judgements;

/// A load in progress. Dropping it cancels the load, so that no compiler runs for a file that was
/// removed or changed.
#[derive(Debug)]
pub(super) struct Flight {
    number: u64,
    _call_off: DropGuard,
}

/// Which version of a file to load.
#[derive(Debug)]
pub(super) enum Want {
    /// The one in the file now, if the file still has this stamp.
    Now {
        stamp: Stamp,
        /// The digest of the content that was loaded last.
        looked_at: Option<String>,
        /// No version of it is served, so an earlier version is better than none.
        bare: bool,
    },
    /// An earlier version, other than this one.
    Before { sha256: String },
}

/// What a load needs to know about the host.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) judgements: Arc<Judgements>,
    pub(super) rules: Arc<str>,
    /// `None` stores no versions.
    pub(super) kept: Option<KeptVersions>,
}

/// A file to be loaded.
#[derive(Debug)]
pub struct Loading {
    path: PathBuf,
    want: Want,
    known: Known,
    /// How many attempts have failed.
    tries: u32,
    number: u64,
    called_off: CancellationToken,
}

/// The result of loading one file.
#[derive(Debug)]
pub struct LookedAt {
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) fetched: Fetched,
}

/// What a load found.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The file was written to or removed while it was read: scan again.
    Changing,
    /// The same bytes as the last time.
    Same,
    /// A plugin, or the reason why it cannot be served.
    New {
        /// The digest of the bytes. `None` if they could not be read.
        sha256: Option<String>,
        loaded: Result<Arc<Loaded>, RefusedCause>,
        /// An earlier version to serve, if this one cannot be.
        instead: Option<Arc<Loaded>>,
    },
    /// An earlier version, if there is one.
    Before(Option<Arc<Loaded>>),
}

impl Flight {
    /// Whether this is the load that ended, not an earlier one that was cancelled too late.
    pub(super) fn is(&self, number: u64) -> bool {
        self.number == number
    }
}

impl Loading {
    /// The load with this number, and the guard that cancels it.
    pub(super) fn new(path: PathBuf, want: Want, known: Known, tries: u32, number: u64) -> (Loading, Flight) {
        let called_off = CancellationToken::new();
        let flight = Flight { number, _call_off: called_off.clone().drop_guard() };
        (Loading { path, want, known, tries, number, called_off }, flight)
    }

    /// How many bytes of the host's memory the file's content may take.
    pub fn bytes(&self, folder: &Folder) -> u64 {
        match &self.want {
            Want::Now { stamp, .. } => stamp.size().min(folder.caps.plugin_size),
            Want::Before { .. } => folder.caps.plugin_size,
        }
    }

    /// Read, check, compile, link and describe. Takes as long as the compiler does. Never fails:
    /// every failure is a fact about the file.
    pub async fn look(self, folder: &Folder, engine: &Engine, cache: &CodeCache) -> LookedAt {
        let looking = async {
            match &self.want {
                Want::Now { stamp, looked_at, bare } => {
                    self.now(folder, engine, cache, *stamp, looked_at.as_deref(), *bare).await
                }
                Want::Before { sha256 } => Fetched::Before(self.before(folder, engine, cache, Some(sha256)).await),
            }
        };
        let fetched = match self.called_off.run_until_cancelled(AssertUnwindSafe(looking).catch_unwind()).await {
            None => Fetched::Changing,
            Some(Ok(fetched)) => fetched,
            Some(Err(_panic)) => {
                let cause = RefusedCause::Unreadable("the host panicked while loading it".into());
                Fetched::New { sha256: None, loaded: Err(cause), instead: None }
            }
        };
        LookedAt { path: self.path, number: self.number, fetched }
    }

    /// Read the file once, then load those very bytes.
    async fn now(
        &self,
        folder: &Folder,
        engine: &Engine,
        cache: &CodeCache,
        stamp: Stamp,
        looked_at: Option<&str>,
        bare: bool,
    ) -> Fetched {
        let (sha256, loaded) = match content::read(&self.path, stamp, folder.caps.plugin_size) {
            Content::Changing => return Fetched::Changing,
            Content::Refused(cause) => (None, Err(cause)),
            Content::Bytes(bytes) => {
                let sha256 = pgq_engine::digest::sha256(&bytes);
                if looked_at == Some(&sha256) {
                    return Fetched::Same;
                }
                let loaded = match self.known.judgements.against(&sha256, &self.known.rules) {
                    Some(judgement) => Err(RefusedCause::Judged(Box::new(judgement.clone()))),
                    None => self.load(folder, engine, cache, &bytes).await,
                };
                (Some(sha256), loaded)
            }
        };
        let instead = match &loaded {
            Err(_) if bare => self.before(folder, engine, cache, sha256.as_deref()).await,
            _ => None,
        };
        Fetched::New { sha256, loaded, instead }
    }

    async fn load(
        &self,
        folder: &Folder,
        engine: &Engine,
        cache: &CodeCache,
        bytes: &[u8],
    ) -> Result<Arc<Loaded>, RefusedCause> {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let loaded = wasm::load(engine, cache, &stem, bytes, self.tries, |name| folder.grants_of(name)).await?;
        if let Some(kept) = &self.known.kept {
            let Known { judgements, rules, .. } = &self.known;
            kept.put(&self.path, &loaded.sha256, bytes, |sha256| judgements.against(sha256, rules).is_some());
        }
        Ok(Arc::new(loaded))
    }

    /// The last version that was served, excluding `not` and versions that were taken out of
    /// service.
    async fn before(
        &self,
        folder: &Folder,
        engine: &Engine,
        cache: &CodeCache,
        not: Option<&str>,
    ) -> Option<Arc<Loaded>> {
        let Known { judgements, rules, kept } = &self.known;
        let kept = kept.as_ref()?;
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let good = kept
            .versions(&self.path)
            .into_iter()
            .filter(|sha256| not != Some(sha256) && judgements.against(sha256, rules).is_none());
        for sha256 in good {
            let Some(bytes) = kept.read(&self.path, &sha256, folder.caps.plugin_size) else { continue };
            match wasm::load(engine, cache, &stem, &bytes, self.tries, |name| folder.grants_of(name)).await {
                Ok(loaded) => return Some(Arc::new(loaded)),
                Err(error) => {
                    tracing::warn!(file = %self.path.display(), sha256, error = %error, "an earlier version cannot be loaded")
                }
            }
        }
        None
    }
}

impl LookedAt {
    pub fn path(&self) -> &Path {
        &self.path
    }
}
