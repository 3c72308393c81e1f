//! One call of a guest: when it may begin, and what came of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::SemaphorePermit;

use super::shared::Shared;
use crate::lease::Standing;
use crate::plugins::Served;
use pgq_engine::sql::SqlSession;
use pgq_engine::{self as wasm, AssignedJob, CallReport, CallSpec, RunLimits, SqlGrant};
use pgq_job::{Claim, Fault, FaultKind, ReleaseReason, Verdict};
use pgq_queue::boot_clock::BootInstant;
use pgq_sql::{RunSpec, RunSql};

/// How often to look whether a row is marked by now.
const MARKING: Duration = Duration::from_millis(10);

impl Shared {
    /// A place to run in, once these jobs may begin: no suspect runs alone, and their leases are
    /// good for a while or known to be lost. `None` when the host stops.
    pub(super) async fn begin(&self, jobs: &[AssignedJob], asked: BootInstant) -> Option<SemaphorePermit<'_>> {
        loop {
            if !self.lane.is_open() {
                Box::pin(self.closed.run_until_cancelled(self.lane.open())).await?;
            }
            let place = self.running.acquire().await.ok()?;
            if !self.lane.is_open() {
                continue;
            }
            let is_stale = |claim: &Claim| self.leases.standing(*claim) == Standing::Stale;
            let claims: Vec<Claim> = match self.leases.is_fresh(asked) {
                true => Vec::new(),
                false => jobs.iter().map(|assigned| assigned.job.claim).filter(is_stale).collect(),
            };
            if claims.is_empty() {
                return Some(place);
            }
            drop(place);
            Box::pin(self.leases.renew(&claims, &self.closed)).await;
            if self.closed.is_cancelled() {
                return None;
            }
        }
    }

    /// Call the guest, on the threads for short or long runs. Never fails: a panic of the host is a
    /// verdict, too.
    ///
    /// Returns the transaction of the run as well, if the plugin may use the database.
    pub(super) async fn call(&self, jobs: &[AssignedJob], served: &Served) -> (CallReport, Option<Arc<RunSql>>) {
        let sql = match &served.plugin.grants.sql {
            Some(grant) if served.options.batch.is_none() => {
                Some(Box::pin(self.transaction(jobs, served, grant)).await)
            }
            _ => None,
        };
        let (options, trace) = (&served.options, self.trace_call(jobs, served));
        let spec = CallSpec {
            plugin: Arc::clone(&served.plugin),
            entrypoint: Arc::clone(&served.entrypoint),
            limits: RunLimits { timeout: options.timeout, memory: options.memory, max_attempts: options.max_attempts },
            reuse: options.reuse,
            batched: options.batch.is_some(),
            kept_lines: if self.queue.keeps_lines() { served.logs.held_bytes() } else { 0 },
            sql: sql.clone().map(|sql| sql as Arc<dyn SqlSession>),
            trace: trace.clone(),
        };
        let (engine, assigned, count) = (self.engine.clone(), jobs.to_vec(), jobs.len());
        let run = Box::pin(async move { AssertUnwindSafe(wasm::run(&engine, &spec, &assigned)).catch_unwind().await });
        let long = served.run_class.is_long();
        tracing::debug!(job.entrypoint = %served.entrypoint, long, "run begins");
        let ended = self.guests.run(long, run).await;
        if let Some((_, long)) = ended {
            served.run_class.observe(long);
        }
        let report = match ended {
            Some((Ok(report), _)) => report,
            // The panic hook has logged where.
            Some((Err(_panic), _)) => {
                let fault = Fault::new(FaultKind::HostPanic, "the host panicked while it served this run");
                CallReport::nothing(Verdict::Retry { fault, after: None }, count, true)
            }
            None => CallReport::nothing(Verdict::Release(ReleaseReason::HostStopped), count, false),
        };
        if let Some(trace) = trace.filter(|_| report.crashed) {
            trace.crashed();
        }
        report.limit_hits.iter().for_each(|limit| served.plugin.hits.limit(limit.label()));
        served.metrics.limits(report.limit_hits.iter().map(|limit| limit.label()));
        (report, sql)
    }

    /// What the run may do in the database.
    async fn transaction(&self, jobs: &[AssignedJob], served: &Served, grant: &SqlGrant) -> Arc<RunSql> {
        // Its transaction ends the row, so the row has to be marked. It was not if the grant came
        // after the claim.
        let is_locked = || jobs.iter().any(|assigned| self.leases.locked(assigned.job.claim).is_some());
        while is_locked() {
            tokio::time::sleep(MARKING).await;
        }
        let spec = RunSpec {
            plugin: Arc::clone(&served.plugin.name),
            grant: grant.clone(),
            authorities: served.plugin.grants.authorities.as_ref().map(|authorities| Arc::clone(authorities.tls())),
            deadline: Instant::now() + served.options.timeout,
        };
        Arc::new(RunSql::new(self.sql.clone(), spec))
    }
}
