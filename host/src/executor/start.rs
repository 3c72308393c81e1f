//! Starts the calls in which the jobs of a claim run.

use std::sync::Arc;

use super::batches::{batches, chunks};
use super::lane;
use super::shared::Shared;
use crate::plugins::{PluginSet, Served};
use pgq_job::Job;
use pgq_queue::boot_clock::BootInstant;
use pgq_trace::Claimed;

impl Shared {
    /// Start jobs whose payloads are read, in batches where an entrypoint takes them.
    pub(super) fn start_read(
        self: &Arc<Self>,
        jobs: Vec<Job>,
        plugins: &PluginSet,
        asked: BootInstant,
        claimed: Option<Claimed>,
    ) {
        let batch = |served: &Served| served.options.batch.unwrap_or(1) as usize;
        let (suspects, jobs) = lane::part(jobs);
        if !suspects.is_empty() {
            // First, because the others may have to wait for them.
            self.start_suspects(suspects, plugins, asked, claimed);
        }
        for jobs in batches(jobs, |entrypoint| plugins.get(entrypoint).map_or(1, batch)) {
            let entrypoint = Arc::clone(&jobs[0].entrypoint);
            match plugins.pick(&entrypoint, fastrand::f64()) {
                // A canary may take smaller batches than the version that it is to replace.
                Some(served) => {
                    chunks(jobs, batch(served)).for_each(|jobs| self.start_call(jobs, served, asked, claimed))
                }
                None => {
                    tracing::error!(job.entrypoint = %entrypoint, jobs = jobs.len(), "claimed jobs that nobody asked for")
                }
            }
        }
    }

    fn start_call(
        self: &Arc<Self>,
        jobs: Vec<Job>,
        served: &Arc<Served>,
        asked: BootInstant,
        claimed: Option<Claimed>,
    ) {
        served.metrics.start(&jobs);
        let exposure = served.expose(jobs.len());
        let jobs = jobs.into_iter().map(|job| self.assign(job, asked, claimed)).collect();
        self.spawn(jobs, Arc::clone(served), exposure, asked);
    }
}
