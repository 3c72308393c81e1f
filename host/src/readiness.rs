//! Whether this host serves everything that it should. `/readyz`, a container's health check and
//! systemd wait for it.
//!
//! A rolling update has to stop at the first host that cannot serve a new file. So a host is not
//! ready if a file of its folder is refused and it lacks an entrypoint that other hosts serve. A
//! host that still serves the previous version is ready, since its jobs run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::plugins::{File, PluginSet};
use crate::watchdog::Watchdog;
use pgq_queue::{FleetFile, Queue};

/// What `--require` can ask for before a host is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// Every file of the folder in its current version, and every entrypoint that this host served
    /// before or another host serves now.
    Plugins,
}

/// After this long, a host is ready although files are still being compiled.
const LOADING_GRACE: Duration = Duration::from_secs(60);
/// After this long, the log says that files are still being compiled.
const LOADING_LOG_DELAY: Duration = Duration::from_secs(30);
/// Shorter than a typical probe's timeout.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);
/// The time between two checks while it is not ready.
const RECHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How many files or entrypoints a message names.
const MAX_NAMED: usize = 5;

/// Computes the readiness of this host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness {
    queue: Queue,
    plugins: watch::Receiver<Arc<PluginSet>>,
    strict: bool,
    began: Instant,
}

impl Readiness {
    /// The readiness of a host that started at `began`.
    pub fn new(
        queue: Queue,
        plugins: watch::Receiver<Arc<PluginSet>>,
        required: &[Requirement],
        began: Instant,
    ) -> Readiness {
        Readiness { queue, plugins, strict: required.contains(&Requirement::Plugins), began }
    }

    /// Whether this host is ready, or the reason why it is not.
    ///
    /// # Errors
    ///
    /// Returns the reason as a sentence for people.
    pub async fn plugins(&self) -> Result<(), String> {
        let set = Arc::clone(&self.plugins.borrow());
        if !set.loading().is_empty() && self.began.elapsed() < LOADING_GRACE {
            return Err(format!("still loading {}", loading(&set)));
        }
        let refused: Vec<String> = set.files().iter().filter_map(refusal).collect();
        if set.plugins().next().is_none() {
            let why = refused.first().map(|refused| format!("; {refused}")).unwrap_or_default();
            return Err(format!("none is loaded, so no job is claimed{why}"));
        }
        if self.strict
            && let Some(first) = refused.first()
        {
            return Err(first.clone());
        }
        if self.strict && !set.lost().is_empty() {
            let lost = named(set.lost().iter().map(|name| format!("{name:?}")));
            return Err(format!(
                "{lost} was served before and no longer is; put the plugin back, or restart this host"
            ));
        }
        if !self.strict && !set.files().iter().any(|file| file.fault.is_some() && file.serving.is_none()) {
            return Ok(());
        }
        let fleet = match tokio::time::timeout(DATABASE_TIMEOUT, self.queue.fleet_files()).await {
            Ok(fleet) => fleet.map_err(|error| format!("cannot read what other hosts serve: {error}"))?,
            Err(_) => {
                return Err(format!("cannot read what other hosts serve: no answer within {DATABASE_TIMEOUT:?}"));
            }
        };
        lacking(&set, &fleet, self.strict)
    }

    /// Log that the host has started, and notify the service manager once it is ready.
    pub async fn tell(mut self, watchdog: Watchdog, stop: CancellationToken) {
        let loaded = self.plugins.wait_for(|set| set.loading().is_empty());
        let _ = stop.run_until_cancelled(tokio::time::timeout(LOADING_LOG_DELAY, loaded)).await;
        let set = Arc::clone(&self.plugins.borrow());
        let refused = set.files().iter().filter(|file| file.fault.is_some()).count();
        let still = (!set.loading().is_empty()).then(|| loading(&set));
        tracing::info!(
            plugins = set.plugins().count(),
            refused,
            loading = still,
            start_ms = self.began.elapsed().as_millis(),
            "ready"
        );
        let mut said = String::new();
        loop {
            match self.plugins().await {
                Ok(()) => {
                    watchdog.serves();
                    return stop.cancelled().await;
                }
                Err(reason) if reason != said => {
                    tracing::warn!(reason, "this host claims jobs, but is not reported as ready");
                    said = reason;
                }
                Err(_) => {}
            }
            if stop.run_until_cancelled(tokio::time::sleep(RECHECK_INTERVAL)).await.is_none() {
                return;
            }
        }
    }
}

fn refusal(file: &File) -> Option<String> {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    file.fault.as_ref().map(|fault| format!("{name} is refused: {fault}"))
}

/// Check whether other hosts serve entrypoints of the refused files that this host lacks. If no
/// other host has a file of such a name, check all their entrypoints, because file names may
/// include a version.
fn lacking(set: &PluginSet, fleet: &[FleetFile], strict: bool) -> Result<(), String> {
    let bare: Vec<&File> = set.files().iter().filter(|file| file.fault.is_some() && file.serving.is_none()).collect();
    let is_bare = |name: &str| bare.iter().any(|file| file.path.file_name().is_some_and(|own| own == name));
    let same_name = fleet.iter().any(|file| is_bare(&file.name));
    let theirs =
        fleet.iter().filter(|file| strict || !same_name || is_bare(&file.name)).flat_map(|file| &file.entrypoints);
    let lacking: BTreeSet<&String> = theirs.filter(|entrypoint| set.get(entrypoint).is_none()).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let names = named(lacking.iter().map(|name| format!("{name:?}")));
    let why = bare.first().and_then(|file| refusal(file)).map(|refused| format!("; {refused}")).unwrap_or_default();
    Err(format!("other hosts serve {names}, but this one does not{why}"))
}

fn loading(set: &PluginSet) -> String {
    named(set.loading().iter().map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned()))
}

fn named(names: impl ExactSizeIterator<Item = String>) -> String {
    let all = names.len();
    let mut text = names.take(MAX_NAMED).collect::<Vec<_>>().join(", ");
    if all > MAX_NAMED {
        text.push_str(&format!(" and {} more", all - MAX_NAMED));
    }
    text
}
