//! The jobs of one call, from waiting for a place to the outcome of each.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::conclusion::Cost;
use super::opening::is_any_sealed;
use super::shared::Shared;
use crate::plugins::{Exposure, Served};
use pgq_engine::{AssignedJob, CallReport};
use pgq_job::{ReleaseReason, Verdict};
use pgq_queue::boot_clock::BootInstant;

impl Shared {
    /// Run these jobs in a task of their own. It is copied when it is spawned, so what few runs need
    /// is boxed: there is a task for each job.
    pub(super) fn spawn(
        self: &Arc<Self>,
        jobs: Vec<AssignedJob>,
        served: Arc<Served>,
        exposure: Exposure,
        asked: BootInstant,
    ) {
        let (shared, active) = (Arc::clone(self), self.capacity.begin());
        self.guests.handle().spawn(async move {
            let mut left = VecDeque::from(jobs);
            // A panic in the call itself is caught there. Any other panic costs these jobs a run: a
            // lease that was left behind would be renewed for ever.
            let _ = AssertUnwindSafe(shared.run(&mut left, &served, asked)).catch_unwind().await;
            if !left.is_empty() {
                Box::pin(shared.abandon(left, &served)).await;
            }
            // Before the worker is told that there is room.
            drop(exposure);
            drop(active);
        });
    }

    /// Run these jobs. Those that are concluded, or run again on their own, are taken out of
    /// `left`.
    async fn run(self: &Arc<Self>, left: &mut VecDeque<AssignedJob>, served: &Arc<Served>, asked: BootInstant) {
        let place = self.begin(left.make_contiguous(), asked).await;
        // A claim that is lost is another worker's, and must not begin.
        while let Some(lost) = left.iter().position(|assigned| assigned.control.is_lease_lost()) {
            let assigned = left[lost].clone();
            let (verdict, cost) = (Verdict::Release(ReleaseReason::LeaseLost), Cost::nothing());
            Box::pin(self.conclude(&assigned, served, verdict, &cost)).await;
            left.remove(lost);
        }
        let count = left.len();
        if count == 0 {
            return;
        }
        let (report, sql) = match place {
            // The circuit breaker opened since the claim, or an operator paused the entrypoint. The
            // jobs do not begin, and no attempt is counted.
            Some(_place) if served.is_paused() => {
                (CallReport::nothing(Verdict::Release(ReleaseReason::EntrypointPaused), count, false), None)
            }
            Some(_place) if is_any_sealed(left, served) => {
                // What is sealed stays so in `left`: it may run again.
                let opened = Box::pin(self.open(left, served)).await;
                if opened.is_empty() {
                    return;
                }
                self.call(&opened, served).await
            }
            Some(_place) => self.call(left.make_contiguous(), served).await,
            None => (CallReport::nothing(Verdict::Release(ReleaseReason::HostStopped), count, false), None),
        };
        // One bad job must not cost the others an attempt, and nobody can tell which it was: each
        // runs again alone.
        let alone = report.crashed && left.len() > 1;
        for verdict in report.verdicts {
            let Some(assigned) = left.front().cloned() else { break };
            if alone && !assigned.control.is_over() {
                self.spawn(vec![assigned], Arc::clone(served), served.expose(1), asked);
            } else {
                let cost = Cost {
                    elapsed: report.elapsed,
                    memory: report.memory,
                    crashed: report.crashed,
                    share: report.share.clone(),
                    processor: report.processor,
                    traffic: report.traffic,
                    printed: Arc::clone(&report.printed),
                    sql: sql.clone(),
                };
                self.conclude(&assigned, served, verdict, &cost).await;
            }
            left.pop_front();
        }
    }
}
