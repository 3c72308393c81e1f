//! The hosts on one queue, as each announces itself, and what an operator can say to all of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::text::text;
use super::{Operator, Queue, presence};
use crate::names::Names;

/// A host that was not seen for so long was killed; whoever announces itself next clears its row away.
const FORGOTTEN: &str = "1 day";

/// The host's row, and the versions that its attempts name. Rows of the latter are only ever written once. A new row is told to the others,
/// and one whose sessions count again.
const ANNOUNCE: &str = "
WITH versions AS (
    INSERT INTO {plugin} (key, name, version, sha256)
    SELECT * FROM unnest($6::bigint[], $7::text[], $8::text[], $9::text[])
    ON CONFLICT DO NOTHING
), forgotten AS (
    DELETE FROM {host} WHERE seen < now() - interval '{forgotten}' AND id <> $1
), announced AS (
    INSERT INTO {host} (id, name, pid, version, plugins{presence}) VALUES ($1, $2, $3, $4, $5{key})
    ON CONFLICT (id) DO UPDATE SET seen = now(), plugins = EXCLUDED.plugins{update}
    RETURNING xmax = 0 AS joined
)
SELECT pg_notify('{fleet_channel}', '{joined}') FROM announced WHERE joined{or_back}";

/// What the others are told then, as [`FleetCommand`]s are. One that does not know the word passes over it.
pub const JOINED: &str = "\"joined\"";

pub(super) const WITHDRAW: &str = "DELETE FROM {host} WHERE id = $1";

const HOSTS: &str = "
SELECT h.id, h.name, h.pid, h.version, {time:h.started} AS started, {time:h.seen} AS seen, h.plugins::text AS plugins FROM {host} AS h
ORDER BY h.name, h.started";

/// One host.
#[derive(Debug, Clone, Serialize)]
pub struct HostRow {
    /// Its `queue_manager_id`.
    pub id: Uuid,
    /// Of the machine or container.
    pub name: String,
    /// Of its process.
    pub pid: i32,
    /// Of pgq-host, with the revision that it was built from.
    pub version: String,
    /// When it announced itself first.
    pub started: DateTime<Utc>,
    /// When it announced itself last.
    pub seen: DateTime<Utc>,
    /// An array of what it makes of each file.
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
            // What no host wrote is of no use.
            plugins: serde_json::from_str(&text(row, "plugins")?).unwrap_or_default(),
        })
    }
}

/// A version of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginVersion {
    /// What its attempts name.
    pub key: i64,
    /// The plugin's.
    pub name: String,
    /// As declared.
    pub version: String,
    /// Of the file.
    pub sha256: String,
}

/// What all hosts of a queue are told, over a channel of their own: PgQueuer's workers could not read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetCommand {
    /// Look at all plugins again.
    Rescan,
    /// Close the circuit breakers of this plugin or entrypoint.
    Reset(String),
}

impl Queue {
    /// Say that this host is here, and what it serves; and whether its sessions are its sign of life, perhaps anew.
    pub async fn announce(&self, plugins: &Value, versions: &[PluginVersion], present: bool, anew: bool) -> sqlx::Result<()> {
        if self.sql.lacking.hosts {
            return Ok(());
        }
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let query = sqlx::query(self.sql.announce.clone())
            .bind(self.me)
            .bind(self.charset.fit(&name).into_owned())
            .bind(i32::try_from(std::process::id()).unwrap_or_default())
            .bind(crate::version::BUILD)
            .bind(self.charset.json(plugins))
            .bind(versions.iter().map(|version| version.key).collect::<Vec<_>>())
            .bind(versions.iter().map(|version| self.charset.fit(&version.name)).collect::<Vec<_>>())
            .bind(versions.iter().map(|version| self.charset.fit(&version.version)).collect::<Vec<_>>())
            .bind(versions.iter().map(|version| version.sha256.as_str()).collect::<Vec<_>>());
        let query = match self.sql.lacking.presence {
            false => query.bind(present.then(|| presence::key(self.me))).bind(anew),
            true => query,
        };
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Say that this host goes.
    pub async fn withdraw(&self) -> sqlx::Result<()> {
        if self.sql.lacking.hosts {
            return Ok(());
        }
        sqlx::query(self.sql.withdraw.clone()).bind(self.me).execute(&self.pool).await?;
        Ok(())
    }
}

impl Operator {
    /// All hosts that announced themselves.
    pub async fn hosts(&self) -> sqlx::Result<Vec<HostRow>> {
        sqlx::query_as(self.sql(HOSTS)).fetch_all(&self.pool).await
    }

    /// Tell all hosts that run now.
    pub async fn command(&self, command: &FleetCommand) -> sqlx::Result<()> {
        let text = serde_json::to_string(command).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query("SELECT pg_notify($1, $2)").bind(self.names().fleet_channel()).bind(text).execute(&self.pool).await?;
        Ok(())
    }
}

/// The statement for these names, with the column that says which lock the worker's sessions hold or without.
pub(super) fn announce(names: &Names, presence: bool) -> String {
    let [column, key, update, or_back] =
        if presence { [", presence", ", $10", ", presence = EXCLUDED.presence", " OR $11"] } else { [""; 4] };
    ANNOUNCE
        .replace("{forgotten}", FORGOTTEN)
        .replace("{joined}", JOINED)
        .replace("{fleet_channel}", &names.fleet_channel())
        .replace("{presence}", column)
        .replace("{key}", key)
        .replace("{update}", update)
        .replace("{or_back}", or_back)
}
