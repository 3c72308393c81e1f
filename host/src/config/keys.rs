//! Only the keys of a configuration, for verbs that need nothing else.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::sealing::SealingSection;
use super::{Config, read};
use crate::sealing::{SealRules, SealingSettings};

impl Config {
    /// Only `[sealing]`: a command that seals or opens needs no plugin's secret.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read or its `[sealing]` is invalid.
    pub fn sealing(named: Option<&Path>) -> anyhow::Result<SealingSettings> {
        #[derive(Default, Deserialize)]
        struct OnlySealing {
            #[serde(default)]
            sealing: SealingSection,
        }
        let (path, text) = read(named)?;
        let parse = || {
            let (file, mut mistakes) = (toml::from_str::<OnlySealing>(&text)?, Vec::new());
            let settings = file.sealing.settings(&SealRules::default(), &mut mistakes);
            if mistakes.is_empty() { Ok(settings) } else { bail!("{}", mistakes.join("\n")) }
        };
        parse().with_context(|| format!("the configuration {} is not valid", path.display()))
    }
}
