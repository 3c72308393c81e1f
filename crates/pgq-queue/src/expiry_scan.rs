//! How far back to scan for leases that ran out. Beside a transaction that is left open, the index
//! of heartbeats is full of dead entries, and a full scan is expensive.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::boot_clock::BootInstant;

/// After a full scan that took T, scans only look at leases that ran out since the last one, for 50
/// T.
const SHARE: u32 = 50;
/// But no longer. Jobs of entrypoints that this host serves only now, and claims whose answer was
/// lost, wait for a full scan.
const LONGEST: Duration = Duration::from_secs(300);

/// What a worker remembers between its scans.
#[derive(Debug, Default)]
pub(super) struct ExpiryScans(Mutex<Option<Scan>>);

#[derive(Debug, Clone, Copy)]
struct Scan {
    began: BootInstant,
    next_full: BootInstant,
}

impl ExpiryScans {
    fn lock(&self) -> MutexGuard<'_, Option<Scan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scan the leases that ran out since then; `None`: all of them.
    pub(super) fn since(&self, now: BootInstant) -> Option<BootInstant> {
        self.lock().filter(|scan| now < scan.next_full).map(|scan| scan.began)
    }

    /// A scan began and ended then, and no lease had run out.
    pub(super) fn found_nothing(&self, full: bool, began: BootInstant, ended: BootInstant) {
        let mut last = self.lock();
        let next_full = match *last {
            Some(scan) if !full => scan.next_full,
            _ => ended + ((ended - began) * SHARE).min(LONGEST),
        };
        *last = Some(Scan { began, next_full });
    }

    /// The next scan is a full one.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_scan_is_made_again_when_the_last_has_been_a_fiftieth_of_the_time() {
        let (scans, begun) = (ExpiryScans::default(), BootInstant::now());
        let at = |ms: u64| begun + Duration::from_millis(ms);
        assert_eq!(scans.since(at(0)), None, "nothing is known");
        scans.found_nothing(true, at(0), at(1_000));
        assert_eq!(scans.since(at(13_000)), Some(at(0)));
        scans.found_nothing(false, at(13_000), at(13_010));
        assert_eq!(scans.since(at(50_999)), Some(at(13_000)));
        assert_eq!(scans.since(at(51_000)), None);
        scans.found_nothing(true, at(51_000), at(151_000));
        assert!(scans.since(at(450_999)).is_some());
        assert_eq!(scans.since(at(451_000)), None, "not for ever");
        scans.forget();
        assert_eq!(scans.since(at(152_000)), None, "some were lost, and more may be");
    }
}
