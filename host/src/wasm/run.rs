//! One run of one job in a fresh instance.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::Resource;

use super::bindings::PluginPre;
use super::bindings::exports::pgq::plugin::handler::{Failure, Outcome};
use super::component::Loaded;
use super::control::{Control, StopCause};
use super::engine::Engine;
use super::enqueue_host::Outbox;
use super::jobs_host::JobHandle;
use super::limits::RunLimits;
use super::log_host::Speaker;
use super::state::{Circumstances, State};
use super::trap;
use crate::job::{Fault, Job, Verdict};

/// An output larger than this is refused: results belong into a table or a store, the queue keeps the receipt.
const MAX_OUTPUT_BYTES: usize = 16 << 20;
const MAX_TEXT_BYTES: usize = 8 << 10;

/// How long after its deadline a guest that computes may take to notice, before the run is abandoned as if it waited.
const GRACE: Duration = Duration::from_millis(20);

/// How long a cancelled run has to notice by itself.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// What a run did and what it took.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub verdict: Verdict,
    /// Wall time, instantiation included.
    pub elapsed: Duration,
    /// Peak bytes of linear memory.
    pub memory: usize,
}

/// Run the job. Never fails: whatever happens is a verdict.
pub async fn run(engine: &Engine, plugin: &Loaded, job: Job, limits: RunLimits, control: Arc<Control>) -> Ran {
    let _ticking = engine.running();
    let started = Instant::now();
    let deadline = started + limits.timeout;
    let speaker = Speaker { plugin: Arc::clone(&plugin.name), entrypoint: Arc::clone(&job.entrypoint), job: job.id };
    let mut store = State::store(
        engine,
        Circumstances {
            speaker,
            grants: Arc::clone(&plugin.grants),
            control: Arc::clone(&control),
            deadline,
            memory: limits.memory,
            outbox: Outbox::default(),
        },
    );
    // The epoch interrupts a guest that computes; the timer and the control one that waits in a host call.
    let called = tokio::select! {
        biased;
        called = call(&mut store, &plugin.pre, JobHandle { job, max_attempts: limits.max_attempts }) => called,
        cause = control.stopped(CANCEL_GRACE) => Err(cause.into()),
        () = tokio::time::sleep_until((deadline + GRACE).into()) => Err(StopCause::Deadline.into()),
    };
    store.data().finish_streams();
    let verdict = match called {
        Ok(Ok(outcome)) => completed(outcome, &mut store),
        Ok(Err(failure)) => failed(failure),
        Err(error) => trap::verdict(&error, store.data(), &limits),
    };
    Ran { verdict, elapsed: started.elapsed(), memory: store.data().limits.memory() }
}

async fn call(store: &mut Store<State>, pre: &PluginPre<State>, job: JobHandle) -> wasmtime::Result<Result<Outcome, Failure>> {
    let plugin = pre.instantiate_async(&mut *store).await?;
    let job = store.data_mut().table.push(job)?;
    plugin.pgq_plugin_handler().call_handle(store, Resource::new_borrow(job.rep())).await
}

fn completed(outcome: Outcome, store: &mut Store<State>) -> Verdict {
    match outcome {
        Outcome::Complete(output) => match output.as_ref().map(Vec::len) {
            Some(size) if size > MAX_OUTPUT_BYTES => Verdict::Reject(Fault::new(
                "OutputTooLarge",
                format!("the output has {size} bytes; {MAX_OUTPUT_BYTES} are kept at most: store it elsewhere and return where"),
            )),
            _ => Verdict::Complete { output, follow_ups: std::mem::take(&mut store.data_mut().outbox.jobs) },
        },
        Outcome::Snooze(ms) => Verdict::Snooze(Duration::from_millis(ms)),
        Outcome::Discard(reason) => Verdict::Discard(trap::cut(&reason, MAX_TEXT_BYTES).to_owned()),
    }
}

fn failed(failure: Failure) -> Verdict {
    match failure {
        Failure::Retry(info) => Verdict::Retry {
            fault: Fault::new(Fault::RETRY, trap::cut(&info.message, MAX_TEXT_BYTES)),
            after: info.after.map(Duration::from_millis),
        },
        Failure::Reject(reason) => Verdict::Reject(Fault::new("Reject", trap::cut(&reason, MAX_TEXT_BYTES))),
    }
}
