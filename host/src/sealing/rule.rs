//! What must be sealed, and what is sealed.

use serde::Deserialize;

use crate::plugins::Chosen;

/// Which outputs and follow-ups are sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seal {
    /// Those of jobs whose payloads were sealed.
    #[default]
    LikePayload,
    Always,
    Never,
}

/// What holds for one entrypoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SealRule {
    /// Whether payloads in clear are refused.
    pub requires: bool,
    pub seal: Seal,
}

/// What holds for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealRules {
    pub requires: Chosen<bool>,
    pub seals: Chosen<Seal>,
}

impl SealRules {
    pub fn of(&self, plugin: &str, entrypoint: &str) -> SealRule {
        SealRule { requires: self.requires.of(plugin, entrypoint), seal: self.seals.of(plugin, entrypoint) }
    }

    /// Whether anything of it can only be done with a key.
    pub fn needs_a_key(&self) -> bool {
        let Chosen { entrypoints, plugins, all } = &self.requires;
        let requires = *all || entrypoints.values().chain(plugins.values()).any(|requires| *requires);
        let Chosen { entrypoints, plugins, all } = &self.seals;
        requires
            || std::iter::once(all)
                .chain(entrypoints.values())
                .chain(plugins.values())
                .any(|seal| *seal == Seal::Always)
    }
}
