//! One version of a plugin, and how it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Health, RefusedCause};
use crate::wasm::Loaded;

/// One version of a plugin, and how it does.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) loaded: Arc<Loaded>,
    /// By entrypoint.
    pub(super) health: BTreeMap<String, Arc<Health>>,
}

impl Version {
    /// Nothing is known yet of how it does.
    pub(super) fn new(loaded: Arc<Loaded>, health: impl Fn() -> Health) -> Version {
        let health = loaded.declaration.entrypoints.keys().map(|name| (name.clone(), Arc::new(health()))).collect();
        Version { loaded, health }
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
