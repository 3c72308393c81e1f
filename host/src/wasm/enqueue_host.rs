//! `pgq:plugin/enqueue`: follow-up jobs, kept here until the outcome is committed.

use std::time::Duration;

use wasmtime::component::Resource;

use super::bindings::pgq::plugin::enqueue::{Host, HostRequest};
use super::needs::{Kind, Need};
use super::state::State;
use crate::job::NewJob;

/// Follow-ups of one run.
const MAX_REQUESTS: usize = 1_000;
/// Their payloads, headers and names together.
const MAX_BYTES: usize = 16 << 20;

/// The resource `request`.
#[derive(Debug, Clone, Default)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Request {
    job: NewJob,
}

/// The buffer. Closed, with the reason, where there is no one job whose outcome could carry a request.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) jobs: Vec<NewJob>,
    bytes: usize,
    closed: Option<&'static str>,
    full: bool,
}

impl Outbox {
    pub(super) fn closed(reason: &'static str) -> Outbox {
        Outbox { closed: Some(reason), ..Outbox::default() }
    }

    /// Requests were refused because there were too many, or too large ones.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    fn push(&mut self, job: NewJob) -> Result<(), String> {
        if let Some(reason) = self.closed {
            return Err(reason.into());
        }
        job.check()?;
        let headers: usize = job.headers.iter().flatten().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
        let size =
            job.payload.as_ref().map_or(0, Vec::len) + job.entrypoint.len() + job.dedupe_key.as_ref().map_or(0, String::len) + headers;
        if self.jobs.len() == MAX_REQUESTS {
            self.full = true;
            return Err(format!("a run can enqueue {MAX_REQUESTS} jobs at most"));
        }
        if self.bytes + size > MAX_BYTES {
            self.full = true;
            return Err(format!("the jobs that a run enqueues can have {MAX_BYTES} bytes at most, and this one of {size} is past that"));
        }
        self.bytes += size;
        self.jobs.push(job);
        Ok(())
    }
}

impl Host for State {}

impl HostRequest for State {
    fn new(&mut self, entrypoint: String) -> wasmtime::Result<Resource<Request>> {
        Ok(self.table.push(Request { job: NewJob { entrypoint, ..NewJob::default() } })?)
    }

    fn payload(&mut self, this: Resource<Request>, bytes: Vec<u8>) -> wasmtime::Result<()> {
        self.table.get_mut(&this)?.job.payload = Some(bytes);
        Ok(())
    }

    fn priority(&mut self, this: Resource<Request>, priority: i32) -> wasmtime::Result<()> {
        self.table.get_mut(&this)?.job.priority = priority;
        Ok(())
    }

    fn delay(&mut self, this: Resource<Request>, ms: u64) -> wasmtime::Result<()> {
        self.table.get_mut(&this)?.job.delay = Duration::from_millis(ms);
        Ok(())
    }

    fn dedupe_key(&mut self, this: Resource<Request>, key: String) -> wasmtime::Result<()> {
        self.table.get_mut(&this)?.job.dedupe_key = Some(key);
        Ok(())
    }

    fn header(&mut self, this: Resource<Request>, name: String, value: String) -> wasmtime::Result<()> {
        self.table.get_mut(&this)?.job.headers.get_or_insert_default().insert(name, value.into());
        Ok(())
    }

    fn submit(&mut self, this: Resource<Request>) -> wasmtime::Result<Result<(), String>> {
        let job = self.table.get(&this)?.job.clone();
        // A closed outbox has the better reason.
        if self.outbox.is_open() && !self.grants.allows_enqueue(&job.entrypoint) {
            let line = Need { kind: Kind::Enqueue, what: job.entrypoint.clone() }.line();
            let why = format!("the plugin may not enqueue jobs of {:?}; {}", job.entrypoint, self.denials.remedy(&line));
            self.denials.deny("enqueue", &job.entrypoint, &why);
            return Ok(Err(why));
        }
        Ok(self.outbox.push(job))
    }

    fn drop(&mut self, this: Resource<Request>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_bad_names_are_refused_and_nothing_is_kept() {
        let mut outbox = Outbox::default();
        let job = |entrypoint: &str, payload: usize| NewJob {
            entrypoint: entrypoint.into(),
            payload: Some(vec![0; payload]),
            ..NewJob::default()
        };
        let keyed = NewJob { dedupe_key: Some("k".repeat(3_000)), ..job("ok", 0) };
        for bad in [job("", 0), job(&"x".repeat(256), 0), job("a\0b", 0), job("big", MAX_BYTES + 1), keyed] {
            outbox.push(bad).expect_err("refused");
        }
        for _ in 0..MAX_REQUESTS {
            outbox.push(job("ok", 1)).expect("within the limit");
        }
        assert!(outbox.push(job("ok", 1)).expect_err("one too many").contains("1000"));
        assert_eq!(outbox.jobs.len(), MAX_REQUESTS);
    }
}
