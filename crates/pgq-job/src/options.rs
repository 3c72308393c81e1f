//! What a plugin declares for an entrypoint: how its jobs run, and what happens to those that fail.

use std::time::Duration;

/// What happens to the row of a job that failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Keep it, with the status `failed`.
    #[default]
    Hold,
    /// Delete it. The log keeps the `exception`. This is PgQueuer's default.
    Delete,
}

/// Delay before the next run: exponential, with jitter, capped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The delay before run 2.
    pub initial: Duration,
    /// The factor from one delay to the next.
    pub multiplier: f64,
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { initial: Duration::from_secs(1), multiplier: 2.0, max: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// The delay after this many failures (1 or more). `jitter` in 0..1 selects a point in the
    /// upper half of the span. So jobs that failed together do not return together, and none
    /// returns before half of its delay.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        // In floating point, an overflow is infinity, which the cap handles.
        let span = (self.initial.as_secs_f64() * self.multiplier.powi(exponent)).min(self.max.as_secs_f64());
        Duration::from_secs_f64(span * (0.5 + jitter.clamp(0.0, 1.0) / 2.0))
    }
}

/// What a plugin declares for an entrypoint, under the operator's caps.
#[derive(Debug, Clone, PartialEq)]
pub struct EntrypointOptions {
    pub max_attempts: u32,
    pub backoff: Backoff,
    /// The longest wall time of one run.
    pub timeout: Duration,
    /// The most bytes of all linear memories of one run, including what the host holds for it.
    pub memory: usize,
    /// The most jobs that run at once, over all workers of the queue.
    pub concurrency: Option<u32>,
    /// The most jobs that one instance runs, one after the other. 1 means a fresh instance per job.
    pub reuse: u32,
    /// The most jobs in one call of `batch-handler`. `None` means the export `handler`, with one
    /// job per call.
    pub batch: Option<u32>,
    pub on_failure: OnFailure,
    /// Cron expressions, as stored in the schedules table.
    pub schedules: Vec<String>,
}

impl Default for EntrypointOptions {
    fn default() -> Self {
        EntrypointOptions {
            max_attempts: 25,
            backoff: Backoff::default(),
            timeout: Duration::from_secs(300),
            memory: 256 << 20,
            concurrency: None,
            reuse: 1,
            batch: None,
            on_failure: OnFailure::Hold,
            schedules: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_cap_and_never_overflows() {
        let backoff = Backoff { initial: Duration::from_secs(1), multiplier: 2.0, max: Duration::from_secs(60) };
        assert_eq!(backoff.delay(1, 1.0), Duration::from_secs(1));
        assert_eq!(backoff.delay(4, 1.0), Duration::from_secs(8));
        assert_eq!(backoff.delay(4, 0.0), Duration::from_secs(4));
        assert_eq!(backoff.delay(u32::MAX, 1.0), Duration::from_secs(60));
    }
}
