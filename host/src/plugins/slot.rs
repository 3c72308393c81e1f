//! What is known about one file, and what follows from how its versions do.

use super::folder::Stamp;
use super::look::Flight;
use super::version::Version;
use super::{Canary, Folder, RefusedCause};

/// What is known about one file.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The content that was looked at, or is being looked at.
    pub(super) stamp: Option<Stamp>,
    pub(super) sha256: Option<String>,
    pub(super) loading: Option<Flight>,
    pub(super) serving: Option<Version>,
    /// What was served before, to go back to.
    pub(super) previous: Option<Version>,
    pub(super) canary: Option<(Canary, Version)>,
    /// Good, but another file has its name or an entrypoint of it.
    pub(super) blocked: Option<Version>,
    pub(super) fault: Option<RefusedCause>,
}

impl Slot {
    /// Have each version do what it is granted now, and no more: the one to go back to as well. One that the grants are not for is not
    /// served any more.
    pub(super) fn regrant(&mut self, folder: &Folder) {
        // What is being looked at is looked at under the old ones.
        self.loading = None;
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

    /// Says whether the canary is gone, one way or the other.
    pub(super) fn review_canary(&mut self) -> bool {
        let Some((rule, version)) = &self.canary else { return false };
        if let Some(fault) = version.crashing() {
            (self.fault, self.canary) = (Some(fault), None);
            return true;
        }
        let runs: u32 = version.health.values().map(|health| health.runs()).sum();
        if runs < rule.runs {
            return false;
        }
        self.previous = self.serving.replace(version.clone());
        self.canary = None;
        true
    }

    /// Says whether the version before is served again.
    pub(super) fn roll_back(&mut self) -> bool {
        let Some(fault) = self.serving.as_ref().and_then(Version::crashing) else { return false };
        let Some(previous) = self.previous.take_if(|previous| previous.crashing().is_none()) else { return false };
        (self.serving, self.fault) = (Some(previous), Some(fault));
        true
    }
}
