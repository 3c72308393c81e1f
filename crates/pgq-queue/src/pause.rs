//! What operators pause: hosts claim no jobs of it until it is resumed, or until its time is over.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::millis::millis;
use super::text::{optional_text, text};
use super::{FleetCommand, Operator, Queue};

/// What can be paused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum PauseTarget {
    /// Every entrypoint.
    All,
    /// Those of a plugin, whichever version serves them.
    Plugin(String),
    Entrypoint(String),
    /// Those that are served by versions whose digests begin so.
    Sha256(String),
}

impl PauseTarget {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            PauseTarget::All => ("all", ""),
            PauseTarget::Plugin(name) => ("plugin", name),
            PauseTarget::Entrypoint(name) => ("entrypoint", name),
            PauseTarget::Sha256(digits) => ("sha256", digits),
        }
    }

    /// `None`: a kind that only a later release knows.
    fn of(kind: &str, name: String) -> Option<PauseTarget> {
        match kind {
            "all" => Some(PauseTarget::All),
            "plugin" => Some(PauseTarget::Plugin(name)),
            "entrypoint" => Some(PauseTarget::Entrypoint(name)),
            "sha256" => Some(PauseTarget::Sha256(name)),
            _ => None,
        }
    }

    fn subject(&self) -> String {
        let (kind, name) = self.parts();
        format!("{kind}:{name}")
    }
}

/// A pause as hosts obey it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivePause {
    pub target: PauseTarget,
    /// Whether ticks of schedules are skipped; otherwise their jobs wait.
    pub skips_ticks: bool,
    /// How long it lasts; `None`: until it is resumed.
    pub left: Option<Duration>,
}

/// A pause that an operator wants.
#[derive(Debug, Clone)]
pub struct PauseOrder {
    pub target: PauseTarget,
    pub reason: String,
    pub author: String,
    pub lasts: Option<Duration>,
    pub skips_ticks: bool,
}

/// A pause as operators see it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PauseRow {
    /// `all`, `plugin`, `entrypoint` or `sha256`.
    pub kind: String,
    /// Nothing where all are paused.
    pub name: String,
    pub reason: String,
    /// Who paused it, as they said.
    pub author: String,
    /// The database role with which they did.
    pub role: String,
    pub paused: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
    pub skip_ticks: bool,
}

impl FromRow<'_, PgRow> for PauseRow {
    fn from_row(row: &PgRow) -> sqlx::Result<PauseRow> {
        Ok(PauseRow {
            kind: text(row, "kind")?,
            name: text(row, "name")?,
            reason: text(row, "reason")?,
            author: text(row, "author")?,
            role: text(row, "role")?,
            paused: row.try_get("paused")?,
            until: row.try_get("until")?,
            skip_ticks: row.try_get("skip_ticks")?,
        })
    }
}

impl Queue {
    /// Whether a pooler lends sessions for a transaction at a time, so that nobody listens.
    pub fn is_pooled_by_transaction(&self) -> bool {
        self.pool.is_by_transaction()
    }

    /// Whether the database has the table for pauses.
    pub fn knows_pauses(&self) -> bool {
        self.sql.features.pauses
    }

    /// What is paused now, with its [fingerprint](super::Seen::pauses); nothing where the database
    /// lacks the table.
    pub async fn pauses(&self) -> sqlx::Result<(Vec<ActivePause>, Option<String>)> {
        if !self.knows_pauses() {
            return Ok((Vec::new(), None));
        }
        let rows = sqlx::query(self.sql.pauses.clone()).fetch_all(&self.pool).await?;
        let fingerprint = rows.first().map(|row| row.try_get("fingerprint")).transpose()?;
        let mut pauses = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(kind) = optional_text(&row, "kind")? else { continue };
            let name = optional_text(&row, "name")?.unwrap_or_default();
            let left: Option<i64> = row.try_get("left_ms")?;
            let Some(target) = PauseTarget::of(&kind, name) else { continue };
            pauses.push(ActivePause {
                target,
                skips_ticks: row.try_get("skip_ticks")?,
                left: left.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default())),
            });
        }
        Ok((pauses, fingerprint))
    }
}

impl Operator {
    /// Whether the database has the table for pauses.
    pub async fn knows_pauses(&self) -> sqlx::Result<bool> {
        Ok(self.features().await?.pauses)
    }

    /// Pause this in the whole fleet. Returns until when.
    pub async fn pause(&self, order: &PauseOrder) -> sqlx::Result<Option<DateTime<Utc>>> {
        let (kind, name) = order.target.parts();
        let row = sqlx::query(self.sql(include_str!("sql/operator/pause.sql")))
            .bind(order.target.subject())
            .bind(kind)
            .bind(name.to_owned())
            .bind(order.reason.clone())
            .bind(order.author.clone())
            .bind(order.lasts.map(millis))
            .bind(order.skips_ticks)
            .bind(told()?)
            .fetch_one(&self.pool)
            .await?;
        row.try_get("until")
    }

    /// Resume this. Returns whether it was paused.
    pub async fn resume(&self, target: &PauseTarget) -> sqlx::Result<bool> {
        let resume = sqlx::query(self.sql(include_str!("sql/operator/resume.sql")));
        Ok(resume.bind(target.subject()).bind(told()?).fetch_optional(&self.pool).await?.is_some())
    }

    /// What is paused now, the latest first.
    pub async fn pauses(&self) -> sqlx::Result<Vec<PauseRow>> {
        sqlx::query_as(self.sql(include_str!("sql/operator/list_pauses.sql"))).fetch_all(&self.pool).await
    }
}

/// The command with which hosts read the table again.
fn told() -> sqlx::Result<String> {
    serde_json::to_string(&FleetCommand::Paused).map_err(|error| sqlx::Error::Encode(error.into()))
}
