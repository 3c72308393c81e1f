//! The claim loop: claim as many jobs as can start, hand them to the executor, wait for a reason to
//! claim again.
//!
//! Nothing in the loop returns a `Result`: an outage of the database is a reason to wait, never one
//! to end.

mod drain;
mod handed_over;
mod prefetch;
mod settings;
mod targets;
mod turns;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::capacity::Capacity;
use crate::executor::Executor;
use crate::idle::Idle;
use crate::lease::Leases;
use crate::meter;
use crate::plugins::PluginSet;
use crate::settler::Batches;
use crate::watchdog::Watchdog;
use drain::Drain;
pub use handed_over::start_handed_over;
use pgq_queue::boot_clock::BootInstant;
use pgq_queue::{Event, History, Queue};
use prefetch::Prefetch;
pub use settings::{Ended, Mode, Settings};
use targets::Targets;
use turns::{Means, Turns};

const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Wait for locks that others hold: their batches are open for tens of milliseconds, and the rows of
/// a host that died or stands still are free within seconds. A job that becomes due meanwhile is
/// claimed after this wait.
const FIRST_CONTENDED: Duration = Duration::from_millis(20);
const LAST_CONTENDED: Duration = Duration::from_millis(250);

/// The only part of a host that claims (apart from the recorder's handover), and the only reader of
/// `events`.
pub struct Worker {
    pub queue: Queue,
    pub plugins: watch::Receiver<Arc<PluginSet>>,
    pub executor: Executor,
    pub capacity: Arc<Capacity>,
    pub leases: Arc<Leases>,
    /// Where claims go that only lock.
    pub batches: Batches,
    /// Tells what this waits for to whoever asks the database anyway.
    pub idle: Idle,
    pub events: mpsc::Receiver<Event>,
    pub settings: Settings,
    pub watchdog: Watchdog,
    pub stop: CancellationToken,
}

/// What a claim brought.
enum Look {
    /// As many as were asked for: there may be more.
    More,
    /// No job is left that could start now.
    Empty,
    Full,
    /// The jobs that are left are too large beside those that this host holds.
    Heavy,
    /// As many transactions with locked jobs are open as this host may have.
    NoTransaction,
    /// All that is left is locked by others.
    Contended,
}

