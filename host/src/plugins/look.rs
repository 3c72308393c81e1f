//! One look at one file: read, check, compile, link, describe. Called off when the file goes or
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

/// A look that is under way. Dropped, because the file went or changed, it is called off: nobody
/// waits for a compiler for nothing.
#[derive(Debug)]
pub(super) struct Flight {
    number: u64,
    _call_off: DropGuard,
}

/// What is wanted of a file.
#[derive(Debug)]
pub(super) enum Want {
    /// The plugin that is in it now, if it has this stamp.
    Now {
        stamp: Stamp,
        /// The digest of what was there the last time.
        looked_at: Option<String>,
        /// Nothing of it is served: a version of before is better than none.
        bare: bool,
    },
    /// A version that was served before; not this one.
    Before { sha256: String },
}

/// What a look knows of its host.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) judgements: Arc<Judgements>,
    pub(super) rules: Arc<str>,
    /// `None` keeps none.
    pub(super) kept: Option<KeptVersions>,
}

/// A file to be looked at.
#[derive(Debug)]
pub struct Loading {
    path: PathBuf,
    want: Want,
    known: Known,
    /// How often it was tried in vain.
    tries: u32,
    number: u64,
    called_off: CancellationToken,
}

/// A file that was looked at.
#[derive(Debug)]
pub struct LookedAt {
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) fetched: Fetched,
}

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
        loaded: Result<Arc<Loaded>, RefusedCause>,
        /// A version that was served before, where the plugin cannot be.
        instead: Option<Arc<Loaded>>,
    },
    /// A version that was served before, if there is one.
    Before(Option<Arc<Loaded>>),
}

impl Flight {
    /// Whether this is the look that ended, and not one before it that was called off too late.
    pub(super) fn is(&self, number: u64) -> bool {
        self.number == number
    }
}

impl Loading {
    /// The look of this number.
    pub(super) fn new(path: PathBuf, want: Want, known: Known, tries: u32, number: u64) -> (Loading, Flight) {
        let called_off = CancellationToken::new();
        let flight = Flight { number, _call_off: called_off.clone().drop_guard() };
        (Loading { path, want, known, tries, number, called_off }, flight)
    }

    /// How much of the host's memory the look may take for the file's bytes.
    pub fn bytes(&self, folder: &Folder) -> u64 {
        match &self.want {
            Want::Now { stamp, .. } => stamp.size().min(folder.caps.plugin_size),
            Want::Before { .. } => folder.caps.plugin_size,
        }
    }

    /// Read, check, compile, link and describe. Takes as long as the compiler takes. Never fails:
    /// whatever happens is about the file.
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
                let cause = RefusedCause::Unreadable("the host panicked over it".into());
                Fetched::New { sha256: None, loaded: Err(cause), instead: None }
            }
        };
        LookedAt { path: self.path, number: self.number, fetched }
    }

    /// Read the file once, and judge those bytes.
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

    /// The last version that was served, but for this one and those that were taken out of service.
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
                    tracing::warn!(file = %self.path.display(), sha256, error = %error, "a version of before cannot be served")
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
