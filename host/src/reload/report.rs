//! Logs what changed between two snapshots. Each change of a file is logged once.

use std::time::Duration;

use crate::logging::list;
use crate::meter;
use crate::plugins::{File, Folder, PluginSet};

/// The most items listed in one message: a plugin that declares a thousand items must not fill the
/// log.
const MAX_LISTED: usize = 20;

/// Warnings that only make sense at the start.
pub(super) fn beginning(set: &PluginSet, folder: &Folder) {
    for name in folder.grants.keys().filter(|name| !set.plugins().any(|plugin| *plugin.name == ***name)) {
        tracing::warn!(plugin = name, "the configuration grants something to a plugin that is not loaded");
    }
    if set.plugins().next().is_none() {
        tracing::warn!(folder = folder.shown(), "no plugin is loaded: no job will be claimed");
    }
}

/// Log what is different now.
pub(super) fn changes(before: &PluginSet, now: &PluginSet) {
    for file in now.files() {
        let old = before.files().iter().find(|old| old.path == file.path);
        versions(old, file);
        faults(old, file);
        pauses(old, file);
    }
    let (was, is) = (before.held(), now.held());
    let differ = |these: &[&str], those: &[&str]| -> Vec<String> {
        these.iter().filter(|name| !those.contains(name)).take(MAX_LISTED).map(|name| (*name).to_owned()).collect()
    };
    let (paused, resumed) = (differ(&is, &was), differ(&was, &is));
    if !paused.is_empty() {
        tracing::warn!(entrypoints = %list(&paused), "paused by an operator: no job of them begins; those that run end normally");
    }
    if !resumed.is_empty() {
        tracing::info!(entrypoints = %list(&resumed), "resumed");
    }
    for gone in before.files().iter().filter(|old| !now.files().iter().any(|file| file.path == old.path)) {
        let plugin = gone.serving.as_ref().map(|plugin| &*plugin.name);
        tracing::info!(file = %gone.path.display(), plugin, "plugin removed; jobs of its entrypoints stay in the queue");
    }
}

fn versions(old: Option<&File>, file: &File) {
    let sha = |file: Option<&File>| file.and_then(|file| file.serving.as_ref()).map(|plugin| plugin.sha256.clone());
    let canary = |file: &File| file.canary.as_ref().map(|plugin| plugin.sha256.clone());
    if let Some(plugin) = &file.serving
        && sha(old) != sha(Some(file))
    {
        let entrypoints: Vec<&str> = plugin.declaration.entrypoints.keys().map(String::as_str).collect();
        meter::begin_denials(&plugin.name);
        metrics::counter!("pgq_host_reloads_total", "plugin" => plugin.name.to_string()).increment(1);
        let replaces = old.and_then(|old| old.serving.as_ref()).map(|plugin| plugin.version.clone());
        let more = entrypoints.len().checked_sub(MAX_LISTED).filter(|more| *more > 0);
        let entrypoints = &entrypoints[..entrypoints.len().min(MAX_LISTED)];
        tracing::info!(file = %file.path.display(), plugin = %plugin.name, version = plugin.version, sha256 = &plugin.sha256[..12], signed_by = signers(plugin), replaces, entrypoints = %list(entrypoints), more, "plugin loaded");
        let missing = plugin.grants.missing(&plugin.declaration.needs);
        for missing in missing.iter().take(MAX_LISTED) {
            tracing::warn!(plugin = %plugin.name, "{missing}");
        }
        if missing.len() > MAX_LISTED {
            tracing::warn!(plugin = %plugin.name, more = missing.len() - MAX_LISTED, "the plugin needs more that it is not granted; `pgq-host plugin inspect` lists everything");
        }
    }
    if let Some(plugin) = &file.canary
        && old.and_then(canary) != canary(file)
    {
        tracing::info!(file = %file.path.display(), plugin = %plugin.name, version = plugin.version, sha256 = &plugin.sha256[..12], "canary loaded; it runs a share of the jobs until it is promoted");
    }
}

/// The names of the keys that signed it, as a field of the log.
fn signers(plugin: &pgq_engine::Loaded) -> Option<String> {
    let keys: Vec<&str> = plugin.signed_by.iter().map(|signer| &*signer.key).collect();
    (!keys.is_empty()).then(|| keys.join(","))
}

fn faults(old: Option<&File>, file: &File) {
    if let Some(fault) = &file.fault
        && old.and_then(|old| old.fault.as_ref()) != Some(fault)
    {
        let serving = file.serving.as_ref().map(|plugin| plugin.version.as_str());
        tracing::error!(file = %file.path.display(), error = %fault, serving, "plugin refused");
    }
}

fn pauses(old: Option<&File>, file: &File) {
    let was = |name: &str| old.is_some_and(|old| old.paused.iter().any(|(paused, _)| **paused == *name));
    for (entrypoint, until) in file.paused.iter().filter(|(name, _)| !was(name)) {
        let pause =
            Duration::from_secs(until.saturating_duration_since(std::time::Instant::now()).as_secs_f64().ceil() as u64);
        tracing::error!(file = %file.path.display(), job.entrypoint = %entrypoint, pause_ms = pause.as_millis(), "run after run crashes: the entrypoint is paused and its jobs stay in the queue");
    }
    for (entrypoint, _) in old.into_iter().flat_map(|old| &old.paused) {
        if !file.paused.iter().any(|(paused, _)| paused == entrypoint) {
            tracing::info!(file = %file.path.display(), job.entrypoint = %entrypoint, "the pause is over: the entrypoint is claimed again");
        }
    }
}
