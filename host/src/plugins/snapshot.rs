//! The current snapshot of the rollouts, for the code that claims and runs jobs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::version::Version;
use super::{Entry, File, Hold, LogRule, PluginSet, Rollouts, Served};
use crate::meter::EntrypointMetrics;

impl Rollouts {
    pub fn snapshot(&mut self) -> PluginSet {
        // When a file is removed, another may have been waiting for its name.
        let waiting: Vec<PathBuf> = self
            .by_file
            .iter()
            .filter(|(_, rollout)| rollout.blocked.is_some())
            .map(|(path, _)| path.clone())
            .collect();
        waiting.iter().for_each(|path| self.unblock(path));
        let mut set = PluginSet { files: Vec::new(), entries: HashMap::new(), loading: Vec::new(), lost: Vec::new() };
        for (path, rollout) in &self.by_file {
            // Still being loaded for the first time.
            if rollout.serving.is_none() && rollout.fault.is_none() {
                set.loading.extend(rollout.loading.as_ref().map(|_| path.clone()));
                continue;
            }
            let mut file = File {
                path: path.clone(),
                serving: rollout.serving.as_ref().map(|version| Arc::clone(&version.loaded)),
                canary: rollout.canary.as_ref().map(|(_, version)| Arc::clone(&version.loaded)),
                fault: rollout.fault.clone(),
                sha256: rollout.sha256.clone(),
                paused: Vec::new(),
            };
            for served in rollout.serving.iter().flat_map(|version| self.served(version, "stable")) {
                let until = served.breaker.open_until();
                file.paused.extend(until.map(|until| (Arc::clone(&served.entrypoint), until)));
                let hold = self.hold(&served);
                let name = Arc::clone(&served.entrypoint);
                let entry = Entry { stable: Arc::new(served), canary: None, paused: until.is_some(), hold };
                set.entries.insert(name, entry);
            }
            for (canary, served) in rollout
                .canary
                .iter()
                .flat_map(|(canary, version)| self.served(version, "canary").map(move |served| (canary, served)))
            {
                let (name, hold) = (Arc::clone(&served.entrypoint), self.hold(&served));
                match set.entries.get_mut(&name) {
                    Some(entry) => entry.canary = Some((canary.share, Arc::new(served))),
                    // An entrypoint that is new in this version, so no stable version can run it.
                    None => {
                        let entry = Entry { stable: Arc::new(served), canary: None, paused: false, hold };
                        set.entries.insert(name, entry);
                    }
                }
            }
            set.files.push(file);
        }
        self.ever_served.extend(set.entries.keys().cloned());
        set.lost = self.ever_served.iter().filter(|name| !set.entries.contains_key(*name)).cloned().collect();
        set
    }

    /// How an operator paused this version of an entrypoint. Jobs that were claimed and wait for a
    /// place see it, too.
    fn hold(&self, served: &Served) -> Option<Hold> {
        let hold = self.pauses.hold(&served.entrypoint, &served.plugin);
        served.held.store(hold.is_some(), Ordering::Relaxed);
        hold
    }

    fn served<'a>(&'a self, version: &'a Version, role: &'static str) -> impl Iterator<Item = Served> + 'a {
        version.loaded.declaration.entrypoints.iter().map(move |(name, options)| Served {
            entrypoint: name.as_str().into(),
            plugin: Arc::clone(&version.loaded),
            options: self.folder.caps.apply(options),
            breaker: Arc::clone(&version.breakers[name]),
            run_class: Arc::clone(&version.run_classes[name]),
            lasting: Arc::clone(&version.lasting[name]),
            locks: self.folder.claims.locks(&version.loaded.name, name, &version.loaded.grants),
            history: self.folder.history.of(&version.loaded.name, name),
            logs: LogRule { keep: self.folder.keeps.of(&version.loaded.name, name), ..self.folder.logs },
            seals: self.folder.seals.of(&version.loaded.name, name),
            throttle: Arc::clone(&version.throttles[name]),
            held: Arc::clone(&version.holds[name]),
            metrics: Arc::new(EntrypointMetrics::new(&version.loaded.name, name, &version.loaded.version, role)),
        })
    }
}
