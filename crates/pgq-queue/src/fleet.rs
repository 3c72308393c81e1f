//! The hosts on one queue: how each announces itself, and what an operator can tell all of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::text::text;
use super::{Operator, Queue, presence};
use pgq_job::Signer;

/// What the other hosts are told when one joins. A host that does not know the word ignores it.
pub const JOINED: &str = "\"joined\"";

#[derive(Debug, Clone, Serialize)]
pub struct HostRow {
    /// Its `queue_manager_id`.
    pub id: Uuid,
    /// Name of the machine or container.
    pub name: String,
    /// Process id.
    pub pid: i32,
    /// Version and revision of pgq-host.
    pub version: String,
    /// First announcement.
    pub started: DateTime<Utc>,
    /// Latest announcement.
    pub seen: DateTime<Utc>,
    /// JSON array: what it serves of each file in its folder.
    pub plugins: Value,
}

impl FromRow<'_, PgRow> for HostRow {
    fn from_row(row: &PgRow) -> sqlx::Result<HostRow> {
        Ok(HostRow {
            id: row.try_get("id")?,
            name: text(row, "name")?,
            pid: row.try_get("pid")?,
            version: text(row, "version")?,
            started: row.try_get("started")?,
            seen: row.try_get("seen")?,
            // No host writes anything but JSON.
            plugins: serde_json::from_str(&text(row, "plugins")?).unwrap_or_default(),
        })
    }
}

impl HostRow {
    /// Its machine and process, as people name it.
    pub fn label(&self) -> String {
        format!("{}:{}", self.name, self.pid)
    }
}

/// A file in the folder of another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetFile {
    /// File name without its folder.
    pub name: String,
    /// Entrypoints that it serves.
    pub entrypoints: Vec<String>,
}

/// A version of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginVersion {
    /// Names it in `pgqueuer_attempt`.
    pub key: i64,
    /// Name of the plugin.
    pub name: String,
    pub version: String,
    /// Digest of the file.
    pub sha256: String,
    /// The keys that signed it, as this host found it.
    pub signed_by: Vec<Signer>,
}

/// A command to all hosts of a queue, over a channel of their own: PgQueuer's workers could not
/// read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetCommand {
    /// Scan the plugins folder again.
    Rescan,
    /// Close the circuit breakers of this plugin or entrypoint.
    Reset(String),
    /// There are new verdicts on versions of plugins.
    Judged,
    /// Something was paused or resumed.
    Paused,
    /// A schedule was paused, resumed or edited.
    Rescheduled,
}

/// What an announcement tells of what hosts read now and then, so that they read it only once it
/// has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, FromRow)]
pub struct Seen {
    /// The fingerprint of what is paused; `None` where the database has no table for it.
    pub pauses: Option<String>,
    /// That of the verdicts.
    pub verdicts: Option<String>,
}

impl Queue {
    /// Announce this host, its version of pgq-host and what it serves. `present`: its sessions show
    /// that it lives. `anew`: tell the other hosts.
    pub async fn announce(
        &self,
        build: &str,
        plugins: &Value,
        versions: &[PluginVersion],
        present: bool,
        anew: bool,
    ) -> sqlx::Result<Seen> {
        if !self.sql.features.hosts {
            return Ok(Seen::default());
        }
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let query = sqlx::query_as(self.sql.announce.clone())
            .bind(self.me)
            .bind(self.charset.fit(&name).into_owned())
            .bind(i32::try_from(std::process::id()).unwrap_or_default())
            .bind(build)
            .bind(self.charset.json(plugins))
            .bind(versions.iter().map(|version| version.key).collect::<Vec<_>>())
            .bind(versions.iter().map(|version| self.charset.fit(&version.name)).collect::<Vec<_>>())
            .bind(versions.iter().map(|version| self.charset.fit(&version.version)).collect::<Vec<_>>())
            .bind(versions.iter().map(|version| version.sha256.as_str()).collect::<Vec<_>>());
        let query = match self.sql.features.presence {
            true => query.bind(present.then(|| presence::key(self.me))).bind(anew),
            false => query,
        };
        let query = if self.sql.features.presence && self.sql.features.handlers {
            query.bind(&self.handler_key[..])
        } else {
            query
        };
        query.fetch_one(&self.pool).await
    }

    /// What the other living hosts serve, file by file.
    pub async fn fleet_files(&self) -> sqlx::Result<Vec<FleetFile>> {
        if !self.sql.features.hosts {
            return Ok(Vec::new());
        }
        let hosts: Vec<Value> =
            sqlx::query_scalar(self.sql.fleet_files.clone()).bind(self.me).fetch_all(&self.pool).await?;
        let file = |file: &Value| {
            let texts = |value: &Value| {
                value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
            };
            FleetFile {
                name: file["file"].as_str().unwrap_or_default().to_owned(),
                entrypoints: texts(&file["entrypoints"]),
            }
        };
        Ok(hosts.iter().filter_map(Value::as_array).flatten().map(file).collect())
    }

    /// Remove the announcement of a worker that is gone, if none of its jobs is left.
    pub async fn forget(&self, worker: Uuid) -> sqlx::Result<()> {
        sqlx::query(self.sql.forget_worker.clone()).bind(worker).execute(&self.pool).await?;
        Ok(())
    }

    /// Remove the announcement of this host.
    pub async fn withdraw(&self) -> sqlx::Result<()> {
        if !self.sql.features.hosts {
            return Ok(());
        }
        sqlx::query(self.sql.withdraw.clone()).bind(self.me).execute(&self.pool).await?;
        Ok(())
    }
}

impl Operator {
    /// All hosts that announced themselves.
    pub async fn hosts(&self) -> sqlx::Result<Vec<HostRow>> {
        sqlx::query_as(self.sql(include_str!("sql/operator/hosts.sql"))).fetch_all(&self.pool).await
    }

    /// The same; none on a database that `upgrade` has not reached.
    pub async fn hosts_if_any(&self) -> sqlx::Result<Vec<HostRow>> {
        if self.features().await?.hosts { self.hosts().await } else { Ok(Vec::new()) }
    }

    /// Tell all hosts that run now.
    pub async fn command(&self, command: &FleetCommand) -> sqlx::Result<()> {
        let text = serde_json::to_string(command).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(self.names().fleet_channel())
            .bind(text)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
