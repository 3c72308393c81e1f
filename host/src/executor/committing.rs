//! An outcome that is committed with what its run wrote in the database.

use std::time::Duration;

use super::shared::Shared;
use crate::meter;
use crate::plugins::Served;
use pgq_job::{Fault, FaultKind, Verdict};
use pgq_queue::Record;
use pgq_queue::told::Told as _;
use pgq_sql::{Ended, RunSql};

const CLEAR_TIMEOUT: Duration = Duration::from_secs(5);

/// What is left to do.
pub(super) enum Committing {
    /// Nothing: the outcome is recorded, or is not ours to record.
    Done,
    /// The run has written nothing to the queue's database: the outcome is to be recorded like any other.
    Nothing,
    /// Nothing is there of the run. This is its outcome.
    Refused(Verdict),
}

impl Shared {
    /// Commit what the run wrote, and this outcome with it.
    pub(super) async fn commit(&self, sql: &RunSql, record: &Record, served: &Served) -> Committing {
        let (claim, entrypoint) = (record.claim, &*served.entrypoint);
        match sql.commit(record.clone()).await {
            // What is in another database is committed, and the outcome is not.
            None | Some(Ended::Apart) => return Committing::Nothing,
            Some(Ended::Committed) => {
                self.queue.recorded_by_handler();
                Record::trace_recorded(std::slice::from_ref(record), &[claim.id]);
                if record.suspect {
                    let claims = [claim];
                    let clearing = self.queue.clear_suspects(&claims);
                    if let Ok(Err(error)) = tokio::time::timeout(CLEAR_TIMEOUT, clearing).await {
                        tracing::debug!(job.id = claim.id, error = %error.told(), "cannot clear a suspect");
                    }
                }
            }
            Some(Ended::NotOurs) => {
                Record::trace_recorded(std::slice::from_ref(record), &[]);
                meter::leases_lost("record", 1);
                tracing::warn!(
                    job.id = claim.id,
                    job.entrypoint = entrypoint,
                    "the job belonged to another worker or was cancelled by the time it ended; what it wrote is rolled back"
                );
            }
            Some(Ended::Unknown) => {
                tracing::error!(
                    job.id = claim.id,
                    job.entrypoint = entrypoint,
                    "nobody can say whether the commit of the job was heard; if it was not, the job runs again when its lease is over"
                );
            }
            Some(Ended::Refused(error)) => {
                let code = error.sqlstate().map(|code| format!(" (SQLSTATE {code})")).unwrap_or_default();
                let message = format!("what the run wrote could not be committed: {}{code}", error.message);
                let fault = Fault::new(FaultKind::CommitRefused, message);
                return Committing::Refused(Verdict::Retry { fault, after: None });
            }
        }
        self.leases.release([claim]);
        Committing::Done
    }
}
