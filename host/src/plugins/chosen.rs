//! What an operator chooses for all plugins, for one, or for one entrypoint.

use std::collections::BTreeMap;

/// The most specific choice counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen<T> {
    /// By plugin and entrypoint.
    pub entrypoints: BTreeMap<(String, String), T>,
    pub plugins: BTreeMap<String, T>,
    /// For all others.
    pub all: T,
}

impl<T: Copy> Chosen<T> {
    /// What holds for this entrypoint.
    pub fn of(&self, plugin: &str, entrypoint: &str) -> T {
        let of_entrypoint = self.entrypoints.get(&(plugin.to_owned(), entrypoint.to_owned()));
        of_entrypoint.or_else(|| self.plugins.get(plugin)).copied().unwrap_or(self.all)
    }
}
