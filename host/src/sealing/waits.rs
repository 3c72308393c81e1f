//! Jobs that were put back because this host does not have their key: another host may have it, or
//! this one may get it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pgq_job::JobId;

/// Jobs that are remembered. One that is forgotten waits anew.
const MOST: usize = 1 << 16;
/// A job that did not come back for so long was run by another host meanwhile.
const FORGOTTEN: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Default)]
pub(super) struct Waits(HashMap<JobId, Wait>);

#[derive(Debug, Clone, Copy)]
struct Wait {
    first: Instant,
    last: Instant,
    turns: u32,
}

impl Waits {
    /// How often this job came before; `None`, and it is forgotten, once it has waited for so long.
    pub(super) fn turn(&mut self, job: JobId, now: Instant, most: Duration) -> Option<u32> {
        if self.0.len() >= MOST && !self.0.contains_key(&job) {
            self.0.retain(|_, wait| now.duration_since(wait.last) < FORGOTTEN);
            let any = self.0.keys().next().copied().filter(|_| self.0.len() >= MOST);
            any.map(|any| self.0.remove(&any));
        }
        let new = Wait { first: now, last: now, turns: 0 };
        let wait = self.0.entry(job).or_insert(new);
        if now.duration_since(wait.last) >= FORGOTTEN.max(most) {
            *wait = new;
        }
        if now.duration_since(wait.first) >= most {
            self.0.remove(&job);
            return None;
        }
        wait.last = now;
        let turn = wait.turns;
        wait.turns += 1;
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST_WAIT: Duration = Duration::from_secs(60);

    #[test]
    fn a_job_waits_for_so_long_and_then_no_longer() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let mut turn = |after| waits.turn(1, start + Duration::from_secs(after), MOST_WAIT);
        assert_eq!([turn(0), turn(1), turn(59)], [Some(0), Some(1), Some(2)]);
        assert_eq!(turn(60), None);
        assert_eq!(turn(61), Some(0), "it was put back by hand");
        assert_eq!(turn(61 + 600), Some(0), "another host had it meanwhile");
        assert_eq!(Waits::default().turn(1, start, Duration::ZERO), None);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        for job in 0..=MOST {
            assert_eq!(waits.turn(i64::try_from(job).expect("small"), start, MOST_WAIT), Some(0));
        }
        assert_eq!(waits.0.len(), MOST);
    }
}
