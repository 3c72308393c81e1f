//! One look at one file: read, check, compile, link, describe. Called off when the file goes or changes meanwhile.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::folder::{Fetched, Stamp};
use super::{Folder, RefusedCause};
use crate::wasm::{CodeCache, Engine};

/// A look that is under way. Dropped, because the file went or changed, it is called off: nobody waits for a compiler for nothing.
#[derive(Debug)]
pub(super) struct Flight {
    number: u64,
    _call_off: DropGuard,
}

/// A file to be looked at.
#[derive(Debug)]
pub struct Loading {
    path: PathBuf,
    stamp: Stamp,
    looked_at: Option<String>,
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

impl Flight {
    /// Whether this is the look that ended, and not one before it that was called off too late.
    pub(super) fn is(&self, number: u64) -> bool {
        self.number == number
    }
}

impl Loading {
    /// The look of this number. `looked_at`: the digest of what was there the last time.
    pub(super) fn new(path: PathBuf, stamp: Stamp, looked_at: Option<String>, number: u64) -> (Loading, Flight) {
        let called_off = CancellationToken::new();
        let flight = Flight { number, _call_off: called_off.clone().drop_guard() };
        (Loading { path, stamp, looked_at, number, called_off }, flight)
    }

    /// Read, check, compile, link and describe. Takes as long as the compiler takes. Never fails: whatever happens is about the file.
    pub async fn look(self, folder: &Folder, engine: &Engine, cache: &CodeCache) -> LookedAt {
        let fetch = folder.fetch(engine, cache, &self.path, self.stamp, self.looked_at);
        let fetched = match self.called_off.run_until_cancelled(AssertUnwindSafe(fetch).catch_unwind()).await {
            None => Fetched::Changing,
            Some(Ok(fetched)) => fetched,
            Some(Err(_panic)) => {
                let cause = RefusedCause::Unreadable("the host panicked over it".into());
                Fetched::New { sha256: None, loaded: Err(cause) }
            }
        };
        LookedAt { path: self.path, number: self.number, fetched }
    }
}

impl LookedAt {
    /// Which file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
