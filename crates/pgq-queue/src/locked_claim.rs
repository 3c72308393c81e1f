//! Claims that lock the rows of their jobs and write nothing to them.
//!
//! The transaction stays open while the jobs run, for tens of milliseconds. What has ended by then
//! is finished in it; what has not is marked, and is from there on a claim like any other. A row is
//! written once instead of three times, and one commit serves both ends.
//!
//! When the session breaks, all rows are free at once, also those of jobs that had ended. So this
//! is for handlers whose only effects are in that transaction: of a run that was not committed,
//! nothing is left.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use uuid::Uuid;

use super::claim::Taking;
use super::claimed::is_unreadable;
use super::lock_rest::{AFTER_DEATH, SURPLUS, UNREADABLE, WARY};
use super::locked_row::LockedRow;
use super::record::Sorted;
use super::transaction::Transaction;
use super::{Claimed, Queue, Record, Remedy};
use crate::told::Told as _;
use pgq_job::{Claim, JobId};

/// Sessions that are left for other statements while jobs are locked: outcomes and upkeep.
const OTHER_SESSIONS: usize = 2;
/// More transactions at a time gain nothing.
const MOST: usize = 4;

/// An open transaction that has locked the rows of some jobs. Dropped, it lets them go.
#[derive(Debug)]
pub struct LockedClaim {
    transaction: Transaction,
    /// Its rows.
    pub rows: Vec<LockedRow>,
}

/// What came of trying to lock.
#[derive(Debug)]
pub struct Locked {
    pub claimed: Claimed,
    /// `None`: the jobs are marked already, or there are none.
    pub claim: Option<LockedClaim>,
}

/// What a transaction wrote before it ended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Jobs whose outcomes are recorded.
    pub recorded: Vec<JobId>,
    /// Jobs that are ordinary claims from now on, whether they still run or their outcomes were
    /// refused.
    pub marked: Vec<JobId>,
}

impl Queue {
    /// How many transactions with locked rows this worker can have open at a time.
    pub fn locked_claims(&self) -> usize {
        match self.pool.is_by_transaction() || !self.sql.features.deaths {
            true => 0,
            false => self.pool.most().saturating_sub(OTHER_SESSIONS).min(MOST),
        }
    }

    /// Whether claims may be locked only, now.
    pub fn may_lock(&self) -> bool {
        self.lock_rest.is_over()
    }

    /// Lock up to `max` due jobs of entrypoints without a limit, in the order of
    /// [`claim`](Queue::claim), with at least this priority. Jobs that cannot start now, or that must
    /// leave a trace when they end their host, are marked at once.
    pub async fn lock(&self, entrypoints: &[Arc<str>], max: usize, least: i32) -> sqlx::Result<Locked> {
        let mut transaction = Transaction::begin(&self.pool).await?;
        let claimed = match self.take(&mut Taking::Lock(&mut transaction), entrypoints, max, least).await {
            Ok(claimed) if claimed.unreadable == 0 => claimed,
            Err(error) if !is_unreadable(&error) => return Err(error),
            // Marking claims know what to do about such a row.
            _ => {
                drop(transaction);
                return self.mark_for(UNREADABLE, entrypoints, max, least).await;
            }
        };
        if claimed.is_wary {
            transaction.roll_back().await?;
            return self.mark_for(WARY, entrypoints, max, least).await;
        }
        if claimed.is_empty() && !claimed.too_heavy && !claimed.too_many {
            transaction.roll_back().await?;
            return Ok(Locked { claimed, claim: None });
        }
        let rows = claimed.rows.clone();
        let claim = LockedClaim { transaction, rows };
        // Rows that this host cannot take must not stay locked for a whole batch, over and over.
        let surplus = claimed.too_heavy || claimed.too_many;
        if !surplus && claimed.iter().all(|job| job.unread.is_none() && job.suspicion.is_none()) {
            return Ok(Locked { claimed, claim: Some(claim) });
        }
        if surplus {
            self.lock_rest.begin(SURPLUS);
        }
        let all: Vec<Claim> = claim.rows.iter().map(|row| row.claim).collect();
        self.settle(claim, &[], &all).await?;
        Ok(Locked { claimed, claim: None })
    }

    async fn mark_for(&self, rest: Duration, entrypoints: &[Arc<str>], max: usize, least: i32) -> sqlx::Result<Locked> {
        self.lock_rest.begin(rest);
        Ok(Locked { claimed: self.claim_from(entrypoints, max, least).await?, claim: None })
    }

