//! The leases of the jobs that this host holds, from the claim until the outcome is recorded.

pub mod renewal;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::locked_batch::LockedBatch;
use pgq_engine::Control;
use pgq_job::{Claim, JobId};
use pgq_queue::boot_clock::BootInstant;

/// After so long, the server may have ended the transaction that has locked the row.
const LOCKED: Duration = Duration::from_secs(5);
const DEFAULT: Duration = Duration::from_secs(30);

/// A held job: its claim, the control of its run, and when the last renewal (or the claim) was
/// sent.
#[derive(Debug)]
struct Held {
    claim: Claim,
    control: Arc<Control>,
    renewed: BootInstant,
    /// While its row is only locked, the batch that its outcome goes to. No lease is needed then.
    locked: Option<Arc<LockedBatch>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The lease is good for a while.
    Good,
    /// The lease has to be renewed before a run begins on it.
    Stale,
    /// The job belongs to another worker, or to another claim.
    Lost,
}

/// All held jobs. The worker adds them at a claim; the recorder removes them when the outcome is
/// written.
#[derive(Debug)]
pub struct Leases {
    lease: Duration,
    held: Mutex<HashMap<JobId, Held>>,
    released: Notify,
    /// A run waits for leases to be renewed.
    wanted: Notify,
    /// Rounds of renewals so far, failed ones included.
    rounds: watch::Sender<u64>,
}

impl Default for Leases {
    fn default() -> Leases {
        Leases::new(DEFAULT)
    }
}

