//! How the host tells a running job to continue or to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;

/// Why the host interrupted a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum StopCause {
    /// The entrypoint's timeout is over.
    #[error("the deadline passed")]
    Deadline,
    /// The job was cancelled.
    #[error("the job was cancelled")]
    Cancelled,
    /// Another worker owns the job.
    #[error("the lease was lost")]
    LeaseLost,
    /// The grace period of a shutdown is over.
    #[error("the host is stopping")]
    Shutdown,
}

/// The answer to a guest that sends a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// Continue.
    Proceed,
    /// The job was cancelled.
    Cancelled,
    /// The host will stop soon.
    ShuttingDown,
    /// Another worker owns the job.
    LeaseLost,
}

const RUN: u8 = 0;
const WIND_DOWN: u8 = 1;
const CANCELLED: u8 = 2;
const STOP_LEASE_LOST: u8 = 3;
const STOP_SHUTDOWN: u8 = 4;

/// The state of one job's run, shared by the run, its lease and the worker. It only ever rises: a
/// weaker state never replaces a stronger one.
#[derive(Debug, Default)]
pub struct Control {
    word: AtomicU8,
    cancelled: AtomicBool,
    changed: Notify,
}

impl Control {
    /// Tell a guest that asks to finish soon. Interrupts nothing.
    pub fn wind_down(&self) {
        self.raise(WIND_DOWN);
    }

    /// Tell a guest that asks that its job was cancelled. A guest that does not ask is interrupted
    /// after its grace period.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.raise(CANCELLED);
    }

    /// Interrupt the run, whether it computes or waits in a host call, because the job belongs to
    /// another worker.
    pub fn lose_lease(&self) {
        self.raise(STOP_LEASE_LOST);
    }

    /// Interrupt the run, whether it computes or waits in a host call, because the host stops.
    pub fn shut_down(&self) {
        self.raise(STOP_SHUTDOWN);
    }

    fn raise(&self, word: u8) {
        if self.word.fetch_max(word, Ordering::Relaxed) < word {
            self.changed.notify_one();
        }
    }

    /// Whether the job was cancelled, whatever happened since.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Whether the job belongs to another worker.
    pub fn is_lease_lost(&self) -> bool {
        self.word.load(Ordering::Relaxed) == STOP_LEASE_LOST
    }

    /// Whether the job's outcome no longer matters.
    pub fn is_over(&self) -> bool {
        self.is_cancelled() || self.is_lease_lost()
    }

    /// Why the run has to end now, if it has to.
    fn stop_cause(&self) -> Option<StopCause> {
        match self.word.load(Ordering::Relaxed) {
            STOP_LEASE_LOST => Some(StopCause::LeaseLost),
            STOP_SHUTDOWN => Some(StopCause::Shutdown),
            _ => None,
        }
    }

    /// The answer to a guest that asks.
    pub fn directive(&self) -> Directive {
        match self.word.load(Ordering::Relaxed) {
            RUN => Directive::Proceed,
            CANCELLED => Directive::Cancelled,
            STOP_LEASE_LOST => Directive::LeaseLost,
            _ => Directive::ShuttingDown,
        }
    }

    /// Resolves when the run has to end: at once for a stop, after the grace period for a
    /// cancellation. There is only one waiter, the run.
    async fn stopped(&self, grace: Duration) -> StopCause {
        loop {
            if let Some(cause) = self.stop_cause() {
                return cause;
            }
            let changed = self.changed.notified();
            if !self.is_cancelled() {
                changed.await;
            } else if tokio::time::timeout(grace, changed).await.is_err() {
                return StopCause::Cancelled;
            }
        }
    }
}

/// The controls of all jobs in one call, which continues as long as one of them needs it.
#[derive(Debug, Clone, Default)]
pub(super) struct Controls(Arc<[Arc<Control>]>);

impl Controls {
    pub(super) fn of(controls: Vec<Arc<Control>>) -> Controls {
        Controls(controls.into())
    }

    /// Why the call has to end now, if it has to.
    pub(super) fn stop_cause(&self) -> Option<StopCause> {
        let mut causes = self.0.iter().map(|control| control.stop_cause());
        causes.next_back()?.filter(|_| causes.all(|cause| cause.is_some()))
    }

    /// Resolves when the call has to end.
    pub(super) async fn stopped(&self, grace: Duration) -> StopCause {
        match &*self.0 {
            [control] => control.stopped(grace).await,
            [] => std::future::pending().await,
            controls => {
                let causes = join_all(controls.iter().map(|control| control.stopped(grace))).await;
                // Jobs that were cancelled or lost are settled individually, whatever is returned
                // here. The remaining ones were shut down.
                causes.into_iter().find(|cause| *cause == StopCause::Shutdown).unwrap_or(StopCause::LeaseLost)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_not_taken_back_by_something_weaker() {
        let control = Control::default();
        assert_eq!(control.directive(), Directive::Proceed);
        control.cancel();
        control.wind_down();
        assert_eq!((control.directive(), control.stop_cause()), (Directive::Cancelled, None));
        control.lose_lease();
        control.cancel();
        assert_eq!((control.directive(), control.stop_cause()), (Directive::LeaseLost, Some(StopCause::LeaseLost)));
        assert!(control.is_cancelled(), "the row of a cancelled job is gone, which looks like a lost lease");
    }

    #[tokio::test]
    async fn a_cancelled_run_has_its_grace_and_a_stop_cuts_it_short() {
        let control = Control::default();
        control.cancel();
        assert_eq!(control.stopped(Duration::from_millis(1)).await, StopCause::Cancelled);
        let control = Control::default();
        control.cancel();
        let (cause, ()) = tokio::join!(control.stopped(Duration::from_secs(3600)), async { control.shut_down() });
        assert_eq!(cause, StopCause::Shutdown);
    }

    #[tokio::test]
    async fn a_call_goes_on_as_long_as_one_of_its_jobs_has_to() {
        let jobs: Vec<Arc<Control>> = (0..3).map(|_| Arc::default()).collect();
        let call = Controls::of(jobs.clone());
        jobs[0].lose_lease();
        jobs[1].cancel();
        assert_eq!(call.stop_cause(), None);
        let all_but_one = Controls::of(jobs[..2].to_vec());
        assert_eq!(all_but_one.stopped(Duration::from_millis(1)).await, StopCause::LeaseLost);
        jobs.iter().for_each(|job| job.shut_down());
        assert_eq!(call.stop_cause(), Some(StopCause::Shutdown));
        assert_eq!(call.stopped(Duration::from_secs(3600)).await, StopCause::Shutdown);
        assert_eq!(Controls::default().stop_cause(), None);
    }
}
