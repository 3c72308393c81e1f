//! The claim loop's signs of life: to systemd, when it started this process, and to whoever asks `/healthz`.
//!
//! Ready is who has claimed once. From then on the loop's own task beats: as long as it is run, a database that is away or slow is no
//! reason to restart, since a restart would mend nothing and cost the runs that are under way.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Between two beats, where nobody asks for more.
const PERIOD: Duration = Duration::from_secs(5);
/// A loop that missed so many beats does not turn any more.
const MISSED: u32 = 6;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    began: Instant,
    period: Duration,
    watched: bool,
    claimed: AtomicBool,
    /// What the last look failed with.
    trouble: Mutex<Option<String>>,
    /// Milliseconds from `began` to the last beat.
    last: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        let watchdog = sd_notify::watchdog_enabled();
        // Thrice in the time that the watchdog allows.
        let period = watchdog.map_or(PERIOD, |allowed| (allowed / 3).min(PERIOD));
        let (claimed, trouble, last) = <(AtomicBool, Mutex<_>, AtomicU64)>::default();
        Pulse(Arc::new(Beats { began: Instant::now(), period, watched: watchdog.is_some(), claimed, trouble, last }))
    }
}

impl Pulse {
    /// Hand a look's result through. The first that went well makes the service ready.
    pub fn turn<T, E: Display>(&self, looked: Result<T, E>) -> Result<T, E> {
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = looked.as_ref().err().map(ToString::to_string);
        if looked.is_ok() && !self.0.claimed.swap(true, Ordering::AcqRel) {
            tell(&[NotifyState::Ready, NotifyState::Status("claiming jobs")]);
        }
        looked
    }

    /// Run the claim loop, and beat from its task.
    pub async fn of<T>(&self, claim_loop: impl Future<Output = T>) -> T {
        tokio::pin!(claim_loop);
        self.beat();
        loop {
            tokio::select! {
                ended = &mut claim_loop => return ended,
                () = tokio::time::sleep(self.0.period) => self.beat(),
            }
        }
    }

    fn beat(&self) {
        self.0.last.store(u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Release);
        if self.0.watched && self.0.claimed.load(Ordering::Acquire) {
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// How long the claim loop has been silent, if that is too long.
    pub fn silence(&self) -> Option<Duration> {
        let silence = self.0.began.elapsed().saturating_sub(Duration::from_millis(self.0.last.load(Ordering::Acquire)));
        (silence > self.0.period * MISSED).then_some(silence)
    }

    /// Why nothing is claimed, if it is so: the loop turns, and the queue refuses.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        trouble.map(|error| format!("it cannot claim: {error}")).or_else(|| {
            let claimed = self.0.claimed.load(Ordering::Acquire);
            (!claimed).then(|| "it has not looked at the queue yet".to_owned())
        })
    }

    /// The loop ends, and is meant to.
    pub fn stopping(&self, running: usize) {
        tell(&[NotifyState::Stopping, NotifyState::Status(&format!("{running} jobs have until the drain timeout to end"))]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // Nobody listens unless systemd started us.
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
        let (claimed, trouble, last) = <(AtomicBool, Mutex<_>, AtomicU64)>::default();
        let pulse = Pulse(Arc::new(Beats { began, period, watched: false, claimed, trouble, last }));
        assert!(pulse.silence() >= Some(Duration::from_secs(60)));
        assert!(pulse.trouble().is_some_and(|trouble| trouble.contains("not looked")));
        assert!(pulse.turn(Err::<(), _>("no")).is_err() && pulse.trouble().is_some_and(|trouble| trouble.ends_with("no")));
        assert!(pulse.turn(Ok::<_, String>(())).is_ok() && pulse.trouble().is_none());
        // A loop that does nothing but wait, as for a database that does not answer.
        pulse.of(tokio::time::sleep(period * 2)).await;
        assert_eq!(pulse.silence(), None);
    }
}
