//! Writes outcomes in batches: everything that came while the last write was under way is in the
//! next. There is no timer, so an idle host records at once and a busy one in large batches.

mod handover;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::lease::Leases;
use crate::logging::list;
use crate::meter;
pub use handover::{NEXT, NextJobs, SlotHandover};
use pgq_job::{Claim, Disposition, JobId};
use pgq_queue::told::Told as _;
use pgq_queue::{Queue, Record, Remedy};

/// Outcomes in one write. Larger batches gain nothing and make their first outcome wait.
const BATCH: usize = 1_000;
/// Bytes of outputs and follow-ups in one write, since the driver copies what it sends. A larger
/// outcome is written alone.
const BATCH_BYTES: usize = 16 << 20;
/// Outcomes that may wait. They are lost, and their jobs run again, when the host is killed. Past
/// that number, runs that have ended wait and count as active, so that no job is claimed.
pub const BACKLOG: usize = 2_000;

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(5);
const CLEAR_TIMEOUT: Duration = Duration::from_secs(5);

/// Write outcomes until the channel is closed and empty, or until `give_up`.
///
/// An outage of the database costs time, not outcomes: they and their leases are kept, and written
/// when it is back.
pub async fn record(
    queue: Queue,
    leases: Arc<Leases>,
    mut handover: SlotHandover,
    mut records: mpsc::Receiver<Record>,
    give_up: CancellationToken,
) {
    let mut batch: Vec<Record> = Vec::with_capacity(BATCH);
    // A run that cannot be interrupted keeps the channel open.
    while give_up.run_until_cancelled(records.recv_many(&mut batch, BATCH)).await.is_some_and(|received| received > 0) {
        let mut rest = batch.split_off(within_bytes(&batch));
        loop {
            let jobs = batch.len() + rest.len();
            if give_up.run_until_cancelled(finish(&queue, &leases, &mut handover, &mut batch)).await.is_none() {
                tracing::error!(
                    jobs = jobs + records.len(),
                    "outcomes could not be written in time; these jobs run again when their leases are over"
                );
                return;
            }
            batch.clear();
            if rest.is_empty() {
                break;
            }
            batch.extend(rest.drain(..within_bytes(&rest)));
        }
    }
}

/// How many of these records, from the first on, go into one write. At least one.
fn within_bytes(records: &[Record]) -> usize {
    let mut bytes = 0;
    let fits = |record: &&Record| {
        bytes += record.disposition.bytes();
        bytes <= BATCH_BYTES
    };
    records.iter().take_while(fits).count().clamp(1, records.len())
}

/// Write these records and release their leases. Those that hand a slot over come last, so that no
/// other outcome waits for a claim.
async fn finish(queue: &Queue, leases: &Leases, handover: &mut SlotHandover, batch: &mut Vec<Record>) {
    let claims = |records: &[Record]| records.iter().map(|record| record.claim).collect::<Vec<Claim>>();
    let suspects: Vec<Claim> = batch.iter().filter(|record| record.suspect).map(|record| record.claim).collect();
    let passing = handover.take(batch);
    if !batch.is_empty() {
        write(queue, batch).await;
        leases.release(claims(batch));
    }
    for mut passing in passing {
        match handover.pass_on(queue, leases, &passing).await {
            Ok(Some(ours)) => report_lost(&passing.records, &ours),
            Ok(None) => write(queue, &mut passing.records).await,
            Err(error) => {
                tracing::debug!(job.entrypoint = %passing.limited.entrypoint, error = %error.told(), "no seat is passed on");
                write(queue, &mut passing.records).await;
            }
        }
        leases.release(claims(&passing.records));
    }
    if !suspects.is_empty() {
        clear(queue, &suspects).await;
    }
}

/// Clear these suspects, or not: one that stays runs apart once more, or is pruned.
async fn clear(queue: &Queue, suspects: &[Claim]) {
    match tokio::time::timeout(CLEAR_TIMEOUT, queue.clear_suspects(suspects)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(jobs = suspects.len(), error = %error.told(), "cannot clear suspects"),
        Err(_) => tracing::debug!(jobs = suspects.len(), "cannot clear suspects in time"),
    }
}

