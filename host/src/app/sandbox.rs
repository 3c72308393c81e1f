//! Where guests run: the engine, its cache of compiled code, and the guests' threads.

use std::path::Path;

use super::settings::Settings;
use crate::reload::Loader;
use pgq_engine::guests::{GuestRuntime, Guests};
use pgq_engine::{CodeCache, Engine, EngineSettings};

pub(super) struct Sandbox {
    pub(super) engine: Engine,
    pub(super) loader: Loader,
    pub(super) guests: Guests,
    /// Kept until nothing runs on them any more.
    pub(super) threads: GuestRuntime,
}

pub(super) fn build(settings: &Settings) -> anyhow::Result<Sandbox> {
    let engine = Engine::new(&EngineSettings {
        max_instances: u32::try_from(settings.max_concurrent_tasks).unwrap_or(u32::MAX),
        max_memory: settings.folder.caps.memory,
        max_guest_memory: settings.max_guest_memory,
        compile_timeout: Some(settings.folder.caps.compile_timeout),
    })?;
    let loader = Loader { engine: engine.clone(), cache: open_cache(settings.cache.as_deref()) };
    let (threads, guests) = GuestRuntime::start()?;
    Ok(Sandbox { engine, loader, guests, threads })
}

/// The cache in this folder; one that cannot be used costs time, and no start.
pub(crate) fn open_cache(folder: Option<&Path>) -> CodeCache {
    let Some(folder) = folder else { return CodeCache::disabled() };
    CodeCache::open(folder).unwrap_or_else(|error| {
        tracing::warn!(error = %format!("{error:#}"), "plugins are compiled at every start");
        CodeCache::disabled()
    })
}
