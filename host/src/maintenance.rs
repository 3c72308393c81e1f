//! Periodic work: putting jobs of lost workers back, counting the log into PgQueuer's statistics, and dropping old attempts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lease::{self, Leases};
use crate::plugins::{PluginSet, Served};
use pgq_queue::told::Told as _;
use pgq_queue::{Counted, Queue, RescueRule, Rescued};

/// Which version ran an attempt is known for so long.
const ATTEMPTS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
const PRUNE_PERIOD: Duration = Duration::from_secs(6 * 3600);

/// No host that lives takes longer to renew its leases once it can, beside a renewal that hangs: its tries are a second apart, and those of its
/// connections a little more.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_secs(1);

/// What this host wrote stands in the statistics so soon, whatever the interval: readers of PgQueuer's count the rest, but not this.
const TALLY_INTERVAL: Duration = Duration::from_secs(1);
/// Log rows counted in one statement: a backlog is worked off in bounded transactions. Each finds its rows behind those that were counted since
/// vacuum could last clear them away, which beside a transaction that is left open are all since that began: so where there are many rows, the
/// statements grow.
const AGGREGATE_LEAST: usize = 10_000;
const AGGREGATE_MOST: usize = 200_000;
const AGGREGATE_GROWTH: usize = 4;
/// A log that had nothing to count is looked at half as often, and again, down to an eighth: until this host has written something.
const AGGREGATE_RARELY: u32 = 8;

/// How lost jobs are looked for.
#[derive(Debug, Clone)]
pub struct Rescue {
    pub plugins: watch::Receiver<Arc<PluginSet>>,
    pub lease: Duration,
    /// Workers that a job may end while it runs alone.
    pub max_crashes: u32,
}

/// Look for lost jobs at the start and then twice per lease, each host at its own pace, until `stop`.
pub async fn rescue(queue: Queue, leases: Arc<Leases>, how: Rescue, stop: CancellationToken) {
    loop {
        let period = (how.lease / 2).mul_f64(0.75 + fastrand::f64() / 2.0);
        let wait = match look(&queue, &leases, &how).await {
            Ok(wait) => wait.unwrap_or(period),
            Err(error) => {
                tracing::warn!(error = %error.told(), "cannot look for lost jobs; trying again");
                period
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
    }
}

/// Put back what is lost. If there may be something, and it is too early to tell, says when it will not be.
///
/// Leases that are over prove nothing to somebody who was cut off himself: others were, too, perhaps, and are about to renew theirs. So this
/// host judges once its own way to the database was good for a whole lease, and for as long as the others may take to try again. A lease
/// that is over has a little more time, for an interruption that was too short for this host to see.
async fn look(queue: &Queue, leases: &Leases, how: &Rescue) -> sqlx::Result<Option<Duration>> {
    let rules = how.rules();
    if rules.is_empty() {
        return Ok(None);
    }
    let overdue = how.lease + how.lease / 8 + MOMENT;
    let found = queue.any_lost(&rules, overdue, &leases.ids()).await?;
    if let Some(jumped) = found.clock_jumped_ms {
        tracing::warn!(
            seconds = jumped / 1000,
            "the server's clock jumped, or the server stood still: no lease is judged before all can have been renewed"
        );
    }
    if !found.any {
        return Ok(None);
    }
    let good_for = queue.access().unbroken().unwrap_or_default().min(found.server_up);
    let needed = how.lease + lease::renewal_timeout(how.lease) + LONGEST_RETRY;
    if good_for < needed {
        tracing::debug!(
            good_for_ms = good_for.as_millis(),
            needed_ms = needed.as_millis(),
            "leases are over; too early to tell whether their workers are lost"
        );
        // Not for longer than between two looks: an access that nothing is known of for a while counts as broken.
        return Ok(Some((needed - good_for).max(MOMENT).min(how.lease / 2)));
    }
    queue.rescue(&rules, overdue, found.clock_ms, &leases.ids()).await?.iter().for_each(report);
    Ok(None)
}

/// Put the jobs back of workers whose sessions have all ended, as they come, until `stop`. Should that fail, their leases are left.
pub async fn rescue_from(queue: Queue, mut lost: mpsc::Receiver<Uuid>, how: Rescue, stop: CancellationToken) {
    while let Some(Some(worker)) = stop.run_until_cancelled(lost.recv()).await {
        let rules = how.rules();
        if let Err(error) = rescue_all_from(&queue, worker, &rules).await {
            tracing::warn!(%worker, error = %error.told(), "cannot put the jobs of a lost worker back; they wait for the end of their leases");
        }
    }
    // Where nobody watches, none will come.
    stop.cancelled().await;
}

async fn rescue_all_from(queue: &Queue, worker: Uuid, rules: &[RescueRule]) -> sqlx::Result<()> {
    let mut jobs = 0;
    loop {
        let rescued = queue.rescue_from(worker, rules).await?;
        rescued.iter().for_each(report);
        jobs += rescued.len();
        if rescued.is_empty() {
            break;
        }
    }
    if jobs > 0 {
        tracing::warn!(%worker, jobs, "the sessions of a worker ended; its jobs are queued again");
    }
    queue.forget(worker).await
}

fn report(job: &Rescued) {
    tracing::warn!(job.id = job.id, job.entrypoint = job.entrypoint, status = job.status, "its worker was lost");
}

/// Count the log into the statistics, at every interval, until `stop`; and what this host itself wrote a second after it did, and once more
/// at the end. One host of all that share the queue does it at a time. An interval of zero leaves the log to others, but not what hosts
/// alone know of. An idle host counts nothing but the log, and that seldom.
pub async fn aggregate(queue: Queue, interval: Duration, stop: CancellationToken) {
    let next = |rarely: u32| (!interval.is_zero()).then(|| Instant::now() + (interval * rarely).mul_f64(0.75 + fastrand::f64() / 2.0));
    let (mut log_at, mut tally_at, mut rows, mut rarely) = (next(1), None, AGGREGATE_LEAST, 1);
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = queue.tallied(), if tally_at.is_none() => {
                tally_at = Some(Instant::now() + TALLY_INTERVAL);
                if rarely > 1 {
                    (rarely, log_at) = (1, next(1));
                }
            }
            () = until(tally_at) => tally_at = (!count(&queue, &mut 0).await.turn).then(|| Instant::now() + TALLY_INTERVAL),
            () = until(log_at) => {
                rarely = match count(&queue, &mut rows).await {
                    counted if !counted.is_nothing() => 1,
                    counted if counted.turn => (rarely * 2).min(AGGREGATE_RARELY),
                    _ => rarely,
                };
                log_at = next(rarely);
            }
        }
    }
    // At a stop the log's backlog is the next worker's; the tally is short.
    count(&queue, &mut 0).await;
}

