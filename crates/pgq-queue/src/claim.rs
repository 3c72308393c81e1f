//! Claiming: taking jobs that are due, for entrypoints that this host serves.

use std::sync::Arc;
use std::time::Instant;

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Row as _, SqlStr};

use super::claim_cursor::Position;
use super::claimed::is_unreadable;
use super::transaction::Transaction;
use super::{Claimed, ConcurrencyLimit, Queue, Remedy, sqlstate};
use crate::byte_budget::Reservation;
use crate::told::Told as _;

/// Each entrypoint is a look into the index by time; past so many, few jobs are due anyway or many
/// are.
const FEW_ENTRYPOINTS: usize = 64;
/// A job of more bytes is claimed without its payload and headers. They are read when the claim is
/// committed, job by job: the rows of a claim are locked until its whole answer is sent, and a host
/// that has stopped reading would keep them from all others.
const INLINE_BYTES: i32 = 64 << 10;

/// Whether jobs come with their payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bodies {
    /// Those that are small.
    Inlined,
    /// None: one of them cannot be sent, and nobody knows which.
    Later,
}

impl Bodies {
    fn inline(self) -> i32 {
        match self {
            Bodies::Inlined => INLINE_BYTES,
            Bodies::Later => -1,
        }
    }
}

/// How the jobs of a claim become this worker's.
pub(super) enum Taking<'t> {
    /// By what is written to their rows.
    Mark,
    /// By locks that this transaction holds.
    Lock(&'t mut Transaction),
}

/// Where in the queue a claim begins.
#[derive(Debug, Clone, Copy)]
enum Begin {
    Behind {
        position: Position,
        /// Whether to look at rows that somebody has locked, now or before.
        looks_at_locked: bool,
    },
    Front {
        /// The least priority.
        least: i32,
    },
}

impl Queue {
    /// Claim up to `max` due jobs of entrypoints without a limit: highest priority first, oldest
    /// first. For a while after a full scan, jobs behind the cursor come first; see
    /// `claim_cursor.rs`.
    pub async fn claim(&self, entrypoints: &[Arc<str>], max: usize) -> sqlx::Result<Claimed> {
        self.claim_from(entrypoints, max, i32::MIN).await
    }

    /// The same, of jobs with at least this priority.
    pub async fn claim_from(&self, entrypoints: &[Arc<str>], max: usize, least: i32) -> sqlx::Result<Claimed> {
        self.take(&mut Taking::Mark, entrypoints, max, least).await
    }

    /// Claim up to `max` due jobs of one entrypoint without a limit. The cursor stays where it is.
    pub async fn claim_few(&self, entrypoint: &Arc<str>, max: usize) -> sqlx::Result<Claimed> {
        let begin = Begin::Front { least: i32::MIN };
        self.claim_by(&mut Taking::Mark, &self.sql.claim, std::slice::from_ref(entrypoint), max, begin).await
    }

    pub(super) async fn take(
        &self,
        taking: &mut Taking<'_>,
        entrypoints: &[Arc<str>],
        max: usize,
        least: i32,
    ) -> sqlx::Result<Claimed> {
        let (locks, sql) = (matches!(taking, Taking::Lock(_)), &self.sql);
        let (cursor, one, many, from_cursor) = match locks {
            false => (&self.cursor, &sql.claim, &sql.claim_many, &sql.claim_from_cursor),
            true => (&self.lock_cursor, &sql.lock, &sql.lock_many, &sql.lock_from_cursor),
        };
        let mut claimed = Claimed::default();
        let position = cursor.position();
        if let Some(position) = position.filter(|position| position.priority >= least) {
            let begin = Begin::Behind { position, looks_at_locked: cursor.looks_at_locked() };
            claimed = self.claim_by(taking, from_cursor, entrypoints, max, begin).await?;
            if !claimed.too_heavy {
                cursor.advance(&claimed.jobs);
            }
            if claimed.len() == max || claimed.too_many || claimed.is_wary || cursor.retry_after().is_some() {
                return Ok(claimed);
            }
            // A second statement of the transaction would bring the same rows again: it passes over
            // the locks of others, and not over its own.
            if locks && !claimed.is_empty() {
                claimed.more = true;
                return Ok(claimed);
            }
        }
        // Many were due a moment ago, and no claim since has come to their end: no need to count.
        let is_many = entrypoints.len() > FEW_ENTRYPOINTS || position.is_none() && cursor.last_was_full();
        let (asked, left) = (Instant::now(), max - claimed.len());
        let statement = if is_many { many } else { one };
        let scanned = match self.claim_by(taking, statement, entrypoints, left, Begin::Front { least }).await {
            Ok(scanned) => scanned,
            // The error ended the transaction, and the locks with it.
            Err(error) if claimed.is_empty() || locks => return Err(error),
            // What was claimed already must not be lost with it.
            Err(_) => return Ok(claimed),
        };
        // What was passed over for its bytes stands before what was taken: the next claim must find
        // it.
        let taken = if scanned.too_heavy { &[] } else { &*scanned.jobs };
        let is_full = scanned.len() == left || scanned.too_many;
        if let Some(position) = position.filter(|_| is_full && claimed.is_empty()) {
            cursor.found_nothing(position, &scanned.jobs);
        }
        cursor.scanned(asked.elapsed(), taken, is_full);
        claimed.join(scanned);
        Ok(claimed)
    }

