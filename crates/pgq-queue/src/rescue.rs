//! Rescuing jobs: those whose lease ran out, and those of a worker whose sessions have all ended.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::QueryAs;
use sqlx::{FromRow, Row as _, SqlStr};
use uuid::Uuid;

use super::Queue;
use super::due::until;
use super::millis::millis;
use crate::boot_clock::BootInstant;
use pgq_job::{JobId, OnFailure};

/// Longer than a statement takes and clocks drift.
const MARGIN: Duration = Duration::from_secs(5);

/// What the current plugins and the configuration say about a lost job.
#[derive(Debug, Clone)]
pub struct RescueRule {
    pub entrypoint: String,
    /// Runs at most. Only used where the database lacks the table of suspects.
    pub max_attempts: u32,
    /// Workers that may be lost while the job runs alone.
    pub max_crashes: u32,
    pub on_failure: OnFailure,
}

/// A job that was rescued.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Rescued {
    pub id: JobId,
    pub entrypoint: String,
    /// `queued`, `failed` or `exception`.
    pub status: String,
    /// The worker that was lost.
    pub worker: Option<Uuid>,
    /// Which attempt was lost with it.
    pub attempt: i64,
    /// What the job's headers have of its trace.
    pub parent: Option<String>,
    pub previous: Option<String>,
    /// The place of the lost turn in it, to which the next is linked. `None`: nobody traces.
    pub turn: Option<String>,
    pub claimed: Option<DateTime<Utc>>,
    /// When the loss was noticed.
    pub noticed: DateTime<Utc>,
}

/// What a scan of the leases found.
#[derive(Debug, Clone, Copy)]
pub struct Overdue {
    /// Some lease has run out.
    pub any: bool,
    /// The server's clock at the scan, in milliseconds since 1970.
    pub clock_ms: i64,
    /// Time since the server started.
    pub server_up: Duration,
    /// By how many milliseconds the server's clock jumped since the last scan.
    pub clock_jumped_ms: Option<i64>,
    /// Whether others hold any job; `None`: nobody looked.
    pub held: Option<bool>,
    /// Time until the next job is due that is waited for; `Some(None)`: there is none.
    pub due: Option<Option<Duration>>,
}

impl Queue {
    /// Whether any lease of these entrypoints has run out. Jobs that this host holds are left out:
    /// their renewal is only late. While this host waits for jobs of the `awaited` entrypoints, the
    /// answer says what a poll would say, unless that would be expensive.
    pub async fn any_lost(
        &self,
        rules: &[RescueRule],
        lease: Duration,
        held: &[JobId],
        awaited: &[Arc<str>],
    ) -> sqlx::Result<Overdue> {
        let entrypoints: Vec<_> = rules.iter().map(|rule| self.charset.name(&rule.entrypoint)).collect();
        let began = BootInstant::now();
        let since = self.expiry_scans.since(began);
        let back = since.map(|last| began - last + lease + MARGIN);
        // A scan that looks at all leases passes the same dead entries of the index.
        let all_leases = !awaited.is_empty() && since.is_none();
        let awaited = if self.looks_later().is_some() { &awaited[..0] } else { awaited };
        let any = sqlx::query(self.sql.find_expired.clone())
            .bind(&entrypoints)
            .bind(millis(lease))
            .bind(held)
            .bind(back.map(millis))
            .bind(all_leases)
            .bind(self.names_of(awaited));
        let row = any.fetch_one(&self.pool.patient()).await?;
        let any = row.try_get("found")?;
        let due = (!awaited.is_empty()).then(|| Ok::<_, sqlx::Error>(until(row.try_get("due_ms")?))).transpose()?;
        let held = all_leases.then(|| row.try_get("held")).transpose()?;
        let ended = BootInstant::now();
        if any {
            // One statement may not rescue all of them, may fail, or may have to wait: the next
            // scan is a full one.
            self.expiry_scans.forget();
        } else {
            self.expiry_scans.found_nothing(since.is_none(), began, ended);
        }
        let clock_ms = row.try_get("clock_ms")?;
        let clock_jumped_ms = self.access().server_clock(clock_ms, began, ended);
        let server_up = Duration::from_millis(u64::try_from(row.try_get::<i64, _>("up_ms")?).unwrap_or(0));
        Ok(Overdue { any, clock_ms, server_up, clock_jumped_ms, held, due })
    }

    /// Rescue up to 1,000 jobs whose lease had run out at this time of the server's clock, except
    /// those that this host holds. (A row can bear our id and not be held: the connection broke
    /// between a claim and its answer.) `seed`: digits for the ids of lost turns in traces.
    pub async fn rescue(
        &self,
        rules: &[RescueRule],
        lease: Duration,
        clock_ms: i64,
        held: &[JobId],
        seed: Option<String>,
    ) -> sqlx::Result<Vec<Rescued>> {
        self.ruled(self.sql.rescue_expired.clone(), rules)
            .bind(millis(lease))
            .bind(held)
            .bind(clock_ms)
            .bind(seed)
            .fetch_all(&self.pool.patient())
            .await
    }

    /// Rescue up to 1,000 jobs of a worker whose sessions have ended.
    pub async fn rescue_from(
        &self,
        worker: Uuid,
        rules: &[RescueRule],
        seed: Option<String>,
    ) -> sqlx::Result<Vec<Rescued>> {
        let rescue = self.ruled(self.sql.rescue_from_worker.clone(), rules).bind(worker).bind(seed);
        rescue.fetch_all(&self.pool.patient()).await
    }

    /// The parameters that both statements begin with.
    fn ruled(&self, sql: SqlStr, rules: &[RescueRule]) -> QueryAs<'static, Postgres, Rescued, PgArguments> {
        let by_attempts = !self.sql.features.suspects;
        let most = |rule: &RescueRule| if by_attempts { rule.max_attempts } else { rule.max_crashes };
        let entrypoints: Vec<String> =
            rules.iter().map(|rule| self.charset.name(&rule.entrypoint).into_owned()).collect();
        let most: Vec<i32> = rules.iter().map(|rule| i32::try_from(most(rule)).unwrap_or(i32::MAX)).collect();
        let hold: Vec<bool> = rules.iter().map(|rule| rule.on_failure == OnFailure::Hold).collect();
        sqlx::query_as(sql).bind(entrypoints).bind(most).bind(hold)
    }
}
