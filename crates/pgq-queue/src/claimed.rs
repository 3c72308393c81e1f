//! What a claim brought, from its rows.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::locked_row::LockedRow;
use super::suspect::suspicion;
use super::text::Lossy;
use crate::byte_budget::Reservation;
use crate::told::Told as _;
use pgq_job::{Claim, Job, JobId};

/// What a claim took, and whether that was all it could.
#[derive(Debug, Default)]
pub struct Claimed {
    /// In the order in which they are to run.
    pub jobs: Vec<Job>,
    /// Some were left because one answer has no room for more.
    pub too_many: bool,
    /// Some were left because this host holds too many bytes to take them as well.
    pub too_heavy: bool,
    /// It did not look everywhere: another claim may bring more.
    pub more: bool,
    /// Some are due that others have locked.
    pub is_contended: bool,
    /// Rows that could not be read.
    pub(super) unreadable: usize,
    /// A host died a short while ago, so that nothing was locked.
    pub(super) is_wary: bool,
    /// How the rows were, where they are only locked.
    pub(super) rows: Vec<LockedRow>,
}

impl std::ops::Deref for Claimed {
    type Target = [Job];

    fn deref(&self) -> &[Job] {
        &self.jobs
    }
}

impl Claimed {
    /// What a further statement of the same claim brought.
    pub(super) fn join(&mut self, more: Claimed) {
        self.jobs.extend(more.jobs);
        self.rows.extend(more.rows);
        self.too_many = more.too_many;
        self.too_heavy |= more.too_heavy;
        self.is_contended = more.is_contended;
        self.unreadable += more.unreadable;
        self.is_wary |= more.is_wary;
    }

    /// A row that cannot be read costs nobody but itself: it is put back when its lease is over.
    pub(super) fn read(rows: &[PgRow], entrypoints: &[Arc<str>], reserved: &Reservation) -> Claimed {
        let left =
            |why: &str| rows.first().and_then(|row| row.try_get::<i64, _>(why).ok()).is_some_and(|jobs| jobs > 0);
        let is = |what: &str| rows.first().and_then(|row| row.try_get::<bool, _>(what).ok()).unwrap_or_default();
        let mut claimed = Claimed {
            jobs: Vec::with_capacity(rows.len()),
            too_many: left("too_many"),
            too_heavy: left("too_heavy"),
            is_contended: is("is_contended"),
            is_wary: is("is_wary"),
            ..Claimed::default()
        };
        let is_locked = rows.first().is_some_and(|row| row.try_column("seen").is_ok());
        let known: HashMap<&str, &Arc<str>> =
            entrypoints.iter().map(|entrypoint| (&**entrypoint, entrypoint)).collect();
        for row in rows {
            match job(row, &known, reserved) {
                Ok(Some(job)) => {
                    if is_locked && let Ok(seen) = row.try_get("seen") {
                        let attempts = i32::try_from(job.attempts).unwrap_or(i32::MAX);
                        claimed.rows.push(LockedRow { claim: job.claim, seen, attempts });
                    }
                    claimed.jobs.push(job);
                }
                Ok(None) => {}
                Err(error) => {
                    claimed.unreadable += 1;
                    tracing::error!(error = %error.told(), "a claimed row cannot be read; it is put back when its lease is over")
                }
            }
        }
        claimed
    }
}

/// What is known to be wrong with a value, and what a value of gigabytes does to the server.
pub(super) fn is_unreadable(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("54") || code == "53200" || code == "XX000")
}

/// The row of a job; none, where the claim brought none.
fn job(row: &PgRow, known: &HashMap<&str, &Arc<str>>, reserved: &Reservation) -> sqlx::Result<Option<Job>> {
    let Some(id) = row.try_get::<Option<JobId>, _>("id")? else { return Ok(None) };
    let entrypoint: Lossy = row.try_get("entrypoint")?;
    let attempts: i32 = row.try_get("attempts")?;
    let created_ms: i64 = row.try_get("created_ms")?;
    let bytes = u64::from(row.try_get::<i32, _>("bytes")?.unsigned_abs());
    let headers: Option<Lossy> = row.try_get("headers")?;
    Ok(Some(Job {
        id,
        claim: Claim { id, at: row.try_get("updated")? },
        priority: row.try_get("priority")?,
        due: row.try_get("execute_after")?,
        created_ms: u64::try_from(created_ms).unwrap_or(0),
        entrypoint: known.get(&*entrypoint.0).map_or_else(|| Arc::from(&*entrypoint.0), |known| Arc::clone(known)),
        payload: row.try_get("payload")?,
        headers: headers.map(|headers| headers.0),
        attempts: u32::try_from(attempts).unwrap_or(0),
        suspicion: suspicion(row.try_get("suspicion")?),
        unread: (!row.try_get::<bool, _>("is_inlined")?).then_some(bytes),
        share: reserved.share(bytes).map(|share| share as Arc<dyn Any + Send + Sync>),
    }))
}
