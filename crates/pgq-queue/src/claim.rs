//! Claiming: taking jobs that are due, for entrypoints that this host serves.

use std::sync::Arc;
use std::time::Instant;

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Row as _, SqlStr};

use super::claim_cursor::Position;
use super::claimed::is_unreadable;
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

impl Queue {
    /// Claim up to `max` due jobs of entrypoints without a limit: highest priority first, oldest
    /// first. For a while after a full scan, jobs behind the cursor come first; see
    /// `claim_cursor.rs`.
    pub async fn claim(&self, entrypoints: &[Arc<str>], max: usize) -> sqlx::Result<Claimed> {
        let mut claimed = Claimed::default();
        let position = self.cursor.position();
        if let Some(position) = position {
            claimed = self.claim_by(&self.sql.claim_from_cursor, entrypoints, max, Some(position)).await?;
            if !claimed.too_heavy {
                self.cursor.advance(&claimed.jobs);
            }
            if claimed.len() == max || claimed.too_many || self.cursor.retry_after().is_some() {
                return Ok(claimed);
            }
        }
        // Many were due a moment ago, and no claim since has come to their end: no need to count.
        let many = entrypoints.len() > FEW_ENTRYPOINTS || position.is_none() && self.cursor.last_was_full();
        let (asked, left) = (Instant::now(), max - claimed.len());
        let statement = if many { &self.sql.claim_many } else { &self.sql.claim };
        let scanned = match self.claim_by(statement, entrypoints, left, None).await {
            Ok(scanned) => scanned,
            Err(error) if claimed.is_empty() => return Err(error),
            // What was claimed already must not be lost with it.
            Err(_) => return Ok(claimed),
        };
        // What was passed over for its bytes stands before what was taken: the next claim must find
        // it.
        let taken = if scanned.too_heavy { &[] } else { &*scanned.jobs };
        self.cursor.scanned(asked.elapsed(), taken, scanned.len() == left || scanned.too_many);
        claimed.jobs.extend(scanned.jobs);
        Ok(Claimed { too_many: scanned.too_many, too_heavy: claimed.too_heavy || scanned.too_heavy, ..claimed })
    }

    /// Claim up to `max` due jobs of one entrypoint without a limit. The cursor stays where it is.
    pub async fn claim_few(&self, entrypoint: &Arc<str>, max: usize) -> sqlx::Result<Claimed> {
        self.claim_by(&self.sql.claim, std::slice::from_ref(entrypoint), max, None).await
    }

    async fn claim_by(
        &self,
        sql: &SqlStr,
        entrypoints: &[Arc<str>],
        max: usize,
        position: Option<Position>,
    ) -> sqlx::Result<Claimed> {
        let query = |reserved: &Reservation, bodies: Bodies| {
            let texts: Vec<String> =
                entrypoints.iter().map(|entrypoint| self.charset.name(entrypoint).into_owned()).collect();
            let query = sqlx::query(sql.clone()).bind(texts).bind(i64::try_from(max).unwrap_or(i64::MAX)).bind(self.me);
            let query = bounded(query, reserved, bodies);
            match position {
                Some(position) => query.bind(position.priority).bind(position.after),
                None => query,
            }
        };
        let (rows, reserved) = self.rows(query).await?;
        Ok(self.read_claimed(&rows, entrypoints, &reserved))
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
        let begin = i64::from(self.slots.begin(limited));
        let query = |reserved: &Reservation, bodies: Bodies| {
            let query = sqlx::query(self.sql.claim_limited.clone())
                .bind(self.charset.name(&limited.entrypoint).into_owned())
                .bind(i64::try_from(max).unwrap_or(i64::MAX))
                .bind(self.me)
                .bind(i64::from(limited.concurrency))
                .bind(begin);
            bounded(query, reserved, bodies)
        };
        match self.rows(query).await {
            Ok((rows, reserved)) => {
                if let Some(slot) = rows.last().and_then(|last| last.try_get::<Option<i64>, _>("slot").ok().flatten()) {
                    self.slots.took(limited, u32::try_from(slot).unwrap_or(0));
                }
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
