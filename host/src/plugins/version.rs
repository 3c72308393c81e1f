//! One version of a plugin, and how it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{CircuitBreaker, Folder, RefusedCause, RunClass, Throttle};
use pgq_engine::Loaded;

/// One version of a plugin, and the circuit breakers of its entrypoints.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) loaded: Arc<Loaded>,
    pub(super) breakers: BTreeMap<String, Arc<CircuitBreaker>>,
    pub(super) run_classes: BTreeMap<String, Arc<RunClass>>,
    pub(super) lasting: BTreeMap<String, Arc<RunClass>>,
    pub(super) throttles: BTreeMap<String, Arc<Throttle>>,
    /// Whether an operator paused them.
    pub(super) holds: BTreeMap<String, Arc<AtomicBool>>,
}

impl Version {
    /// A version without any runs yet.
    pub(super) fn new(loaded: Arc<Loaded>, breaker: impl Fn(&str) -> CircuitBreaker) -> Version {
        let entrypoints = || loaded.declaration.entrypoints.keys().cloned();
        let breakers = entrypoints().map(|name| (name.clone(), Arc::new(breaker(&name)))).collect();
        let run_classes = entrypoints().map(|name| (name, Arc::default())).collect();
        let lasting = entrypoints().map(|name| (name, Arc::default())).collect();
        let throttles = entrypoints().map(|name| (name, Arc::default())).collect();
        let holds = entrypoints().map(|name| (name, Arc::default())).collect();
        Version { loaded, breakers, run_classes, lasting, throttles, holds }
    }

    /// The same version under the current grants and keys. Its circuit breakers keep their state.
    pub(super) fn regranted(&self, folder: &Folder) -> Result<Version, RefusedCause> {
        if let Some(trust) = &folder.trust {
            trust.check(&self.loaded.name, &self.loaded.version, &self.loaded.signed_by)?;
        }
        let grants = folder.grants_of(&self.loaded.name);
        if grants == *self.loaded.grants {
            return Ok(self.clone());
        }
        Ok(Version { loaded: Arc::new(self.loaded.regranted(grants)?), ..self.clone() })
    }

    /// Its runs so far, over all entrypoints.
    pub(super) fn runs(&self) -> u32 {
        self.breakers.values().map(|breaker| breaker.runs()).sum()
    }

    /// The refusal to report if one of its circuit breakers is open.
    pub(super) fn crashing(&self) -> Option<RefusedCause> {
        let (entrypoint, breaker) = self.breakers.iter().find(|(_, breaker)| breaker.open_until().is_some())?;
        let (crashes, runs) = breaker.crashes();
        Some(RefusedCause::Crashing {
            plugin: self.loaded.name.to_string(),
            version: self.loaded.version.clone(),
            entrypoint: entrypoint.clone(),
            crashes,
            runs,
        })
    }
}
