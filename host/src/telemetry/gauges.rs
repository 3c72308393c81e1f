//! Gauges, written at each scrape in Prometheus' text format. They are not registered: a registered
//! gauge would keep its last value after its plugin or entrypoint is removed.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::worker_handles::WorkerHandles;
use crate::announce;
use crate::plugins::{File, PluginSet};
use pgq_queue::Depth;
use pgq_queue::told::Told as _;

/// Scrapes within this time share one count of the queue.
const SAMPLE_TTL: Duration = Duration::from_secs(10);
/// A slow count is made less often, so that counting takes at most a fiftieth of the time.
const SHARE: u32 = 50;
/// Finding nothing mostly means that it is another host's turn to report. Ask again soon, because
/// the turn may change.
const EMPTY_TTL: Duration = Duration::from_secs(30);
/// Below the ten seconds that scrapers wait.
const COUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// The last count of the queue.
#[derive(Default)]
pub(super) struct Sample(Mutex<Option<Count>>);

struct Count {
    depths: Vec<Depth>,
    at: Instant,
    keep: Duration,
}

/// Append the gauges to the page.
pub(super) async fn write(page: &mut String, worker: &WorkerHandles, sample: &Sample) {
    let mut family = |name: &str, help: &str, series: &[(Labels, f64)]| {
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in series {
            let _ = writeln!(page, "{name}{labels} {value}", labels = labels.0);
        }
        page.push('\n');
    };
    let plain = |value: f64| [(Labels::default(), value)];
    family("pgq_host_build_info", "This host's version", &[(labels(&[("version", env!("CARGO_PKG_VERSION"))]), 1.0)]);
    family(
        "pgq_host_jobs_in_flight",
        "Jobs that this host has claimed and not recorded yet",
        &plain(worker.leases.len() as f64),
    );
    family("pgq_host_places", "The number of jobs that this host can run at once", &plain(worker.places as f64));
    family(
        "pgq_host_listener_up",
        "1 while the listener is connected",
        &plain(as_number(worker.listening.as_ref().is_some_and(|listening| *listening.borrow()))),
    );
    let plugins = worker.plugins.borrow().clone();
    family(
        "pgq_host_plugin_info",
        "1 for each plugin version that is served: stable, or a canary beside it",
        &served(&plugins),
    );
    family("pgq_host_plugin_refused", "1 while a file's content is not what is served", &refused(&plugins));
    family("pgq_host_entrypoint_paused", "1 while the circuit breaker of an entrypoint is open", &paused(&plugins));
    family("pgq_host_entrypoint_held", "1 while an operator pauses an entrypoint", &held(&plugins));
    let depths = sample.take(worker).await;
    if !depths.is_empty() {
        let jobs = |depth: &Depth| {
            let of = |state, jobs: i64| (labels(&[("entrypoint", &depth.entrypoint), ("state", state)]), jobs as f64);
            [of("due", depth.due), of("deferred", depth.deferred), of("running", depth.running), of("held", depth.held)]
        };
        let age = |depth: &Depth| (labels(&[("entrypoint", &depth.entrypoint)]), depth.oldest_seconds);
        family(
            "pgq_host_queue_jobs",
            "Jobs in the queue, whoever runs them; reported by one host at a time",
            &depths.iter().flat_map(jobs).collect::<Vec<_>>(),
        );
        family(
            "pgq_host_queue_oldest_seconds",
            "How long the longest-waiting due job has waited; reported by one host at a time",
            &depths.iter().map(age).collect::<Vec<_>>(),
        );
    }
}

impl Sample {
    async fn take(&self, worker: &WorkerHandles) -> Vec<Depth> {
        let mut look = self.0.lock().await;
        match &*look {
            Some(look) if look.at.elapsed() < look.keep => return look.depths.clone(),
            _ => {}
        }
        let at = Instant::now();
        // Hosts announce themselves every period, give or take a quarter of it. One that missed two
        // announcements is gone.
        let announced = announce::PERIOD.as_secs_f64() * 2.5;
        let depths = match tokio::time::timeout(COUNT_TIMEOUT, worker.queue.depth(announced)).await {
            Ok(Ok(depths)) => depths,
            Ok(Err(error)) => {
                tracing::debug!(error = %error.told(), "cannot read the queue's depth");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!(
                    "counting the queue took longer than {COUNT_TIMEOUT:?}; its depth is left out of the metrics for a while"
                );
                Vec::new()
            }
        };
        let most = if depths.is_empty() { EMPTY_TTL } else { Duration::MAX };
        let keep = SAMPLE_TTL.max(at.elapsed() * SHARE).min(most);
        *look = Some(Count { depths: depths.clone(), at, keep });
        depths
    }
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
    let mut names: Vec<&str> = plugins.served().map(|served| &*served.entrypoint).collect();
    names.sort_unstable();
    names.into_iter().map(|name| (labels(&[("entrypoint", name)]), as_number(open(name)))).collect()
}

fn held(plugins: &PluginSet) -> Vec<(Labels, f64)> {
    let mut names: Vec<&str> = plugins.served().map(|served| &*served.entrypoint).collect();
    names.sort_unstable();
    let is_held = |name: &str| as_number(plugins.hold(name).is_some());
    names.into_iter().map(|name| (labels(&[("entrypoint", name)]), is_held(name))).collect()
}

fn as_number(so: bool) -> f64 {
    f64::from(u8::from(so))
}

/// Labels in text format, to append to a metric's name.
#[derive(Default)]
struct Labels(String);

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    Labels(format!("{{{}}}", pairs.join(",")))
}
