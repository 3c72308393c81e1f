//! Running suspects: apart from other jobs, each once it is noted in the database that it begins.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;

use super::conclusion::Cost;
use super::lane::{self, Quiet};
use super::shared::Shared;
use crate::capacity::ActiveCall;
use crate::lease::Standing;
use crate::plugins::{Exposure, PluginSet, Served};
use pgq_engine::{AssignedJob, CallReport};
use pgq_job::{Claim, Job, ReleaseReason, Suspicion, Verdict};
use pgq_queue::boot_clock::BootInstant;
use pgq_trace::Claimed;

/// Deadline for noting that a suspect begins. Past it, the suspect is queued again.
const NOTE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to check whether the outcome of a suspect that ran alone is written.
const RECORDED_POLL: Duration = Duration::from_millis(10);

/// A job whose worker was lost.
struct Suspect {
    assigned: AssignedJob,
    suspicion: Suspicion,
    quiet: Option<Quiet>,
    served: Arc<Served>,
    exposure: Exposure,
}

impl Shared {
    /// Start each in a call of its own, in this order.
    pub(super) fn start_suspects(
        self: &Arc<Self>,
        suspects: Vec<(Job, Suspicion)>,
        plugins: &PluginSet,
        asked: BootInstant,
        claimed: Option<Claimed>,
    ) {
        let mut started = Vec::with_capacity(suspects.len());
        for (job, suspicion) in suspects {
            match plugins.pick(&job.entrypoint, fastrand::f64()) {
                Some(served) => {
                    served.metrics.start(std::slice::from_ref(&job));
                    let quiet = self.lane.quiet(suspicion);
                    started.push(Suspect {
                        assigned: self.assign(job, asked, claimed),
                        suspicion,
                        quiet,
                        served: Arc::clone(served),
                        exposure: served.expose(1),
                    });
                }
                None => {
                    tracing::error!(job.entrypoint = %job.entrypoint, jobs = 1, "claimed jobs that nobody asked for")
                }
            }
        }
        tracing::info!(jobs = started.len(), "jobs that a lost worker held are run apart from the others");
        let shared = Arc::clone(self);
        let started: Vec<(Suspect, ActiveCall)> =
            started.into_iter().map(|suspect| (suspect, shared.capacity.begin())).collect();
        self.guests.handle().spawn(async move {
            for (suspect, active) in started {
                let place = shared.closed.run_until_cancelled(shared.lane.place(suspect.suspicion)).await.flatten();
                let trying = Arc::clone(&shared);
                shared.guests.handle().spawn(async move {
                    let (assigned, served) = (suspect.assigned.clone(), Arc::clone(&suspect.served));
                    if AssertUnwindSafe(trying.try_out(suspect, place)).catch_unwind().await.is_err() {
                        trying.abandon(VecDeque::from([assigned]), &served).await;
                    }
                    drop(active);
                });
            }
        });
    }

    /// Note that a suspect begins, and run it. `lane` is `None` when the host stops.
    async fn try_out(self: &Arc<Self>, suspect: Suspect, lane: Option<OwnedSemaphorePermit>) {
        let Suspect { assigned, suspicion, quiet, served, exposure: _exposure } = suspect;
        let place = match &lane {
            Some(_) => self.running.acquire().await.ok(),
            None => None,
        };
        let opened = match &place {
            Some(_) if !served.is_paused() => self.open_one(&assigned, &served).await,
            _ => Ok(None),
        };
        let opened = match opened {
            Ok(opened) => opened.unwrap_or_else(|| assigned.clone()),
            Err(verdict) => {
                drop(place);
                return self.conclude(&assigned, &served, verdict, &Cost::nothing()).await;
            }
        };
        let noted = match &place {
            Some(_) if served.is_paused() => Err(ReleaseReason::EntrypointPaused),
            Some(_) => self.note(assigned.job.claim, suspicion).await,
            None => Err(ReleaseReason::HostStopped),
        };
        let mut apart = Some((lane, quiet));
        let (report, sql) = match noted {
            Ok(true) => {
                let jobs = std::slice::from_ref(&opened);
                let call = self.call(jobs, &served);
                tokio::pin!(call);
                match lane::stay(suspicion) {
                    Some(stay) => match tokio::time::timeout(stay, &mut call).await {
                        Ok(report) => report,
                        Err(_) => {
                            apart = None;
                            self.capacity.notify();
                            call.await
                        }
                    },
                    None => call.await,
                }
            }
            Ok(false) => {
                assigned.control.lose_lease();
                (CallReport::nothing(Verdict::Release(ReleaseReason::LeaseLost), 1, false), None)
            }
            Err(reason) => (CallReport::nothing(Verdict::Release(reason), 1, false), None),
        };
        drop(place);
        let cost = Cost {
            elapsed: report.elapsed,
            memory: report.memory,
            crashed: report.crashed,
            share: report.share.clone(),
            processor: report.processor,
            traffic: report.traffic,
            printed: Arc::clone(&report.printed),
            sql,
        };
        for verdict in report.verdicts {
            self.conclude(&assigned, &served, verdict, &cost).await;
        }
        // Until its outcome is written, the next suspect could end this host, and this one would be
        // charged.
        if apart.is_some() && matches!(suspicion, Suspicion::Alone { .. }) {
            self.recorded(assigned.job.claim).await;
        }
    }

    /// Resolves when the outcome of this claim is written or is not ours to write, or when the host
    /// stops.
    async fn recorded(&self, claim: Claim) {
        while self.leases.standing(claim) != Standing::Lost && !self.closed.is_cancelled() {
            tokio::time::sleep(RECORDED_POLL).await;
        }
    }

    /// Note that a suspect begins. Returns whether its claim still stands, or why it cannot begin
    /// now.
    async fn note(&self, claim: Claim, suspicion: Suspicion) -> Result<bool, ReleaseReason> {
        let queue = self.queue.clone();
        let noting = async move { tokio::time::timeout(NOTE_TIMEOUT, queue.begin_suspect(claim, suspicion)).await };
        match self.control.spawn(noting).await {
            Ok(Ok(Ok(stands))) => Ok(stands),
            other => {
                let error = match other {
                    Ok(Ok(Err(error))) => error.to_string(),
                    Ok(_) => format!("no answer within {NOTE_TIMEOUT:?}"),
                    Err(error) => error.to_string(),
                };
                tracing::warn!(
                    job.id = claim.id,
                    error,
                    "cannot note that this job begins, whose worker was lost; it is queued again"
                );
                Err(ReleaseReason::BeginningUnnoted)
            }
        }
    }
}
