//! One instance of a plugin: made, called, and called again where its entrypoint wants that.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;
use wasmtime::component::Resource;

use super::bindings::batch::exports::pgq::plugin::batch_handler;
use super::bindings::exports::pgq::plugin::handler;
use super::bindings::pgq::plugin::jobs::{Failure, Outcome};
use super::border::RESULT_BYTES;
use super::component::Loaded;
use super::engine::Engine;
use super::jobs_host::{AtHand, JobHandle};
use super::room::Share;
use super::state::{Call, State, StoreSpec};

/// A store, and what was instantiated in it.
pub(super) struct Instance {
    pub(super) store: Store<State>,
    guest: Option<Guest>,
    /// Jobs that it was given.
    pub(super) jobs: u32,
}

/// What an instance takes of what the guests of a host have together.
pub(super) struct Place {
    pub(super) share: Share,
    /// For the folders that it is granted.
    pub(super) folders: Option<OwnedSemaphorePermit>,
}

struct Guest {
    handler: handler::Guest,
    batch: Option<batch_handler::Guest>,
}

/// What a guest says about its jobs, in their order.
pub(super) type Answers = Vec<Result<Outcome, Failure>>;

impl Instance {
    /// For a first call. The guest is instantiated by that call, within its limits.
    pub(super) fn new(engine: &Engine, plugin: &Loaded, memory: usize, place: Place, call: Call) -> Instance {
        let Place { share, folders } = place;
        let spec = StoreSpec { grants: Arc::clone(&plugin.grants), memory, share, folders, returns: RESULT_BYTES, call };
        Instance { store: State::store(engine, spec), guest: None, jobs: 0 }
    }

    /// For one more call.
    pub(super) fn again(mut self, call: Call) -> Instance {
        State::renew(&mut self.store, call);
        self
    }

    /// Run these jobs of one entrypoint: all in one call if `batched`, else the only one there is.
    pub(super) async fn call(&mut self, plugin: &Loaded, jobs: Vec<AtHand>, batched: bool) -> wasmtime::Result<Answers> {
        self.jobs = self.jobs.saturating_add(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
        if self.guest.is_none() {
            self.guest = Some(Guest::new(&mut self.store, plugin).await?);
        }
        let Guest { handler, batch } = self.guest.as_ref().expect("just instantiated");
        let table = &mut self.store.data_mut().table;
        let jobs = jobs.into_iter().map(|job| table.push(JobHandle::new(job))).collect::<Result<Vec<_>, _>>()?;
        let handles: Vec<u32> = jobs.iter().map(Resource::rep).collect();
        let batch = batch.as_ref().filter(|_| batched);
        let answers = if let Some(batch) = batch {
            batch.call_handle_batch(&mut self.store, &jobs).await?
        } else {
            let mut answers = Answers::with_capacity(1);
            for rep in &handles {
                answers.push(handler.call_handle(&mut self.store, Resource::new_borrow(*rep)).await?);
            }
            answers
        };
        self.take_back(&handles, batch.is_some());
        Ok(answers)
    }

    /// No job outlives its call. The handles of a batch are the guest's: one that it did not drop must not become that of another job.
    fn take_back(&mut self, handles: &[u32], guests: bool) {
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
    async fn new(store: &mut Store<State>, plugin: &Loaded) -> wasmtime::Result<Guest> {
        let instance = plugin.pre.instance_pre().instantiate_async(&mut *store).await?;
        let handler = plugin.exports.handler.load(&mut *store, &instance)?;
        let batch = plugin.exports.batch.as_ref().map(|batch| batch.load(&mut *store, &instance)).transpose()?;
        Ok(Guest { handler, batch })
    }
}
