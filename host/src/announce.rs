//! Announces this host and what it serves in the database, for operators and other hosts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::plugins::{File, PluginSet, Served, claim_label};
use crate::provenance::Provenance;
use pgq_engine::Loaded;
use pgq_queue::told::Told as _;
use pgq_queue::{PluginVersion, Queue, Seen};

/// The time between two announcements when nothing changes.
pub const PERIOD: Duration = Duration::from_secs(60);
/// Grants of a version that are told, and needs.
const LISTED: usize = 100;
const RETRY: Duration = Duration::from_secs(2);

/// Announces this host.
pub struct Announcer {
    queue: Queue,
    plugins: watch::Receiver<Arc<PluginSet>>,
    presence: Presence,
    provenance: Provenance,
    /// The last announcement.
    announced: Option<bool>,
    unannounced: watch::Receiver<u64>,
    returns: watch::Receiver<u64>,
    /// What the last announcement told of what others read.
    seen: watch::Sender<Seen>,
}

/// Whether a host's sessions show that it is alive.
#[derive(Debug)]
pub enum Presence {
    /// The database does not have the column for it.
    Unknown,
    Always,
    /// Only while its listener is connected, because all its other sessions belong to a pooler.
    WhileListening(watch::Receiver<bool>),
}

impl Presence {
    fn is(&mut self) -> bool {
        match self {
            Presence::Unknown => false,
            Presence::Always => true,
            Presence::WhileListening(listening) => *listening.borrow_and_update(),
        }
    }

    async fn changed(&mut self) {
        if let Presence::WhileListening(listening) = self
            && listening.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

impl Announcer {
    /// Nothing is announced yet.
    pub fn new(queue: Queue, plugins: watch::Receiver<Arc<PluginSet>>, presence: Presence) -> Announcer {
        let (unannounced, returns) = (queue.unannounced(), queue.access().returns());
        let (provenance, seen) = (Provenance::new(queue.clone()), watch::Sender::default());
        Announcer { queue, plugins, presence, provenance, announced: None, unannounced, returns, seen }
    }

    /// What each announcement tells of what other tasks read now and then.
    pub fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// Announce this host as it is now. Returns whether that worked. Done before the first claim,
    /// it lets other hosts rescue this host's jobs without waiting for the end of a lease.
    pub async fn announce(&mut self) -> bool {
        self.unannounced.mark_unchanged();
        self.returns.mark_unchanged();
        let set = Arc::clone(&self.plugins.borrow_and_update());
        let present = self.presence.is();
        let anew = present && self.announced != Some(true);
        match self.queue.announce(crate::version::BUILD, &files(&set), &versions(&set), present, anew).await {
            // Also if it is the same: whoever waits for it knows that nothing changed.
            Ok(seen) => {
                self.announced = Some(present);
                self.seen.send_replace(seen);
                true
            }
            Err(error) => {
                tracing::warn!(error = %error.told(), "cannot announce this host; until it is announced, other hosts notice its death only when its leases expire; trying again");
                false
            }
        }
    }

    /// Announce every change at once, and the host every minute, until `stop`; then withdraw the
    /// announcement.
    pub async fn keep(mut self, mut announced: bool, stop: CancellationToken) {
        loop {
            if announced {
                let set = Arc::clone(&self.plugins.borrow());
                self.provenance.note(&set, &versions(&set)).await;
            }
            let wait = if announced { PERIOD } else { RETRY }.mul_f64(0.75 + fastrand::f64() / 2.0);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                () = self.presence.changed() => {}
                // The queue holds both senders.
                _ = self.unannounced.changed() => {}
                _ = self.returns.changed() => {}
                changed = self.plugins.changed() => if changed.is_err() { break },
            }
            announced = self.announce().await;
        }
        if let Err(error) = self.queue.withdraw().await {
            tracing::debug!(error = %error.told(), "cannot withdraw the announcement of this host; it will expire");
        }
    }
}

fn files(set: &PluginSet) -> Value {
    set.files().iter().map(|one| file(one, set)).collect()
}

fn file(file: &File, set: &PluginSet) -> Value {
    let plugin = file.serving.as_ref();
    let claims = |plugin: &Arc<Loaded>| {
        let served = plugin.declaration.entrypoints.keys().filter_map(|entrypoint| set.get(entrypoint));
        served
            .map(|served| (served.entrypoint.to_string(), claim_label(served.locks, &served.options).into()))
            .collect()
    };
    // By when a run has to end, for whoever looks at a job.
    let timeouts = |plugin: &Arc<Loaded>| {
        let served = plugin.declaration.entrypoints.keys().filter_map(|entrypoint| set.get(entrypoint));
        let timeout = |served: &Served| u64::try_from(served.options.timeout.as_millis()).unwrap_or(u64::MAX);
        served.map(|served| (served.entrypoint.to_string(), timeout(served).into())).collect()
    };
    json!({
        "file": file.path.file_name().map(|name| name.to_string_lossy()),
        "plugin": plugin.map(|plugin| &*plugin.name),
        "version": plugin.map(|plugin| &plugin.version),
        "sha256": plugin.map(|plugin| &plugin.sha256),
        "signed_by": plugin.map(|plugin| plugin.signed_by.iter().map(|signer| &signer.key).collect::<Vec<_>>()),
        "entrypoints": plugin.map(|plugin| plugin.declaration.entrypoints.keys().collect::<Vec<_>>()),
        "claims": plugin.map(claims).map(Value::Object),
        "timeouts": plugin.map(timeouts).map(Value::Object),
        "canary": file.canary.as_ref().map(|canary| json!({ "version": canary.version, "sha256": canary.sha256 })),
        "paused": file.paused.iter().map(|(entrypoint, _)| &**entrypoint).collect::<Vec<_>>(),
        "held": plugin.map(|plugin| {
            let entrypoints = plugin.declaration.entrypoints.keys();
            entrypoints.filter(|entrypoint| set.hold(entrypoint).is_some()).collect::<Vec<_>>()
        }),
        "error": file.fault.as_ref().map(ToString::to_string),
        "file_sha256": file.sha256,
        "versions": file.serving.iter().chain(&file.canary).map(|version| report(version)).collect::<Vec<_>>(),
    })
}

/// What a version may do, and what became of its runs here since it was loaded.
fn report(version: &Loaded) -> Value {
    let granted = version.grants.list().into_iter().take(LISTED);
    let missing = version.grants.missing(&version.declaration.needs);
    json!({
        "version": version.version,
        "sha256": version.sha256,
        "grants": granted.map(|(kind, name)| json!({ "kind": kind, "name": name })).collect::<Vec<_>>(),
        "missing": missing.iter().take(LISTED).map(ToString::to_string).collect::<Vec<_>>(),
        "denied": version.hits.denials().iter().map(|denial| json!({
            "what": denial.what, "target": denial.target, "why": denial.why, "times": denial.times,
        })).collect::<Vec<_>>(),
        "limits": version.hits.limits().into_iter().map(|(limit, times)| (limit.to_owned(), times.into()))
            .collect::<serde_json::Map<String, Value>>(),
    })
}

fn versions(set: &PluginSet) -> Vec<PluginVersion> {
    let loaded = set.files().iter().flat_map(|file| file.serving.iter().chain(&file.canary));
    let version = |plugin: &Arc<Loaded>| PluginVersion {
        key: plugin.key(),
        name: plugin.name.to_string(),
        version: plugin.version.clone(),
        sha256: plugin.sha256.clone(),
        signed_by: plugin.signed_by.to_vec(),
    };
    loaded.map(version).collect()
}
