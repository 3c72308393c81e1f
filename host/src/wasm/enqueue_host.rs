//! `pgq:plugin/enqueue`: follow-up jobs, kept here until the outcome is committed.

use std::time::Duration;

use wasmtime::component::{Resource, ResourceTable};

use super::bindings::pgq::plugin::enqueue::{Host, HostRequest};
use super::holdings;
use super::needs::{Kind, Need};
use super::state::State;
use crate::job::NewJob;
use crate::printable::cut;

/// Follow-ups of one run.
const MAX_REQUESTS: usize = 1_000;
/// Their payloads, headers and names together.
const MAX_BYTES: usize = 16 << 20;
/// A header's place in its map.
const HEADER_BYTES: usize = 64;
/// Of an entrypoint's name that is not granted, so much is said.
const SAID_BYTES: usize = 255;
const OF_ANOTHER_CALL: &str = "the request was made while another job ran, and ended with that; make one for the job at hand";

/// The resource `request`.
#[derive(Debug, Clone, Default)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Request {
    job: NewJob,
    /// The call of its store that it was made in.
    call: u64,
}

impl Request {
    /// What the host holds for it.
    pub(super) fn bytes(&self) -> usize {
        size(&self.job)
    }
}

/// Of a job that was not enqueued yet, with what it takes to keep its parts.
fn size(job: &NewJob) -> usize {
    let header = |(name, value): (&String, &serde_json::Value)| name.len() + value.as_str().map_or(0, str::len) + HEADER_BYTES;
    let headers: usize = job.headers.iter().flatten().map(header).sum();
    job.payload.as_ref().map_or(0, Vec::len) + job.entrypoint.len() + job.dedupe_key.as_ref().map_or(0, String::len) + headers
}

/// Requests that were made and not enqueued end with their call: nobody could tell what they were about. Their handles are the guest's.
pub(super) fn forget(table: &mut ResourceTable) {
    for request in table.iter_mut().filter_map(|entry| entry.downcast_mut::<Request>()) {
        request.job = NewJob::default();
    }
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

    /// What is kept in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    fn push(&mut self, job: &NewJob) -> Result<(), String> {
        if let Some(reason) = self.closed {
            return Err(reason.into());
        }
        job.check()?;
        let size = size(job);
        if self.jobs.len() == MAX_REQUESTS {
            self.full = true;
            return Err(format!("a run can enqueue {MAX_REQUESTS} jobs at most"));
        }
        if self.bytes + size > MAX_BYTES {
            self.full = true;
            return Err(format!("the jobs that a run enqueues can have {MAX_BYTES} bytes at most, and this one of {size} is past that"));
        }
        self.bytes += size;
        self.jobs.push(job.clone());
        Ok(())
    }
}

impl Host for State {}

impl State {
    /// The request, and what it has of the account from now on: so many bytes more.
    fn fill(&mut self, this: &Resource<Request>, bytes: usize) -> wasmtime::Result<&mut NewJob> {
        self.limits.settle(bytes);
        Ok(&mut self.table.get_mut(this)?.job)
    }
}

impl HostRequest for State {
    fn new(&mut self, entrypoint: String) -> wasmtime::Result<Resource<Request>> {
        self.limits.settle(holdings::ENTRY + entrypoint.len());
        let request = self.table.push(Request { job: NewJob { entrypoint, ..NewJob::default() }, call: self.calls })?;
        self.requests += 1;
        Ok(request)
    }

    fn payload(&mut self, this: Resource<Request>, bytes: Vec<u8>) -> wasmtime::Result<()> {
        let job = self.fill(&this, bytes.len())?;
        job.payload = Some(bytes);
        Ok(())
    }

    fn priority(&mut self, this: Resource<Request>, priority: i32) -> wasmtime::Result<()> {
        self.fill(&this, 0)?.priority = priority;
        Ok(())
    }

    fn delay(&mut self, this: Resource<Request>, ms: u64) -> wasmtime::Result<()> {
        self.fill(&this, 0)?.delay = Duration::from_millis(ms);
        Ok(())
    }

    fn dedupe_key(&mut self, this: Resource<Request>, key: String) -> wasmtime::Result<()> {
        let job = self.fill(&this, key.len())?;
        job.dedupe_key = Some(key);
        Ok(())
    }

    fn header(&mut self, this: Resource<Request>, name: String, value: String) -> wasmtime::Result<()> {
        self.fill(&this, name.len() + value.len() + HEADER_BYTES)?.headers.get_or_insert_default().insert(name, value.into());
        Ok(())
    }

    fn submit(&mut self, this: Resource<Request>) -> wasmtime::Result<Result<(), String>> {
        let Request { job, call } = self.table.get(&this)?;
        self.limits.settle(size(job));
        if *call != self.calls {
            return Ok(Err(OF_ANOTHER_CALL.into()));
        }
        // A closed outbox has the better reason.
        if self.outbox.is_open() && !self.grants.allows_enqueue(&job.entrypoint) {
            let entrypoint = cut(&job.entrypoint, SAID_BYTES);
            let line = Need { kind: Kind::Enqueue, what: entrypoint.to_owned() }.line();
            let why = format!("the plugin may not enqueue jobs of {entrypoint:?}; {}", self.denials.remedy(&line));
            self.denials.deny("enqueue", entrypoint, &why);
            return Ok(Err(why));
        }
        Ok(self.outbox.push(job))
    }

    fn drop(&mut self, this: Resource<Request>) -> wasmtime::Result<()> {
        self.limits.settle(0);
        self.table.delete(this)?;
        self.requests = self.requests.saturating_sub(1);
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
            outbox.push(&bad).expect_err("refused");
        }
        for _ in 0..MAX_REQUESTS {
            outbox.push(&job("ok", 1)).expect("within the limit");
        }
        assert!(outbox.push(&job("ok", 1)).expect_err("one too many").contains("1000"));
        assert_eq!(outbox.jobs.len(), MAX_REQUESTS);
    }
}
