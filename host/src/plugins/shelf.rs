//! What the host knows about each file of the folder: which content it looked at, which version of the plugin it serves, and which it
//! served before. Decides; spawns nothing and waits for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::content::Stamp;
use super::kept::KeptVersions;
use super::look::{Fetched, Known, Loading, LookedAt, Want};
use super::slot::{Again, Slot};
use super::version::Version;
use super::{BreakerRule, Files, Folder, Health, RefusedCause};
use crate::judgement::{Judgement, Judgements};
use crate::wasm::Loaded;

/// A file that changed this recently may change again: it is left alone for so long.
pub const SETTLE: Duration = Duration::from_millis(50);

/// All files.
#[derive(Debug)]
pub struct Shelf {
    pub(super) folder: Folder,
    pub(super) rule: BreakerRule,
    pub(super) slots: BTreeMap<PathBuf, Slot>,
    pub(super) known: Known,
    /// Verdicts that were found out here and not told yet.
    pub(super) found: Vec<Judgement>,
    /// Looks for what was served before, to be begun.
    pub(super) due: Vec<Loading>,
    /// Entrypoints that were served since the start.
    pub(super) ever: BTreeSet<Arc<str>>,
    /// The files that came with the start are being looked at.
    starting: bool,
    looks: u64,
    /// Told when a circuit breaker opens.
    opened: Arc<Notify>,
}

/// What a look at the folder found.
#[derive(Debug, Default)]
pub struct Scan {
    /// To be looked at now.
    pub due: Vec<Loading>,
    /// Files went.
    pub changed: bool,
    /// Some are being written: scan again.
    pub unsettled: bool,
}

impl Shelf {
    /// Nothing is known yet. `opened` is told when a circuit breaker opens.
    pub fn new(folder: Folder, rule: BreakerRule, opened: Arc<Notify>) -> Shelf {
        let known = Known { judgements: Arc::default(), rules: folder.rules().into(), kept: None };
        let (slots, ever) = (BTreeMap::new(), BTreeSet::new());
        Shelf { folder, rule, slots, known, found: Vec::new(), due: Vec::new(), ever, starting: true, looks: 0, opened }
    }

    /// The same with what is known of versions, and a place for those that were served.
    pub fn with(self, judgements: Judgements, kept: Option<KeptVersions>) -> Shelf {
        Shelf { known: Known { judgements: Arc::new(judgements), kept, ..self.known }, ..self }
    }

    /// Compare what is in the folder with what is known. With `settle`, files that changed a moment ago are left for the next time.
    pub fn scan(&mut self, files: Files, settle: bool) -> Scan {
        let before = self.slots.len();
        self.slots.retain(|path, _| files.contains_key(path));
        let mut scan = Scan { changed: self.slots.len() < before, ..Scan::default() };
        for (path, stamp) in files {
            let slot = self.slots.entry(path.clone()).or_default();
            if slot.stamp == Some(stamp) {
                if slot.loading.is_none() && slot.again.is_some_and(|again| again.at <= Instant::now()) {
                    scan.due.push(self.look_at(path, stamp));
                }
                continue;
            }
            // What is being looked at is not there any more.
            (slot.stamp, slot.loading, slot.again) = (None, None, None);
            if settle && stamp.age() < SETTLE {
                scan.unsettled = true;
                continue;
            }
            scan.due.push(self.look_at(path, stamp));
        }
        scan
    }

    fn look_at(&mut self, path: PathBuf, stamp: Stamp) -> Loading {
        self.looks += 1;
        let (known, number) = (self.known.clone(), self.looks);
        let slot = self.slots.entry(path.clone()).or_default();
        let want = Want::Now { stamp, looked_at: slot.sha256.clone(), bare: slot.serving.is_none() };
        let tries = slot.again.map_or(0, |again| again.tries);
        let (loading, flight) = Loading::new(path, want, known, tries, number);
        (slot.stamp, slot.loading) = (Some(stamp), Some(flight));
        loading
    }

    /// Look for a version that was served before, to put it in the place of this one.
    pub(super) fn look_back(&mut self, path: &Path, sha256: &str) {
        self.looks += 1;
        let (known, number) = (self.known.clone(), self.looks);
        let Some(slot) = self.slots.get_mut(path) else { return };
        let (loading, flight) = Loading::new(path.to_owned(), Want::Before { sha256: sha256.to_owned() }, known, 0, number);
        slot.back = Some(flight);
        self.due.push(loading);
    }

    /// Looks that follow from what was found out, to be begun now.
    pub fn take_due(&mut self) -> Vec<Loading> {
        std::mem::take(&mut self.due)
    }

    /// Forget what was looked at, so that the next scan looks at everything again; what is served stays.
    pub fn forget(&mut self) {
        self.slots.values_mut().for_each(Slot::forget);
    }

    /// An operator has changed what plugins may do.
    pub fn regrant(&mut self, folder: Folder) {
        self.folder = folder;
        for slot in self.slots.values_mut() {
            slot.regrant(&self.folder);
        }
    }

    /// All files that came with the start were looked at: from now on, what is served stays with the file that serves it.
    pub fn started(&mut self) {
        self.starting = false;
    }

