//! Where to look for a free seat of an entrypoint's limit. From the first on, each claim would read over all that are taken, and all workers
//! would race for the same one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Limited;

/// Of each entrypoint, the seat after the one that this worker took last; at first, any.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<HashMap<Arc<str>, u32>>);

impl Seats {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seat to begin at. There may be fewer than there were.
    pub(super) fn begin(&self, limited: &Limited) -> u32 {
        let mut next = self.lock();
        let seat = next.entry(Arc::clone(&limited.entrypoint)).or_insert_with(|| fastrand::u32(..));
        *seat % limited.concurrency.max(1)
    }

    /// This one was taken.
    pub(super) fn took(&self, limited: &Limited, seat: u32) {
        self.lock().insert(Arc::clone(&limited.entrypoint), seat.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_look_begins_after_the_seat_that_was_taken_last() {
        let seats = Seats::default();
        let limited = |concurrency| Limited { entrypoint: "e".into(), concurrency };
        assert!(seats.begin(&limited(5)) < 5);
        seats.took(&limited(5), 3);
        assert_eq!(seats.begin(&limited(5)), 4);
        seats.took(&limited(5), 4);
        assert_eq!(seats.begin(&limited(5)), 0);
        assert_eq!(seats.begin(&limited(2)), 1, "a limit that shrank");
    }
}
