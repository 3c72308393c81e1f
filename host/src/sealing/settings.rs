//! `[sealing]`, as far as it is about keys.

use std::time::Duration;

use super::source::Source;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingSettings {
    /// `None`: this host has no key.
    pub source: Option<Source>,
    /// The id of the key that seals; `None`: the first.
    pub seal_with: Option<String>,
    /// How long a job is put back whose key this host does not have, before it is held.
    pub wait: Duration,
}

impl Default for SealingSettings {
    fn default() -> SealingSettings {
        SealingSettings { source: None, seal_with: None, wait: Duration::from_secs(15 * 60) }
    }
}
