//! Where to begin the search for a free slot of an entrypoint's limit. From slot 0, each claim
//! would read over all that are taken, and all workers would race for the same one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ConcurrencyLimit;

/// For each entrypoint, the slot after the one that this worker took last; at first, a random one.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<HashMap<Arc<str>, u32>>);

impl Slots {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot to begin at. The limit may have shrunk since.
    pub(super) fn begin(&self, limited: &ConcurrencyLimit) -> u32 {
        let mut next = self.lock();
        let slot = next.entry(Arc::clone(&limited.entrypoint)).or_insert_with(|| fastrand::u32(..));
        *slot % limited.concurrency.max(1)
    }

    pub(super) fn took(&self, limited: &ConcurrencyLimit, slot: u32) {
        self.lock().insert(Arc::clone(&limited.entrypoint), slot.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_search_begins_after_the_slot_that_was_taken_last() {
        let slots = Slots::default();
        let limited = |concurrency| ConcurrencyLimit { entrypoint: "e".into(), concurrency };
        assert!(slots.begin(&limited(5)) < 5);
        slots.took(&limited(5), 3);
        assert_eq!(slots.begin(&limited(5)), 4);
        slots.took(&limited(5), 4);
        assert_eq!(slots.begin(&limited(5)), 0);
        assert_eq!(slots.begin(&limited(2)), 1, "a limit that shrank");
    }
}
