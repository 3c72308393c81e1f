//! What the host knows about each file of the folder: which content it looked at, which version of the plugin it serves, and which it
//! served before. Decides; spawns nothing and waits for nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::folder::{Fetched, Files};
use super::look::{Loading, LookedAt};
use super::slot::Slot;
use super::version::Version;
use super::{BreakerRule, Entry, File, Folder, Health, PluginSet, RefusedCause, Served};
use crate::meter::Meter;
use crate::wasm::Loaded;

/// A file that changed this recently may change again: it is left alone for so long.
pub const SETTLE: Duration = Duration::from_millis(50);

/// How often a canary is asked whether it has proved itself.
const CANARY_REVIEW: Duration = Duration::from_secs(1);

/// All files.
#[derive(Debug)]
pub struct Shelf {
    folder: Folder,
    rule: BreakerRule,
    slots: BTreeMap<PathBuf, Slot>,
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
        Shelf { folder, rule, slots: BTreeMap::new(), looks: 0, opened }
    }

    /// Compare what is in the folder with what is known. With `settle`, files that changed a moment ago are left for the next time.
    pub fn scan(&mut self, files: Files, settle: bool) -> Scan {
        let before = self.slots.len();
        self.slots.retain(|path, _| files.contains_key(path));
        let mut scan = Scan { changed: self.slots.len() < before, ..Scan::default() };
        for (path, stamp) in files {
            let slot = self.slots.entry(path.clone()).or_default();
            if slot.stamp == Some(stamp) {
                continue;
            }
            // What is being looked at is not there any more.
            (slot.stamp, slot.loading) = (None, None);
            if settle && stamp.age() < SETTLE {
                scan.unsettled = true;
                continue;
            }
            self.looks += 1;
            let (loading, flight) = Loading::new(path, stamp, slot.sha256.clone(), self.looks);
            (slot.stamp, slot.loading) = (Some(stamp), Some(flight));
            scan.due.push(loading);
        }
        scan
    }

    /// Forget what was looked at, so that the next scan looks at everything again; what is served stays.
    pub fn forget(&mut self) {
        for slot in self.slots.values_mut() {
            (slot.stamp, slot.sha256) = (None, None);
        }
    }

    /// An operator has changed what plugins may do.
    pub fn regrant(&mut self, folder: Folder) {
        self.folder = folder;
        for slot in self.slots.values_mut() {
            slot.regrant(&self.folder);
        }
    }

    /// What became of a file that was looked at.
    pub fn settle(&mut self, LookedAt { path, number, fetched }: LookedAt) {
        let Some(slot) = self.slots.get_mut(&path) else { return };
        // The file went or changed meanwhile.
        if slot.loading.take_if(|flight| flight.is(number)).is_none() {
            return;
        }
        match fetched {
            Fetched::Same => {}
            Fetched::Changing => slot.stamp = None,
            Fetched::New { sha256, loaded } => {
                slot.sha256 = sha256;
                (slot.blocked, slot.fault) = (None, None);
                match loaded {
                    Ok(loaded) => self.offer(&path, loaded),
                    // What was served is served on.
                    Err(cause) => slot.fault = Some(cause),
                }
            }
        }
    }

    /// Files that could not be read for a reason that may pass (a permission, a stale mount) are looked at again.
    pub fn retry_unreadable(&mut self) {
        for slot in self.slots.values_mut() {
            if matches!(slot.fault, Some(RefusedCause::Unreadable(_))) {
                slot.stamp = None;
            }
        }
    }

    fn offer(&mut self, path: &Path, loaded: Arc<Loaded>) {
        let Some(slot) = self.slots.get_mut(path) else { return };
        // Back to what is served: a roll-back by hand, or a canary withdrawn.
        if slot.serving.as_ref().is_some_and(|serving| serving.loaded.sha256 == loaded.sha256 && serving.loaded.grants == loaded.grants) {
            slot.canary = None;
            return;
        }
        let canary = slot.serving.as_ref().and_then(|_| self.folder.canaries.get(&*loaded.name).copied());
        let version = Version::new(loaded, || Health::new(self.rule, canary.is_some(), Arc::clone(&self.opened)));
        if let Some(slot) = self.slots.get_mut(path) {
            slot.blocked = Some(version);
        }
        self.unblock(path);
    }

    /// Serve the version that waits, unless its name or an entrypoint belongs to another file.
    fn unblock(&mut self, path: &Path) {
        let Some(version) = self.slots.get(path).and_then(|slot| slot.blocked.clone()) else { return };
        let conflict = self.conflict(path, &version.loaded);
        let canary = self.folder.canaries.get(&*version.loaded.name).copied();
        let Some(slot) = self.slots.get_mut(path) else { return };
        slot.fault = conflict;
        if slot.fault.is_some() {
            return;
        }
        slot.blocked = None;
        match canary {
            Some(canary) if slot.serving.is_some() => slot.canary = Some((canary, version)),
            _ => {
                slot.previous = slot.serving.replace(version);
                slot.canary = None;
            }
        }
    }

    /// A file never takes what another one serves, whatever the names of the two: a bad deploy of one plugin must not take another out of
    /// service. Among files that come together, as at the start, the first by name wins.
    fn conflict(&self, path: &Path, plugin: &Loaded) -> Option<RefusedCause> {
        for (by, slot) in self.slots.iter().filter(|(other, _)| *other != path) {
            for version in slot.serving.iter().chain(slot.canary.iter().map(|(_, version)| version)) {
                if version.loaded.name == plugin.name {
                    return Some(RefusedCause::NameTaken { name: plugin.name.to_string(), by: by.clone() });
                }
                let entrypoints = &version.loaded.declaration.entrypoints;
                if let Some(entrypoint) = plugin.declaration.entrypoints.keys().find(|name| entrypoints.contains_key(*name)) {
                    return Some(RefusedCause::EntrypointTaken { entrypoint: entrypoint.clone(), by: by.clone() });
                }
            }
        }
        None
    }

    /// Draw the consequences of how versions do: a canary that crashes goes, one that has proved itself takes over, a version that crashes
    /// makes room for the one before it, and a pause that is over ends. Says whether anything changed, and when to ask again at the latest.
    pub fn review(&mut self) -> (bool, Option<Instant>) {
        let mut changed = false;
        let mut next: Option<Instant> = None;
        for slot in self.slots.values_mut() {
            changed |= slot.review_canary() | slot.roll_back();
            if slot.canary.is_some() {
                next = Some(Instant::now() + CANARY_REVIEW);
            }
            for health in slot.serving.iter().flat_map(|version| version.health.values()) {
                if let Some(until) = health.open_until() {
                    if until <= Instant::now() {
                        health.try_again();
                    } else {
                        next = Some(next.unwrap_or(until).min(until));
                    }
                    // Paused now, or served again.
                    changed = true;
                }
            }
        }
        (changed, next)
    }

    /// An operator says that a plugin, or an entrypoint, is to be tried again.
    pub fn reset(&mut self, name: &str) -> bool {
        let mut found = false;
        for slot in self.slots.values_mut() {
            let versions = slot.serving.iter().chain(slot.canary.iter().map(|(_, version)| version)).chain(&slot.previous);
            let mut mine = false;
            for version in versions {
                let whole = *version.loaded.name == *name;
                for (_, health) in version.health.iter().filter(|(entrypoint, _)| whole || *entrypoint == name) {
                    health.reset();
                    mine = true;
                }
            }
            if mine && matches!(slot.fault, Some(RefusedCause::Crashing { .. })) {
                // The content that was taken out of service is looked at again.
                (slot.stamp, slot.sha256) = (None, None);
            }
            found |= mine;
        }
        found
    }

    /// The snapshot of now.
    pub fn snapshot(&mut self) -> PluginSet {
        // Where a file went, another may have waited for its name.
        let waiting: Vec<PathBuf> = self.slots.iter().filter(|(_, slot)| slot.blocked.is_some()).map(|(path, _)| path.clone()).collect();
        waiting.iter().for_each(|path| self.unblock(path));
        let mut set = PluginSet { files: Vec::new(), entries: HashMap::new() };
        for (path, slot) in &self.slots {
            // Not looked at yet.
            if slot.serving.is_none() && slot.fault.is_none() {
                continue;
            }
            let mut file = File {
                path: path.clone(),
                serving: slot.serving.as_ref().map(|version| Arc::clone(&version.loaded)),
                canary: slot.canary.as_ref().map(|(_, version)| Arc::clone(&version.loaded)),
                fault: slot.fault.clone(),
                paused: Vec::new(),
            };
            for served in slot.serving.iter().flat_map(|version| self.served(version)) {
                let until = served.health.open_until();
                file.paused.extend(until.map(|until| (Arc::clone(&served.entrypoint), until)));
                let entry = Entry { stable: served.clone(), canary: None, paused: until.is_some() };
                set.entries.insert(served.entrypoint, entry);
            }
            for (canary, served) in
                slot.canary.iter().flat_map(|(canary, version)| self.served(version).map(move |served| (canary, served)))
            {
                let name = Arc::clone(&served.entrypoint);
                match set.entries.get_mut(&name) {
                    Some(entry) => entry.canary = Some((canary.share, served)),
                    // New in this version: there is nobody else to run it.
                    None => drop(set.entries.insert(name, Entry { stable: served, canary: None, paused: false })),
                }
            }
            set.files.push(file);
        }
        set
    }

    fn served<'a>(&'a self, version: &'a Version) -> impl Iterator<Item = Served> + 'a {
        version.loaded.declaration.entrypoints.iter().map(|(name, options)| Served {
            entrypoint: name.as_str().into(),
            plugin: Arc::clone(&version.loaded),
            options: self.folder.caps.apply(options),
            health: Arc::clone(&version.health[name]),
            pace: Arc::clone(&version.pace[name]),
            meter: Arc::new(Meter::new(&version.loaded.name, name)),
        })
    }
}
