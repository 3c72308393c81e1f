//! The end of a worker, in order: claims, runs, outcomes. Heartbeats go on until the last outcome
//! is written.
//!
//! Whatever hangs, it is over fifteen seconds after the drain timeout: each step has its time, and
//! a further signal cuts the one short that is under way.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::stops::Stops;
use super::tasks::{Fault, Tasks};
use crate::capacity::Capacity;
use crate::executor::Executor;
use crate::lease::Leases;
use crate::signal::Signals;
use crate::watchdog::Watchdog;
use crate::worker::Ended;
use pgq_engine::Control;

/// A claim that is under way has so long to bring what it took; then its connection is given up,
/// and the server with it.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(3);
/// Interrupted guests are gone within two ticks of the epoch; this is for a machine that is out of
/// breath.
const INTERRUPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Outcomes of a stop have so long to be written before the process ends without.
const RECORD_TIMEOUT: Duration = Duration::from_secs(6);
/// The same after a signal that says not to wait: what the database takes at once is not lost.
const LAST_RECORD_TIMEOUT: Duration = Duration::from_secs(1);

/// The claim loop is dropped piece by piece.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Stopping<'s> {
    pub(super) executor: Executor,
    pub(super) capacity: Arc<Capacity>,
    pub(super) leases: Arc<Leases>,
    pub(super) stops: Stops,
    pub(super) signals: &'s mut Signals,
    pub(super) drain_timeout: Duration,
    pub(super) watchdog: Watchdog,
}

enum Cause {
    Ended(Ended),
    Signal,
    Fault(anyhow::Error),
}

