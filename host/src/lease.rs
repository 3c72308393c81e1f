//! The leases of the jobs that this host holds: from the claim until the outcome is written.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::meter;
use pgq_engine::Control;
use pgq_job::{Claim, JobId};
use pgq_queue::Queue;
use pgq_queue::boot_clock::BootInstant;
use pgq_queue::told::Told as _;

/// Ids in one heartbeat statement.
const CHUNK: usize = 5_000;
/// Between two tries while the database is away, unless it is heard of before. Others wait for five seconds longer than a lease before they
/// judge what they find when it is back.
const RETRY: Duration = Duration::from_secs(1);
/// Between two rounds that somebody waits for: a row that was locked may be free then.
const AGAIN: Duration = Duration::from_millis(50);
/// Where nobody says how long a lease is.
const DEFAULT: Duration = Duration::from_secs(30);

/// A held job: which claim of it, its word to the run, and when its lease was last renewed, or asked for.
#[derive(Debug)]
struct Held {
    claim: Claim,
    control: Arc<Control>,
    renewed: BootInstant,
}

/// How long a renewal may take before it is tried on another connection: the lease has room for two that hang.
pub fn renewal_timeout(lease: Duration) -> Duration {
    (lease / 4).clamp(Duration::from_secs(1), Duration::from_secs(10))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its lease is good for a while.
    Good,
    /// It has to be renewed before anything begins on it.
    Stale,
    /// It is over: another worker's, or another claim's.
    Lost,
}

/// All held jobs. The worker adds at a claim, the recorder removes when the outcome is written.
#[derive(Debug)]
pub struct Leases {
    lease: Duration,
    held: Mutex<HashMap<JobId, Held>>,
    released: Notify,
    /// Somebody waits for leases to be renewed.
    wanted: Notify,
    /// Counts rounds of renewals, those that failed included.
    rounds: watch::Sender<u64>,
}

impl Default for Leases {
    fn default() -> Leases {
        Leases::new(DEFAULT)
    }
}

impl Leases {
    pub fn new(lease: Duration) -> Leases {
        Leases { lease, held: Mutex::default(), released: Notify::new(), wanted: Notify::new(), rounds: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Past this age a lease is renewed, and nothing begins on it before it was.
    fn stale(&self) -> Duration {
        self.lease * 3 / 8
    }

    /// Whether something may begin on a lease that was asked for or renewed then.
    pub fn is_good(&self, since: BootInstant) -> bool {
        since.elapsed() < self.stale()
    }

    /// A job was claimed by a statement that was sent at `asked`. The database counts from some time after that, and the answer may have
    /// taken long. The control is how the job can be stopped. Where the claim is held already, while its payload was read, it stays as it is.
    pub fn hold(&self, claim: Claim, asked: BootInstant) -> Arc<Control> {
        let mut held = self.lock();
        if let Some(held) = held.get(&claim.id).filter(|held| held.claim == claim) {
            return Arc::clone(&held.control);
        }
        let control = Arc::new(Control::default());
        if let Some(before) = held.insert(claim.id, Held { claim, control: Arc::clone(&control), renewed: asked }) {
            // The database gave the job to us again: what we held of it before is over.
            before.control.lose_lease();
        }
        control
    }

    /// The outcomes of these claims are written, or not ours to write.
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

    /// Resolves when something was released since the last call. One waiter: the worker.
    pub async fn released(&self) {
        self.released.notified().await;
    }

    /// The ids of all that are held.
    pub fn ids(&self) -> Vec<JobId> {
        self.lock().keys().copied().collect()
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Say something to the runs of these, as far as they are held.
    pub fn tell(&self, ids: &[JobId], word: impl Fn(&Control)) {
        let held = self.lock();
        ids.iter().filter_map(|id| held.get(id)).for_each(|held| word(&held.control));
    }

    /// Say something to all runs.
    pub fn tell_all(&self, word: impl Fn(&Control)) {
        self.lock().values().for_each(|held| word(&held.control));
    }

    /// How this claim stands.
    pub fn standing(&self, claim: Claim) -> Standing {
        match self.lock().get(&claim.id).filter(|held| held.claim == claim) {
            None => Standing::Lost,
            Some(held) if held.control.is_lease_lost() => Standing::Lost,
            Some(held) if self.is_good(held.renewed) => Standing::Good,
            Some(_) => Standing::Stale,
        }
    }

    /// Have these renewed that are stale, and wait until none of them is, or `stop`. Each is good or lost then.
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
        held.values().filter(|held| held.renewed.elapsed() >= stale).map(|held| held.claim).collect()
    }

    /// What a round of these claims brought: the ids that are renewed, and those that are still ours.
    fn beaten(&self, claims: &[Claim], renewed: &HashSet<JobId>, ours: &HashSet<JobId>, asked: BootInstant) {
        let mut held = self.lock();
        for claim in claims {
            // One that was recorded in the meantime is not held any more, or under a new claim, and this says nothing of it.
            match held.get_mut(&claim.id).filter(|held| held.claim == *claim) {
                Some(held) if renewed.contains(&claim.id) => held.renewed = asked,
                Some(held) if !ours.contains(&claim.id) => held.control.lose_lease(),
                _ => {}
            }
        }
    }
}

/// Renew leases when three eighths of one are over, and when somebody waits for it, until `stop`. Jobs that end sooner, nearly all of them,
/// never cost a statement.
pub async fn keep(leases: Arc<Leases>, queue: Queue, stop: CancellationToken) {
    // At the latest, a lease is half over when it is renewed.
    let period = leases.lease / 8;
    let mut pause = period;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = queue.access().pause(pause) => {}
            () = leases.wanted.notified() => {}
        }
        pause = if round(&leases, &queue).await { period } else { period.min(RETRY) };
        leases.rounds.send_modify(|rounds| *rounds += 1);
        // Whoever is not content asks again at once.
        if stop.run_until_cancelled(tokio::time::sleep(AGAIN.min(period))).await.is_none() {
            return;
        }
    }
}

/// Renew all that is due; whether the database took part.
async fn round(leases: &Leases, queue: &Queue) -> bool {
    for claims in leases.due().chunks(CHUNK) {
        let asked = BootInstant::now();
        let renewing = tokio::time::timeout(renewal_timeout(leases.lease), queue.heartbeat(claims));
        let answer = meter::statement("heartbeat", async { renewing.await.unwrap_or_else(|_| Err(no_answer())) }).await;
        match answer {
            Ok(beaten) => leases.beaten(claims, &beaten.renewed.into_iter().collect(), &beaten.ours.into_iter().collect(), asked),
            Err(error) => {
                tracing::warn!(jobs = claims.len(), error = %error.told(), "cannot renew leases; trying again");
                queue.access().lost();
                return false;
            }
        }
    }
    true
}

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"))
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
