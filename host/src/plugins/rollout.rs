//! The state of one file, and the transitions that follow from how its versions do.

use std::time::{Duration, Instant};

use super::load::LoadGuard;
use super::signed_file::PairStamp;
use super::version::Version;
use super::{Canary, Folder, RefusedCause};

/// Delay before a file is loaded again after a transient failure. It doubles each time.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(600);

/// The state of one file.
#[derive(Debug, Default)]
pub(super) struct Rollout {
    /// The content that was loaded or is being loaded.
    pub(super) stamp: Option<PairStamp>,
    pub(super) sha256: Option<String>,
    /// The digest of the signatures that it was checked with.
    pub(super) signature: Option<String>,
    pub(super) loading: Option<LoadGuard>,
    pub(super) serving: Option<Version>,
    /// The version served before, to roll back to.
    pub(super) previous: Option<Version>,
    /// The search for an earlier version on disk.
    pub(super) loading_previous: Option<LoadGuard>,
    /// The version for which no earlier one exists, not even on disk.
    pub(super) no_previous: Option<String>,
    pub(super) canary: Option<(Canary, Version)>,
    /// A good version whose name or entrypoint another file has.
    pub(super) blocked: Option<Version>,
    pub(super) fault: Option<RefusedCause>,
    /// The next attempt after a transient failure.
    pub(super) retry: Option<Retry>,
}

/// When to try again after a transient failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    pub(super) tries: u32,
    pub(super) at: Instant,
}

impl Retry {
    /// The delay after one more failure.
    pub(super) fn after(before: Option<Retry>) -> Retry {
        let tries = before.map_or(0, |retry| retry.tries) + 1;
        let wait = FIRST_RETRY.saturating_mul(1 << (tries - 1).min(16)).min(LAST_RETRY);
        Retry { tries, at: Instant::now() + wait.mul_f64(0.8 + fastrand::f64() / 5.0) }
    }
}

impl Rollout {
    /// Load the file again with the next scan. What is served stays.
    pub(super) fn forget(&mut self) {
        (self.stamp, self.sha256, self.retry) = (None, None, None);
    }

    /// Apply the current grants to every version, including the one to roll back to. A version that
    /// they do not fit is no longer served.
    pub(super) fn regrant(&mut self, folder: &Folder) {
        // Loads in progress use the old grants.
        (self.loading, self.loading_previous) = (None, None);
        let mut fault = None;
        let mut under = |version: Version| version.regranted(folder).map_err(|cause| fault = Some(cause)).ok();
        self.previous = self.previous.take().and_then(&mut under);
        self.blocked = self.blocked.take().and_then(&mut under);
        self.canary = self.canary.take().and_then(|(_, version)| {
            let canary = folder.canaries.get(&*version.loaded.name).copied()?;
            Some((canary, under(version)?))
        });
        self.serving = self.serving.take().and_then(&mut under);
        if self.serving.is_none() && fault.is_some() {
            self.fault = fault;
        }
    }

    /// Remove a canary that crashes, or promote one that has run often enough. Returns the removed
    /// version, and whether anything changed.
    pub(super) fn review_canary(&mut self) -> (Option<Version>, bool) {
        let Some((rule, version)) = &self.canary else { return (None, false) };
        if let Some(fault) = version.crashing() {
            self.fault = Some(fault);
            return (self.canary.take().map(|(_, version)| version), true);
        }
        if version.runs() < rule.runs {
            return (None, false);
        }
        version.breakers.values().for_each(|breaker| breaker.promote());
        self.previous = self.serving.replace(version.clone());
        self.canary = None;
        (None, true)
    }

    /// Replace a version that crashes by the one before it, if there is one. Returns the version
    /// that was removed.
    pub(super) fn roll_back(&mut self) -> Option<Version> {
        let fault = self.serving.as_ref().and_then(Version::crashing)?;
        let previous = self.previous.take_if(|previous| previous.crashing().is_none())?;
        self.fault = Some(fault);
        self.serving.replace(previous)
    }
}
