//! Where in the queue the last claim ended. Finished jobs leave dead entries at the front of the
//! queue's index until vacuum removes them, and vacuum has to wait for every transaction that is
//! older. A claim that scans from the front reads them all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pgq_job::{Job, JobId};

/// After a full scan that took T, claims resume from the cursor for 19 T, so that full scans take
/// at most 5 % of the time. A job that came to stand before the cursor meanwhile (a retry, a higher
/// priority) waits for as long.
const SHARE: u32 = 19;
/// The longest that claims resume from the cursor, whatever a full scan costs.
const LONGEST: Duration = Duration::from_secs(30);
/// A full scan that takes less is repeated whenever there is room for more jobs than stand after
/// the cursor.
const CHEAP: Duration = Duration::from_millis(50);
/// How long claims from the cursor look at rows with a mark of a lock, once a full scan has found
/// such rows to be free. Usually only killed hosts leave marks, on some hundred rows. A transaction
/// that was rolled back may have left them on all, and each claim would pass over all of them.
const LOOKS_AT_LOCKED: Duration = Duration::from_secs(60);

/// A position in the order of claims: jobs of this priority, after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) priority: i32,
    pub(super) after: JobId,
}

impl Position {
    /// Whether a claim that begins here comes across this job.
    fn is_before(self, job: &Job) -> bool {
        job.priority == self.priority && job.id > self.after
    }

    fn last_of(jobs: &[Job]) -> Option<Position> {
        let priority = jobs.iter().map(|job| job.priority).min()?;
        let after = jobs.iter().filter(|job| job.priority == priority).map(|job| job.id).max()?;
        Some(Position { priority, after })
    }
}

/// What a worker remembers between its claims.
#[derive(Debug, Default)]
pub(super) struct ClaimCursor {
    resume: Mutex<Option<Resume>>,
    looks_at_locked_until: Mutex<Option<Instant>>,
}

/// What the last full scan found.
#[derive(Debug, Clone, Copy)]
struct Resume {
    position: Position,
    /// When the next full scan is due.
    until: Instant,
    was_cheap: bool,
    was_full: bool,
}

impl ClaimCursor {
    fn lock(&self) -> MutexGuard<'_, Option<Resume>> {
        self.resume.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looks_at_locked_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.looks_at_locked_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether claims from the cursor look at rows that somebody has locked, now or before.
    pub(super) fn looks_at_locked(&self) -> bool {
        self.looks_at_locked_until().is_some_and(|until| Instant::now() < until)
    }

    /// A claim from this position found nothing, and then a full scan as much as was asked for.
    pub(super) fn found_nothing(&self, position: Position, found: &[Job]) {
        if found.iter().any(|job| position.is_before(job)) {
            *self.looks_at_locked_until() = Some(Instant::now() + LOOKS_AT_LOCKED);
        }
    }

    /// Where to resume; `None`: a full scan is due.
    pub(super) fn position(&self) -> Option<Position> {
        self.lock().filter(|resume| Instant::now() < resume.until).map(|resume| resume.position)
    }

    /// Whether the last full scan found as many jobs as were asked for.
    pub(super) fn last_was_full(&self) -> bool {
        self.lock().is_some_and(|resume| resume.was_full)
    }

    /// How long to wait before a full scan, where the last one was expensive.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let resume = self.lock().filter(|resume| !resume.was_cheap)?;
        Some(resume.until.saturating_duration_since(Instant::now())).filter(|wait| !wait.is_zero())
    }

    /// Have the next claim begin at the front, unless that is expensive.
    pub(super) fn forget(&self) {
        let mut resume = self.lock();
        *resume = resume.filter(|resume| !resume.was_cheap);
    }

    /// A full scan took this long and found these jobs. `full`: as many as were asked for.
    pub(super) fn scanned(&self, took: Duration, jobs: &[Job], full: bool) {
        let (mut resume, was_cheap) = (self.lock(), took < CHEAP);
        let known = resume.map(|resume| resume.position);
        let position = Position::last_of(jobs).or(known).filter(|_| full || !was_cheap);
        let until = Instant::now() + (took * SHARE).min(LONGEST);
        *resume = position.map(|position| Resume { position, until, was_cheap, was_full: full });
    }

    /// A claim that resumed from the cursor found these jobs.
    pub(super) fn advance(&self, jobs: &[Job]) {
        if let (Some(last), Some(resume)) = (Position::last_of(jobs), &mut *self.lock()) {
            resume.position = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use pgq_job::Claim;

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
    fn claims_resume_after_a_cheap_scan_while_it_finds_all_that_was_asked_for() {
        let cursor = ClaimCursor::default();
        cursor.scanned(SOME, &jobs(&[(5, 9), (5, 7), (0, 3), (0, 8)]), true);
        assert_eq!(
            (cursor.position(), cursor.retry_after(), cursor.last_was_full()),
            (Some(Position { priority: 0, after: 8 }), None, true)
        );
        cursor.advance(&jobs(&[(0, 12)]));
        assert_eq!(cursor.position(), Some(Position { priority: 0, after: 12 }));
        cursor.scanned(SOME, &jobs(&[(0, 13)]), false);
        assert_eq!(
            (cursor.position(), cursor.last_was_full()),
            (None, false),
            "nothing is left that a scan could miss"
        );
        cursor.scanned(SOME, &jobs(&[(0, 14)]), true);
        cursor.forget();
        assert_eq!(cursor.position(), None);
    }

    #[test]
    fn claims_look_at_rows_with_marks_of_locks_once_such_rows_were_free() {
        let cursor = ClaimCursor::default();
        let position = Position { priority: 0, after: 8 };
        cursor.found_nothing(position, &jobs(&[(5, 9), (0, 7)]));
        assert!(!cursor.looks_at_locked(), "these stand before the cursor");
        cursor.found_nothing(position, &jobs(&[(0, 7), (0, 9)]));
        assert!(cursor.looks_at_locked());
    }

    #[test]
    fn an_expensive_scan_is_not_repeated_at_once_even_if_it_found_nothing() {
        let cursor = ClaimCursor::default();
        cursor.scanned(MUCH, &[], false);
        assert_eq!((cursor.position(), cursor.retry_after()), (None, None), "nobody knows where to resume");
        cursor.scanned(MUCH, &jobs(&[(0, 8)]), false);
        cursor.scanned(MUCH, &[], false);
        cursor.forget();
        assert_eq!(cursor.position(), Some(Position { priority: 0, after: 8 }));
        assert!(cursor.retry_after().is_some_and(|wait| wait <= LONGEST && wait > MUCH));
    }
}
