//! An outcome that is to be recorded.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::{Attempt, ConcurrencyLimit, KeptLines};
use pgq_job::{Claim, Disposition, JobId, TracedJob};

/// A claimed job and what becomes of it.
#[derive(Debug, Clone)]
pub struct Record {
    pub claim: Claim,
    pub disposition: Disposition,
    /// `None` where the job is given back without a run.
    pub attempt: Option<Attempt>,
    /// The concurrency limit that the job ran under, if any: the outcome frees a slot.
    pub limited: Option<ConcurrencyLimit>,
    /// The job was a suspect and its run ended: clear it.
    pub suspect: bool,
    /// Somebody cancelled it while it ran, so that its row may be gone.
    pub cancelled: bool,
    /// What the run printed, as far as it is kept.
    pub lines: Option<KeptLines>,
    /// What it takes of a host's memory, released when it is dropped.
    pub share: Option<Arc<dyn Any + Send + Sync>>,
    /// Who is told that it is recorded, if the job is traced.
    pub trace: Option<Arc<dyn TracedJob>>,
}

impl Record {
    /// Without a run, for a job that ran under no limit.
    pub fn new(claim: Claim, disposition: Disposition) -> Record {
        Record {
            claim,
            disposition,
            attempt: None,
            limited: None,
            suspect: false,
            cancelled: false,
            lines: None,
            share: None,
            trace: None,
        }
    }

    /// What it brings to the database beside its row.
    pub fn bytes(&self) -> usize {
        self.disposition.bytes() + self.lines.as_ref().map_or(0, KeptLines::bytes)
    }

    /// Tell the traces of these records which of them were still ours.
    pub fn trace_recorded(records: &[Record], ours: &[JobId]) {
        if records.iter().all(|record| record.trace.is_none()) {
            return;
        }
        let at = Instant::now();
        // As a rule they are ours, all of them.
        let some = (ours.len() < records.len()).then(|| ours.iter().copied().collect::<HashSet<JobId>>());
        for record in records {
            let is_ours = some.as_ref().is_none_or(|ours| ours.contains(&record.claim.id));
            // Whoever cancels a job takes its row, and that is no loss.
            if let Some(trace) = record.trace.as_ref().filter(|_| is_ours || !record.cancelled) {
                trace.recorded(is_ours, at);
            }
        }
    }

    /// Whether the job leaves the queue. One that stays may be due again at once, before all
    /// others.
    pub fn is_final(&self) -> bool {
        matches!(self.disposition, Disposition::Finished { .. })
    }

    /// Whether writing it may have to wait for somebody else's transaction: a follow-up's dedupe key
    /// may just be inserted by another.
    pub fn may_wait(&self) -> bool {
        matches!(&self.disposition, Disposition::Finished { follow_ups, .. }
            if follow_ups.iter().any(|job| job.dedupe_key.is_some()))
    }
}

/// Records by the statement that writes them.
pub(super) struct Sorted<'r> {
    /// Success, and nothing else to write.
    pub(super) plain: Vec<&'r Record>,
    /// Others that leave the queue.
    pub(super) done: Vec<&'r Record>,
    /// Those that stay.
    pub(super) back: Vec<&'r Record>,
}

impl<'r> Sorted<'r> {
    pub(super) fn of(records: &'r [Record]) -> Sorted<'r> {
        let (plain, rest): (Vec<&Record>, Vec<&Record>) =
            records.iter().partition(|record| record.disposition.is_plain() && record.lines.is_none());
        let (done, back) = rest.into_iter().partition(|record| record.is_final());
        Sorted { plain, done, back }
    }
}
