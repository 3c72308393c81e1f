//! What is wrong around the queue: transactions that hold back vacuum, and hosts that are gone or
//! silent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::Row as _;
use uuid::Uuid;

use super::statements;
use crate::Operator;
use crate::millis::millis;
use crate::text::{optional_text, text};

const WITHIN: Duration = Duration::from_secs(5);
/// A transaction of a queue takes milliseconds. Each minute, dead rows of all jobs that ended pile up.
const LONG: Duration = Duration::from_secs(60);
const GONE: Duration = Duration::from_secs(3600);
const MOST: i64 = 20;

/// A transaction that has been open for too long.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct OpenTransaction {
    /// The server's process; `None`: a prepared transaction.
    pub pid: Option<i32>,
    pub role: Option<String>,
    /// What the session calls itself; of a prepared transaction, its name.
    pub application: String,
    pub address: Option<String>,
    /// `active`, `idle in transaction`, `prepared` and so on.
    pub state: Option<String>,
    pub open_seconds: i64,
    /// Since when it does nothing.
    pub idle_seconds: Option<i64>,
    /// Whether dead rows pile up because of it. Otherwise it may hold locks, for which others wait.
    pub holds_back: bool,
}

impl OpenTransaction {
    /// The statement that ends it.
    pub fn remedy(&self) -> String {
        match self.pid {
            Some(pid) => format!("SELECT pg_terminate_backend({pid});"),
            None => format!("ROLLBACK PREPARED '{}';", self.application.replace('\'', "''")),
        }
    }
}

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
        let open = sqlx::query(self.sql(statements::OPEN_TRANSACTIONS)).persistent(false).bind(millis(LONG)).bind(MOST);
        let gone = sqlx::query(self.sql(statements::GONE_HOSTS)).persistent(false).bind(millis(GONE)).bind(MOST);
        let knows_deaths = self.features().await?.deaths;
        let (open, gone) = self
            .read(WITHIN, move |transaction| {
                Box::pin(async move {
                    let open = open.fetch_all(&mut *transaction).await?;
                    let gone = if knows_deaths { gone.fetch_all(transaction).await? } else { Vec::new() };
                    Ok((open, gone))
                })
            })
            .await?;
        let mut troubles = Troubles::default();
        for row in &open {
            let seconds = |ms: i64| ms / 1_000;
            troubles.transactions.push(OpenTransaction {
                pid: row.try_get("pid")?,
                role: optional_text(row, "role")?,
                application: text(row, "application")?,
                address: optional_text(row, "address")?,
                state: optional_text(row, "state")?,
                open_seconds: seconds(row.try_get("open_ms")?),
                holds_back: row.try_get("holds_back")?,
                idle_seconds: row.try_get::<Option<i64>, _>("idle_ms")?.map(seconds),
            });
        }
        for row in &gone {
            troubles.hosts.push(MissingHost {
                id: row.try_get("id")?,
                name: text(row, "name")?,
                pid: row.try_get("pid")?,
                version: text(row, "version")?,
                seen: row.try_get("seen")?,
                died: row.try_get("died")?,
                jobs: 0,
            });
        }
        let fleet = self.fleet().await?;
        troubles.hosts.extend(fleet.hosts.iter().filter(|host| host.lost).map(|host| MissingHost {
            id: host.id,
            name: host.name.clone(),
            pid: host.pid,
            version: host.version.clone(),
            seen: host.seen,
            died: None,
            jobs: host.jobs,
        }));
        Ok(troubles)
    }
}