    async fn claim_by(
        &self,
        taking: &mut Taking<'_>,
        sql: &SqlStr,
        entrypoints: &[Arc<str>],
        max: usize,
        begin: Begin,
    ) -> sqlx::Result<Claimed> {
        let query = |reserved: &Reservation, bodies: Bodies| {
            let texts: Vec<String> =
                entrypoints.iter().map(|entrypoint| self.charset.name(entrypoint).into_owned()).collect();
            let query = sqlx::query(sql.clone()).bind(texts).bind(i64::try_from(max).unwrap_or(i64::MAX)).bind(self.me);
            let query = bounded(query, reserved, bodies);
            let query = match begin {
                Begin::Behind { position, .. } => query.bind(position.priority).bind(position.after),
                Begin::Front { least } => query.bind(least),
            };
            let query = query.bind(self.history.claims_unlogged());
            match begin {
                Begin::Behind { looks_at_locked, .. } => query.bind(looks_at_locked),
                Begin::Front { .. } => query,
            }
        };
        match taking {
            Taking::Mark => {
                let (rows, reserved) = self.rows(query).await?;
                Ok(self.read_claimed(&rows, entrypoints, &reserved))
            }
            Taking::Lock(transaction) => {
                let reserved = self.bytes.reserve();
                let rows = transaction.fetch_all(query(&reserved, Bodies::Inlined)).await?;
                Ok(Claimed::read(&rows, entrypoints, &reserved))
            }
        }
    }

    /// The rows of a claim. The server cannot send every row: headers may be no text in its
    /// encoding, and a row of gigabytes is too much. Then jobs are claimed without their bodies.
    /// Reading these later finds out which job it is, and all others run.
    async fn rows(
        &self,
        query: impl Fn(&Reservation, Bodies) -> Query<'static, Postgres, PgArguments>,
    ) -> sqlx::Result<(Vec<PgRow>, Reservation)> {
        let reserved = self.bytes.reserve();
        let rows = match query(&reserved, Bodies::Inlined).fetch_all(&self.pool).await {
            Err(error) if is_unreadable(&error) => {
                tracing::warn!(error = %error.told(), "a job that is due cannot be read as it is; jobs are read one by one");
                query(&reserved, Bodies::Later).fetch_all(&self.pool).await?
            }
            rows => rows?,
        };
        Ok((rows, reserved))
    }

    /// Whoever counts the tally is told of jobs that were claimed.
    fn read_claimed(&self, rows: &[PgRow], entrypoints: &[Arc<str>], reserved: &Reservation) -> Claimed {
        let claimed = Claimed::read(rows, entrypoints, reserved);
        if !claimed.is_empty() {
            self.tallied.notify_one();
        }
        claimed
    }

    /// Claim up to `max` due jobs of an entrypoint with a limit, as far as slots are free. A lost
    /// race for a slot is an empty claim.
    pub async fn claim_limited(&self, limited: &ConcurrencyLimit, max: usize) -> sqlx::Result<Claimed> {
        let begin = self.slots.begin(limited, max);
        let query = |reserved: &Reservation, bodies: Bodies| {
            let query = sqlx::query(self.sql.claim_limited.clone())
                .bind(self.charset.name(&limited.entrypoint).into_owned())
                .bind(i64::try_from(max).unwrap_or(i64::MAX))
                .bind(self.me)
                .bind(i64::from(limited.concurrency))
                .bind(i64::from(begin));
            bounded(query, reserved, bodies).bind(self.history.claims_unlogged())
        };
        match self.rows(query).await {
            Ok((rows, reserved)) => {
                let slot = |row: &PgRow| u32::try_from(row.try_get::<Option<i64>, _>("slot").ok().flatten()?).ok();
                self.slots.took(limited, begin, rows.iter().filter_map(slot));
                Ok(self.read_claimed(&rows, std::slice::from_ref(&limited.entrypoint), &reserved))
            }
            // Two workers that race for the same slot: a violation of the unique index, or a
            // deadlock.
            Err(error) if Remedy::of(&error) == Remedy::AtOnce || sqlstate::is(&error, sqlstate::UNIQUE_VIOLATION) => {
                Ok(Claimed::default())
            }
            Err(error) => Err(error),
        }
    }
}

/// The parameters that bound a claim.
pub(super) fn bounded(
    query: Query<'static, Postgres, PgArguments>,
    reserved: &Reservation,
    bodies: Bodies,
) -> Query<'static, Postgres, PgArguments> {
    query.bind(i64::try_from(reserved.bytes).unwrap_or(i64::MAX)).bind(reserved.alone).bind(bodies.inline())
}
