//! Reading payloads that are too large for the answer of a claim, one at a time, before their jobs
//! start.

use std::sync::Arc;

use super::conclusion::Cost;
use super::shared::Shared;
use crate::capacity::ActiveCall;
use crate::plugins::PluginSet;
use pgq_engine::AssignedJob;
use pgq_job::{Fault, FaultKind, Job, ReleaseReason, Verdict};
use pgq_queue::Body;
use pgq_queue::boot_clock::BootInstant;
use pgq_trace::Claimed;

impl Shared {
    /// Read the payloads that the claim left in the database, and start each job when its payload
    /// is there. Leases are renewed meanwhile.
    pub(super) fn read(
        self: &Arc<Self>,
        jobs: Vec<Job>,
        plugins: &PluginSet,
        asked: BootInstant,
        claimed: Option<Claimed>,
    ) {
        let (shared, plugins) = (Arc::clone(self), plugins.clone());
        // Their traces begin once their headers are read.
        let jobs: Vec<(ActiveCall, AssignedJob)> =
            jobs.into_iter().map(|job| (shared.capacity.begin(), self.assign(job, asked, None))).collect();
        // On the control runtime, where no guest makes a connection wait.
        self.control.spawn(async move {
            for (_active, assigned) in jobs {
                let mut job = (*assigned.job).clone();
                let read = match shared.reading.acquire().await {
                    Ok(_turn) => Some(shared.queue.read_body(&mut job).await),
                    Err(_closed) => None,
                };
                let verdict = match read {
                    Some(Ok(Body::Read)) => {
                        shared.start_read(vec![job], &plugins, asked, claimed);
                        continue;
                    }
                    Some(Ok(Body::Gone)) => {
                        tracing::info!(job.id = job.id, "the job was cancelled or taken over before its payload was read");
                        shared.leases.release([job.claim]);
                        continue;
                    }
                    Some(Ok(Body::Unreadable(reason))) => Verdict::Reject(Fault::new(FaultKind::Unreadable, reason)),
                    Some(Err(error)) => {
                        tracing::warn!(job.id = job.id, error = %error, "cannot read the job's payload; it is queued again");
                        Verdict::Release(ReleaseReason::PayloadUnread)
                    }
                    None => Verdict::Release(ReleaseReason::HostStopped),
                };
                let assigned = AssignedJob { trace: shared.begin_trace(&job, claimed), ..assigned };
                match plugins.get(&job.entrypoint) {
                    Some(served) => shared.conclude(&assigned, served, verdict, &Cost::nothing()).await,
                    None => shared.leases.release([job.claim]),
                }
            }
        });
    }
}
