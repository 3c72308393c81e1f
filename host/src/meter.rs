//! What is counted on a job's way. Without `--listen` nothing keeps the counts, and counting is
//! next to nothing.
//!
//! The names and their units are described in `telemetry`. Handles of what every job counts are
//! kept, one set per entrypoint of a plugin: to look one up takes longer than to count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram, counter, histogram};

use pgq_job::{Job, Verdict};
use pgq_queue::{Claimed, HandedOver, Locked};

/// The counts of one entrypoint. A name always leads to the same counts: to make them anew loses
/// nothing.
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
    /// For this entrypoint of this plugin.
    pub fn new(plugin: &str, entrypoint: &str) -> EntrypointMetrics {
        let (plugin, entrypoint): (Arc<str>, Arc<str>) = (plugin.into(), entrypoint.into());
        let ended = |outcome: &'static str| {
            let (plugin, entrypoint) = (Arc::clone(&plugin), Arc::clone(&entrypoint));
            counter!("pgq_host_runs_total", "plugin" => plugin, "entrypoint" => entrypoint, "outcome" => outcome)
        };
        EntrypointMetrics {
            pickup: histogram!("pgq_host_pickup_seconds", "entrypoint" => Arc::clone(&entrypoint)),
            batch: histogram!("pgq_host_batch_jobs", "entrypoint" => Arc::clone(&entrypoint)),
            run: histogram!("pgq_host_run_seconds", "entrypoint" => Arc::clone(&entrypoint)),
            ok: ended("ok"),
            failed: ended("failed"),
            crashed: ended("crashed"),
            released: ended("released"),
            plugin,
            entrypoint,
        }
    }

    /// These jobs were claimed, and go into one call.
    pub fn start(&self, jobs: &[Job]) {
        self.batch.record(jobs.len() as f64);
        for job in jobs {
            // All times are the database's: clocks that disagree do not show. A job that was
            // snoozed meanwhile is never early, and none was late before it was there, whenever its
            // producer wrote that it was due.
            self.pickup.record((job.claim.at - job.due.max(job.created())).to_std().unwrap_or_default());
        }
    }

    /// The run of one of them ended so, after so long.
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

    /// A run met these limits. Rare enough to look the handle up.
    pub fn limits(&self, labels: impl Iterator<Item = &'static str>) {
        for limit in labels {
            let (plugin, entrypoint) = (Arc::clone(&self.plugin), Arc::clone(&self.entrypoint));
            counter!("pgq_host_limit_hits_total", "plugin" => plugin, "entrypoint" => entrypoint, "limit" => limit)
                .increment(1);
        }
    }
}

/// A statement of this name: how long it takes, and whether it fails.
pub async fn statement<T>(name: &'static str, answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let asked = Instant::now();
    let answer = answer.await;
    histogram!("pgq_host_statement_seconds", "statement" => name).record(asked.elapsed());
    if answer.is_err() {
        counter!("pgq_host_database_errors_total", "statement" => name).increment(1);
    }
    answer
}

/// A claim, and how many jobs it brings.
pub async fn claim(answer: impl Future<Output = sqlx::Result<Claimed>>) -> sqlx::Result<Claimed> {
    let jobs = statement("claim", answer).await?;
    histogram!("pgq_host_claim_jobs").record(jobs.len() as f64);
    Ok(jobs)
}

/// A write of so many outcomes.
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
    counter!("pgq_host_locked_jobs_total", "end" => "finished").increment(finished as u64);
    counter!("pgq_host_locked_jobs_total", "end" => "marked").increment(marked as u64);
}

/// A claim that only locks, and how many jobs it brings.
pub async fn lock(answer: impl Future<Output = sqlx::Result<Locked>>) -> sqlx::Result<Locked> {
    let locked = statement("lock", answer).await?;
    histogram!("pgq_host_claim_jobs").record(locked.claimed.len() as f64);
    Ok(locked)
}

/// A write of so many outcomes that also claims the next jobs for their slots.
pub async fn hand_over(
    outcomes: usize,
    answer: impl Future<Output = sqlx::Result<HandedOver>>,
) -> sqlx::Result<HandedOver> {
    let handed = statement("hand_over", answer).await?;
    histogram!("pgq_host_record_jobs").record(outcomes as f64);
    histogram!("pgq_host_claim_jobs").record(handed.next.len() as f64);
    Ok(handed)
}

/// So many jobs turned out to be another worker's, or to be cancelled, when their run ended (`run`)
/// or was recorded (`record`).
pub fn leases_lost(noticed: &'static str, jobs: usize) {
    counter!("pgq_host_leases_lost_total", "noticed" => noticed).increment(jobs as u64);
}

/// So many schedules stood at a time that the server's clock had reached and then gone back from.
pub fn schedules_moved_back(schedules: u64) {
    counter!("pgq_host_schedules_moved_back_total").increment(schedules);
}
