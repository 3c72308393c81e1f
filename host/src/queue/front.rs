//! Where in the queue the last claim ended. Jobs that are done leave their entries at the front of the queue's index until vacuum has
//! been, which it cannot for as long as any transaction of the server is older than they; a claim that begins there reads them all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::job::{Job, JobId};

/// For so many times as long as a claim from the very front took, claims go on from where the last one ended: what one of the former
/// costs, a twentieth of the time at most is spent on it. What came to stand before that place (a retry, another priority) waits for so long.
const SHARE: u32 = 19;
/// But no longer, whatever that costs.
const LONGEST: Duration = Duration::from_secs(30);
/// A claim from the front that takes less is made whenever there is room for more jobs than come after the place.
const CHEAP: Duration = Duration::from_millis(50);

/// A place in the order of claims: of this priority, after this job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) priority: i32,
    pub(super) after: JobId,
}

impl Place {
    fn last_of(jobs: &[Job]) -> Option<Place> {
        let priority = jobs.iter().map(|job| job.priority).min()?;
        let after = jobs.iter().filter(|job| job.priority == priority).map(|job| job.id).max()?;
        Some(Place { priority, after })
    }
}

/// What a worker remembers between its claims.
#[derive(Debug, Default)]
pub(super) struct Front(Mutex<Option<GoOn>>);

/// Where claims go on, and for how long.
#[derive(Debug, Clone, Copy)]
struct GoOn {
    place: Place,
    until: Instant,
    cheap: bool,
    full: bool,
}

impl Front {
    fn lock(&self) -> MutexGuard<'_, Option<GoOn>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to go on, if not from the front.
    pub(super) fn place(&self) -> Option<Place> {
        self.lock().filter(|on| Instant::now() < on.until).map(|on| on.place)
    }

    /// Whether the last claim from the front brought all that was asked for.
    pub(super) fn plenty(&self) -> bool {
        self.lock().is_some_and(|on| on.full)
    }

    /// How long it is too dear to look at the front, whatever is there.
    pub(super) fn rest(&self) -> Option<Duration> {
        self.lock().filter(|on| !on.cheap).map(|on| on.until.saturating_duration_since(Instant::now())).filter(|rest| !rest.is_zero())
    }

    /// A claim from the front took so long and brought these, which were as many as asked for or not.
    pub(super) fn claimed(&self, took: Duration, jobs: &[Job], full: bool) {
        let (mut on, cheap) = (self.lock(), took < CHEAP);
        let place = Place::last_of(jobs).or(on.map(|on| on.place)).filter(|_| full || !cheap);
        *on = place.map(|place| GoOn { place, until: Instant::now() + (took * SHARE).min(LONGEST), cheap, full });
    }

    /// A claim that went on brought these.
    pub(super) fn went_on(&self, jobs: &[Job]) {
        if let (Some(last), Some(on)) = (Place::last_of(jobs), &mut *self.lock()) {
            on.place = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::job::Claim;

    fn jobs(of: &[(i32, JobId)]) -> Vec<Job> {
        let job = |(priority, id): &(i32, JobId)| Job {
            id: *id,
            claim: Claim { id: *id, at: chrono::DateTime::UNIX_EPOCH },
            suspicion: None,
            priority: *priority,
            due: chrono::DateTime::UNIX_EPOCH,
            created_ms: 0,
            entrypoint: Arc::from("e"),
            payload: None,
            headers: None,
            attempts: 0,
            unread: None,
            share: None,
        };
        of.iter().map(job).collect()
    }

    const SOME: Duration = Duration::from_millis(10);
    const MUCH: Duration = Duration::from_secs(10);

    #[test]
    fn a_cheap_claim_is_gone_on_from_while_it_brings_all_that_was_asked_for() {
        let front = Front::default();
        front.claimed(SOME, &jobs(&[(5, 9), (5, 7), (0, 3), (0, 8)]), true);
        assert_eq!((front.place(), front.rest(), front.plenty()), (Some(Place { priority: 0, after: 8 }), None, true));
        front.went_on(&jobs(&[(0, 12)]));
        assert_eq!(front.place(), Some(Place { priority: 0, after: 12 }));
        front.claimed(SOME, &jobs(&[(0, 13)]), false);
        assert_eq!((front.place(), front.plenty()), (None, false), "nothing is left that a look could miss");
    }

    #[test]
    fn a_dear_one_is_not_repeated_at_once_even_if_it_brought_nothing() {
        let front = Front::default();
        front.claimed(MUCH, &[], false);
        assert_eq!((front.place(), front.rest()), (None, None), "nobody knows where to go on");
        front.claimed(MUCH, &jobs(&[(0, 8)]), false);
        front.claimed(MUCH, &[], false);
        assert_eq!(front.place(), Some(Place { priority: 0, after: 8 }));
        assert!(front.rest().is_some_and(|rest| rest <= LONGEST && rest > MUCH));
    }
}
