//! What was logged in the last hour, from PgQueuer's statistics and the tally: counted already, so
//! that nobody has to read the log for it.

use std::time::{Duration, Instant};

use chrono::Utc;
use sqlx::Row as _;

use super::last_hour::{MINUTES, unread};
use super::minutes::{Counted, Throughput};
use super::statements;
use crate::Operator;
use crate::text::text;

const WITHIN: Duration = Duration::from_secs(5);
/// Rows of the statistics: seconds times entrypoints times statuses.
const MOST_COUNTED: i64 = 500_000;
const MOST_RETURNED: i64 = 100_000;
/// What is logged is counted within seconds. Minutes before these are taken to be complete.
const OPEN_MINUTES: i64 = 6;
/// What was counted later than that all the same is seen then.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// Looks within this time are one.
const FRESH: Duration = Duration::from_millis(500);

impl Operator {
    /// What was logged of one entrypoint, or of all. Who asks while another does gets its answer.
    pub(super) async fn throughput(&self, only: Option<&str>) -> sqlx::Result<Throughput> {
        let mut memory = self.hour.counted.lock().await;
        if memory.read.is_none_or(|read| read.elapsed() > FRESH) {
            self.refresh(&mut memory).await?;
        }
        Ok(memory.tell(only, MINUTES))
    }

    async fn refresh(&self, memory: &mut Counted) -> sqlx::Result<()> {
        let now = Utc::now().timestamp().div_euclid(60);
        if memory.begun.is_none_or(|begun| begun.elapsed() > FORGOTTEN_AFTER) {
            *memory = Counted { begun: Some(Instant::now()), ..Counted::default() };
        }
        let from = unread(now, Some(memory.now), OPEN_MINUTES);
        let query = sqlx::query(self.sql_with(statements::THROUGHPUT, self.features().await?)).persistent(false);
        let query = query.bind(MOST_COUNTED).bind(from).bind(MOST_RETURNED);
        let rows = self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await?;
        let (_, beyond) = (memory.minutes.split_off(&from), now - MINUTES + 1);
        memory.minutes = memory.minutes.split_off(&beyond);
        memory.lately.clear();
        let mut counted = 0;
        for row in &rows {
            let (name, status): (String, String) = (text(row, "entrypoint")?, row.try_get("status")?);
            let (five, one) = memory.lately.entry(name.clone()).or_default();
            five.add(&status, row.try_get("jobs_five")?);
            one.add(&status, row.try_get("jobs_one")?);
            // A second that is just beginning may lie ahead of this clock.
            let minute = row.try_get::<i64, _>("minute")?.min(now);
            let of_minute = memory.minutes.entry(minute).or_default();
            of_minute.entry(name).or_default().add(&status, row.try_get("jobs")?);
            counted += row.try_get::<i64, _>("rows")?;
        }
        memory.cut |= counted >= MOST_COUNTED || i64::try_from(rows.len()).is_ok_and(|rows| rows >= MOST_RETURNED);
        memory.now = now;
        memory.read = Some(Instant::now());
        Ok(())
    }
}