/// All that is there, so many rows of the log at a time, more of them when that was too few and fewer when it was too many. What was
/// counted by that; not in our turn if it was another host's, or could not be done.
async fn count(queue: &Queue, log_rows: &mut usize) -> Counted {
    let mut sum = Counted { turn: false, logged: 0, tallied: 0 };
    loop {
        match queue.aggregate(*log_rows, AGGREGATE_LEAST).await {
            Ok(counted) => {
                sum = Counted { turn: counted.turn, logged: sum.logged + counted.logged, tallied: sum.tallied + counted.tallied };
                if *log_rows > 0 && counted.logged == *log_rows {
                    *log_rows = (*log_rows * AGGREGATE_GROWTH).min(AGGREGATE_MOST);
                } else if counted.tallied < AGGREGATE_LEAST {
                    if counted.logged < *log_rows / AGGREGATE_GROWTH {
                        *log_rows = (*log_rows / AGGREGATE_GROWTH).max(AGGREGATE_LEAST);
                    }
                    return sum;
                }
            }
            Err(error) => {
                *log_rows = (*log_rows).min(AGGREGATE_LEAST);
                tracing::warn!(error = %error.told(), "cannot count the log into the statistics; trying again");
                return Counted { turn: false, ..sum };
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Drop old attempts, and what is known of suspects that are gone, now and then, until `stop`.
pub async fn prune(queue: Queue, stop: CancellationToken) {
    loop {
        let pause = PRUNE_PERIOD.mul_f64(0.5 + fastrand::f64());
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        match queue.prune_attempts(ATTEMPTS_KEPT).await {
            Ok(0) => {}
            Ok(pruned) => tracing::debug!(pruned, "old attempts dropped"),
            Err(error) => tracing::warn!(error = %error.told(), "cannot drop old attempts; trying again"),
        }
        match queue.prune_suspects().await {
            Ok(0) => {}
            Ok(pruned) => tracing::debug!(pruned, "suspects dropped whose jobs are gone"),
            Err(error) => tracing::warn!(error = %error.told(), "cannot drop suspects whose jobs are gone; trying again"),
        }
    }
}

impl Rescue {
    /// What the current plugins say.
    fn rules(&self) -> Vec<RescueRule> {
        let rule = |served: &Served| RescueRule {
            entrypoint: served.entrypoint.to_string(),
            max_attempts: served.options.max_attempts,
            max_crashes: self.max_crashes,
            on_failure: served.options.on_failure,
        };
        self.plugins.borrow().served().map(rule).collect()
    }
}
