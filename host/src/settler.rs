//! Ends the transactions in which the rows of claimed jobs are locked.
//!
//! One that has no running job left is committed with the outcomes of all of them. One that is open
//! for as long as [`bound`] is committed with the outcomes that are there; the other jobs are
//! marked, and are ordinary claims with a lease from then on.
//!
//! A transaction that fails leaves its rows as they were. They are locked once more, as far as
//! nobody has them, and what is left of the batch is written then. Whatever that does not decide is
//! left to the fence of an ordinary claim: an outcome finds no row of ours, a lease is not renewed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::capacity::Capacity;
use crate::lease::Leases;
use crate::locked_batch::{LockedBatch, bound};
use crate::meter;
use pgq_job::{Claim, JobId};
use pgq_queue::boot_clock::BootInstant;
use pgq_queue::told::Told as _;
use pgq_queue::{LockedClaim, LockedRow, Queue, Record, Remedy, Settled};

/// A batch with more bytes of outputs and follow-ups is left to the recorder, which writes in pieces.
const MOST_BYTES: usize = 1 << 20;
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// The database has refused to mark these jobs so often: they run again.
const MOST_REFUSED: u32 = 3;

/// Where the claim loop brings its batches.
#[derive(Debug, Clone)]
pub struct Batches {
    most: usize,
    bound: Duration,
    places: Arc<Semaphore>,
    /// Batches whose locks were lost, and are sought again.
    troubled: Arc<AtomicUsize>,
    new: mpsc::UnboundedSender<NewBatch>,
}

/// A place for one more open transaction, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct NewBatch {
    claim: LockedClaim,
    batch: Arc<LockedBatch>,
    until: Instant,
    place: Place,
}

impl Batches {
    /// A place, if there is one now.
    pub fn place(&self) -> Option<Place> {
        Arc::clone(&self.places).try_acquire_owned().ok().map(|permit| Place { _permit: permit })
    }

    /// Whether any transaction may be open.
    pub fn are_allowed(&self) -> bool {
        self.most > 0
    }

    /// Whether no transaction is open.
    pub fn are_empty(&self) -> bool {
        self.places.available_permits() == self.most
    }

    /// Whether there is a place now, and no batch has lost its locks.
    pub fn are_open(&self) -> bool {
        self.places.available_permits() > 0 && !self.are_troubled()
    }

    /// Whether a batch has lost its locks and seeks them again: what is due may be its.
    pub fn are_troubled(&self) -> bool {
        self.troubled.load(Ordering::Acquire) > 0
    }

    /// Hold the jobs of this claim, whose statement was sent at `asked`.
    pub fn begin(&self, claim: LockedClaim, place: Place, leases: &Leases, asked: BootInstant) {
        let batch = Arc::new(LockedBatch::new(claim.rows.iter().map(|row| row.claim)));
        for row in &claim.rows {
            leases.hold_locked(row.claim, asked, &batch);
        }
        // Never closed before the claim loop has ended: if it were, the locks would be let go, and
        // the host would end for a task that did.
        let _ = self.new.send(NewBatch { claim, batch, until: Instant::now() + self.bound, place });
    }
}

/// The one task that ends these transactions.
pub struct Settler {
    queue: Queue,
    leases: Arc<Leases>,
    capacity: Arc<Capacity>,
    /// To the recorder.
    records: mpsc::Sender<Record>,
    troubled: Arc<AtomicUsize>,
    new: mpsc::UnboundedReceiver<NewBatch>,
}

impl Settler {
    pub fn new(
        queue: Queue,
        leases: Arc<Leases>,
        capacity: Arc<Capacity>,
        records: mpsc::Sender<Record>,
    ) -> (Settler, Batches) {
        let (sender, new) = mpsc::unbounded_channel();
        let (most, troubled) = (queue.locked_claims(), Arc::new(AtomicUsize::new(0)));
        let places = Arc::new(Semaphore::new(most));
        let batches = Batches { most, bound: bound(), places, troubled: Arc::clone(&troubled), new: sender };
        (Settler { queue, leases, capacity, records, troubled, new }, batches)
    }

    /// Until the claim loop has ended and all of its batches are settled, or until `give_up`.
    pub async fn run(self, give_up: CancellationToken) {
        let Settler { queue, leases, capacity, records, troubled, mut new } = self;
        let (queue, leases, capacity, records, troubled) = (&queue, &leases, &capacity, &records, &*troubled);
        let mut open = FuturesUnordered::new();
        let work = async {
            loop {
                tokio::select! {
                    Some(batch) = new.recv() => open.push(async move {
                        let NewBatch { claim, batch, until, place } = batch;
                        let _ = tokio::time::timeout_at(until, batch.all_ended()).await;
                        Settling { queue, leases, records, batch: &batch, troubled }.run(claim).await;
                        drop(place);
                        // There is room for the next.
                        capacity.notify();
                    }),
                    Some(()) = open.next() => {}
                    else => return,
                }
            }
        };
        if give_up.run_until_cancelled(work).await.is_none() {
            tracing::error!("outcomes of locked jobs could not be written in time; these jobs run again");
        }
    }
}

