//! The threads that run guests. They are separate, so that no guest can delay a heartbeat or a
//! claim. There are two kinds of them, so that guests that compute for long cannot delay short
//! jobs.
//!
//! A run starts on the threads for short runs, unless earlier runs of its entrypoint were long.
//! Once it has computed for 20 ms, it moves to the threads for long runs, to which the kernel gives
//! whatever the others leave, and always a little. This is a multi-level feedback queue with two
//! levels.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Handle, Runtime};

/// A run that has computed for longer, including in host calls, is a long one. This is two ticks of
/// the clock that interrupts guests.
const ALLOWANCE: Duration = Duration::from_millis(20);

/// A short run's polls take less wall time than this.
const BRIEF: Duration = Duration::from_millis(1);

/// How much the threads for long runs lower their priority. Ten steps mean a tenth of the share of
/// a normal thread.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Owns the threads. Dropping it abandons those that are stuck.
pub struct GuestRuntime {
    short: Option<Runtime>,
    long: Option<Runtime>,
}

/// Starts runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Guests {
    short: Handle,
    long: Handle,
}

impl GuestRuntime {
    pub fn start() -> anyhow::Result<(GuestRuntime, Guests)> {
        let short = Builder::new_multi_thread().thread_name("pgq-guest").enable_all().build();
        let long = Builder::new_multi_thread()
            .thread_name("pgq-guest-long")
            .enable_all()
            .on_thread_start(lower_priority)
            .build();
        let (short, long) =
            (short.context("cannot start the guests' threads")?, long.context("cannot start the guests' threads")?);
        let guests = Guests { short: short.handle().clone(), long: long.handle().clone() };
        Ok((GuestRuntime { short: Some(short), long: Some(long) }, guests))
    }
}

impl Drop for GuestRuntime {
    fn drop(&mut self) {
        // A plain drop waits for the threads, which tokio forbids within another runtime. A stuck
        // guest would make it wait forever.
        for runtime in [self.short.take(), self.long.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

impl Guests {
    /// The threads for short runs, where every task about guests starts.
    pub fn handle(&self) -> &Handle {
        &self.short
    }

    /// Whether a thread of each kind accepts new work in time.
    pub async fn answer(&self, within: Duration) -> bool {
        let (short, long) = (self.short.spawn(async {}), self.long.spawn(async {}));
        matches!(tokio::time::timeout(within, async { tokio::join!(short, long) }).await, Ok((Ok(()), Ok(()))))
    }

    /// Poll a run on this thread for short runs until it ends or proves to be long, then move it to
    /// the threads for long runs. A run that is expected to be long goes there at once. Returns its
    /// result and whether it was long, or `None` if the threads for long runs were stopped
    /// meanwhile.
    ///
    /// What counts is the thread's own CPU time during polls: neither waiting nor a busy machine
    /// makes a run long, but host calls that compute do. Reading that clock takes a system call,
    /// which would be a tenth of the time of most runs. So it is read only after a poll that was
    /// not brief by the wall clock.
    pub async fn run<T: Send + 'static>(
        &self,
        long: bool,
        mut run: Pin<Box<dyn Future<Output = T> + Send>>,
    ) -> Option<(T, bool)> {
        let mut timer = CpuTimer::default();
        let here = poll_fn(|context| match timer.measure(|| run.as_mut().poll(context)) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if timer.is_long() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if !long && let Some(ended) = here.await {
            return Some((ended, timer.is_long()));
        }
        let there = async move {
            let ended = poll_fn(|context| timer.measure(|| run.as_mut().poll(context))).await;
            (ended, timer.is_long())
        };
        self.long.spawn(there).await.ok()
    }
}

/// How long a run has computed, over all its polls except the first one that was not brief.
#[derive(Default)]
struct CpuTimer {
    computed: Duration,
    exact: bool,
}

impl CpuTimer {
    fn is_long(&self) -> bool {
        self.computed >= ALLOWANCE
    }

    fn measure<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        if self.exact {
            let before = thread_time();
            let polled = poll();
            self.computed += thread_time().saturating_sub(before);
            polled
        } else {
            let began = Instant::now();
            let polled = poll();
            self.exact = began.elapsed() > BRIEF;
            polled
        }
    }
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// On Linux, each thread has its own priority. Elsewhere it would be that of the whole process.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::warn!(%error, "cannot lower the priority of the threads for long runs; they compete with short runs on equal terms");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(time: Duration) {
        let start = thread_time();
        while thread_time() - start < time {}
    }

    fn name() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_run_moves_once_it_has_computed_for_long_and_not_for_waiting() {
        let (_runtime, guests) = GuestRuntime::start().expect("threads");
        let run = |long: bool, turn: fn()| {
            let guests = guests.clone();
            async move {
                let run = Box::pin(async move {
                    for _ in 0..3 {
                        turn();
                        tokio::time::sleep(ALLOWANCE).await;
                    }
                    name()
                });
                guests.run(long, run).await
            }
        };
        let block_on = |task| guests.handle().block_on(async { guests.handle().spawn(task).await.expect("no panic") });
        let (short_threads, long_threads) = ("pgq-guest".to_owned(), "pgq-guest-long".to_owned());
        assert_eq!(block_on(run(false, || {})), Some((short_threads, false)));
        assert_eq!(block_on(run(false, || compute(ALLOWANCE / 2))), Some((long_threads.clone(), true)));
        assert_eq!(block_on(run(true, || {})), Some((long_threads.clone(), false)), "expected to be long, and was not");
        assert_eq!(block_on(run(true, || compute(ALLOWANCE / 2))), Some((long_threads, true)));
    }
}