impl Leases {
    pub fn new(lease: Duration) -> Leases {
        Leases {
            lease,
            held: Mutex::default(),
            released: Notify::new(),
            wanted: Notify::new(),
            rounds: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Past this age a lease is renewed, and no run begins on it before that.
    fn stale(&self) -> Duration {
        self.lease * 3 / 8
    }

    /// Whether a run may begin on a lease that was claimed or renewed then.
    pub fn is_good(&self, since: BootInstant) -> bool {
        since.elapsed() < self.stale()
    }

    /// Whether a run may begin on any claim of that time, whether it is locked or marked.
    pub fn is_fresh(&self, since: BootInstant) -> bool {
        since.elapsed() < self.stale().min(LOCKED)
    }

    /// Hold a job that was claimed by a statement sent at `asked`. The lease counts from then: the
    /// database claimed it later, and the answer may have taken long. Returns the control of its
    /// run. A claim that is held already, because its payload was read, stays as it is.
    pub fn hold(&self, claim: Claim, asked: BootInstant) -> Arc<Control> {
        let mut held = self.lock();
        if let Some(held) = held.get(&claim.id).filter(|held| held.claim == claim) {
            return Arc::clone(&held.control);
        }
        let control = Arc::new(Control::default());
        insert(&mut held, Held { claim, control: Arc::clone(&control), renewed: asked, locked: None });
        control
    }

    /// Hold a job whose row is locked, and not marked yet.
    pub fn hold_locked(&self, claim: Claim, asked: BootInstant, batch: &Arc<LockedBatch>) {
        let locked = Some(Arc::clone(batch));
        insert(&mut self.lock(), Held { claim, control: Arc::default(), renewed: asked, locked });
    }

    /// The batch that the outcome of this claim goes to, if its row is only locked.
    pub fn locked(&self, claim: Claim) -> Option<Arc<LockedBatch>> {
        self.lock().get(&claim.id).filter(|held| held.claim == claim)?.locked.clone()
    }

    /// These are marked, by a statement sent at `asked`: leases like any other from now on.
    pub fn mark(&self, claims: &[Claim], asked: BootInstant) {
        self.unlock(claims, |held| held.renewed = asked);
    }

    /// Nobody knows whether these are marked. The next renewal finds out; until then no run begins.
    pub fn doubt(&self, claims: &[Claim]) {
        let stale = BootInstant::now() - self.stale();
        self.unlock(claims, |held| held.renewed = stale);
    }

    fn unlock(&self, claims: &[Claim], change: impl Fn(&mut Held)) {
        let mut held = self.lock();
        for claim in claims {
            if let Some(held) = held.get_mut(&claim.id).filter(|held| held.claim == *claim) {
                held.locked = None;
                change(held);
            }
        }
    }

    /// Stop holding these claims: their outcomes are written, or are not ours to write.
    pub fn release(&self, claims: impl IntoIterator<Item = Claim>) {
        let mut held = self.lock();
        for claim in claims {
            // A job that went back into the queue may be here again already, under a new claim.
            if held.get(&claim.id).is_some_and(|held| held.claim == claim) {
                held.remove(&claim.id);
            }
        }
        self.released.notify_one();
    }

    /// Resolves when a job was released since the last call. There is one waiter, the worker.
    pub async fn released(&self) {
        self.released.notified().await;
    }

    pub fn ids(&self) -> Vec<JobId> {
        self.lock().keys().copied().collect()
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Call `word` with the control of each of these jobs that is held.
    pub fn tell(&self, ids: &[JobId], word: impl Fn(&Control)) {
        let held = self.lock();
        ids.iter().filter_map(|id| held.get(id)).for_each(|held| word(&held.control));
    }

    /// Call `word` with the control of every held job.
    pub fn tell_all(&self, word: impl Fn(&Control)) {
        self.lock().values().for_each(|held| word(&held.control));
    }

    /// How this claim stands.
    pub fn standing(&self, claim: Claim) -> Standing {
        match self.lock().get(&claim.id).filter(|held| held.claim == claim) {
            None => Standing::Lost,
            Some(held) if held.control.is_lease_lost() => Standing::Lost,
            // Its transaction decides, by marking it or by failing.
            Some(held) if held.locked.is_some() => match held.renewed.elapsed() < LOCKED {
                true => Standing::Good,
                false => Standing::Stale,
            },
            Some(held) if self.is_good(held.renewed) => Standing::Good,
            Some(_) => Standing::Stale,
        }
    }

    /// Renew those of these claims that are stale. Returns once each of them is good or lost, or at
    /// `stop`.
    pub async fn renew(&self, claims: &[Claim], stop: &CancellationToken) {
        let mut rounds = self.rounds.subscribe();
        while claims.iter().any(|claim| self.standing(*claim) == Standing::Stale) {
            self.wanted.notify_one();
            let round = stop.run_until_cancelled(rounds.changed()).await;
            if !matches!(round, Some(Ok(()))) {
                return;
            }
        }
    }

    fn due(&self) -> Vec<Claim> {
        let (held, stale) = (self.lock(), self.stale());
        let due = |held: &&Held| held.locked.is_none() && held.renewed.elapsed() >= stale;
        held.values().filter(due).map(|held| held.claim).collect()
    }

    /// Take in what a renewal of these claims found.
    fn beaten(&self, claims: &[Claim], renewed: &HashSet<JobId>, ours: &HashSet<JobId>, asked: BootInstant) {
        let mut held = self.lock();
        for claim in claims {
            // A job that was recorded meanwhile is not held any more, or is held under a new claim.
            // The answer says nothing about that.
            match held.get_mut(&claim.id).filter(|held| held.claim == *claim) {
                Some(held) if renewed.contains(&claim.id) => held.renewed = asked,
                Some(held) if !ours.contains(&claim.id) => held.control.lose_lease(),
                _ => {}
            }
        }
    }
}

fn insert(held: &mut HashMap<JobId, Held>, new: Held) {
    if let Some(before) = held.insert(new.claim.id, new) {
        // The database gave the job to us again, so the claim before is over.
        before.control.lose_lease();
        if let Some(batch) = before.locked {
            batch.drop_out(before.claim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(8);

    fn claim(id: JobId, at: i64) -> Claim {
        Claim { id, at: chrono::DateTime::from_timestamp(at, 0).expect("a time") }
    }

    #[test]
    fn a_lease_counts_from_the_asking() {
        let leases = Leases::new(LEASE);
        let now = BootInstant::now();
        leases.hold(claim(1, 1), now);
        leases.hold(claim(2, 1), now - Duration::from_secs(3));
        assert_eq!((leases.standing(claim(1, 1)), leases.standing(claim(2, 1))), (Standing::Good, Standing::Stale));
        assert_eq!(leases.due(), [claim(2, 1)]);
        leases.beaten(&leases.due(), &HashSet::from([2]), &HashSet::from([2]), now);
        assert_eq!(leases.standing(claim(2, 1)), Standing::Good);
    }

    #[test]
    fn what_is_held_under_another_claim_is_lost_and_only_that() {
        let leases = Leases::new(LEASE);
        let now = BootInstant::now();
        let first = leases.hold(claim(1, 1), now);
        let second = leases.hold(claim(1, 2), now);
        assert!(first.is_lease_lost() && !second.is_lease_lost());
        assert_eq!((leases.standing(claim(1, 1)), leases.standing(claim(1, 2))), (Standing::Lost, Standing::Good));
        leases.beaten(&[claim(1, 1)], &HashSet::new(), &HashSet::new(), now);
        assert_eq!(leases.standing(claim(1, 2)), Standing::Good, "the answer was about the claim before it");
        leases.beaten(&[claim(1, 2)], &HashSet::new(), &HashSet::new(), now);
        assert_eq!(leases.standing(claim(1, 2)), Standing::Lost);
    }
}
