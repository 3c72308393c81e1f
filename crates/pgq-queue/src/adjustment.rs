//! What operators change of schedules: ticks are skipped, or come by another expression. Hosts obey
//! it; PgQueuer's table keeps what the plugin declares, so that Python workers still read it.

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use super::audit::Actor;
use super::text::{optional_text, text};
use super::{FleetCommand, Operator};

/// What to change. What is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Adjustment {
    /// Whether its ticks are skipped.
    pub paused: Option<bool>,
    /// The expression by which it runs instead; `Some(None)`: as declared.
    pub replaced: Option<Option<String>>,
}

/// What becomes of the next tick.
#[derive(Debug, Clone, Copy)]
pub enum NextRun {
    Stays,
    /// It is overdue, because nobody skipped it: it does not run late.
    IfOverdue(DateTime<Utc>),
    At(DateTime<Utc>),
}

/// A schedule as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjusted {
    /// As declared.
    pub expression: String,
    pub entrypoint: String,
    pub paused: bool,
    pub replaced: Option<String>,
}

impl Operator {
    /// Whether the database has the table for it.
    pub async fn adjusts_schedules(&self) -> sqlx::Result<bool> {
        Ok(self.features().await?.adjustments)
    }

    /// The time by the database's clock, which decides what is due.
    pub async fn now(&self) -> sqlx::Result<DateTime<Utc>> {
        sqlx::query_scalar("SELECT now()").fetch_one(&self.pool).await
    }

    /// Change how hosts run this schedule. `None`: there is none.
    pub async fn adjust_schedule(
        &self,
        id: i64,
        adjustment: &Adjustment,
        next: NextRun,
        actor: &Actor,
    ) -> sqlx::Result<Option<Adjusted>> {
        let command = serde_json::to_string(&FleetCommand::Rescheduled);
        let (next, only_if_overdue) = match next {
            NextRun::Stays => (None, false),
            NextRun::IfOverdue(at) => (Some(at), true),
            NextRun::At(at) => (Some(at), false),
        };
        let row = sqlx::query(self.sql(include_str!("sql/operator/adjust_schedule.sql")))
            .bind(id)
            .bind(adjustment.paused)
            .bind(adjustment.replaced.is_some())
            .bind(adjustment.replaced.clone().flatten())
            .bind(next)
            .bind(only_if_overdue)
            .bind(actor.reason.clone())
            .bind(actor.author.clone())
            .bind(command.map_err(|error| sqlx::Error::Encode(error.into()))?)
            .fetch_optional(&self.pool)
            .await?;
        let adjusted = |row: sqlx::postgres::PgRow| {
            Ok(Adjusted {
                expression: text(&row, "expression")?,
                entrypoint: text(&row, "entrypoint")?,
                paused: row.try_get("paused")?,
                replaced: optional_text(&row, "replaced")?,
            })
        };
        row.map(adjusted).transpose()
    }
}
