//! Where plugins come from, as flags and configuration say: folders, and references to registries.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use pgq_registry::Reference;

use crate::config::Config;
use crate::location::Location;
use crate::mirror::{self, MirrorSettings};

/// A look costs a registry two requests without a body for each reference.
pub(super) const DEFAULT_REGISTRY_INTERVAL: Duration = Duration::from_secs(60);

/// The flags that verbs which ask registries share.
#[derive(Debug, Clone, Args)]
pub(super) struct RegistryArgs {
    /// A registry that may be asked over plain HTTP, besides those of this machine; repeatable
    #[arg(
        long = "insecure-registry",
        env = "PGQ_HOST_INSECURE_REGISTRIES",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    insecure_registries: Vec<String>,
}

impl RegistryArgs {
    pub(super) fn insecure(&self, config: &Config) -> Vec<String> {
        let configured = config.run.insecure_registries.iter();
        self.insecure_registries.iter().chain(configured).cloned().collect()
    }
}

/// Folders and references, apart.
#[derive(Debug, Clone)]
pub(super) struct PluginSources {
    folders: Vec<PathBuf>,
    pub(super) references: Vec<Reference>,
    interval: Duration,
    insecure: Vec<String>,
}

impl PluginSources {
    pub(super) fn new(places: Vec<Location>, interval: Duration, insecure: Vec<String>) -> PluginSources {
        let mut sources = PluginSources { folders: Vec::new(), references: Vec::new(), interval, insecure };
        for place in places {
            match place {
                Location::Folder(folder) if !sources.folders.contains(&folder) => sources.folders.push(folder),
                Location::Registry(reference) if !sources.references.contains(&reference) => {
                    sources.references.push(reference);
                }
                _ => {}
            }
        }
        sources
    }

    /// One folder.
    pub(super) fn folder(folder: PathBuf) -> PluginSources {
        PluginSources::new(vec![Location::Folder(folder)], DEFAULT_REGISTRY_INTERVAL, Vec::new())
    }

    /// All folders that are scanned, and what keeps some of them in step with registries.
    pub(super) fn at(self, cache: &Path, max_bytes: u64) -> (Vec<PathBuf>, Option<MirrorSettings>) {
        let PluginSources { folders, references, interval, insecure } = self;
        let mirrored = references.iter().map(|reference| mirror::folder_of(cache, reference));
        let paths = folders.into_iter().chain(mirrored).collect();
        let settings = MirrorSettings { references, cache: cache.to_owned(), interval, insecure, max_bytes };
        (paths, (!settings.references.is_empty()).then_some(settings))
    }
}
