//! One version of a plugin, and how it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Folder, Health, Pace, RefusedCause, Throttle};
use crate::wasm::Loaded;

/// One version of a plugin, and how it does.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) loaded: Arc<Loaded>,
    /// By entrypoint.
    pub(super) health: BTreeMap<String, Arc<Health>>,
    /// By entrypoint.
    pub(super) pace: BTreeMap<String, Arc<Pace>>,
    /// By entrypoint.
    pub(super) throttle: BTreeMap<String, Arc<Throttle>>,
}

impl Version {
    /// Nothing is known yet of how it does.
    pub(super) fn new(loaded: Arc<Loaded>, health: impl Fn(&str) -> Health) -> Version {
        let entrypoints = || loaded.declaration.entrypoints.keys().cloned();
        let health = entrypoints().map(|name| (name.clone(), Arc::new(health(&name)))).collect();
        let pace = entrypoints().map(|name| (name, Arc::default())).collect();
        let throttle = entrypoints().map(|name| (name, Arc::default())).collect();
        Version { loaded, health, pace, throttle }
    }

    /// The same under what the folder grants now; how it does is not forgotten.
    pub(super) fn regranted(&self, folder: &Folder) -> Result<Version, RefusedCause> {
        let grants = folder.grants_of(&self.loaded.name);
        if grants == *self.loaded.grants {
            return Ok(self.clone());
        }
        Ok(Version { loaded: Arc::new(self.loaded.regranted(grants)?), ..self.clone() })
    }

    /// Its runs so far, over all entrypoints.
    pub(super) fn runs(&self) -> u32 {
        self.health.values().map(|health| health.runs()).sum()
    }

    /// Whether a circuit breaker of it is open.
    pub(super) fn crashing(&self) -> Option<RefusedCause> {
        let (entrypoint, health) = self.health.iter().find(|(_, health)| health.open_until().is_some())?;
        let (crashes, runs) = health.crashes();
        Some(RefusedCause::Crashing {
            plugin: self.loaded.name.to_string(),
            version: self.loaded.version.clone(),
            entrypoint: entrypoint.clone(),
            crashes,
            runs,
        })
    }
}