/// The end of one transaction.
struct Settling<'s> {
    queue: &'s Queue,
    leases: &'s Leases,
    records: &'s mpsc::Sender<Record>,
    batch: &'s LockedBatch,
    troubled: &'s AtomicUsize,
}

impl Settling<'_> {
    async fn run(&self, claim: LockedClaim) {
        let (ended, running) = self.batch.settle();
        let bytes: usize = ended.iter().map(|record| record.disposition.bytes()).sum();
        let is_quick = |record: &Record| bytes <= MOST_BYTES && !record.may_wait();
        let (here, later) = ended.into_iter().partition(is_quick);
        let mut left = Left { rows: claim.rows.clone(), here, running, later: Vec::new() };
        left.leave(later);
        let asked = BootInstant::now();
        let settled = match meter::settle(self.queue.settle(claim, &left.here, &left.running)).await {
            Ok(settled) => settled,
            Err(error) => {
                // This host would only take them from itself.
                self.troubled.fetch_add(1, Ordering::AcqRel);
                let settled = self.again(&mut left, error).await;
                self.troubled.fetch_sub(1, Ordering::AcqRel);
                settled
            }
        };
        meter::locked(settled.recorded.len(), settled.marked.len());
        let recorded: HashSet<JobId> = settled.recorded.iter().copied().collect();
        let marked: HashSet<JobId> = settled.marked.iter().copied().collect();
        let (done, undone): (Vec<Record>, Vec<Record>) =
            left.here.into_iter().partition(|record| recorded.contains(&record.claim.id));
        let claims = left.running.into_iter().chain(undone.iter().map(|record| record.claim));
        let (good, doubtful): (Vec<Claim>, Vec<Claim>) = claims.partition(|claim| marked.contains(&claim.id));
        Record::trace_recorded(&done, &settled.recorded);
        self.leases.release(done.iter().map(|record| record.claim));
        self.leases.mark(&good, asked);
        self.leases.doubt(&doubtful);
        // Memory that outputs take is given back before anybody waits.
        drop(done);
        let late = self.batch.settled();
        for record in undone.into_iter().chain(left.later).chain(late) {
            // Fails only when the host ends without it.
            let _ = self.records.send(record).await;
        }
    }

    /// Lock the rows again that nobody has taken, and write what there is to write.
    async fn again(&self, left: &mut Left, error: sqlx::Error) -> Settled {
        let (mut retry, mut refused, mut error) = (FIRST_RETRY, 0, error);
        tracing::warn!(jobs = left.rows.len(), error = %error.told(), "a transaction with locked jobs failed; trying again");
        loop {
            match Remedy::of(&error) {
                // One of these outcomes is refused, by a rule of somebody's own. The recorder finds out
                // which.
                Remedy::Isolate if !left.here.is_empty() => {
                    let here = std::mem::take(&mut left.here);
                    left.leave(here);
                }
                Remedy::Isolate if refused == MOST_REFUSED => return Settled::default(),
                remedy => {
                    refused += u32::from(remedy == Remedy::Isolate);
                    self.queue.access().pause(retry.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    retry = (retry * 2).min(LAST_RETRY);
                }
            }
            match self.once_more(left).await {
                Ok(settled) => {
                    let lost = left.rows.len() - settled.recorded.len() - settled.marked.len();
                    if lost > 0 {
                        meter::leases_lost("lock", lost);
                        tracing::info!(
                            jobs = lost,
                            "the locks on these jobs were lost, and others have them or they are done; nothing of these runs is recorded here"
                        );
                    }
                    return settled;
                }
                Err(again) => {
                    tracing::debug!(jobs = left.rows.len(), error = %again.told(), retry_in_ms = retry.as_millis(), "cannot lock the rows again; trying again");
                    error = again;
                }
            }
        }
    }

    async fn once_more(&self, left: &Left) -> sqlx::Result<Settled> {
        let claim = self.queue.relock(&left.rows).await?;
        let ours: HashSet<Claim> = claim.rows.iter().map(|row| row.claim).collect();
        let here: Vec<Record> = left.here.iter().filter(|record| ours.contains(&record.claim)).cloned().collect();
        let running: Vec<Claim> = left.running.iter().filter(|claim| ours.contains(claim)).copied().collect();
        self.queue.settle(claim, &here, &running).await
    }
}

/// What is left to be written of a batch.
struct Left {
    rows: Vec<LockedRow>,
    /// Outcomes for this transaction.
    here: Vec<Record>,
    /// Jobs to mark.
    running: Vec<Claim>,
    /// Outcomes for the recorder, whose jobs are marked as well.
    later: Vec<Record>,
}

impl Left {
    /// Leave these outcomes to the recorder.
    fn leave(&mut self, records: Vec<Record>) {
        self.running.extend(records.iter().map(|record| record.claim));
        self.later.extend(records);
    }
}