impl Worker {
    /// Claim until told to stop; in drain mode, until no job is left.
    pub async fn run(mut self) -> Ended {
        let mut retry = FIRST_RETRY;
        let (mut prefetch, mut drain) = (Prefetch::new(self.settings.batch_size), Drain::default());
        let (mut turns, mut contended) = (Turns::default(), FIRST_CONTENDED);
        let (mut known, mut looked_for) = (None, (Vec::new(), Vec::new()));
        loop {
            if self.stop.is_cancelled() {
                return Ended::Stopped;
            }
            // Events that came during the claim ask for another claim, which follows anyway.
            if self.listener_is_lost() {
                return Ended::ListenerLost;
            }
            let plugins = Arc::clone(&self.plugins.borrow_and_update());
            if known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &plugins)) {
                let levels = plugins.served().map(|served| (&*served.entrypoint, served.history));
                self.queue.keep_history(History::new(levels));
                known = Some(Arc::clone(&plugins));
            }
            let targets = Targets::of(&plugins, self.batches.are_allowed() && self.queue.may_lock());
            if (&targets.locked, &targets.unlimited) != (&looked_for.0, &looked_for.1) {
                // The cursors stand where the claims of other entrypoints ended.
                self.queue.look_at_front();
                looked_for = (targets.locked.clone(), targets.unlimited.clone());
            }
            if self.settings.mode == Mode::Drain {
                drain.serves(&plugins);
            }
            prefetch.observe(self.executor.ended());
            // Ends of calls matter to trials, and to whoever waits for room and says how much.
            self.capacity.wake_at(if targets.is_held_back() { usize::MAX } else { 0 });
            let look_began = Instant::now();
            let ahead = prefetch.jobs(!targets.locked.is_empty());
            let looked = self.look(&plugins, &targets, ahead, &mut turns).await;
            if !matches!(looked, Ok(Look::Contended)) {
                contended = FIRST_CONTENDED;
            }
            let waited = match self.watchdog.observe(looked) {
                Ok(Look::More) => {
                    retry = FIRST_RETRY;
                    continue;
                }
                Ok(Look::NoTransaction) => self.wait_for_transaction().await,
                Ok(Look::Contended) => {
                    let wait = contended.mul_f64(0.5 + fastrand::f64() / 2.0);
                    contended = (contended * 2).min(LAST_CONTENDED);
                    self.wait_for(wait, std::future::pending()).await
                }
                Ok(Look::Full) => self.wait_for_room(ahead).await,
                Ok(Look::Heavy) => {
                    // A job that is small enough may come at any time.
                    let (wait, queue) = (self.settings.dequeue_timeout, self.queue.clone());
                    self.wait_for(wait, queue.lightened()).await
                }
                Ok(Look::Empty) => match self.wait_for_work(&plugins, &targets, look_began, &mut drain).await {
                    Ok(ended) => ended,
                    Err(error) => self.back_off(&mut retry, &error).await,
                },
                Err(error) => self.back_off(&mut retry, &error).await,
            };
            if let Some(ended) = waited {
                return ended;
            }
        }
    }

    /// Claim once: as many jobs as there are free places, plus those that will have one by the time
    /// the answer is there.
    async fn look(
        &self,
        plugins: &PluginSet,
        targets: &Targets,
        prefetch: usize,
        turns: &mut Turns,
    ) -> sqlx::Result<Look> {
        let (free, ahead) = self.room(prefetch);
        if free + ahead == 0 {
            return Ok(Look::Full);
        }
        if self.batches.are_troubled() {
            return Ok(Look::NoTransaction);
        }
        let (mut more, mut heavy) = (false, false);
        // A job with a limit holds one of few slots from its claim on, so it is only claimed when
        // it can start now. Entrypoints with limits go first: under load, the others would leave
        // nothing. Their limits keep them from taking everything.
        let mut left = free;
        for (limited, allowance) in &targets.limited {
            let wanted = left.min(limited.concurrency as usize).min(allowance.map_or(usize::MAX, |most| most as usize));
            if left == 0 {
                break;
            }
            if wanted == 0 {
                continue;
            }
            let asked = BootInstant::now();
            let claimed = self.watchdog.ask(meter::claim(self.queue.claim_limited(limited, wanted))).await?;
            left -= claimed.len();
            more |= claimed.len() == wanted && wanted < limited.concurrency as usize;
            more |= claimed.too_many && !claimed.is_empty();
            heavy |= claimed.too_heavy;
            self.executor.start(claimed.jobs, plugins, asked);
        }
        // Entrypoints on trial, and those that need more of the instance pool than one place, are
        // claimed one by one and never ahead.
        for (entrypoint, most) in &targets.few {
            let wanted = left.min(*most as usize);
            if wanted > 0 {
                let asked = BootInstant::now();
                let claimed = self.watchdog.ask(meter::claim(self.queue.claim_few(entrypoint, wanted))).await?;
                left -= claimed.len();
                heavy |= claimed.too_heavy;
                self.executor.start(claimed.jobs, plugins, asked);
            }
        }
        let mut wanted = (left + ahead).min(self.settings.batch_size);
        let (mut contended, mut no_transaction) = (false, false);
        for means in turns.order() {
            let entrypoints = match means {
                Means::Lock => &targets.locked,
                Means::Mark => &targets.unlimited,
            };
            if entrypoints.is_empty() {
                turns.forget(means);
                continue;
            }
            let least = turns.least(means);
            let asked = BootInstant::now();
            let claimed = match means {
                // What is left for the next turn, nobody knows.
                _ if wanted == 0 => {
                    more = true;
                    continue;
                }
                Means::Mark => {
                    let claim = self.queue.claim_from(entrypoints, wanted, least);
                    self.watchdog.ask(meter::claim(claim)).await?
                }
                Means::Lock => {
                    let Some(place) = self.batches.place() else {
                        no_transaction = true;
                        continue;
                    };
                    let lock = Box::pin(self.queue.lock(entrypoints, wanted, least));
                    let locked = self.watchdog.ask(meter::lock(lock)).await?;
                    if let Some(claim) = locked.claim {
                        self.batches.begin(claim, place, &self.leases, asked);
                    }
                    locked.claimed
                }
            };
            let is_full = claimed.len() == wanted || (claimed.too_many || claimed.more) && !claimed.is_empty();
            turns.took(means, least, claimed.iter().map(|job| job.priority), is_full);
            more |= is_full;
            heavy |= claimed.too_heavy;
            contended |= claimed.is_contended;
            wanted -= claimed.len();
            self.executor.start(claimed.jobs, plugins, asked);
        }
        Ok(match () {
            () if more => Look::More,
            () if no_transaction => Look::NoTransaction,
            () if heavy => Look::Heavy,
            () if contended => Look::Contended,
            () => Look::Empty,
        })
    }

    /// Free places, and jobs that may be claimed beyond them.
    fn room(&self, prefetch: usize) -> (usize, usize) {
        let (active, places) = (self.capacity.active(), self.capacity.max());
        if !self.executor.is_open() {
            return (0, 0);
        }
        if active < places { (places - active, prefetch) } else { (0, (places + prefetch).saturating_sub(active)) }
    }
}
