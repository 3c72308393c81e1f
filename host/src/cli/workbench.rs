//! The parts of a host that plugins need, without the host: configuration, engine, cache of
//! compiled code, and threads for guests.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::logging::LoggingArgs;
use super::run::default_cache_dir;
use super::usage::OrUsage as _;
use crate::app;
use crate::config::Config;
use crate::location::Location;
use crate::mirror;
use crate::plugins::{File, RefusedCause, Rollouts, signature_path};
use pgq_engine::guests::{GuestRuntime, Guests};
use pgq_engine::{self as wasm, CodeCache, Engine, EngineSettings, FAR_COMPILE_TIMEOUT, Loaded};
use pgq_trust::MAX_SIGNATURE_BYTES;

/// The flags that commands which load plugins share.
#[derive(Debug, Args)]
pub(super) struct WorkbenchArgs {
    /// The file with grants and caps [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    config: Option<PathBuf>,
    /// Where compiled plugins are kept [default: pgq-host in the user's cache folder]
    #[arg(long, env = "PGQ_HOST_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    #[command(flatten)]
    logging: LoggingArgs,
}

/// How a command uses the cache of compiled code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeCaching {
    /// As a host does: without it, everything just takes longer.
    Cached,
    /// The command's purpose: failing to store is an error.
    Required,
}

/// Everything needed to load and run plugins.
pub(super) struct Workbench {
    pub(super) config: Config,
    pub(super) engine: Engine,
    pub(super) cache: CodeCache,
    /// Guests never run on the threads that wait for signals.
    pub(super) guests: Guests,
    _threads: GuestRuntime,
}

impl WorkbenchArgs {
    pub(super) fn set_up(&self, compiled: CodeCaching) -> anyhow::Result<Workbench> {
        self.logging.install()?;
        let config = Config::load(self.config.as_deref()).or_usage()?;
        let folder = || self.cache_dir.clone().or(config.run.cache_dir.clone()).map_or_else(default_cache_dir, Ok);
        let cache = match compiled {
            CodeCaching::Cached => app::open_cache(folder().ok().as_deref()),
            CodeCaching::Required => CodeCache::open(&folder()?)?,
        };
        // The host's caps, because compiled code depends on them.
        let engine = Engine::new(&EngineSettings {
            max_instances: 1,
            max_memory: config.caps.memory,
            max_guest_memory: config.caps.memory,
            // Who waits for a command can interrupt it.
            compile_timeout: Some(config.caps.compile_timeout.max(FAR_COMPILE_TIMEOUT)),
        })?;
        let (threads, guests) = GuestRuntime::start()?;
        Ok(Workbench { config, engine, cache, guests, _threads: threads })
    }
}

impl Workbench {
    /// What a host would make of the files of these places now, ordered by name. Of registries, what was
    /// pulled before.
    pub(super) async fn folder(&self, places: &[Location]) -> anyhow::Result<Vec<File>> {
        let config = &self.config;
        let folder = config.folder(self.paths(places));
        let mut rollouts = Rollouts::new(folder.clone(), config.breaker, Arc::default());
        for loading in rollouts.scan(folder.list()?, false).due {
            let (folder, engine, cache) = (folder.clone(), self.engine.clone(), self.cache.clone());
            rollouts
                .settle(self.guests.handle().spawn(async move { loading.run(&folder, &engine, &cache).await }).await?);
        }
        Ok(rollouts.snapshot().files().to_vec())
    }

    fn paths(&self, places: &[Location]) -> Vec<PathBuf> {
        let path = |place: &Location| match place {
            Location::Folder(folder) => Some(folder.clone()),
            Location::Registry(reference) => {
                let path = mirror::folder_of(self.cache.folder()?, reference);
                path.is_dir().then_some(path)
            }
        };
        places.iter().filter_map(path).collect()
    }

    /// Load these bytes as the plugin that the file of this name would be.
    pub(super) async fn load(&self, path: &Path, bytes: Vec<u8>) -> anyhow::Result<Result<Loaded, RefusedCause>> {
        let (engine, cache, grants) = (self.engine.clone(), self.cache.clone(), self.config.grants.clone());
        let (trust, signature) = (self.config.trust.clone(), read_signature(path)?);
        let (stem, name) = (path.file_stem().unwrap_or_default(), path.file_name().unwrap_or_default());
        let (stem, name) = (stem.to_string_lossy().into_owned(), name.to_string_lossy().into_owned());
        let load = async move {
            let signed_by = match &trust {
                Some(trust) => trust.signers(&name, &bytes, signature.as_deref())?,
                None => Vec::new(),
            };
            let grants_for = |name: &str| grants.get(name).cloned().unwrap_or_default();
            let loaded = wasm::load(&engine, &cache, &stem, &bytes, 0, &signed_by, grants_for).await?;
            if let Some(trust) = &trust {
                trust.check(&loaded.name, &loaded.version, &signed_by)?;
            }
            Ok(loaded)
        };
        self.guests
            .handle()
            .spawn(load)
            .await
            .with_context(|| format!("the host panicked while loading {}", path.display()))
    }
}

/// The file's bytes, or an error that names the file.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read the component {}", path.display()))
}

/// The signatures beside a component, if there are any. A file that is longer than it may be is cut, so
/// that it is refused by whoever reads it.
pub(super) fn read_signature(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let path = signature_path(path);
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read the signature {}", path.display())),
    };
    let mut bytes = Vec::new();
    file.take(MAX_SIGNATURE_BYTES)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the signature {}", path.display()))?;
    Ok(Some(bytes))
}
