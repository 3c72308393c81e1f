//! What the host knows about each file of the folder: which content it loaded, which version it
//! serves, and which it served before. It only decides: it spawns no tasks and waits for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::load::{Fetch, Identity, LoadContext, LoadResult, LoadTask, Target};
use super::rollout::{Retry, Rollout};
use super::scan::Scan;
use super::signed_file::PairStamp;
use super::version::Version;
use super::version_store::VersionStore;
use super::{BreakerRule, CircuitBreaker, Files, Folder, Pauses, RefusedCause};
use pgq_engine::Loaded;
use pgq_job::judgement::{Judgement, Judgements};

/// A file that changed within this time may still be being written, so it is left alone.
pub const SETTLE_TIME: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Rollouts {
    pub(super) folder: Folder,
    pub(super) rule: BreakerRule,
    pub(super) by_file: BTreeMap<PathBuf, Rollout>,
    pub(super) known: LoadContext,
    /// Judgements made here that other hosts have not been told.
    pub(super) new_judgements: Vec<Judgement>,
    /// Loads of earlier versions that are yet to be started.
    pub(super) due: Vec<LoadTask>,
    /// Every entrypoint that was served since the start.
    pub(super) ever_served: BTreeSet<Arc<str>>,
    /// What operators paused.
    pub(super) pauses: Arc<Pauses>,
    /// The files that were there at the start are still being loaded.
    starting: bool,
    loads_started: u64,
    /// Notified when a circuit breaker opens.
    opened: Arc<Notify>,
}

impl Rollouts {
    /// Starts with no files. `opened` is notified when a circuit breaker opens.
    pub fn new(folder: Folder, rule: BreakerRule, opened: Arc<Notify>) -> Rollouts {
        let known = LoadContext { judgements: Arc::default(), rules: folder.rules().into(), kept: None };
        let (by_file, ever_served) = (BTreeMap::new(), BTreeSet::new());
        Rollouts {
            folder,
            rule,
            by_file,
            known,
            new_judgements: Vec::new(),
            due: Vec::new(),
            ever_served,
            pauses: Arc::default(),
            starting: true,
            loads_started: 0,
            opened,
        }
    }

    /// Adds what is known about versions, and the store for versions that were served.
    pub fn with(self, judgements: Judgements, kept: Option<VersionStore>) -> Rollouts {
        Rollouts { known: LoadContext { judgements: Arc::new(judgements), kept, ..self.known }, ..self }
    }

    /// Compare the folder with the known state. With `settle`, files that changed a moment ago are
    /// left for the next scan.
    pub fn scan(&mut self, files: Files, settle: bool) -> Scan {
        let before = self.by_file.len();
        self.by_file.retain(|path, _| files.contains_key(path));
        let mut scan = Scan { changed: self.by_file.len() < before, ..Scan::default() };
        for (path, stamp) in files {
            let rollout = self.by_file.entry(path.clone()).or_default();
            if rollout.stamp == Some(stamp) {
                if rollout.loading.is_none() && rollout.retry.is_some_and(|retry| retry.at <= Instant::now()) {
                    scan.due.push(self.load_current(path, stamp));
                }
                continue;
            }
            // The content that is being loaded is no longer in the file.
            (rollout.stamp, rollout.loading, rollout.retry) = (None, None, None);
            if settle && stamp.age() < SETTLE_TIME {
                scan.unsettled = true;
                continue;
            }
            scan.due.push(self.load_current(path, stamp));
        }
        scan
    }

    fn load_current(&mut self, path: PathBuf, stamp: PairStamp) -> LoadTask {
        self.loads_started += 1;
        let (known, number) = (self.known.clone(), self.loads_started);
        let rollout = self.by_file.entry(path.clone()).or_default();
        let last = rollout.sha256.clone().map(|sha256| Identity { sha256, signature: rollout.signature.clone() });
        let target = Target::Current { stamp, last, nothing_served: rollout.serving.is_none() };
        let tries = rollout.retry.map_or(0, |retry| retry.tries);
        let (loading, guard) = LoadTask::new(path, target, known, tries, number);
        (rollout.stamp, rollout.loading) = (Some(stamp), Some(guard));
        loading
    }

