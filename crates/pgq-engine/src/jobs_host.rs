//! `pgq:plugin/jobs`: the job, as its handler sees it.

use std::collections::BTreeMap;
use std::time::Instant;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::bindings::pgq::plugin::jobs::{self, Details, Directive as GuestDirective, Host, HostJob};
use super::control::Directive;
use super::failure_report::{FailureReport, FailureReports};
use super::limits::Limits;
use super::resources::{CurrentJob, JobHandle};
use pgq_job::{Job, header_texts};

/// The parts of a store that the interface uses.
pub(super) struct JobsView<'a> {
    pub(super) table: &'a mut ResourceTable,
    pub(super) deadline: Instant,
    pub(super) reports: &'a mut FailureReports,
    pub(super) limits: &'a mut Limits,
}

struct HasJobs;

impl HasData for HasJobs {
    type Data<'a> = JobsView<'a>;
}

pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> JobsView<'_>,
) -> wasmtime::Result<()> {
    jobs::add_to_linker::<T, HasJobs>(linker, view)
}

impl JobsView<'_> {
    fn current(&self, this: &Resource<JobHandle>) -> wasmtime::Result<&CurrentJob> {
        self.table.get(this)?.current()
    }

    fn job(&self, this: &Resource<JobHandle>) -> wasmtime::Result<&Job> {
        Ok(&self.current(this)?.job)
    }

    fn header_texts(&self, this: &Resource<JobHandle>) -> wasmtime::Result<BTreeMap<String, String>> {
        let job = self.job(this)?;
        let headers = job.headers.as_deref().map(header_texts).transpose();
        Ok(headers.map(Option::unwrap_or_default).unwrap_or_else(|error| {
            tracing::error!(job.id = job.id, job.entrypoint = %job.entrypoint, error = %error, "the job's headers cannot be read; its handler gets none");
            BTreeMap::new()
        }))
    }
}

impl Host for JobsView<'_> {}

impl HostJob for JobsView<'_> {
    fn id(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<i64> {
        Ok(self.job(&this)?.id)
    }

    fn entrypoint(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<String> {
        Ok(self.job(&this)?.entrypoint.to_string())
    }

    fn attempt(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<u32> {
        Ok(self.job(&this)?.attempt())
    }

    fn max_attempts(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<u32> {
        Ok(self.current(&this)?.max_attempts)
    }

    fn priority(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<i32> {
        Ok(self.job(&this)?.priority)
    }

    fn created(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<u64> {
        Ok(self.job(&this)?.created_ms)
    }

    fn payload(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.job(&this)?.payload.clone())
    }

    fn header(&mut self, this: Resource<JobHandle>, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.header_texts(&this)?.remove(&name))
    }

    fn headers(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.header_texts(&this)?.into_iter().collect())
    }

    fn time_left(&mut self, _this: Resource<JobHandle>) -> wasmtime::Result<u64> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    fn heartbeat(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<GuestDirective> {
        Ok(match self.current(&this)?.control.directive() {
            Directive::Proceed => GuestDirective::Proceed,
            Directive::Cancelled => GuestDirective::Cancelled,
            Directive::ShuttingDown => GuestDirective::ShuttingDown,
            Directive::LeaseLost => GuestDirective::LeaseLost,
        })
    }

    fn details(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<Details> {
        let CurrentJob { job, max_attempts, .. } = self.current(&this)?;
        Ok(Details {
            id: job.id,
            entrypoint: job.entrypoint.to_string(),
            attempt: job.attempt(),
            max_attempts: *max_attempts,
            priority: job.priority,
            created: job.created_ms,
        })
    }

    fn failed(
        &mut self,
        this: Resource<JobHandle>,
        kind: String,
        message: String,
        traceback: String,
    ) -> wasmtime::Result<()> {
        let job = &self.table.get(&this)?.current()?.job;
        let held = self.reports.add(job, FailureReport::new(&kind, &message, &traceback));
        self.limits.settle(held);
        Ok(())
    }

    fn drop(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
