//! A seat of an entrypoint's limit goes from jobs that are done to those that are due next, in one transaction: with two, it would stand
//! empty between them, which is a tenth of the time when jobs are short.

use sqlx::Row as _;

use super::claim::{self, Bodies, Limited};
use super::due::{self, Bounds};
use super::outcome::{FINISH_WITH_EXTRAS, Record};
use super::{Queue, enqueue};
use crate::job::{Job, JobId};

/// What was recorded, and for whom the seats are.
#[derive(Debug, Clone)]
pub struct HandedOver {
    /// The jobs that were still ours.
    pub ours: Vec<JobId>,
    /// The next ones, in the order in which they are to run.
    pub next: Vec<Job>,
}

/// The seats of what was ours. One that a limit has not any more since it shrank goes.
const FREE: &str = "free AS MATERIALIZED (
    SELECT slot AS seat, row_number() OVER () AS rank FROM ours WHERE slot >= 0 AND slot < $19
)";

/// Rows that have a job, or a single one that has none.
const HANDED_OVER: &str = "
SELECT *, {suspicion} FROM (SELECT array_agg(id::bigint) AS ours FROM ours) AS recorded CROSS JOIN {left_over} LEFT JOIN job ON true ORDER BY priority DESC, id ASC";

/// Who reads the log by its ids sees a seat given back before it is taken again. Nothing else says which of two inserts comes first.
const AFTER: &str = " WHERE (SELECT count(*) FROM logged) > 0";

pub(super) fn hand_over() -> String {
    let finish = FINISH_WITH_EXTRAS.replace("{on_conflict}", enqueue::SKIP).replace("{logged}", "RETURNING job_id");
    let seated = claim::seated("$18", "$2", AFTER, Bounds { left: "$20", alone: "$21", inline: "$22" });
    format!("{finish}, {FREE}, {seated}{}", HANDED_OVER.replace("{left_over}", due::LEFT))
}

impl Queue {
    /// Record these final outcomes of one entrypoint, and claim as many due jobs of it as give their seats back by that. All of it is
    /// done, or nothing: on an error the outcomes are still to be recorded.
    pub async fn hand_over(&self, limited: &Limited, records: &[Record]) -> sqlx::Result<HandedOver> {
        let records: Vec<&Record> = records.iter().collect();
        let (handing, reserved) = (self.with_extras(self.sql.hand_over.clone(), &records), self.bytes.reserve());
        let handing = handing.bind(limited.entrypoint.to_string()).bind(i64::from(limited.concurrency));
        let handing = claim::bounded(handing, &reserved, Bodies::Inlined);
        let rows = handing.fetch_all(&self.pool).await?;
        self.tallied.notify_one();
        let ours: Option<Vec<JobId>> = rows.first().map(|row| row.try_get("ours")).transpose()?.flatten();
        let next = self.claimed(&rows, std::slice::from_ref(&limited.entrypoint), &reserved);
        Ok(HandedOver { ours: ours.unwrap_or_default(), next: next.jobs })
    }
}
