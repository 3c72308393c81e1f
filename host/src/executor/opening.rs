//! Opening sealed payloads, for the run only. What cannot be opened costs nobody but itself: the job
//! is put back for hosts that have its key, or held with the reason, and no attempt is counted.

use std::collections::VecDeque;
use std::sync::Arc;

use super::conclusion::Cost;
use super::shared::Shared;
use crate::meter;
use crate::plugins::Served;
use pgq_engine::AssignedJob;
use pgq_job::{Fault, FaultKind, Job, ReleaseReason, Verdict};
use pgq_sealing::{Keys, Look, Purpose, look};

impl Shared {
    /// The same jobs, with their payloads opened. Those that cannot be opened are concluded and taken
    /// out of `left`, where all others stay as they are.
    pub(super) async fn open(&self, left: &mut VecDeque<AssignedJob>, served: &Served) -> Vec<AssignedJob> {
        let mut opened = Vec::with_capacity(left.len());
        for _ in 0..left.len() {
            let Some(assigned) = left.front().cloned() else { break };
            match self.open_one(&assigned, served).await {
                Ok(job) => {
                    opened.push(job.unwrap_or(assigned));
                    left.rotate_left(1);
                }
                Err(verdict) => {
                    self.conclude(&assigned, served, verdict, &Cost::nothing()).await;
                    left.pop_front();
                }
            }
        }
        opened
    }

    /// The job with its payload opened; `None` where it is in clear, and may be. Or what becomes of
    /// the job.
    pub(super) async fn open_one(
        &self,
        assigned: &AssignedJob,
        served: &Served,
    ) -> Result<Option<AssignedJob>, Verdict> {
        let job = &assigned.job;
        let key = match found(job) {
            Look::Clear if may_be_clear(job, served) => return Ok(None),
            Look::Clear => return Err(in_clear(job)),
            Look::Broken(unopened) => return Err(broken(&unopened)),
            Look::Sealed(key) => key,
        };
        let mut keys = self.keyring.keys();
        if keys.opens(&key).is_none() {
            let (keyring, wanted) = (self.keyring.clone(), key.clone());
            // On the control runtime, which waits for files and commands.
            let _ = self.control.spawn(async move { keyring.look_for(&wanted).await }).await;
            keys = self.keyring.keys();
        }
        let Some(opens) = keys.opens(&key) else { return Err(self.without_key(job, &key, &keys)) };
        let envelope = job.payload.as_deref().unwrap_or_default();
        let payload = opens.open(envelope, Purpose::Payload, &job.entrypoint).map_err(|unopened| broken(&unopened))?;
        meter::sealing("opened", 1);
        let opened = Job { payload: Some(payload), ..without_payload(job) };
        Ok(Some(AssignedJob { job: Arc::new(opened), ..assigned.clone() }))
    }

    fn without_key(&self, job: &Job, key: &str, keys: &Keys) -> Verdict {
        meter::sealing("no_key", 1);
        if let Some(turn) = self.keyring.wait(job.id) {
            return Verdict::Release(ReleaseReason::KeyUnknown(turn));
        }
        let patience = humantime::format_duration(self.keyring.patience());
        refused(format!(
            "its payload is sealed with the key {key:?}, which this host did not have for {patience} (its keys: {}); give \
             the key to all hosts ([sealing] in pgq-host.toml), and requeue the job",
            keys.names()
        ))
    }
}

/// Whether one of these jobs is sealed, or has to be.
pub(super) fn is_any_sealed(jobs: &VecDeque<AssignedJob>, served: &Served) -> bool {
    served.seals.requires || jobs.iter().any(|assigned| found(&assigned.job) != Look::Clear)
}

fn found(job: &Job) -> Look {
    job.payload.as_deref().map_or(Look::Clear, look)
}

/// The ticks of schedules have no payload, and nobody who could seal one.
fn may_be_clear(job: &Job, served: &Served) -> bool {
    !served.seals.requires || (job.payload.is_none() && !served.options.schedules.is_empty())
}

/// Without a copy of what is replaced, which may be large.
fn without_payload(job: &Job) -> Job {
    let Job { id, priority, created_ms, due, attempts, claim, suspicion, unread, .. } = *job;
    let (entrypoint, headers, share) = (Arc::clone(&job.entrypoint), job.headers.clone(), job.share.clone());
    Job { id, priority, created_ms, due, entrypoint, payload: None, headers, attempts, claim, suspicion, unread, share }
}

fn in_clear(job: &Job) -> Verdict {
    meter::sealing("in_clear", 1);
    let what = if job.payload.is_some() { "its payload is not sealed" } else { "it has no payload" };
    refused(format!(
        "{what}, and require-sealed in pgq-host.toml wants it sealed; have its producer seal it (docs/sealing.md), or \
         lower require-sealed for this entrypoint, and requeue the job"
    ))
}

fn broken(unopened: &pgq_sealing::Unopened) -> Verdict {
    meter::sealing("broken", 1);
    refused(format!("its payload cannot be opened: {unopened}"))
}

fn refused(message: String) -> Verdict {
    Verdict::Reject(Fault::new(FaultKind::Unopened, message))
}
