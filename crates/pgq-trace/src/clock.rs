//! Times of the day for moments of the monotonic clock. One clock per trace keeps its spans in
//! order, whatever happens to the system's clock meanwhile.

use std::time::{Duration, Instant, SystemTime};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: SystemTime,
    at: Instant,
}

impl Clock {
    pub(crate) fn now() -> Clock {
        Clock { wall: SystemTime::now(), at: Instant::now() }
    }

    pub(crate) fn time(&self, moment: Instant) -> SystemTime {
        match moment.checked_duration_since(self.at) {
            Some(after) => self.wall + after,
            None => self.before(moment, Duration::ZERO),
        }
    }

    /// The time that long before this moment.
    pub(crate) fn before(&self, moment: Instant, by: Duration) -> SystemTime {
        let (after, before) = (moment.saturating_duration_since(self.at), self.at.saturating_duration_since(moment));
        // Nothing is older than the epoch.
        (self.wall + after).checked_sub(before + by).unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_keep_their_distances() {
        let clock = Clock::now();
        let (second, now) = (Duration::from_secs(1), Instant::now());
        let time = clock.time(now);
        assert_eq!(clock.time(now + second).duration_since(time).expect("later"), second);
        assert_eq!(time.duration_since(clock.before(now, second)).expect("earlier"), second);
        let earlier = now.checked_sub(second).expect("the machine is older");
        assert_eq!(time.duration_since(clock.time(earlier)).expect("earlier"), second);
        assert_eq!(clock.before(now, Duration::MAX / 2), SystemTime::UNIX_EPOCH);
    }
}
