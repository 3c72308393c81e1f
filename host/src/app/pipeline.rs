//! The way of a claimed job: started, run, recorded, and the next one started.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::sandbox::Sandbox;
use super::settings::Settings;
use crate::capacity::Capacity;
use crate::executor::Executor;
use crate::lease::Leases;
use crate::plugins::PluginSet;
use crate::recorder::{self, NextJobs};
use crate::settler::{Batches, Settler};
use pgq_queue::{Queue, Record};
use pgq_sql::{Address, Sessions};
use pgq_trace::Tracer;

/// What runs jobs, and the ends of its channels.
pub(super) struct Pipeline {
    pub(super) leases: Arc<Leases>,
    pub(super) capacity: Arc<Capacity>,
    pub(super) executor: Executor,
    /// From the claim loop to the settler.
    pub(super) batches: Batches,
    pub(super) settler: Settler,
    /// From the executor to the recorder.
    pub(super) records: mpsc::Receiver<Record>,
    /// From the recorder to what starts jobs.
    pub(super) next: mpsc::Sender<NextJobs>,
    pub(super) next_jobs: mpsc::Receiver<NextJobs>,
    pub(super) tracer: Option<Tracer>,
}

pub(super) fn build(
    settings: &Settings,
    queue: &Queue,
    sandbox: &Sandbox,
    served: watch::Receiver<Arc<PluginSet>>,
    tracer: Option<Tracer>,
) -> Pipeline {
    queue.access().expect_within(settings.heartbeat_timeout / 2);
    let leases = Arc::new(Leases::new(settings.heartbeat_timeout));
    let capacity = Capacity::new(settings.max_concurrent_tasks);
    let (record_sender, records) = mpsc::channel(recorder::BACKLOG);
    let (next, next_jobs) = mpsc::channel(recorder::NEXT);
    let (engine, guests) = (sandbox.engine.clone(), sandbox.guests.clone());
    let (settler, batches) =
        Settler::new(queue.clone(), Arc::clone(&leases), Arc::clone(&capacity), record_sender.clone());
    let sql = Sessions::new(queue.clone(), Address::of(&settings.database), settings.sql_sessions);
    let executor =
        Executor::new(engine, guests, queue.clone(), Arc::clone(&capacity), Arc::clone(&leases), record_sender, sql);
    let executor = executor.traced_by(tracer.clone()).opening_with(settings.keyring.clone(), served);
    Pipeline { leases, capacity, executor, batches, settler, records, next, next_jobs, tracer }
}
