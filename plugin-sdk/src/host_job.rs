//! A job as the host has it. It imports few functions of the host: each of them is linked into every
//! new instance.

use std::cell::OnceCell;

use crate::Directive;
use crate::bindings::pgq::plugin::jobs;
use crate::job::Source;

pub(crate) struct HostJob<'call> {
    job: &'call jobs::Job,
    details: OnceCell<jobs::Details>,
}

impl<'call> HostJob<'call> {
    pub(crate) fn new(job: &'call jobs::Job) -> Self {
        Self { job, details: OnceCell::new() }
    }

    fn details(&self) -> &jobs::Details {
        self.details.get_or_init(|| self.job.details())
    }
}

impl Source for HostJob<'_> {
    fn id(&self) -> i64 {
        self.details().id
    }

    fn entrypoint(&self) -> &str {
        &self.details().entrypoint
    }

    fn attempt(&self) -> u32 {
        self.details().attempt
    }

    fn max_attempts(&self) -> u32 {
        self.details().max_attempts
    }

    fn priority(&self) -> i32 {
        self.details().priority
    }

    fn created_ms(&self) -> u64 {
        self.details().created
    }

    fn payload(&self) -> Option<Vec<u8>> {
        self.job.payload()
    }

    fn headers(&self) -> Vec<(String, String)> {
        self.job.headers()
    }

    fn time_left_ms(&self) -> u64 {
        self.job.time_left()
    }

    fn heartbeat(&self) -> Directive {
        match self.job.heartbeat() {
            jobs::Directive::Proceed => Directive::Proceed,
            jobs::Directive::Cancelled => Directive::Cancelled,
            jobs::Directive::ShuttingDown => Directive::ShuttingDown,
            jobs::Directive::LeaseLost => Directive::LeaseLost,
        }
    }
}
