//! `pgq:plugin/jobs`: the job, as its handler sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::Resource;

use super::bindings::pgq::plugin::jobs::{Directive as GuestDirective, Host, HostJob};
use super::control::{Control, Directive};
use super::state::State;
use crate::job::{Job, header_texts};

/// The resource `job`.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct JobHandle {
    pub(super) job: Arc<Job>,
    pub(super) control: Arc<Control>,
    pub(super) max_attempts: u32,
}

impl JobHandle {
    fn headers(&self) -> BTreeMap<String, String> {
        let headers = self.job.headers.as_deref().map(header_texts).transpose();
        headers.map(Option::unwrap_or_default).unwrap_or_else(|error| {
            tracing::error!(job.id = self.job.id, job.entrypoint = %self.job.entrypoint, error = %error, "the job's headers cannot be read; its handler gets none");
            BTreeMap::new()
        })
    }
}

impl Host for State {}

impl HostJob for State {
    fn id(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<i64> {
        Ok(self.table.get(&this)?.job.id)
    }

    fn entrypoint(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&this)?.job.entrypoint.to_string())
    }

    fn attempt(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.job.attempt())
    }

    fn max_attempts(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.max_attempts)
    }

    fn priority(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<i32> {
        Ok(self.table.get(&this)?.job.priority)
    }

    fn created(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.job.created_ms)
    }

    fn payload(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.table.get(&this)?.job.payload.clone())
    }

    fn header(&mut self, this: Resource<JobHandle>, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&this)?.headers().remove(&name))
    }

    fn headers(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.table.get(&this)?.headers().into_iter().collect())
    }

    fn time_left(&mut self, _this: Resource<JobHandle>) -> wasmtime::Result<u64> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    fn heartbeat(&mut self, this: Resource<JobHandle>) -> wasmtime::Result<GuestDirective> {
        Ok(match self.table.get(&this)?.control.directive() {
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