    /// What became of a file that was looked at.
    pub fn settle(&mut self, LookedAt { path, number, fetched }: LookedAt) {
        let Some(slot) = self.slots.get_mut(&path) else { return };
        if let Fetched::Before(version) = fetched {
            if slot.back.take_if(|flight| flight.is(number)).is_some() {
                self.settle_before(&path, version);
            }
            return;
        }
        // The file went or changed meanwhile.
        if slot.loading.take_if(|flight| flight.is(number)).is_none() {
            return;
        }
        match fetched {
            Fetched::Same | Fetched::Before(_) => {}
            Fetched::Changing => slot.stamp = None,
            Fetched::New { sha256, loaded, instead } => {
                let again = slot.again.take();
                slot.sha256 = sha256;
                (slot.blocked, slot.fault) = (None, None);
                match loaded {
                    Ok(loaded) => self.offer(&path, loaded),
                    Err(cause) => {
                        if cause.may_pass() {
                            (slot.sha256, slot.again) = (None, Some(Again::after(again)));
                        }
                        self.refuse(&path, cause, instead);
                    }
                }
            }
        }
    }

    /// What was served is served on; where nothing was, a version of before is.
    fn refuse(&mut self, path: &Path, cause: RefusedCause, instead: Option<Arc<Loaded>>) {
        self.judge_refusal(path, &cause);
        if let Some(instead) = instead {
            self.offer_before(path, instead);
        }
        if let Some(slot) = self.slots.get_mut(path) {
            slot.fault = Some(cause);
        }
    }

    fn settle_before(&mut self, path: &Path, version: Option<Arc<Loaded>>) {
        let Some(slot) = self.slots.get_mut(path) else { return };
        match (version, &slot.serving) {
            (None, serving) => slot.no_way_back = serving.as_ref().map(|serving| serving.loaded.sha256.clone()),
            (Some(version), None) => self.offer_before(path, version),
            (Some(version), Some(_)) => {
                let version = self.version(version, false);
                if let Some(slot) = self.slots.get_mut(path) {
                    slot.previous = Some(version);
                }
            }
        }
    }

    fn offer_before(&mut self, path: &Path, loaded: Arc<Loaded>) {
        if self.conflict(path, &loaded).is_none() {
            let version = self.version(loaded, false);
            if let Some(slot) = self.slots.get_mut(path).filter(|slot| slot.serving.is_none()) {
                slot.serving = Some(version);
            }
        }
    }

    fn version(&self, loaded: Arc<Loaded>, canary: bool) -> Version {
        let sha256 = loaded.sha256.clone();
        Version::new(loaded, |entrypoint| {
            let health = Health::new(self.rule, canary, Arc::clone(&self.opened));
            if let Some(until) = self.known.judgements.paused(&sha256, entrypoint) {
                health.pause(until);
            }
            health
        })
    }

    fn offer(&mut self, path: &Path, loaded: Arc<Loaded>) {
        let Some(slot) = self.slots.get_mut(path) else { return };
        // Back to what is served: a roll-back by hand, or a canary withdrawn.
        if slot.serving.as_ref().is_some_and(|serving| serving.loaded.sha256 == loaded.sha256 && serving.loaded.grants == loaded.grants) {
            slot.canary = None;
            return;
        }
        let canary = slot.serving.as_ref().and_then(|_| self.folder.canaries.get(&*loaded.name).copied());
        let version = self.version(loaded, canary.is_some());
        if let Some(slot) = self.slots.get_mut(path) {
            slot.blocked = Some(version);
        }
        self.unblock(path);
    }

    /// Serve the version that waits, unless its name or an entrypoint belongs to another file.
    pub(super) fn unblock(&mut self, path: &Path) {
        let Some(version) = self.slots.get(path).and_then(|slot| slot.blocked.clone()) else { return };
        let mut evicted = Vec::new();
        let mut conflict = self.conflict(path, &version.loaded);
        // Files that come together, as at the start, may be looked at in any order: the first by name wins.
        while let Some((by, _)) = conflict.as_ref().filter(|(by, _)| self.starting && path < by.as_path()) {
            let by = by.clone();
            if let Some(slot) = self.slots.get_mut(&by) {
                (slot.blocked, slot.canary) = (slot.serving.take(), None);
            }
            evicted.push(by);
            conflict = self.conflict(path, &version.loaded);
        }
        let canary = self.folder.canaries.get(&*version.loaded.name).copied();
        if let Some(slot) = self.slots.get_mut(path) {
            slot.fault = conflict.map(|(_, cause)| cause);
            if slot.fault.is_none() {
                slot.blocked = None;
                match canary {
                    Some(canary) if slot.serving.is_some() => slot.canary = Some((canary, version)),
                    _ => {
                        slot.previous = slot.serving.replace(version);
                        (slot.canary, slot.no_way_back) = (None, None);
                    }
                }
            }
        }
        evicted.iter().for_each(|by| self.unblock(by));
    }

    /// A file never takes what another one serves, whatever the names of the two: a bad deploy of one plugin must not take another out of
    /// service.
    fn conflict(&self, path: &Path, plugin: &Loaded) -> Option<(PathBuf, RefusedCause)> {
        for (by, slot) in self.slots.iter().filter(|(other, _)| *other != path) {
            for version in slot.serving.iter().chain(slot.canary.iter().map(|(_, version)| version)) {
                if version.loaded.name == plugin.name {
                    return Some((by.clone(), RefusedCause::NameTaken { name: plugin.name.to_string(), by: by.clone() }));
                }
                let entrypoints = &version.loaded.declaration.entrypoints;
                if let Some(entrypoint) = plugin.declaration.entrypoints.keys().find(|name| entrypoints.contains_key(*name)) {
                    return Some((by.clone(), RefusedCause::EntrypointTaken { entrypoint: entrypoint.clone(), by: by.clone() }));
                }
            }
        }
        None
    }
}
