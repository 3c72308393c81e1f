//! The keys of a verb: those of `[sealing]`, or of a file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use crate::cli::usage::{OrUsage as _, usage};
use crate::config::Config;
use crate::sealing::{SealingSettings, Source};
use pgq_sealing::{Key, Keys};

#[derive(Debug, Args)]
pub(in crate::cli) struct KeysArgs {
    /// The file with the keys [default: what [sealing] in the configuration names]
    #[arg(long, value_name = "FILE")]
    keys_file: Option<PathBuf>,
    /// The file with [sealing] [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    config: Option<PathBuf>,
}

/// Keys that are read.
pub(in crate::cli) struct ReadKeys {
    pub(in crate::cli) keys: Keys,
    seal_with: Option<String>,
}

impl KeysArgs {
    pub(in crate::cli) async fn read(&self) -> anyhow::Result<ReadKeys> {
        let settings = match &self.keys_file {
            Some(file) => {
                SealingSettings { source: Some(Source::File(file.clone())), seal_with: None, wait: Duration::ZERO }
            }
            None => Config::sealing(self.config.as_deref()).or_usage()?,
        };
        let Some(source) = settings.source else {
            return Err(usage(
                "there are no keys; name their file with --keys-file, or under [sealing] in pgq-host.toml",
            ));
        };
        Ok(ReadKeys { keys: source.read().await.map_err(|error| anyhow!(error))?, seal_with: settings.seal_with })
    }
}

impl ReadKeys {
    /// The key that seals: this one, or that of the configuration, or the first.
    pub(in crate::cli) fn seals(&self, named: Option<&str>) -> anyhow::Result<&Key> {
        self.keys.seals(named.or(self.seal_with.as_deref())).map_err(|error| anyhow!(error))
    }
}
