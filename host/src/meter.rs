//! Metrics of a job's path through the host. Without `--listen`, nothing records them, and counting
//! costs next to nothing.
//!
//! `telemetry` describes their names and units. Handles that every job uses are kept per
//! entrypoint, since looking one up takes longer than counting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram, counter, histogram};

use crate::seats;
use pgq_engine::LimitHit;
use pgq_job::{Job, Verdict};
use pgq_queue::{Claimed, HandedOver, Locked};

/// The metrics of one entrypoint. The same name always leads to the same metrics, so creating
/// handles again loses nothing.
#[derive(Clone)]
pub struct EntrypointMetrics {
    plugin: Arc<str>,
    entrypoint: Arc<str>,
    pickup: Histogram,
    batch: Histogram,
    run: Histogram,
    ok: Counter,
    failed: Counter,
    crashed: Counter,
    released: Counter,
}

impl std::fmt::Debug for EntrypointMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EntrypointMetrics({}, {})", self.plugin, self.entrypoint)
    }
}

impl EntrypointMetrics {
    /// The metrics of this entrypoint of this version of a plugin, which is `stable` or a `canary`.
    pub fn new(plugin: &str, entrypoint: &str, version: &str, role: &'static str) -> EntrypointMetrics {
        let [plugin, entrypoint, version] = seats::labels(plugin, entrypoint, version, role);
        let labels = || (Arc::clone(&plugin), Arc::clone(&entrypoint), Arc::clone(&version));
        let ended = |outcome: &'static str| {
            let (plugin, entrypoint, version) = labels();
            counter!("pgq_host_runs_total", "plugin" => plugin, "entrypoint" => entrypoint, "outcome" => outcome, "version" => version, "role" => role)
        };
        let run = || {
            let (plugin, entrypoint, version) = labels();
            histogram!("pgq_host_run_seconds", "plugin" => plugin, "entrypoint" => entrypoint, "version" => version, "role" => role)
        };
        for limit in LimitHit::ALL {
            limit_hits(&plugin, &entrypoint, limit.label()).increment(0);
        }
        EntrypointMetrics {
            pickup: histogram!("pgq_host_pickup_seconds", "entrypoint" => Arc::clone(&entrypoint)),
            batch: histogram!("pgq_host_batch_jobs", "entrypoint" => Arc::clone(&entrypoint)),
            run: run(),
            ok: ended("ok"),
            failed: ended("failed"),
            crashed: ended("crashed"),
            released: ended("released"),
            plugin,
            entrypoint,
        }
    }

    /// Count jobs that were claimed and go into one call.
    pub fn start(&self, jobs: &[Job]) {
        self.batch.record(jobs.len() as f64);
        for job in jobs {
            // All these times are the database's, so differing clocks do not matter. A job that was
            // snoozed is never early, and none was late before it was enqueued, whatever due time
            // its producer wrote.
            self.pickup.record((job.claim.at - job.due.max(job.created())).to_std().unwrap_or_default());
        }
    }

    /// Count the end of one job's run.
    pub fn end(&self, verdict: &Verdict, elapsed: Duration, crashed: bool) {
        self.run.record(elapsed);
        let outcome = match verdict {
            Verdict::Release(_) => &self.released,
            _ if crashed => &self.crashed,
            Verdict::Retry { .. } | Verdict::Reject(_) => &self.failed,
            _ => &self.ok,
        };
        outcome.increment(1);
    }

    /// Count the limits that a run hit. Rare enough to look the handle up.
    pub fn limits(&self, labels: impl Iterator<Item = &'static str>) {
        for limit in labels {
            limit_hits(&self.plugin, &self.entrypoint, limit).increment(1);
        }
    }
}

fn limit_hits(plugin: &Arc<str>, entrypoint: &Arc<str>, limit: &'static str) -> Counter {
    let (plugin, entrypoint) = (Arc::clone(plugin), Arc::clone(entrypoint));
    counter!("pgq_host_limit_hits_total", "plugin" => plugin, "entrypoint" => entrypoint, "limit" => limit)
}

/// A plugin came into service: what it may be denied is counted from now on.
pub fn begin_denials(plugin: &str) {
    for what in ["http", "address", "secret", "enqueue", "sql"] {
        counter!("pgq_host_denied_total", "plugin" => plugin.to_owned(), "what" => what).increment(0);
    }
}

/// What happens to sealed payloads, by the names of [`sealing`].
const SEALING: [&str; 5] = ["opened", "sealed", "no_key", "broken", "in_clear"];

/// Count what happens to sealed payloads from now on.
pub fn begin_sealing() {
    SEALING.into_iter().for_each(|what| sealing(what, 0));
}

/// So many payloads were opened or refused, or outputs and payloads of follow-ups sealed.
pub fn sealing(what: &'static str, count: u64) {
    counter!("pgq_host_sealing_total", "what" => what).increment(count);
}

/// Measure a statement under this name: its duration, and whether it fails.
pub async fn statement<T>(name: &'static str, answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let asked = Instant::now();
    let answer = answer.await;
    histogram!("pgq_host_statement_seconds", "statement" => name).record(asked.elapsed());
    if answer.is_err() {
        counter!("pgq_host_database_errors_total", "statement" => name).increment(1);
    }
    answer
}

/// Measure a claim, and count its jobs.
pub async fn claim(answer: impl Future<Output = sqlx::Result<Claimed>>) -> sqlx::Result<Claimed> {
    let jobs = statement("claim", answer).await?;
    histogram!("pgq_host_claim_jobs").record(jobs.len() as f64);
    Ok(jobs)
}

/// Measure a write of `outcomes` outcomes.
pub async fn record<T>(outcomes: usize, answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let written = statement("record", answer).await?;
    histogram!("pgq_host_record_jobs").record(outcomes as f64);
    Ok(written)
}

/// The end of a transaction with locked jobs.
pub async fn settle<T>(answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    statement("settle", answer).await
}

/// So many jobs were finished under their locks, and so many marked because they still ran.
pub fn locked(finished: usize, marked: usize) {
    histogram!("pgq_host_record_jobs").record(finished as f64);
    counter!("pgq_host_locked_jobs_total", "end" => "finished").increment(finished as u64);
    counter!("pgq_host_locked_jobs_total", "end" => "marked").increment(marked as u64);
}

/// A claim that only locks, and how many jobs it brings.
pub async fn lock(answer: impl Future<Output = sqlx::Result<Locked>>) -> sqlx::Result<Locked> {
    let locked = statement("lock", answer).await?;
    histogram!("pgq_host_claim_jobs").record(locked.claimed.len() as f64);
    Ok(locked)
}

/// Measure a write of `outcomes` outcomes that also claims the next jobs for their slots.
pub async fn hand_over(
    outcomes: usize,
    answer: impl Future<Output = sqlx::Result<HandedOver>>,
) -> sqlx::Result<HandedOver> {
    let handed = statement("hand_over", answer).await?;
    histogram!("pgq_host_record_jobs").record(outcomes as f64);
    histogram!("pgq_host_claim_jobs").record(handed.next.len() as f64);
    Ok(handed)
}

/// Count jobs that turned out to be cancelled or another worker's when their run ended (`run`) or
/// was recorded (`record`).
pub fn leases_lost(noticed: &'static str, jobs: usize) {
    counter!("pgq_host_leases_lost_total", "noticed" => noticed).increment(jobs as u64);
}

/// Count schedules that were set to a time which the server's clock had reached before it went
/// back.
pub fn schedules_moved_back(schedules: u64) {
    counter!("pgq_host_schedules_moved_back_total").increment(schedules);
}
