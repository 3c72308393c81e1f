//! Waits that end when they should. The timer of the guests' threads counts in whole milliseconds, and
//! so does the kernel's call in which they wait for it: a guest that sleeps for 20 ms would sleep for
//! 21 to 22, and its seat under a limit with it. So one thread of its own waits for the next alarm,
//! exactly, and wakes whose it is.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

/// All alarms of the process. The thread starts with the first.
static ALARMS: LazyLock<Alarms> = LazyLock::new(Alarms::default);
/// Whether there is a thread.
static STARTED: LazyLock<bool> = LazyLock::new(|| {
    let started = thread::Builder::new().name("pgq-alarm".into()).spawn(|| ALARMS.run());
    if let Err(error) = &started {
        tracing::warn!(%error, "cannot start the thread for alarms; guests wait in whole milliseconds");
    }
    started.is_ok()
});

#[derive(Default)]
struct Alarms {
    state: Mutex<State>,
    /// There is an earlier alarm than the one that is waited for.
    earlier: Condvar,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<(Instant, u64), Waker>,
    numbers: u64,
}

impl Alarms {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let later = state.waiting.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut state.waiting, later);
            if !due.is_empty() {
                drop(state);
                due.into_values().for_each(Waker::wake);
                state = self.lock();
                continue;
            }
            let next = state.waiting.keys().next().map(|(at, _)| at.saturating_duration_since(now));
            state = match next {
                Some(wait) => {
                    self.earlier.wait_timeout(state, wait).map_or_else(|error| error.into_inner().0, |(state, _)| state)
                }
                None => self.earlier.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Resolves at its time, and not before.
#[derive(Debug)]
pub(super) struct Alarm {
    at: Instant,
    number: Option<u64>,
}

impl Alarm {
    /// `None` where there is no thread for it.
    pub(super) fn at(at: Instant) -> Option<Alarm> {
        STARTED.then_some(Alarm { at, number: None })
    }

    fn forget(&mut self) {
        if let Some(number) = self.number.take() {
            ALARMS.lock().waiting.remove(&(self.at, number));
        }
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            self.forget();
            return Poll::Ready(());
        }
        let mut state = ALARMS.lock();
        let number = *self.number.get_or_insert_with(|| {
            state.numbers += 1;
            state.numbers
        });
        let is_first = state.waiting.keys().next().is_none_or(|(at, _)| self.at < *at);
        state.waiting.insert((self.at, number), context.waker().clone());
        drop(state);
        if is_first {
            ALARMS.earlier.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream::FuturesUnordered;
    use futures_util::{FutureExt as _, StreamExt as _};

    use super::*;

    #[tokio::test]
    async fn alarms_go_off_in_their_order_and_none_is_early() {
        let began = Instant::now();
        let at = |us: u64| async move {
            let at = began + Duration::from_micros(us);
            Alarm::at(at).expect("a thread").await;
            (us, Instant::now() >= at)
        };
        // Those that are set later are due earlier.
        let alarms: FuturesUnordered<_> = [90_000, 60_000, 30_500, 30_400, 0].into_iter().map(at).collect();
        let ended: Vec<(u64, bool)> = alarms.collect().await;
        assert!(ended.iter().all(|(_, in_time)| *in_time), "{ended:?}");
        assert_eq!(ended.len(), 5);
    }

    #[test]
    fn one_that_is_dropped_is_forgotten() {
        let at = Instant::now() + Duration::from_secs(3600);
        let mut alarm = Alarm::at(at).expect("a thread");
        assert!((&mut alarm).now_or_never().is_none() && (&mut alarm).now_or_never().is_none());
        let is_known = || ALARMS.lock().waiting.keys().filter(|(due, _)| *due == at).count();
        assert_eq!(is_known(), 1);
        drop(alarm);
        assert_eq!(is_known(), 0);
    }
}
