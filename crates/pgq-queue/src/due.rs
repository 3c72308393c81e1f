//! What is left to claim, and when.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::Queue;
use super::millis::millis;

impl Queue {
    /// Resolves when this worker let a job's bytes go since the last call.
    pub async fn lightened(&self) {
        self.bytes.freed().await;
    }

    /// Look for due jobs from the front again: other entrypoints are claimed from now on.
    pub fn look_at_front(&self) {
        self.cursor.forget();
        self.lock_cursor.forget();
    }

    /// Time until the next job of these entrypoints is due; while a full scan is too expensive,
    /// until that will be made.
    ///
    /// `back`, per entrypoint: how far back to include jobs that became due after the last claim
    /// began, which it may have missed. It needs room for the time that this question takes. `None`,
    /// for all that are due, is as expensive as a claim: the index is full of jobs that were due once.
    pub async fn next_due<'a>(
        &self,
        back: impl IntoIterator<Item = (&'a str, Option<Duration>)>,
    ) -> sqlx::Result<Option<Duration>> {
        if let Some(wait) = self.looks_later() {
            return Ok(Some(wait));
        }
        let (entrypoints, back): (Vec<Cow<'_, str>>, Vec<Option<i64>>) =
            back.into_iter().map(|(entrypoint, back)| (self.charset.name(entrypoint), back.map(millis))).unzip();
        let ms: Option<i64> =
            sqlx::query_scalar(self.sql.next_due.clone()).bind(entrypoints).bind(back).fetch_one(&self.pool).await?;
        Ok(until(ms))
    }

    /// While a full scan is too expensive: when it will be made.
    pub(super) fn looks_later(&self) -> Option<Duration> {
        self.lock_cursor.retry_after().or_else(|| self.cursor.retry_after())
    }

    /// What is queued or picked of these entrypoints, by any worker: their names, and how many of
    /// either.
    pub async fn count_left(&self, entrypoints: &[Arc<str>]) -> sqlx::Result<Vec<(String, i64, i64)>> {
        sqlx::query_as(self.sql.count_left.clone()).bind(self.names_of(entrypoints)).fetch_all(&self.pool).await
    }

    /// Whether any job of these entrypoints is queued, due or not, or picked, by any worker.
    pub async fn has_work(&self, entrypoints: &[Arc<str>]) -> sqlx::Result<bool> {
        sqlx::query_scalar(self.sql.has_work.clone()).bind(self.names_of(entrypoints)).fetch_one(&self.pool).await
    }

    pub(super) fn names_of<'a>(&self, entrypoints: &'a [Arc<str>]) -> Vec<Cow<'a, str>> {
        entrypoints.iter().map(|entrypoint| self.charset.name(entrypoint)).collect()
    }
}

/// What the database says as milliseconds; less than none: it is due already.
pub(super) fn until(ms: Option<i64>) -> Option<Duration> {
    ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}
