//! Where guests run: threads of their own, so that none of them can keep a heartbeat or a claim
//! waiting; and two kinds of them, so that no guest that computes for long keeps the short jobs
//! waiting.
//!
//! A run starts on the threads for short runs, unless those before it were long. Once it has
//! computed for 20 ms, the rest of it goes to the threads for long runs, to which the kernel gives
//! what the others leave, and always some: a multi-level feedback queue of two levels.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Handle, Runtime};

/// A run that has computed for longer, host calls included, is a long one: two ticks of the clock
/// that interrupts guests.
const ALLOWANCE: Duration = Duration::from_millis(20);

/// A poll that takes longer, by the wall's clock, is no short run's.
const BRIEF: Duration = Duration::from_millis(1);

/// How much a thread for long runs steps back behind the others. Ten steps are a tenth of the share
/// of a thread that does not.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Keeps the threads. Dropped, it leaves those that are stuck behind.
pub struct GuestRuntime {
    short: Option<Runtime>,
    long: Option<Runtime>,
}

/// What starts runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Guests {
    short: Handle,
    long: Handle,
}

impl GuestRuntime {
    pub fn start() -> anyhow::Result<(GuestRuntime, Guests)> {
        let short = Builder::new_multi_thread().thread_name("pgq-guest").enable_all().build();
        let long =
            Builder::new_multi_thread().thread_name("pgq-guest-long").enable_all().on_thread_start(step_back).build();
        let (short, long) =
            (short.context("cannot start the guests' threads")?, long.context("cannot start the guests' threads")?);
        let guests = Guests { short: short.handle().clone(), long: long.handle().clone() };
        Ok((GuestRuntime { short: Some(short), long: Some(long) }, guests))
    }
}

impl Drop for GuestRuntime {
    fn drop(&mut self) {
        // A plain drop waits for its threads, which tokio forbids within another runtime; a stuck
        // guest would have it wait for ever.
        for runtime in [self.short.take(), self.long.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

impl Guests {
    /// The threads for short runs, where every task about guests begins.
    pub fn handle(&self) -> &Handle {
        &self.short
    }

    /// Whether a thread of either kind takes on something new, in time.
    pub async fn answer(&self, within: Duration) -> bool {
        let (short, long) = (self.short.spawn(async {}), self.long.spawn(async {}));
        matches!(tokio::time::timeout(within, async { tokio::join!(short, long) }).await, Ok((Ok(()), Ok(()))))
    }

    /// Poll a run here, on a thread for short runs, until it ends or is known to be long; then have
    /// it end there. One that is expected to be long goes there at once. What it came to, and
    /// whether it was long; `None` when the threads for long runs were stopped under it.
    ///
    /// What counts is the thread's own time within polls: neither waiting nor a busy machine makes
    /// a run long, and host calls that compute do. To read that clock takes a system call, which
    /// would be a tenth of what nearly all runs take: so it is read once a poll was not brief by
    /// the wall's clock.
    pub async fn run<T: Send + 'static>(
        &self,
        long: bool,
        run: impl Future<Output = T> + Send + 'static,
    ) -> Option<(T, bool)> {
        let mut run: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(run);
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

/// How long a run has computed, over all its polls but the first that was not brief.
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

/// On Linux a priority is the thread's; elsewhere it would be the whole process's.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::warn!(%error, "cannot lower the priority of the threads for long runs; they compete with short ones as equals");
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
                let run = async move {
                    for _ in 0..3 {
                        turn();
                        tokio::time::sleep(ALLOWANCE).await;
                    }
                    name()
                };
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