    /// Look for an earlier version to replace this one.
    pub(super) fn load_previous(&mut self, path: &Path, sha256: &str) {
        self.loads_started += 1;
        let (known, number) = (self.known.clone(), self.loads_started);
        let Some(rollout) = self.by_file.get_mut(path) else { return };
        let (loading, guard) =
            LoadTask::new(path.to_owned(), Target::Earlier { sha256: sha256.to_owned() }, known, 0, number);
        rollout.loading_previous = Some(guard);
        self.due.push(loading);
    }

    /// Loads of earlier versions, to be started now.
    pub fn take_due(&mut self) -> Vec<LoadTask> {
        std::mem::take(&mut self.due)
    }

    /// Obey these pauses from the next snapshot on.
    pub fn pause(&mut self, pauses: Arc<Pauses>) {
        self.pauses = pauses;
    }

    /// Load every file again with the next scan. What is served stays.
    pub fn forget(&mut self) {
        self.by_file.values_mut().for_each(Rollout::forget);
    }

    /// Apply changed grants.
    pub fn regrant(&mut self, folder: Folder) {
        self.folder = folder;
        for rollout in self.by_file.values_mut() {
            rollout.regrant(&self.folder);
        }
    }

    /// All files that were there at the start are loaded. From now on, a name or an entrypoint
    /// stays with the file that serves it.
    pub fn started(&mut self) {
        self.starting = false;
    }

    /// Take in the result of a load.
    pub fn settle(&mut self, LoadResult { path, number, fetch, .. }: LoadResult) {
        let Some(rollout) = self.by_file.get_mut(&path) else { return };
        if let Fetch::Earlier(version) = fetch {
            if rollout.loading_previous.take_if(|guard| guard.is(number)).is_some() {
                self.settle_previous(&path, version);
            }
            return;
        }
        // The file was removed or changed meanwhile.
        if rollout.loading.take_if(|guard| guard.is(number)).is_none() {
            return;
        }
        match fetch {
            Fetch::Same | Fetch::Earlier(_) => {}
            Fetch::Changing => rollout.stamp = None,
            Fetch::New { identity, loaded, fallback } => {
                let retry = rollout.retry.take();
                (rollout.sha256, rollout.signature) =
                    identity.map_or((None, None), |identity| (Some(identity.sha256), identity.signature));
                (rollout.blocked, rollout.fault) = (None, None);
                // It may have been judged while it was loaded.
                let against = |loaded: &Arc<Loaded>| self.known.judgements.against(&loaded.sha256, &self.known.rules);
                let judged = loaded.as_ref().ok().and_then(against).cloned();
                match judged.map_or(loaded, |judgement| Err(RefusedCause::Judged(Box::new(judgement)))) {
                    Ok(loaded) => self.offer(&path, loaded),
                    Err(cause) => {
                        if cause.is_transient() {
                            (rollout.sha256, rollout.retry) = (None, Some(Retry::after(retry)));
                        }
                        self.refuse(&path, cause, fallback);
                    }
                }
            }
        }
    }

    /// What is served stays. If nothing is, an earlier version is served.
    fn refuse(&mut self, path: &Path, cause: RefusedCause, fallback: Option<Arc<Loaded>>) {
        self.judge_refusal(path, &cause);
        if let Some(fallback) = fallback {
            self.offer_previous(path, fallback);
        }
        if let Some(rollout) = self.by_file.get_mut(path) {
            rollout.fault = Some(cause);
        }
    }

    fn settle_previous(&mut self, path: &Path, version: Option<Arc<Loaded>>) {
        let stands =
            |version: &Arc<Loaded>| self.known.judgements.against(&version.sha256, &self.known.rules).is_none();
        let version = version.filter(stands);
        let Some(rollout) = self.by_file.get_mut(path) else { return };
        match (version, &rollout.serving) {
            (None, serving) => rollout.no_previous = serving.as_ref().map(|serving| serving.loaded.sha256.clone()),
            (Some(version), None) => self.offer_previous(path, version),
            (Some(version), Some(_)) => {
                let version = self.version(version, false);
                if let Some(rollout) = self.by_file.get_mut(path) {
                    rollout.previous = Some(version);
                }
            }
        }
    }

