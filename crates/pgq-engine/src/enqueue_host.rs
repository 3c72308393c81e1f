//! `pgq:plugin/enqueue`: requests for follow-up jobs, which the guest builds step by step and then
//! puts into the outbox.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::bindings::pgq::plugin::enqueue::{self, Host, HostRequest};
use super::denials::Denials;
use super::grants::Grants;
use super::holdings;
use super::limits::Limits;
use super::needs::{Kind, Need};
use super::outbox::Outbox;
use super::reach::Reach;
use super::resources::{HEADER_BYTES, Request};
use crate::printable::cut;
use pgq_job::{NewJob, Reached, TracedCall};

/// How much of an entrypoint's name appears in an error.
const MAX_NAME_IN_ERROR: usize = 255;
const OF_ANOTHER_CALL: &str =
    "the request was made during another job's call and is no longer valid; make a new one for the current job";

/// The interface's state in a store.
pub(super) struct EnqueueCtx {
    outbox: Outbox,
    /// Requests to which the guest has a handle.
    requests: usize,
    /// The number of the current call of this store.
    call: u64,
}

impl EnqueueCtx {
    pub(super) fn new(outbox: Outbox) -> EnqueueCtx {
        EnqueueCtx { outbox, requests: 0, call: 0 }
    }

    /// Prepare for the next call of the same store. Requests that were created but not enqueued
    /// become invalid, because nobody could say which job they belong to. The guest still owns
    /// their handles.
    pub(super) fn renew(&mut self, outbox: Outbox, table: &mut ResourceTable) {
        self.outbox = outbox;
        self.call += 1;
        for request in table.iter_mut().filter_map(|entry| entry.downcast_mut::<Request>()) {
            request.job = NewJob::default();
        }
    }

    /// Whether the guest holds a request, to which it may add a payload.
    pub(super) fn has_requests(&self) -> bool {
        self.requests > 0
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The jobs that the call requested, taken when it is over.
    pub(super) fn take_jobs(&mut self) -> Vec<NewJob> {
        self.outbox.take()
    }
}

/// The parts of a store that the interface uses.
pub(super) struct EnqueueView<'a> {
    pub(super) ctx: &'a mut EnqueueCtx,
    pub(super) table: &'a mut ResourceTable,
    pub(super) limits: &'a mut Limits,
    pub(super) grants: &'a Grants,
    pub(super) denials: &'a Denials,
    pub(super) trace: Option<&'a Arc<dyn TracedCall>>,
}

struct HasEnqueue;

impl HasData for HasEnqueue {
    type Data<'a> = EnqueueView<'a>;
}

pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> EnqueueView<'_>,
) -> wasmtime::Result<()> {
    enqueue::add_to_linker::<T, HasEnqueue>(linker, view)
}

impl EnqueueView<'_> {
    /// The request, after accounting for `bytes` more bytes that it will hold.
    fn fill(&mut self, this: &Resource<Request>, bytes: usize) -> wasmtime::Result<&mut NewJob> {
        self.limits.settle(bytes);
        Ok(&mut self.table.get_mut(this)?.job)
    }
}

impl Host for EnqueueView<'_> {}

impl HostRequest for EnqueueView<'_> {
    fn new(&mut self, entrypoint: String) -> wasmtime::Result<Resource<Request>> {
        self.limits.settle(holdings::ENTRY + entrypoint.len());
        let request =
            self.table.push(Request { job: NewJob { entrypoint, ..NewJob::default() }, call: self.ctx.call })?;
        self.ctx.requests += 1;
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
        self.fill(&this, name.len() + value.len() + HEADER_BYTES)?
            .headers
            .get_or_insert_default()
            .insert(name, value.into());
        Ok(())
    }

    fn submit(&mut self, this: Resource<Request>) -> wasmtime::Result<Result<(), String>> {
        let request = self.table.get(&this)?;
        self.limits.settle(request.bytes());
        if request.call != self.ctx.call {
            return Ok(Err(OF_ANOTHER_CALL.into()));
        }
        // If the outbox is closed, its reason is the better message.
        if self.ctx.outbox.is_open() && !self.grants.allows_enqueue(&request.job.entrypoint) {
            let entrypoint = cut(&request.job.entrypoint, MAX_NAME_IN_ERROR);
            let line = Need { kind: Kind::Enqueue, what: entrypoint.to_owned() }.line();
            let why = format!("the plugin may not enqueue jobs of {entrypoint:?}; {}", self.denials.remedy(&line));
            self.denials.deny("enqueue", entrypoint, &why);
            return Ok(Err(why));
        }
        let pushed = self.ctx.outbox.push(request);
        if let Some(trace) = self.trace.filter(|_| pushed.is_ok()) {
            let reach = Reach::begin(trace, Reached::Queue { entrypoint: request.job.entrypoint.clone() });
            if let Some(context) = reach.context() {
                self.ctx.outbox.carry(trace.carrier(context.span));
            }
            reach.end(None);
        }
        Ok(pushed)
    }

    fn drop(&mut self, this: Resource<Request>) -> wasmtime::Result<()> {
        self.limits.settle(0);
        self.table.delete(this)?;
        self.ctx.requests = self.ctx.requests.saturating_sub(1);
        Ok(())
    }
}
