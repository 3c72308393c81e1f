//! The hosts that run, what each serves, and how many jobs it holds.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::version_report::VersionReport;
use crate::{ActiveWorker, HostRow, Operator};

/// A host announces itself every minute, give or take a quarter. One that missed two is gone.
const LOST_AFTER_SECONDS: i64 = 150;

/// A host, as it announced itself.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct FleetHost {
    /// Its `queue_manager_id`.
    pub id: Uuid,
    /// Name of the machine or container.
    pub name: String,
    pub pid: i32,
    /// Version and revision of pgq-host.
    pub version: String,
    pub started: DateTime<Utc>,
    /// Its last announcement.
    pub seen: DateTime<Utc>,
    /// It should have announced itself twice since.
    pub lost: bool,
    /// Jobs that it holds.
    pub jobs: i64,
    /// The oldest heartbeat of them.
    pub oldest_heartbeat: Option<DateTime<Utc>>,
    pub plugins: Vec<ServedFile>,
}

/// A worker that holds jobs and did not announce itself: one of PgQueuer's, in Python.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct OtherWorker {
    pub queue_manager_id: Uuid,
    pub jobs: i64,
    pub entrypoints: Vec<String>,
    pub oldest_heartbeat: DateTime<Utc>,
}

/// Everybody who works on the queue.
#[derive(Debug, Clone, Default, Serialize, utoipa::ToSchema)]
pub struct Fleet {
    pub hosts: Vec<FleetHost>,
    pub others: Vec<OtherWorker>,
}

/// What a host makes of one file in its folder.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct ServedFile {
    pub file: Option<String>,
    /// `None`: nothing of it is served.
    pub plugin: Option<String>,
    pub version: Option<String>,
    pub sha256: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub entrypoints: Vec<String>,
    /// How the jobs of each entrypoint are claimed: `locked` or `marked`.
    #[serde(deserialize_with = "or_default")]
    pub claims: BTreeMap<String, String>,
    /// How long a run of each may take, in milliseconds.
    #[serde(deserialize_with = "or_default")]
    pub timeouts: BTreeMap<String, u64>,
    /// A version on trial beside it.
    pub canary: Option<CanaryVersion>,
    /// Entrypoints whose circuit breaker is open.
    #[serde(deserialize_with = "or_default")]
    pub paused: Vec<String>,
    /// Entrypoints that an operator paused.
    #[serde(deserialize_with = "or_default")]
    pub held: Vec<String>,
    /// Why the file, as it is now, is not what is served.
    pub error: Option<String>,
    /// Digest of the file as it is now.
    pub file_sha256: Option<String>,
    /// What its versions may do, the one on trial included, and what became of their runs.
    #[serde(deserialize_with = "or_default")]
    pub versions: Vec<VersionReport>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct CanaryVersion {
    pub version: String,
    pub sha256: String,
}

/// A host writes null for what it has not.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

impl ServedFile {
    /// Those of an announcement. What a later release writes, and this one cannot read, is left out.
    pub(super) fn all(plugins: &Value) -> Vec<ServedFile> {
        let files = plugins.as_array().map(Vec::as_slice).unwrap_or_default();
        files.iter().filter_map(|file| ServedFile::deserialize(file).ok()).collect()
    }
}

impl Operator {
    /// The hosts, and the other workers that hold jobs.
    pub async fn fleet(&self) -> sqlx::Result<Fleet> {
        let rows = self.hosts_if_any().await?;
        let workers = self.active_workers().await?;
        let now = Utc::now();
        let (mut hosts, mut others) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            let worker = workers.iter().find(|worker| worker.queue_manager_id == row.id);
            hosts.push(FleetHost::new(row, worker, now));
        }
        for worker in workers.into_iter().filter(|worker| !rows.iter().any(|row| row.id == worker.queue_manager_id)) {
            others.push(OtherWorker {
                queue_manager_id: worker.queue_manager_id,
                jobs: worker.active_jobs,
                entrypoints: worker.entrypoints,
                oldest_heartbeat: worker.oldest_heartbeat,
            });
        }
        Ok(Fleet { hosts, others })
    }
}

impl FleetHost {
    fn new(row: &HostRow, worker: Option<&ActiveWorker>, now: DateTime<Utc>) -> FleetHost {
        FleetHost {
            id: row.id,
            name: row.name.clone(),
            pid: row.pid,
            version: row.version.clone(),
            started: row.started,
            seen: row.seen,
            lost: (now - row.seen).num_seconds() > LOST_AFTER_SECONDS,
            jobs: worker.map_or(0, |worker| worker.active_jobs),
            oldest_heartbeat: worker.map(|worker| worker.oldest_heartbeat),
            plugins: ServedFile::all(&row.plugins),
        }
    }

    /// Its machine and process, as people name it.
    pub fn label(&self) -> String {
        format!("{}:{}", self.name, self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_announcement_of_any_release_is_read() {
        let files = ServedFile::all(&json!([
            { "file": "a.wasm", "plugin": "a", "entrypoints": ["x"], "canary": null, "later": 1 },
            { "file": "b.wasm", "plugin": null, "entrypoints": null, "claims": null, "error": "no component" },
        ]));
        assert_eq!(files.len(), 2);
        assert_eq!((files[0].entrypoints.as_slice(), files[0].timeouts.len()), (&["x".to_owned()][..], 0));
        assert_eq!(files[1].error.as_deref(), Some("no component"));
        assert!(ServedFile::all(&Value::Null).is_empty());
    }
}