impl Stopping<'_> {
    /// Until there is a cause, and through all that follows from it.
    pub(super) async fn run(
        mut self,
        mut worker: JoinHandle<Ended>,
        mut recorder: JoinHandle<()>,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Ended> {
        let mut records = true;
        let mut cause = tokio::select! {
            ended = &mut worker => ended.map_or_else(|error| Cause::Fault(lost("claim loop", error)), Cause::Ended),
            ended = &mut recorder => {
                records = false;
                Cause::Fault(match ended {
                    Ok(()) => anyhow::anyhow!("the recorder ended while the worker was running"),
                    Err(error) => lost("recorder", error),
                })
            }
            fault = tasks.fault() => blame(fault, &mut worker).await,
            name = self.signals.next() => {
                tracing::info!(signal = name, running = self.leases.len(), drain_timeout_ms = self.drain_timeout.as_millis(), "stopping; a second signal interrupts running jobs");
                Cause::Signal
            }
        };
        if let Cause::Fault(fault) = &cause {
            tracing::error!(error = %format!("{fault:#}"), running = self.leases.len(), "running jobs are interrupted and queued again");
        }
        let drained_at = Instant::now() + self.drain_timeout;
        // Whatever the reason is: from now on nothing is taken on, no tick of a schedule either.
        self.stops.claiming.cancel();
        let mut patient = !matches!(cause, Cause::Fault(_));
        if !worker.is_finished() {
            match self.step(CLAIM_TIMEOUT, &mut worker).await {
                Step::Done(Ok(_)) => {}
                Step::Done(Err(error)) => cause = Cause::Fault(lost("claim loop", error)),
                step => {
                    tracing::warn!(
                        "a claim is under way that the database does not answer; its connection is given up"
                    );
                    if let Step::Signal(name) = step {
                        patient = false;
                        tracing::warn!(
                            signal = name,
                            running = self.capacity.active(),
                            "running jobs are interrupted and queued again"
                        );
                    }
                    worker.abort();
                    let _ = worker.await;
                }
            }
        }
        self.watchdog.stopping(self.leases.len());
        self.executor.close();
        self.leases.tell_all(Control::wind_down);
        let capacity = Arc::clone(&self.capacity);
        let drain = if patient { drained_at.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
        let drained = async {
            tokio::select! {
                () = idle(&capacity) => None,
                fault = tasks.panic() => Some(fault),
            }
        };
        match self.step(drain, drained).await {
            Step::Done(None) => {}
            Step::Done(Some(fault)) => {
                tracing::error!(
                    error = fault,
                    running = capacity.active(),
                    "running jobs are interrupted and queued again"
                );
                cause = Cause::Fault(anyhow::anyhow!(fault));
            }
            Step::Late if !patient => {}
            Step::Late => {
                tracing::warn!(
                    running = capacity.active(),
                    "the drain timeout is over; running jobs are interrupted and queued again"
                );
            }
            Step::Signal(name) => {
                tracing::warn!(
                    signal = name,
                    running = capacity.active(),
                    "running jobs are interrupted and queued again"
                );
            }
        }
        self.leases.tell_all(Control::shut_down);
        // Not cut short by a signal: what ended may still be recorded.
        if tokio::time::timeout(INTERRUPT_TIMEOUT, idle(&capacity)).await.is_err() {
            tracing::error!(
                running = capacity.active(),
                "some runs could not be interrupted; they run again when their leases are over"
            );
        }
        let recorded = if records { self.recorded(recorder).await } else { Ok(()) };
        match cause {
            Cause::Fault(fault) => Err(fault),
            Cause::Signal => recorded.map(|()| Ended::Stopped),
            Cause::Ended(ended) => recorded.map(|()| ended),
        }
    }

    /// The executor holds the recorder's last sender, here and where jobs that were handed over are
    /// started, which ends by itself: without it the recorder writes what it has and ends.
    async fn recorded(self, mut recorder: JoinHandle<()>) -> anyhow::Result<()> {
        let Stopping { executor, stops, signals, .. } = self;
        drop(executor);
        tokio::select! {
            ended = &mut recorder => return ended.map_err(|error| lost("recorder", error)),
            () = tokio::time::sleep(RECORD_TIMEOUT) => {}
            name = signals.next() => {
                tracing::warn!(signal = name, "stopping without waiting for outcomes to be written");
                if let Ok(ended) = tokio::time::timeout(LAST_RECORD_TIMEOUT, &mut recorder).await {
                    return ended.map_err(|error| lost("recorder", error));
                }
            }
        }
        stops.recording.cancel();
        let ended = recorder.await;
        ended.map_err(|error| lost("recorder", error)).context("some outcomes were not recorded")?;
        anyhow::bail!("some outcomes were not recorded; their jobs run again when their leases are over")
    }

    /// So long, or until the next signal.
    async fn step<T>(&mut self, time: Duration, step: impl Future<Output = T>) -> Step<T> {
        tokio::select! {
            biased;
            done = step => Step::Done(done),
            name = self.signals.next() => Step::Signal(name),
            () = tokio::time::sleep(time) => Step::Late,
        }
    }
}

enum Step<T> {
    Done(T),
    Signal(&'static str),
    Late,
}

/// A task that ended may only have been the first to notice that the claim loop did.
async fn blame(fault: Fault, worker: &mut JoinHandle<Ended>) -> Cause {
    let fault = match fault {
        Fault::Failed(fault) => fault,
        Fault::Ended(fault) => match tokio::time::timeout(NOTICE_TIMEOUT, worker).await {
            Ok(ended) => return ended.map_or_else(|error| Cause::Fault(lost("claim loop", error)), Cause::Ended),
            Err(_) => fault,
        },
    };
    Cause::Fault(anyhow::anyhow!("{fault}; the host ends, so that a whole one is started"))
}

fn lost(name: &str, error: tokio::task::JoinError) -> anyhow::Error {
    anyhow::Error::from(error).context(format!("the {name} ended unexpectedly"))
}

async fn idle(capacity: &Capacity) {
    capacity.wake_at(0);
    while capacity.active() > 0 {
        capacity.freed().await;
    }
}
