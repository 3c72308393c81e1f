//! Checks the options that a plugin declares for an entrypoint. An invalid value is recorded as a
//! mistake of the declaration.

use std::time::Duration;

use super::resources::EntrypointHandle;
use pgq_cron::Schedule;
use pgq_job::{Backoff, EntrypointOptions, OnFailure};

const MAX_SCHEDULES: usize = 100;
const MAX_EXPRESSION_BYTES: usize = 1_000;
/// Each job of a batch needs a handle, and a claim rarely brings more jobs than this.
const MAX_BATCH: u32 = 1_000;
/// A plugin with less memory could not even start.
const MIN_MEMORY: usize = 1 << 20;
/// A run's deadline exists only in memory. A week is far beyond anything that should be one job.
const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The time zone of a schedule that names none.
pub(super) const UTC: &str = "UTC";

impl EntrypointHandle {
    pub(super) fn max_attempts(&self, attempts: u32) {
        self.set(|options| {
            options.max_attempts = at_least_one(attempts, "max-attempts")?;
            Ok(())
        });
    }

    pub(super) fn backoff(&self, initial_ms: u64, multiplier: f64, max_ms: u64) {
        self.set(|options| {
            if !(1.0..=1000.0).contains(&multiplier) {
                return Err(format!("a back-off multiplier of {multiplier} is not between 1 and 1000"));
            }
            if initial_ms > max_ms {
                return Err(format!("a back-off that starts at {initial_ms} ms cannot end at {max_ms} ms"));
            }
            let max = Duration::from_millis(max_ms);
            if max > Duration::from_secs(365 * 24 * 3600) {
                return Err(format!("a back-off of up to {max_ms} ms is longer than a year"));
            }
            options.backoff = Backoff { initial: Duration::from_millis(initial_ms), multiplier, max };
            Ok(())
        });
    }

    pub(super) fn timeout(&self, ms: u64) {
        self.set(|options| {
            let timeout = Duration::from_millis(ms);
            if timeout.is_zero() || timeout > MAX_TIMEOUT {
                return Err(format!("a timeout of {ms} ms is not between 1 ms and a week"));
            }
            options.timeout = timeout;
            Ok(())
        });
    }

    pub(super) fn memory(&self, bytes: u64) {
        self.set(|options| {
            options.memory = usize::try_from(bytes)
                .ok()
                .filter(|bytes| (MIN_MEMORY..=4 << 30).contains(bytes))
                .ok_or_else(|| format!("a memory of {bytes} bytes is not between 1 MiB and 4 GiB"))?;
            Ok(())
        });
    }

    pub(super) fn concurrency(&self, limit: u32) {
        self.set(|options| {
            options.concurrency = Some(at_least_one(limit, "concurrency")?);
            Ok(())
        });
    }

    pub(super) fn reuse(&self, max_jobs: u32) {
        self.set(|options| {
            options.reuse = at_least_one(max_jobs, "reuse")?;
            Ok(())
        });
    }

    pub(super) fn batch(&self, max_jobs: u32) {
        self.set(|options| {
            let jobs = at_least_one(max_jobs, "batch")?;
            if jobs > MAX_BATCH {
                return Err(format!("a batch of {jobs} jobs is larger than {MAX_BATCH}"));
            }
            options.batch = Some(jobs);
            Ok(())
        });
    }

    pub(super) fn on_failure(&self, action: OnFailure) {
        self.set(|options| {
            options.on_failure = action;
            Ok(())
        });
    }

    pub(super) fn schedule(&self, expression: &str, time_zone: &str) {
        let has_room = self.registrar.lock().has_room(expression.len() + time_zone.len());
        if has_room {
            self.set(|options| add_schedule(options, expression, time_zone));
        }
    }
}

fn add_schedule(options: &mut EntrypointOptions, expression: &str, time_zone: &str) -> Result<(), String> {
    if expression.len() > MAX_EXPRESSION_BYTES || time_zone.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("a schedule is longer than {MAX_EXPRESSION_BYTES} bytes"));
    }
    let key = Schedule::new(expression, time_zone).map_err(|error| error.to_string())?.key();
    if options.schedules.contains(&key) {
        return Err(format!("the schedule {key:?} is declared twice"));
    }
    if options.schedules.len() == MAX_SCHEDULES {
        return Err(format!("more than {MAX_SCHEDULES} schedules"));
    }
    options.schedules.push(key);
    Ok(())
}

fn at_least_one(value: u32, what: &str) -> Result<u32, String> {
    if value == 0 {
        Err(format!("{what} of 0 means that nothing would ever run; leave it out for the default"))
    } else {
        Ok(value)
    }
}