    /// Record these outcomes, mark those that still run, and let all rows go. Where one of the
    /// outcomes is refused, jobs are marked whose outcomes could not be written with it. After an
    /// error nothing of it is done, or all of it: nobody knows when the answer to a commit was lost.
    pub async fn settle(&self, claim: LockedClaim, records: &[Record], running: &[Claim]) -> sqlx::Result<Settled> {
        let LockedClaim { mut transaction, .. } = claim;
        let mut settled = Settled::default();
        let Sorted { plain, done, back } = Sorted::of(records);
        let mut running = running.to_vec();
        if !plain.is_empty() {
            let query = self.plain(self.sql.finish_locked.clone(), &plain);
            settled.recorded.extend(ids(&mut transaction, query).await?);
        }
        if !done.is_empty() || !back.is_empty() {
            // What a handler has left may be more than a column takes.
            transaction.save().await?;
            match self.settle_rest(&mut transaction, &done, &back).await {
                Ok(recorded) => settled.recorded.extend(recorded),
                Err(error) if Remedy::of(&error) == Remedy::Isolate => {
                    tracing::debug!(error = %error.told(), "outcomes of locked jobs are refused");
                    transaction.restore().await?;
                    running.extend(done.iter().chain(&back).map(|record| record.claim));
                }
                Err(error) => return Err(error),
            }
        }
        if !running.is_empty() {
            let (jobs, claimed): (Vec<JobId>, Vec<DateTime<Utc>>) =
                running.iter().map(|claim| (claim.id, claim.at)).unzip();
            let query = sqlx::query(self.sql.mark.clone()).bind(jobs).bind(self.me).bind(claimed);
            let query = query.bind(self.history.claims_unlogged());
            settled.marked = ids(&mut transaction, query).await?;
        }
        transaction.commit().await?;
        self.tallied.notify_one();
        self.tell_failures(&done);
        self.tell_failures(&back);
        Ok(settled)
    }

    async fn settle_rest(
        &self,
        transaction: &mut Transaction,
        done: &[&Record],
        back: &[&Record],
    ) -> sqlx::Result<Vec<JobId>> {
        let mut recorded = Vec::with_capacity(done.len() + back.len());
        if !done.is_empty() {
            let query = self.extras(self.sql.finish_locked_with_extras.clone(), done);
            recorded.extend(ids(transaction, query).await?);
        }
        if !back.is_empty() {
            recorded.extend(ids(transaction, self.back(self.sql.put_back_locked.clone(), back)).await?);
        }
        Ok(recorded)
    }

    /// Lock rows again whose session was lost, as far as they are as they were and nobody has them.
    pub async fn relock(&self, rows: &[LockedRow]) -> sqlx::Result<LockedClaim> {
        let mut transaction = Transaction::begin(&self.pool).await?;
        let query = sqlx::query(self.sql.relock.clone())
            .bind(rows.iter().map(|row| row.claim.id).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.seen).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.attempts).collect::<Vec<_>>());
        let ours = ids(&mut transaction, query).await?;
        let rows = rows.iter().filter(|row| ours.contains(&row.claim.id)).copied().collect();
        Ok(LockedClaim { transaction, rows })
    }

    /// Note that a worker died, and wake the others. From now on, claims are marked for a while.
    pub async fn note_death(&self, worker: Uuid) -> sqlx::Result<()> {
        self.lock_rest.begin(AFTER_DEATH);
        if self.sql.features.deaths {
            sqlx::query(self.sql.note_death.clone()).bind(worker).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// To be called before the first claim: if any announced worker has no session, it may just have
    /// died, of a job that is due again.
    pub async fn look_for_deaths(&self) -> sqlx::Result<()> {
        if self.sql.features.presence
            && sqlx::query_scalar(self.sql.any_gone.clone()).bind(self.me).fetch_one(&self.pool).await?
        {
            self.lock_rest.begin(AFTER_DEATH);
        }
        Ok(())
    }
}

async fn ids(transaction: &mut Transaction, query: Query<'static, Postgres, PgArguments>) -> sqlx::Result<Vec<JobId>> {
    transaction.fetch_all(query).await?.iter().map(|row: &PgRow| row.try_get(0)).collect()
}
