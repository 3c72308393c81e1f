//! Gauges, written at each scrape.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::labels::{Labels, family, labels, number};
use super::observed::{Observed, Sample};
use super::worker_handles::WorkerHandles;
use crate::plugins::{File, PluginSet};
use crate::seats::entrypoint_label;
use pgq_queue::{Depth, Queue};

/// Append the gauges to the page.
pub(super) async fn write(page: &mut String, worker: &WorkerHandles, sample: &Sample) {
    let version = labels(&[("version", env!("CARGO_PKG_VERSION"))]);
    family(page, "pgq_host_build_info", &[(version, 1.0)]);
    number(page, "pgq_host_jobs_in_flight", worker.leases.len() as f64);
    number(page, "pgq_host_places", worker.places as f64);
    let is_listening = worker.listening.as_ref().is_some_and(|listening| *listening.borrow());
    number(page, "pgq_host_listener_up", as_number(is_listening));
    of_queue(page, &worker.queue);
    let plugins: Arc<PluginSet> = worker.plugins.borrow().clone();
    family(page, "pgq_host_plugin_info", &served(&plugins));
    family(page, "pgq_host_plugin_refused", &refused(&plugins));
    family(page, "pgq_host_entrypoint_paused", &paused(&plugins));
    family(page, "pgq_host_entrypoint_held", &held(&plugins));
    observed(page, &sample.take(&worker.queue).await);
}

/// What this host holds of the queue, and its sessions.
fn of_queue(page: &mut String, queue: &Queue) {
    let (bytes, most) = queue.claimed_bytes();
    number(page, "pgq_host_claimed_bytes", bytes as f64);
    number(page, "pgq_host_claimed_bytes_limit", most as f64);
    let (open, idle, limit) = queue.pool().use_of();
    let states = [("open", open), ("idle", idle), ("limit", limit)];
    let sessions = states.map(|(state, count)| (labels(&[("state", state)]), count as f64));
    family(page, "pgq_host_sessions", &sessions);
}

/// What the last look at the queue told.
fn observed(page: &mut String, observed: &Observed) {
    if let Some(took) = observed.round_trip {
        number(page, "pgq_host_database_round_trip_seconds", took.as_secs_f64());
    }
    let depths = &observed.depths;
    let jobs = |depth: &Depth| {
        let of = |state, jobs: i64| (labels(&[("entrypoint", &depth.entrypoint), ("state", state)]), jobs as f64);
        [of("due", depth.due), of("deferred", depth.deferred), of("running", depth.running), of("held", depth.held)]
    };
    family(page, "pgq_host_queue_jobs", &depths.iter().flat_map(jobs).collect::<Vec<_>>());
    let mut ages = |name: &str, age: fn(&Depth) -> f64| {
        let of = |depth: &Depth| (labels(&[("entrypoint", &depth.entrypoint)]), age(depth));
        family(page, name, &depths.iter().map(of).collect::<Vec<_>>());
    };
    ages("pgq_host_queue_oldest_seconds", |depth| depth.oldest_seconds);
    ages("pgq_host_queue_oldest_running_seconds", |depth| depth.oldest_running_seconds);
    ages("pgq_host_queue_oldest_held_seconds", |depth| depth.oldest_held_seconds);
    if let Some(health) = observed.health {
        number(page, "pgq_host_statistics_lag_seconds", health.statistics_lag);
        number(page, "pgq_host_schedules_lag_seconds", health.schedules_lag);
        let hosts = [("alive", health.alive), ("died", health.died)];
        family(page, "pgq_host_hosts", &hosts.map(|(state, hosts)| (labels(&[("state", state)]), hosts as f64)));
    }
    pgqueuers(page, observed);
}

/// As PgQueuer's own exporter has them: a status that no job has is not there.
fn pgqueuers(page: &mut String, observed: &Observed) {
    let series = |entrypoint: &str, status: &str, count: i64| {
        (labels(&[("aggregation", "sum"), ("entrypoint", entrypoint), ("status", status)]), count as f64)
    };
    let queued = |depth: &Depth| {
        let counts = [("failed", depth.held), ("picked", depth.running), ("queued", depth.due + depth.deferred)];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        counts.map(|(status, count)| series(&depth.entrypoint, status, count)).collect::<Vec<_>>()
    };
    family(page, "pgqueuer_queue_count", &observed.depths.iter().flat_map(queued).collect::<Vec<_>>());
    let logged = observed.logged.iter().map(|row| series(&row.entrypoint, &row.status, row.count));
    family(page, "pgqueuer_logs_count", &logged.collect::<Vec<_>>());
}

fn served(plugins: &PluginSet) -> Vec<(Labels, f64)> {
    let of = |file: &File| {
        let versions = [(&file.serving, "stable"), (&file.canary, "canary")];
        let known = versions.map(|(plugin, role)| {
            let plugin = plugin.as_ref()?;
            let signers: Vec<&str> = plugin.signed_by.iter().map(|signer| &*signer.key).collect();
            let signers = signers.join(",");
            let pairs = [
                ("plugin", &*plugin.name),
                ("version", &*plugin.version),
                ("sha256", &plugin.sha256[..12]),
                ("role", role),
                ("signed_by", &signers),
            ];
            Some((labels(&pairs), 1.0))
        });
        known.into_iter().flatten().collect::<Vec<_>>()
    };
    plugins.files().iter().flat_map(of).collect()
}

fn refused(plugins: &PluginSet) -> Vec<(Labels, f64)> {
    let of = |file: &File| {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        (labels(&[("file", &name)]), as_number(file.fault.is_some()))
    };
    plugins.files().iter().map(of).collect()
}

fn paused(plugins: &PluginSet) -> Vec<(Labels, f64)> {
    let open = |name: &str| plugins.files().iter().flat_map(|file| &file.paused).any(|(paused, _)| **paused == *name);
    by_entrypoint(plugins, open)
}

fn held(plugins: &PluginSet) -> Vec<(Labels, f64)> {
    by_entrypoint(plugins, |name| plugins.hold(name).is_some())
}

/// Those without a series of their own share one: 1 if it is so of any.
fn by_entrypoint(plugins: &PluginSet, is_so: impl Fn(&str) -> bool) -> Vec<(Labels, f64)> {
    let mut by_label = BTreeMap::<&str, bool>::new();
    for served in plugins.served() {
        *by_label.entry(entrypoint_label(&served.entrypoint)).or_default() |= is_so(&served.entrypoint);
    }
    by_label.into_iter().map(|(name, is_so)| (labels(&[("entrypoint", name)]), as_number(is_so))).collect()
}

fn as_number(so: bool) -> f64 {
    f64::from(u8::from(so))
}
