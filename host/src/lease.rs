//! The leases of the jobs that this host holds: from the claim until the outcome is written.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::job::{Claim, JobId};
use crate::meter;
use crate::queue::Queue;
use crate::wasm::Control;

/// Ids in one heartbeat statement.
const CHUNK: usize = 5_000;

/// A held job: which claim of it, its word to the run, and when its lease was last renewed.
#[derive(Debug)]
struct Held {
    claim: Claim,
    control: Arc<Control>,
    renewed: Instant,
}

/// All held jobs. The worker adds at a claim, the recorder removes when the outcome is written.
#[derive(Debug, Default)]
pub struct Leases {
    held: Mutex<HashMap<JobId, Held>>,
    released: Notify,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job was claimed. The control is how it can be stopped.
    pub fn hold(&self, claim: Claim) -> Arc<Control> {
        let control = Arc::new(Control::default());
        self.lock().insert(claim.id, Held { claim, control: Arc::clone(&control), renewed: Instant::now() });
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

    /// How many are held.
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

    fn due(&self, age: Duration) -> Vec<JobId> {
        self.lock().iter().filter(|(_, held)| held.renewed.elapsed() >= age).map(|(id, _)| *id).collect()
    }

    fn renewed(&self, ids: &[JobId], at: Instant) {
        let mut held = self.lock();
        for id in ids {
            if let Some(held) = held.get_mut(id) {
                held.renewed = at;
            }
        }
    }
}

/// Renew leases when half of one is over, until `stop`. Jobs that end sooner, nearly all of them, never cost a statement.
pub async fn keep(leases: Arc<Leases>, queue: Queue, lease: Duration, stop: CancellationToken) {
    // Two looks per half lease: at the latest, a job is a quarter older than half its lease when it is renewed.
    let period = lease / 8;
    while stop.run_until_cancelled(tokio::time::sleep(period)).await.is_some() {
        for ids in leases.due(lease * 3 / 8).chunks(CHUNK) {
            let asked = Instant::now();
            match meter::statement("heartbeat", queue.heartbeat(ids)).await {
                Ok(beaten) => {
                    leases.renewed(&beaten.renewed, asked);
                    let ours: HashSet<JobId> = beaten.ours.into_iter().collect();
                    let lost: Vec<JobId> = ids.iter().filter(|id| !ours.contains(id)).copied().collect();
                    // A job that was recorded in the meantime is not held any more, and stopping it does nothing.
                    leases.tell(&lost, Control::lose_lease);
                }
                Err(error) => tracing::warn!(jobs = ids.len(), error = %error, "cannot renew leases; trying again"),
            }
        }
    }
}
