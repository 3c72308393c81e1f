//! `pgq:plugin/jobs`: the job, as its handler sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::Resource;

use super::bindings::pgq::plugin::jobs::{Directive as GuestDirective, Host, HostJob};
use super::control::{Control, Directive};
use super::state::State;
use crate::job::{Job, header_texts};

/// The resource `job`. The handles of a batch are the guest's, and those that it keeps are of no job any more.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct JobHandle(Option<AtHand>);

/// A job of the call that runs.
pub(super) struct AtHand {
    pub(super) job: Arc<Job>,
    pub(super) control: Arc<Control>,
    pub(super) max_attempts: u32,
}

impl JobHandle {
    pub(super) fn new(job: AtHand) -> JobHandle {
        JobHandle(Some(job))
    }

    /// The call is over.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }
}

impl State {
    fn at_hand(&self, this: &Resource<JobHandle>) -> wasmtime::Result<&AtHand> {
        self.table.get(this)?.0.as_ref().ok_or_else(|| wasmtime::Error::msg("the call that this job was handed to is over"))
    }

    fn job(&self, this: &Resource<JobHandle>) -> wasmtime::Result<&Job> {
        Ok(&self.at_hand(this)?.job)
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

impl Host for State {}

impl HostJob for State {
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
        Ok(self.at_hand(&this)?.max_attempts)
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
        Ok(match self.at_hand(&this)?.control.directive() {
            Directive::Proceed => GuestDirective::Proceed,
            Directive::Cancelled => GuestDirective::Cancelled,
            Directive::ShuttingDown => GuestDirective::ShuttingDown,
            Directive::LeaseLost => GuestDirective::LeaseLost,
        })
    }

    fn drop(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
