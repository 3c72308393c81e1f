//! Who is connected. A newcomer and a page have places of their own, so that neither takes the
//! other's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::limits::{GRACE, MAX_NEWCOMERS, MAX_PAGES};

/// All connections, those at the front being silent for longest.
#[derive(Debug, Default)]
pub(super) struct Visits {
    all: Mutex<VecDeque<Place>>,
    changed: Notify,
}

#[derive(Debug)]
struct Place {
    visit: Arc<Visit>,
    /// Since when nothing was said, if it is silent.
    since: Instant,
}

/// A connection.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// Whether it is being answered.
    busy: AtomicBool,
    /// Whether it has asked for a page.
    page: AtomicBool,
    dismissed: CancellationToken,
}

/// A connection is busy while this is there.
pub(super) struct Busy(Arc<Visit>, Arc<Visits>);

/// A connection is in the list while this is there.
pub(super) struct Present(Arc<Visit>, Arc<Visits>);

impl Visits {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Place>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait until a newcomer has a place, for which one that is silent may have to go.
    pub(super) async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            if self.make_room(false, MAX_NEWCOMERS, before(GRACE)) {
                return;
            }
            // Or somebody has been silent for long enough.
            let _ = tokio::time::timeout(GRACE / 10, changed).await;
        }
    }

    pub(super) fn enter(&self) -> Arc<Visit> {
        let visit = Arc::new(Visit::default());
        self.lock().push_back(Place { visit: Arc::clone(&visit), since: Instant::now() });
        visit
    }

    /// Whether the connection has a place among the pages.
    pub(super) fn take_page(&self, visit: &Visit) -> bool {
        if visit.is_page() {
            return true;
        }
        let taken = self.make_room(true, MAX_PAGES, Instant::now());
        if taken {
            visit.page.store(true, Ordering::Relaxed);
            self.changed.notify_one();
        }
        taken
    }

    /// Whether there is a place of this kind, or somebody who was silent since then and left it.
    fn make_room(&self, page: bool, most: usize, silent_since: Instant) -> bool {
        let mut all = self.lock();
        if all.iter().filter(|place| place.visit.is_page() == page).count() < most {
            return true;
        }
        let is_silent = |place: &Place| {
            let visit = &place.visit;
            visit.is_page() == page && !visit.busy.load(Ordering::Relaxed) && place.since <= silent_since
        };
        let Some(oldest) = all.iter().position(is_silent) else { return false };
        if let Some(place) = all.remove(oldest) {
            place.visit.dismissed.cancel();
        }
        true
    }
}

/// So long ago, or at the machine's start.
fn before(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_sub(time).unwrap_or(now)
}

impl Visit {
    fn is_page(&self) -> bool {
        self.page.load(Ordering::Relaxed)
    }

    /// Resolves when it has to make room.
    pub(super) async fn dismissed(&self) {
        self.dismissed.cancelled().await;
    }

    /// It is being answered until the guard is dropped.
    pub(super) fn busy(self: &Arc<Visit>, visits: Arc<Visits>) -> Busy {
        self.busy.store(true, Ordering::Relaxed);
        Busy(Arc::clone(self), visits)
    }

    /// It has left when the guard is dropped.
    pub(super) fn leave_at_the_end(self: Arc<Visit>, visits: Arc<Visits>) -> Present {
        Present(self, visits)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Busy(visit, visits) = self;
        visit.busy.store(false, Ordering::Relaxed);
        // Silent from now on: to the end of the list.
        let mut all = visits.lock();
        if let Some(place) = all.iter().position(|other| Arc::ptr_eq(&other.visit, visit))
            && let Some(place) = all.remove(place)
        {
            all.push_back(Place { since: Instant::now(), ..place });
        }
        drop(all);
        visits.changed.notify_one();
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let Present(visit, visits) = self;
        visits.lock().retain(|other| !Arc::ptr_eq(&other.visit, visit));
        visits.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_silent_for_longest_makes_room_and_never_one_that_is_being_answered() {
        let visits = Arc::new(Visits::default());
        let began = Instant::now();
        let room = || visits.make_room(false, MAX_NEWCOMERS, Instant::now());
        let all: Vec<Arc<Visit>> = (0..MAX_NEWCOMERS).map(|_| visits.enter()).collect();
        let busy: Vec<Busy> = all[..2].iter().map(|visit| visit.busy(Arc::clone(&visits))).collect();
        let early = visits.make_room(false, MAX_NEWCOMERS, began);
        assert!(!early, "whoever has just come may be about to say something");
        assert!(room());
        let gone: Vec<bool> = all[..4].iter().map(|visit| visit.dismissed.is_cancelled()).collect();
        assert_eq!(gone, [false, false, true, false]);
        drop(busy);
        visits.enter();
        assert!(room() && all[3].dismissed.is_cancelled(), "those that were answered came later");
        visits.enter();
        let everybody: Vec<Arc<Visit>> = visits.lock().iter().map(|place| Arc::clone(&place.visit)).collect();
        let _busy: Vec<Busy> = everybody.iter().map(|visit| visit.busy(Arc::clone(&visits))).collect();
        assert!(!room(), "all are being answered");
        // A page has another place.
        assert!(visits.take_page(&all[0]) && room());
    }
}
