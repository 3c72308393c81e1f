//! A clock that goes on while the machine sleeps. Leases run out by the database's clock;
//! [`std::time::Instant`] stands still while a laptop or a virtual machine is suspended, and what
//! was claimed before would look fresh after it.

use std::ops::{Add, Sub};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Where the system has no such clock, that of [`std::time::Instant`].
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A moment of it: the time since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootInstant(Duration);

impl BootInstant {
    /// Now.
    pub fn now() -> BootInstant {
        let now = clock_gettime(CLOCK);
        // Never negative: the clock begins at zero.
        BootInstant(Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0)))
    }

    pub fn elapsed(self) -> Duration {
        BootInstant::now() - self
    }
}

impl Sub for BootInstant {
    type Output = Duration;

    /// Zero where `earlier` is later.
    fn sub(self, earlier: BootInstant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Sub<Duration> for BootInstant {
    type Output = BootInstant;

    fn sub(self, before: Duration) -> BootInstant {
        BootInstant(self.0.saturating_sub(before))
    }
}

impl Add<Duration> for BootInstant {
    type Output = BootInstant;

    fn add(self, after: Duration) -> BootInstant {
        BootInstant(self.0 + after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_time_since_the_start_of_the_machine_its_sleep_included() {
        let before = BootInstant::now();
        #[cfg(target_os = "linux")]
        {
            let uptime = std::fs::read_to_string("/proc/uptime").expect("proc");
            let uptime: f64 = uptime.split(' ').next().expect("a number").parse().expect("a number");
            // Of 10 ms, cut off.
            assert!(before.0.as_secs_f64() - uptime < 0.011, "{before:?} {uptime}");
        }
        assert!(BootInstant::now() >= before);
        assert_eq!((before + Duration::from_secs(2)) - before, Duration::from_secs(2));
        assert_eq!(before - (before + Duration::from_secs(2)), Duration::ZERO);
    }
}
