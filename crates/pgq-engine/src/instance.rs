//! One instance of a plugin, which is called once, or several times if its entrypoint wants that.

use wasmtime::Store;
use wasmtime::component::Resource;

use super::bindings::batch::exports::pgq::plugin::batch_handler;
use super::bindings::exports::pgq::plugin::handler;
use super::bindings::pgq::plugin::jobs::{Failure, Outcome};
use super::linked_component::LinkedComponent;
use super::resources::{CurrentJob, JobHandle};
use super::state::{Call, State};

/// A store, and what was instantiated in it.
pub(super) struct Instance {
    pub(super) store: Store<State>,
    guest: Option<Guest>,
    /// How many jobs it was given.
    pub(super) jobs: u32,
}

/// The export that the runs of an instance call.
enum Guest {
    Handler(handler::Guest),
    Batch(batch_handler::Guest),
}

/// The guest's results for its jobs, in their order.
pub(super) type Answers = Vec<Result<Outcome, Failure>>;

impl Instance {
    /// An instance for a first call. That call instantiates the guest, within the limits of the
    /// store.
    pub(super) fn new(store: Store<State>) -> Instance {
        Instance { store, guest: None, jobs: 0 }
    }

    pub(super) fn renewed(mut self, call: Call) -> Instance {
        State::renew(&mut self.store, call);
        self
    }

    /// Run these jobs of one entrypoint: all in one call if `batched`, otherwise the only one there
    /// is.
    pub(super) async fn call(
        &mut self,
        linked: &LinkedComponent,
        jobs: Vec<CurrentJob>,
        batched: bool,
    ) -> wasmtime::Result<Answers> {
        self.jobs = self.jobs.saturating_add(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
        let is_fresh = self.guest.is_none();
        if is_fresh {
            self.guest = Some(Guest::new(&mut self.store, linked, batched).await?);
        }
        if let Some(trace) = &self.store.data().trace {
            trace.instantiated(is_fresh);
        }
        let guest = self.guest.as_ref().expect("just instantiated");
        let table = &mut self.store.data_mut().table;
        let jobs = jobs.into_iter().map(|job| table.push(JobHandle::new(job))).collect::<Result<Vec<_>, _>>()?;
        let handles: Vec<u32> = jobs.iter().map(Resource::rep).collect();
        let (answers, guests) = match guest {
            Guest::Batch(batch) => (batch.call_handle_batch(&mut self.store, &jobs).await?, true),
            Guest::Handler(handler) => {
                let mut answers = Answers::with_capacity(1);
                for rep in &handles {
                    answers.push(handler.call_handle(&mut self.store, Resource::new_borrow(*rep)).await?);
                }
                (answers, false)
            }
        };
        self.invalidate_handles(&handles, guests);
        Ok(answers)
    }

    /// Invalidate the jobs' handles, since no job outlives its call. The guest owns the handles of
    /// a batch, so one that it did not drop must not be reused for another job.
    fn invalidate_handles(&mut self, handles: &[u32], guests: bool) {
        let table = &mut self.store.data_mut().table;
        for rep in handles {
            let job = Resource::<JobHandle>::new_own(*rep);
            if guests {
                let _ = table.get_mut(&job).map(JobHandle::end);
            } else {
                let _ = table.delete(job);
            }
        }
    }
}

impl Guest {
    /// Whether calls are batched is a matter of the entrypoint, so an instance needs one export only.
    async fn new(store: &mut Store<State>, linked: &LinkedComponent, batched: bool) -> wasmtime::Result<Guest> {
        let instance = linked.pre().instantiate_async(&mut *store).await?;
        let batch = linked.batch.as_ref().filter(|_| batched);
        Ok(match batch {
            Some(batch) => Guest::Batch(batch.load(&mut *store, &instance)?),
            None => Guest::Handler(linked.handler.load(&mut *store, &instance)?),
        })
    }
}