    fn offer_previous(&mut self, path: &Path, loaded: Arc<Loaded>) {
        if self.conflict(path, &loaded).is_none() {
            let version = self.version(loaded, false);
            if let Some(rollout) = self.by_file.get_mut(path).filter(|rollout| rollout.serving.is_none()) {
                rollout.serving = Some(version);
            }
        }
    }

    fn version(&self, loaded: Arc<Loaded>, canary: bool) -> Version {
        let sha256 = loaded.sha256.clone();
        Version::new(loaded, |entrypoint| {
            let breaker = CircuitBreaker::new(self.rule, canary, Arc::clone(&self.opened));
            if let Some(until) = self.known.judgements.paused(&sha256, entrypoint) {
                breaker.pause(until);
            }
            breaker
        })
    }

    fn offer(&mut self, path: &Path, loaded: Arc<Loaded>) {
        let Some(rollout) = self.by_file.get_mut(path) else { return };
        // The file is back to what is served: a manual roll-back, or a withdrawn canary.
        if let Some(serving) = &mut rollout.serving
            && serving.loaded.sha256 == loaded.sha256
            && serving.loaded.grants == loaded.grants
        {
            // Others may have signed it meanwhile.
            serving.loaded =
                if serving.loaded.signed_by == loaded.signed_by { Arc::clone(&serving.loaded) } else { loaded };
            rollout.canary = None;
            return;
        }
        let canary = rollout.serving.as_ref().and_then(|_| self.folder.canaries.get(&*loaded.name).copied());
        let version = self.version(loaded, canary.is_some());
        if let Some(rollout) = self.by_file.get_mut(path) {
            rollout.blocked = Some(version);
        }
        self.unblock(path);
    }

    /// Serve the blocked version, unless its name or an entrypoint belongs to another file.
    pub(super) fn unblock(&mut self, path: &Path) {
        let Some(version) = self.by_file.get(path).and_then(|rollout| rollout.blocked.clone()) else { return };
        let mut evicted = Vec::new();
        let mut conflict = self.conflict(path, &version.loaded);
        // Files that arrive together, as at the start, may finish loading in any order. The first
        // by name wins.
        while let Some((by, _)) = conflict.as_ref().filter(|(by, _)| self.starting && path < by.as_path()) {
            let by = by.clone();
            if let Some(rollout) = self.by_file.get_mut(&by) {
                (rollout.blocked, rollout.canary) = (rollout.serving.take(), None);
            }
            evicted.push(by);
            conflict = self.conflict(path, &version.loaded);
        }
        let canary = self.folder.canaries.get(&*version.loaded.name).copied();
        if let Some(rollout) = self.by_file.get_mut(path) {
            rollout.fault = conflict.map(|(_, cause)| cause);
            if rollout.fault.is_none() {
                rollout.blocked = None;
                match canary {
                    Some(canary) if rollout.serving.is_some() => rollout.canary = Some((canary, version)),
                    _ => {
                        rollout.previous = rollout.serving.replace(version);
                        (rollout.canary, rollout.no_previous) = (None, None);
                    }
                }
            }
        }
        evicted.iter().for_each(|by| self.unblock(by));
    }

    /// The file that already serves this name or an entrypoint, and the refusal that follows. File
    /// names do not matter here: a bad deploy of one plugin must not take another one out of
    /// service.
    fn conflict(&self, path: &Path, plugin: &Loaded) -> Option<(PathBuf, RefusedCause)> {
        for (by, rollout) in self.by_file.iter().filter(|(other, _)| *other != path) {
            for version in rollout.serving.iter().chain(rollout.canary.iter().map(|(_, version)| version)) {
                if version.loaded.name == plugin.name {
                    return Some((
                        by.clone(),
                        RefusedCause::NameTaken { name: plugin.name.to_string(), by: by.clone() },
                    ));
                }
                let entrypoints = &version.loaded.declaration.entrypoints;
                if let Some(entrypoint) =
                    plugin.declaration.entrypoints.keys().find(|name| entrypoints.contains_key(*name))
                {
                    return Some((
                        by.clone(),
                        RefusedCause::EntrypointTaken { entrypoint: entrypoint.clone(), by: by.clone() },
                    ));
                }
            }
        }
        None
    }
}
