//! The claim loop's signs of life: to systemd, when it started this process, and to whoever asks
//! `/healthz`.
//!
//! A host is ready once it has claimed, and serves what it is meant to. From then on the task of
//! the claim loop beats. A database that is away or slow is no reason to restart: a restart would
//! mend nothing and cost the runs under way. But every statement has a deadline, so a loop that
//! waits for one far longer hangs, and does not beat.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use pgq_queue::told::Told;

/// Between two beats, unless systemd asks for more.
const PERIOD: Duration = Duration::from_secs(5);
/// A loop that missed this many beats hangs.
const MISSED: u32 = 6;
/// A statement that is open for this many of its deadlines hangs.
const PATIENCE: u32 = 2;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watchdog(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    began: Instant,
    period: Duration,
    watched: bool,
    claimed: AtomicBool,
    /// Milliseconds from `began` to the start of the open statement; zero: none is open.
    asked: AtomicU64,
    /// The deadline of a statement.
    longest: Duration,
    /// What it is meant to serve is served.
    serves: AtomicBool,
    told: AtomicBool,
    /// The error of the last claim.
    last_error: Mutex<Option<String>>,
    /// Milliseconds from `began` to the last beat.
    last: AtomicU64,
}

impl Beats {
    fn new(began: Instant, period: Duration, longest: Duration, watched: bool) -> Beats {
        let (claimed, serves, told) = <(AtomicBool, AtomicBool, AtomicBool)>::default();
        let (last_error, last, asked) = <(Mutex<_>, AtomicU64, AtomicU64)>::default();
        Beats { began, period, watched, claimed, serves, told, asked, longest, last_error, last }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Watchdog {
    /// `deadline`: of the loop's statements.
    pub fn new(deadline: Duration) -> Self {
        let allowed = sd_notify::watchdog_enabled();
        // Three times in the interval that systemd allows.
        let period = allowed.map_or(PERIOD, |allowed| (allowed / 3).min(PERIOD));
        Watchdog(Arc::new(Beats::new(Instant::now(), period, deadline * PATIENCE, allowed.is_some())))
    }

    /// Pass on the result of a claim. The first success makes the service ready, if it serves what
    /// it is meant to.
    pub fn observe<T, E: Told>(&self, looked: Result<T, E>) -> Result<T, E> {
        *self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner) = looked.as_ref().err().map(Told::told);
        if looked.is_ok() && !self.0.claimed.swap(true, Ordering::AcqRel) {
            self.tell_ready();
        }
        looked
    }

    /// What it is meant to serve is served.
    pub fn serves(&self) {
        self.0.serves.store(true, Ordering::Release);
        self.tell_ready();
    }

    fn tell_ready(&self) {
        let ready = self.0.claimed.load(Ordering::Acquire) && self.0.serves.load(Ordering::Acquire);
        if ready && !self.0.told.swap(true, Ordering::AcqRel) {
            tell(&[NotifyState::Ready, NotifyState::Status("claiming jobs")]);
        }
    }

    /// Run the claim loop, and beat from its task.
    pub async fn run<T>(&self, claim_loop: impl Future<Output = T>) -> T {
        tokio::pin!(claim_loop);
        self.beat();
        loop {
            tokio::select! {
                ended = &mut claim_loop => return ended,
                () = tokio::time::sleep(self.0.period) => self.beat(),
            }
        }
    }

    /// Wait for the answer to a statement.
    pub async fn ask<T>(&self, question: impl Future<Output = T>) -> T {
        self.0.asked.store(self.0.now().max(1), Ordering::Release);
        let answer = question.await;
        self.0.asked.store(0, Ordering::Release);
        answer
    }

    fn beat(&self) {
        let asked = self.0.asked.load(Ordering::Acquire);
        if asked > 0 && u128::from(self.0.now().saturating_sub(asked)) > self.0.longest.as_millis() {
            return;
        }
        self.0.last.store(self.0.now(), Ordering::Release);
        if self.0.watched && self.0.claimed.load(Ordering::Acquire) {
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// How long the claim loop has been silent, if that is too long.
    pub fn stalled_for(&self) -> Option<Duration> {
        let silence = self.0.began.elapsed().saturating_sub(Duration::from_millis(self.0.last.load(Ordering::Acquire)));
        (silence > self.0.period * MISSED).then_some(silence)
    }

    /// Why nothing is claimed, if the loop runs and its claims fail.
    pub fn last_error(&self) -> Option<String> {
        let error = self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        error.map(|error| format!("it cannot claim: {error}")).or_else(|| {
            let claimed = self.0.claimed.load(Ordering::Acquire);
            (!claimed).then(|| "it has not looked at the queue yet".to_owned())
        })
    }

    /// The loop ends on purpose.
    pub fn stopping(&self, running: usize) {
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status(&format!("{running} jobs have until the drain timeout to end")),
        ]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // Does nothing unless systemd started the process.
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(error = %error, "cannot notify systemd");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_loop_beats_while_it_waits_and_is_missed_when_it_does_not() {
        let period = Duration::from_millis(50);
        let began = Instant::now().checked_sub(Duration::from_secs(60)).expect("the machine runs for longer");
        let watchdog = Watchdog(Arc::new(Beats::new(began, period, Duration::from_secs(60), false)));
        assert!(watchdog.stalled_for() >= Some(Duration::from_secs(60)));
        assert!(watchdog.last_error().is_some_and(|error| error.contains("not looked")));
        assert!(
            watchdog.observe(Err::<(), _>(std::io::Error::other("no"))).is_err()
                && watchdog.last_error().is_some_and(|error| error.ends_with("no"))
        );
        assert!(watchdog.observe(Ok::<_, std::io::Error>(())).is_ok() && watchdog.last_error().is_none());
        // A loop that does nothing but wait, as for a database that does not answer.
        watchdog.run(tokio::time::sleep(period * 2)).await;
        assert_eq!(watchdog.stalled_for(), None);
    }

    #[tokio::test]
    async fn a_loop_that_waits_for_an_answer_beyond_its_deadline_does_not_beat() {
        let period = Duration::from_millis(20);
        let watchdog = Watchdog(Arc::new(Beats::new(Instant::now(), period, Duration::from_millis(100), false)));
        watchdog.run(watchdog.ask(tokio::time::sleep(Duration::from_secs(1)))).await;
        assert!(watchdog.stalled_for() > Some(Duration::from_millis(500)), "{:?}", watchdog.stalled_for());
        // The answer came after all.
        watchdog.run(tokio::time::sleep(period * 2)).await;
        assert_eq!(watchdog.stalled_for(), None);
    }
}
