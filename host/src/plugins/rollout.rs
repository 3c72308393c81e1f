//! What is known about one file, and what follows from how its versions do.

use std::time::{Duration, Instant};

use super::content::Stamp;
use super::look::Flight;
use super::version::Version;
use super::{Canary, Folder, RefusedCause};

/// The first wait before a file is looked at again that was refused for a cause that may pass; each
/// further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(600);

/// What is known about one file.
#[derive(Debug, Default)]
pub(super) struct Rollout {
    /// The content that was looked at, or is being looked at.
    pub(super) stamp: Option<Stamp>,
    pub(super) sha256: Option<String>,
    pub(super) loading: Option<Flight>,
    pub(super) serving: Option<Version>,
    /// What was served before, to go back to.
    pub(super) previous: Option<Version>,
    /// What was served before is being looked for on disk.
    pub(super) back: Option<Flight>,
    /// There is nothing to go back to from this version, on disk either.
    pub(super) no_way_back: Option<String>,
    pub(super) canary: Option<(Canary, Version)>,
    /// Good, but another file has its name or an entrypoint of it.
    pub(super) blocked: Option<Version>,
    pub(super) fault: Option<RefusedCause>,
    /// What was tried in vain, and is tried again.
    pub(super) again: Option<Again>,
}

/// A cause that may pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Again {
    pub(super) tries: u32,
    pub(super) at: Instant,
}

impl Again {
    /// After one more try in vain.
    pub(super) fn after(before: Option<Again>) -> Again {
        let tries = before.map_or(0, |again| again.tries) + 1;
        let wait = FIRST_RETRY.saturating_mul(1 << (tries - 1).min(16)).min(LAST_RETRY);
        Again { tries, at: Instant::now() + wait.mul_f64(0.8 + fastrand::f64() / 5.0) }
    }
}

impl Rollout {
    /// Look at the file again with the next scan; what is served stays.
    pub(super) fn forget(&mut self) {
        (self.stamp, self.sha256, self.again) = (None, None, None);
    }

    /// Have each version do what it is granted now, and no more: the one to go back to as well. One
    /// that the grants are not for is not served any more.
    pub(super) fn regrant(&mut self, folder: &Folder) {
        // What is being looked at is looked at under the old ones.
        (self.loading, self.back) = (None, None);
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

    /// The canary that crashes goes, and one that has proved itself takes over. What went, and
    /// whether anything changed.
    pub(super) fn review_canary(&mut self) -> (Option<Version>, bool) {
        let Some((rule, version)) = &self.canary else { return (None, false) };
        if let Some(fault) = version.crashing() {
            self.fault = Some(fault);
            return (self.canary.take().map(|(_, version)| version), true);
        }
        if version.runs() < rule.runs {
            return (None, false);
        }
        version.breakers.values().for_each(|breaker| breaker.prove());
        self.previous = self.serving.replace(version.clone());
        self.canary = None;
        (None, true)
    }

    /// The version that crashes makes room for the one before it, if there is one: what went.
    pub(super) fn roll_back(&mut self) -> Option<Version> {
        let fault = self.serving.as_ref().and_then(Version::crashing)?;
        let previous = self.previous.take_if(|previous| previous.crashing().is_none())?;
        self.fault = Some(fault);
        self.serving.replace(previous)
    }
}
