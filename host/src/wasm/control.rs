//! The host's word to one running job: go on, or stop and why.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// Why the host interrupted a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StopCause {
    /// The entrypoint's timeout is over.
    #[error("the deadline passed")]
    Deadline,
    /// Somebody cancelled the job.
    #[error("the job was cancelled")]
    Cancelled,
    /// Another worker owns the job.
    #[error("the lease was lost")]
    LeaseLost,
    /// The grace of a shutdown is over.
    #[error("the host is stopping")]
    Shutdown,
}

/// What a guest that asks is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// Go on.
    Proceed,
    /// The job was cancelled.
    Cancelled,
    /// The host is about to stop.
    ShuttingDown,
    /// Another worker owns the job.
    LeaseLost,
}

const RUN: u8 = 0;
const WIND_DOWN: u8 = 1;
const STOP_CANCELLED: u8 = 2;
const STOP_LEASE_LOST: u8 = 3;
const STOP_SHUTDOWN: u8 = 4;

/// Shared between the job's run, its lease and the worker. Only ever moves from `RUN` upwards: the first stop wins.
#[derive(Debug, Default)]
pub struct Control {
    word: AtomicU8,
    stopped: Notify,
}

impl Control {
    /// Tell a guest that asks to finish soon. Interrupts nothing.
    pub fn wind_down(&self) {
        let _ = self.word.compare_exchange(RUN, WIND_DOWN, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Interrupt the run, whether it computes or waits in a host call.
    pub fn stop(&self, cause: StopCause) {
        let word = match cause {
            StopCause::Deadline => return, // every run watches its own clock
            StopCause::Cancelled => STOP_CANCELLED,
            StopCause::LeaseLost => STOP_LEASE_LOST,
            StopCause::Shutdown => STOP_SHUTDOWN,
        };
        let first = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| (old <= WIND_DOWN).then_some(word));
        if first.is_ok() {
            self.stopped.notify_one();
        }
    }

    /// The cause, once `stop` was called.
    pub fn stop_cause(&self) -> Option<StopCause> {
        match self.word.load(Ordering::Relaxed) {
            STOP_CANCELLED => Some(StopCause::Cancelled),
            STOP_LEASE_LOST => Some(StopCause::LeaseLost),
            STOP_SHUTDOWN => Some(StopCause::Shutdown),
            _ => None,
        }
    }

    /// What a guest that asks is told.
    pub fn directive(&self) -> Directive {
        match self.word.load(Ordering::Relaxed) {
            RUN => Directive::Proceed,
            STOP_CANCELLED => Directive::Cancelled,
            STOP_LEASE_LOST => Directive::LeaseLost,
            _ => Directive::ShuttingDown,
        }
    }

    /// Resolves when `stop` is called. One waiter: the run.
    pub async fn stopped(&self) -> StopCause {
        loop {
            if let Some(cause) = self.stop_cause() {
                return cause;
            }
            self.stopped.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stop_wins_and_winding_down_never_undoes_it() {
        let control = Control::default();
        assert_eq!(control.directive(), Directive::Proceed);
        control.wind_down();
        assert_eq!((control.directive(), control.stop_cause()), (Directive::ShuttingDown, None));
        control.stop(StopCause::LeaseLost);
        control.stop(StopCause::Shutdown);
        control.wind_down();
        assert_eq!((control.directive(), control.stop_cause()), (Directive::LeaseLost, Some(StopCause::LeaseLost)));
    }
}