async fn write(queue: &Queue, batch: &mut [Record]) {
    let mut retry = FIRST_RETRY;
    loop {
        let Err(error) = meter::record(batch.len(), queue.record(batch)).await.map(|ours| report_lost(batch, &ours))
        else {
            return;
        };
        if Remedy::of(&error) == Remedy::Isolate {
            return isolate(queue, batch, &error).await;
        }
        tracing::warn!(jobs = batch.len(), error = %error.told(), retry_in_ms = retry.as_millis(), "cannot record outcomes; trying again");
        queue.access().pause(retry.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        retry = (retry * 2).min(LAST_RETRY);
    }
}

/// PostgreSQL refuses one of these outcomes, which must not keep the others from being recorded:
/// halve the batch until it stands alone. Outcomes that are written already find no row of ours the
/// second time, and change nothing.
async fn isolate(queue: &Queue, batch: &mut [Record], error: &sqlx::Error) {
    match batch {
        [] => {}
        [record] => {
            tracing::error!(job.id = record.claim.id, error = %error.told(), "the database refuses the job's outcome; it is held as failed");
            record.disposition = refused(record.claim.id, error);
            if let Err(error) = queue.record(std::slice::from_ref(record)).await {
                tracing::error!(job.id = record.claim.id, error = %error.told(), "nor that it failed; it runs again when its lease is over");
            }
        }
        batch => {
            let (left, right) = batch.split_at_mut(batch.len() / 2);
            Box::pin(write(queue, left)).await;
            Box::pin(write(queue, right)).await;
        }
    }
}

fn refused(id: JobId, error: &sqlx::Error) -> Disposition {
    Disposition::Held {
        traceback: json!({
            "job_id": id,
            "timestamp": chrono::Utc::now().to_rfc3339(),
            "exception_type": "OutcomeRefused",
            "exception_message": format!("the run ended, but the database refused its outcome: {}", error.told()),
            "traceback": "",
            "additional_context": null,
        }),
    }
}

fn report_lost(batch: &[Record], ours: &[JobId]) {
    Record::trace_recorded(batch, ours);
    if ours.len() < batch.len() {
        meter::leases_lost("record", batch.len() - ours.len());
        let (cancelled, lost): (Vec<&Record>, Vec<&Record>) =
            batch.iter().filter(|record| !ours.contains(&record.claim.id)).partition(|record| record.cancelled);
        let ids = |of: &[&Record]| list(&of.iter().take(20).map(|record| record.claim.id).collect::<Vec<JobId>>());
        if !cancelled.is_empty() {
            tracing::info!(jobs = cancelled.len(), job.ids = %ids(&cancelled), "these jobs were cancelled while they ran; left alone");
        }
        if !lost.is_empty() {
            tracing::warn!(jobs = lost.len(), job.ids = %ids(&lost), "these jobs belonged to another worker or were cancelled by the time they ended; left alone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgq_job::Terminal;

    #[test]
    fn a_write_has_few_large_outputs_and_at_least_one() {
        let record = |bytes: usize| {
            let claim = Claim { id: 1, at: chrono::DateTime::UNIX_EPOCH };
            let (status, output) = (Terminal::Successful, Some(vec![0; bytes]));
            Record::new(claim, Disposition::Finished { status, traceback: None, output, follow_ups: Vec::new() })
        };
        let of = |sizes: &[usize]| within_bytes(&sizes.iter().map(|bytes| record(*bytes)).collect::<Vec<_>>());
        assert_eq!(of(&[1; 30]), 30);
        assert_eq!(of(&[BATCH_BYTES / 2, BATCH_BYTES / 2, 1]), 2);
        assert_eq!(of(&[BATCH_BYTES + 1, 1]), 1);
    }
}
