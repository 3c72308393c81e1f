//! What is wrong around the queue: transactions that hold back vacuum, and hosts that are gone or
//! silent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::Row as _;
use uuid::Uuid;

use super::fleet::Fleet;
use super::open_transaction::OpenTransaction;
use super::statements;
use crate::Operator;
use crate::millis::millis;
use crate::text::text;
use pgq_job::units::many;

const WITHIN: Duration = Duration::from_secs(5);
/// A transaction of a queue takes milliseconds. Each minute, dead rows of all jobs that ended pile up.
const LONG: Duration = Duration::from_secs(60);
const GONE: Duration = Duration::from_secs(3600);
const MOST: i64 = 20;

/// A host that should be there and is not.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct MissingHost {
    pub id: Uuid,
    pub name: String,
    pub pid: i32,
    pub version: String,
    /// Its last announcement.
    pub seen: DateTime<Utc>,
    /// When the others noticed that its sessions had ended; `None`: it has sessions, but should have
    /// announced itself twice since.
    pub died: Option<DateTime<Utc>>,
    /// Jobs that it still holds. Those of a host that died are put back.
    pub jobs: i64,
}

impl MissingHost {
    /// Its machine and process, as people name it.
    pub fn label(&self) -> String {
        format!("{}:{}", self.name, self.pid)
    }

    /// What is wrong with it.
    pub fn what(&self) -> String {
        format!("host {} is {}", self.label(), if self.died.is_some() { "gone" } else { "silent" })
    }

    /// Why that may be, and what becomes of its jobs.
    pub fn why(&self) -> String {
        match self.died {
            Some(_) => "it died or is cut off from the database; its jobs were put back".into(),
            None => format!(
                "it should have announced itself twice since, and is cut off from the database or stopped; it holds {}, \
                 which {} put back once their leases are over",
                many(usize::try_from(self.jobs).unwrap_or_default(), "job"),
                if self.jobs == 1 { "is" } else { "are" }
            ),
        }
    }
}

/// What is wrong around the queue.
#[derive(Debug, Clone, Default, Serialize, utoipa::ToSchema)]
pub struct Troubles {
    /// Open for longer than a minute, the oldest first. Of sessions of other roles only what this role
    /// may see.
    pub transactions: Vec<OpenTransaction>,
    /// Those that died in the last hour, and those that are silent.
    pub hosts: Vec<MissingHost>,
}

impl Troubles {
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty() && self.hosts.is_empty()
    }
}

impl Operator {
    /// What is wrong around the queue. It reads the server's list of sessions and the hosts' rows.
    pub async fn troubles(&self) -> sqlx::Result<Troubles> {
        let hosts = self.missing_hosts(&self.fleet().await?).await?;
        Ok(Troubles { transactions: self.open_transactions(LONG).await?, hosts })
    }

    /// Those that died lately, and those of the fleet that are silent.
    pub(super) async fn missing_hosts(&self, fleet: &Fleet) -> sqlx::Result<Vec<MissingHost>> {
        let gone = sqlx::query(self.sql(statements::GONE_HOSTS)).persistent(false).bind(millis(GONE)).bind(MOST);
        let gone = if self.features().await?.deaths {
            self.read(WITHIN, |transaction| Box::pin(async move { gone.fetch_all(transaction).await })).await?
        } else {
            Vec::new()
        };
        let died = gone.iter().map(|row| {
            Ok(MissingHost {
                id: row.try_get("id")?,
                name: text(row, "name")?,
                pid: row.try_get("pid")?,
                version: text(row, "version")?,
                seen: row.try_get("seen")?,
                died: row.try_get("died")?,
                jobs: 0,
            })
        });
        let silent = fleet.hosts.iter().filter(|host| host.lost).map(|host| {
            Ok(MissingHost {
                id: host.id,
                name: host.name.clone(),
                pid: host.pid,
                version: host.version.clone(),
                seen: host.seen,
                died: None,
                jobs: host.jobs,
            })
        });
        died.chain(silent).collect()
    }
}
