//! How long a future is on a processor: the time of each poll, so that neither the waits of a run
//! count nor the runs of others.
//!
//! Asking for a thread's own time is a system call, which is a tenth of a short run. So a poll counts
//! with the time on the wall, until one has taken long: whatever else the machine does meanwhile
//! matters from there on, and the thread's clock is asked.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A poll that took longer is probably followed by others like it.
const LONG: Duration = Duration::from_millis(1);

/// What this future returns, and how long it was on a processor. The future stays where it is: a
/// run's is large, and moved into another it would be in that twice.
pub(super) async fn measured<F: Future>(mut inner: Pin<&mut F>) -> (F::Output, Duration) {
    let (mut used, mut was_long) = (Duration::ZERO, false);
    let output = poll_fn(|context| {
        let (began, at) = (was_long.then(of_this_thread), Instant::now());
        let poll = inner.as_mut().poll(context);
        let elapsed = at.elapsed();
        used += began.map_or(elapsed, |began| of_this_thread().saturating_sub(began));
        was_long = elapsed > LONG;
        poll
    });
    (output.await, used)
}

fn of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn work_counts_and_waits_do_not() {
        let work = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let began = of_this_thread();
            let mut n = 0_u64;
            while of_this_thread() - began < Duration::from_millis(30) {
                n = black_box(n.wrapping_add(1));
            }
        };
        let began = Instant::now();
        let ((), used) = measured(pin!(work)).await;
        assert!(used >= Duration::from_millis(30) && used + Duration::from_millis(250) < began.elapsed(), "{used:?}");
    }
}
