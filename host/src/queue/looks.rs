//! How far back a worker has looked for leases that ran out. Beside a transaction that is left open the index of heartbeats is full of those
//! of jobs that are done, and a look at all of it is dear.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::boot_clock::BootInstant;

/// For so many times as long as a look at all leases took, only those are looked at that ran out since the last look.
const SHARE: u32 = 50;
/// But no longer: what we held and lost sight of, and jobs of entrypoints that we serve only now, wait for a look at all.
const LONGEST: Duration = Duration::from_secs(300);

/// What a worker remembers of its looks.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<Option<Look>>);

#[derive(Debug, Clone, Copy)]
struct Look {
    began: BootInstant,
    all_again: BootInstant,
}

impl Looks {
    fn lock(&self) -> MutexGuard<'_, Option<Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that ran out since then are to be looked at; `None` is all of them.
    pub(super) fn since(&self, now: BootInstant) -> Option<BootInstant> {
        self.lock().filter(|look| now < look.all_again).map(|look| look.began)
    }

    /// A look began and ended then, and no lease had run out.
    pub(super) fn found_nothing(&self, all: bool, began: BootInstant, ended: BootInstant) {
        let mut last = self.lock();
        let all_again = match *last {
            Some(look) if !all => look.all_again,
            _ => ended + ((ended - began) * SHARE).min(LONGEST),
        };
        *last = Some(Look { began, all_again });
    }

    /// The next look is at all.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_leases_are_looked_at_again_when_that_has_been_a_fiftieth_of_the_time() {
        let (looks, begun) = (Looks::default(), BootInstant::now());
        let at = |ms: u64| begun + Duration::from_millis(ms);
        assert_eq!(looks.since(at(0)), None, "nothing is known");
        looks.found_nothing(true, at(0), at(1_000));
        assert_eq!(looks.since(at(13_000)), Some(at(0)));
        looks.found_nothing(false, at(13_000), at(13_010));
        assert_eq!(looks.since(at(50_999)), Some(at(13_000)));
        assert_eq!(looks.since(at(51_000)), None);
        looks.found_nothing(true, at(51_000), at(151_000));
        assert!(looks.since(at(450_999)).is_some());
        assert_eq!(looks.since(at(451_000)), None, "not for ever");
        looks.forget();
        assert_eq!(looks.since(at(152_000)), None, "some were lost, and more may be");
    }
}
