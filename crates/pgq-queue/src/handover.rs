//! A slot of an entrypoint's limit goes from a job that is done to the one that is due next, in one
//! transaction. With two it would stand empty between them, a tenth of the time when jobs are
//! short.

use sqlx::Row as _;

use super::claim::{self, Bodies};
use super::{Claimed, ConcurrencyLimit, Queue, Record};
use pgq_job::{Job, JobId};

/// What was recorded, and who has the slots now.
#[derive(Debug, Clone)]
pub struct HandedOver {
    /// The jobs that were still ours.
    pub ours: Vec<JobId>,
    /// The next ones, in the order in which they are to run.
    pub next: Vec<Job>,
}

impl Queue {
    /// Record these final outcomes of one entrypoint, and claim as many due jobs of it as slots
    /// become free by that. All of it is done, or nothing: on an error the outcomes are still to be
    /// recorded.
    pub async fn hand_over(&self, limited: &ConcurrencyLimit, records: &[Record]) -> sqlx::Result<HandedOver> {
        let records: Vec<&Record> = records.iter().collect();
        let (handing, reserved) = (self.with_extras(self.sql.hand_over.clone(), &records), self.bytes.reserve());
        let handing = handing.bind(limited.entrypoint.to_string()).bind(i64::from(limited.concurrency));
        let handing = self.at_the_end(claim::bounded(handing, &reserved, Bodies::Inlined), &records);
        let rows = handing.fetch_all(&self.pool_for(&records)).await?;
        self.tallied.notify_one();
        self.tell_failures(&records);
        let ours: Option<Vec<JobId>> = rows.first().map(|row| row.try_get("ours")).transpose()?.flatten();
        let next = Claimed::read(&rows, std::slice::from_ref(&limited.entrypoint), &reserved);
        Ok(HandedOver { ours: ours.unwrap_or_default(), next: next.jobs })
    }
}
