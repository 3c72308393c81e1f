//! Periodic work: rescuing jobs of lost workers, aggregating the log into PgQueuer's statistics,
//! and pruning suspects.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::idle::Idle;
use crate::lease::{Leases, renewal};
use crate::plugins::{PluginSet, Served};
use pgq_queue::told::Told as _;
use pgq_queue::{Counted, Queue, RescueRule, Rescued};
use pgq_trace::{LostTurn, Tracer};

const PRUNE_PERIOD: Duration = Duration::from_secs(6 * 3600);

/// How long a live host may take to renew its leases once the database answers again. It tries
/// every second, but one attempt may hang.
const RENEWAL_TIME: Duration = Duration::from_secs(5);
const MIN_WAIT: Duration = Duration::from_secs(1);
/// Between two scans while nobody holds a job, in leases. At three quarters, `Access` takes the
/// silence for an interruption.
const QUIET_PERIOD: f64 = 0.6;
const QUIET_JITTER: f64 = 0.06;

/// How soon the outcomes that this host recorded appear in the statistics, whatever the interval.
/// PgQueuer's readers count the rest themselves, but not these.
const TALLY_INTERVAL: Duration = Duration::from_secs(1);
/// Rows of the log per statement, so that a backlog is counted in bounded transactions. Each
/// statement has to skip the rows counted since the last vacuum, which cannot remove them while a
/// transaction is left open. So statements grow with the backlog.
const AGGREGATE_MIN_ROWS: usize = 10_000;
const AGGREGATE_MAX_ROWS: usize = 200_000;
const AGGREGATE_GROWTH: usize = 4;
/// An empty log is read a quarter as often, then an eighth, until this host has recorded something.
const AGGREGATE_IDLE_FACTOR: u32 = 4;
const AGGREGATE_MAX_IDLE_FACTOR: u32 = 8;

/// What a rescue needs to know.
#[derive(Debug, Clone)]
pub struct Rescue {
    pub plugins: watch::Receiver<Arc<PluginSet>>,
    pub lease: Duration,
    /// How many workers may be lost while a job runs alone.
    pub max_crashes: u32,
    /// Who shows lost turns in traces.
    pub tracer: Option<Tracer>,
}

/// Scan for expired leases at the start and then twice per lease, with jitter, until `stop`. While
/// this host waits and nobody holds a job, no lease can run out within less than one, and the scan
/// is a little rarer. It is the poll of a host that waits, too.
pub async fn rescue(queue: Queue, leases: Arc<Leases>, idle: Idle, how: Rescue, stop: CancellationToken) {
    loop {
        let period = (how.lease / 2).mul_f64(0.75 + fastrand::f64() / 2.0);
        let wait = match rescue_expired(&queue, &leases, &idle, &how).await {
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

/// Rescue jobs whose leases have run out. Returns when to scan again, if it is too early to judge.
///
/// Expired leases prove nothing to a host that was cut off itself: other hosts may have been, too,
/// and are about to renew theirs. So a host judges once the database has answered it without a
/// break for a whole lease, and for as long as others may take to try again. An expired lease has a
/// little more time, for an interruption that was too short for this host to see.
async fn rescue_expired(queue: &Queue, leases: &Leases, idle: &Idle, how: &Rescue) -> sqlx::Result<Option<Duration>> {
    let rules = how.rules();
    if rules.is_empty() {
        return Ok(None);
    }
    let overdue = how.lease + how.lease / 8 + MIN_WAIT;
    let question = idle.question();
    let awaited: &[Arc<str>] = question.as_ref().map_or(&[], |question| &question.entrypoints);
    let found = queue.any_lost(&rules, overdue, &leases.ids(), awaited).await?;
    if let (Some(question), Some(due)) = (&question, found.due) {
        idle.answer(question, due);
    }
    if found.held == Some(true) {
        queue.stir();
    }
    if let Some(jumped) = found.clock_jumped_ms {
        tracing::warn!(
            seconds = jumped / 1000,
            "the server's clock jumped, or the server was suspended: no lease is judged until all could have been renewed"
        );
    }
    if !found.any {
        // Shorter than a silence that counts as an interruption.
        let quiet = how.lease.mul_f64(QUIET_PERIOD + fastrand::f64() * QUIET_JITTER);
        return Ok((found.held == Some(false)).then_some(quiet));
    }
    let good_for = queue.access().unbroken().unwrap_or_default().min(found.server_up);
    let needed = how.lease + renewal::timeout(how.lease) + RENEWAL_TIME;
    if good_for < needed {
        tracing::debug!(
            good_for_ms = good_for.as_millis(),
            needed_ms = needed.as_millis(),
            "leases have expired, but it is too early to tell whether their workers are lost"
        );
        // No longer than between two scans: after a longer pause, access to the database counts as
        // interrupted.
        return Ok(Some((needed - good_for).max(MIN_WAIT).min(how.lease / 2)));
    }
    let rescued = queue.rescue(&rules, overdue, found.clock_ms, &leases.ids(), how.seed()).await?;
    rescued.iter().for_each(|job| how.report(job));
    Ok(None)
}

/// Rescue the jobs of workers whose sessions have all ended, as they are reported, until `stop`. If
/// that fails, the jobs wait until their leases expire.
pub async fn rescue_from(queue: Queue, mut lost: mpsc::Receiver<Uuid>, how: Rescue, stop: CancellationToken) {
    while let Some(Some(worker)) = stop.run_until_cancelled(lost.recv()).await {
        let rules = how.rules();
        // First, so that the next claim of whatever it held leaves a trace.
        if let Err(error) = queue.note_death(worker).await {
            tracing::warn!(%worker, error = %error.told(), "cannot note that a worker died; this host alone marks its claims for a while");
        }
        if let Err(error) = rescue_all_from(&queue, worker, &rules, &how).await {
            tracing::warn!(%worker, error = %error.told(), "cannot requeue the jobs of a lost worker; they wait until their leases expire");
        }
    }
    // Without a failure detector, nothing will be reported.
    stop.cancelled().await;
}

async fn rescue_all_from(queue: &Queue, worker: Uuid, rules: &[RescueRule], how: &Rescue) -> sqlx::Result<()> {
    let mut jobs = 0;
    loop {
        let rescued = queue.rescue_from(worker, rules, how.seed()).await?;
        rescued.iter().for_each(|job| how.report(job));
        jobs += rescued.len();
        if rescued.is_empty() {
            break;
        }
    }
    if jobs > 0 {
        tracing::warn!(%worker, jobs, "all sessions of a worker ended; its jobs were requeued");
    }
    queue.forget(worker).await
}

/// Aggregate the log into the statistics at every interval, until `stop`. What this host recorded
/// is counted a second later, and once more at the end. Only one host of the queue aggregates at a
/// time. An interval of zero leaves the log to other hosts, but not the tally, which only hosts
/// know. An idle host reads only the log, and rarely.
pub async fn aggregate(queue: Queue, interval: Duration, stop: CancellationToken) {
    let next = |rarely: u32| {
        (!interval.is_zero()).then(|| Instant::now() + (interval * rarely).mul_f64(0.75 + fastrand::f64() / 2.0))
    };
    let (mut log_at, mut tally_at, mut rows, mut rarely) = (next(1), None, AGGREGATE_MIN_ROWS, 1);
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
                    counted if counted.turn => (rarely * AGGREGATE_IDLE_FACTOR).min(AGGREGATE_MAX_IDLE_FACTOR),
                    _ => rarely,
                };
                log_at = next(rarely);
            }
        }
    }
    // At a stop, a backlog of the log is left to other workers. The tally is short.
    count(&queue, &mut 0).await;
}

/// Aggregate everything, in statements whose size adapts to how long they take. Returns what was
/// counted. `turn` is false if another host does it, or if it failed.
async fn count(queue: &Queue, log_rows: &mut usize) -> Counted {
    let mut sum = Counted { turn: false, logged: 0, tallied: 0 };
    loop {
        match queue.aggregate(*log_rows, AGGREGATE_MIN_ROWS).await {
            Ok(counted) => {
                sum = Counted {
                    turn: counted.turn,
                    logged: sum.logged + counted.logged,
                    tallied: sum.tallied + counted.tallied,
                };
                if *log_rows > 0 && counted.logged == *log_rows {
                    *log_rows = (*log_rows * AGGREGATE_GROWTH).min(AGGREGATE_MAX_ROWS);
                } else if counted.tallied < AGGREGATE_MIN_ROWS {
                    if counted.logged < *log_rows / AGGREGATE_GROWTH {
                        *log_rows = (*log_rows / AGGREGATE_GROWTH).max(AGGREGATE_MIN_ROWS);
                    }
                    return sum;
                }
            }
            Err(error) => {
                *log_rows = (*log_rows).min(AGGREGATE_MIN_ROWS);
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

/// Prune what runs printed, and suspects whose jobs no longer exist, every few hours, until `stop`.
pub async fn prune(queue: Queue, stop: CancellationToken) {
    loop {
        let pause = PRUNE_PERIOD.mul_f64(0.5 + fastrand::f64());
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        if let Err(error) = prune_lines(&queue, &stop).await {
            tracing::warn!(error = %error.told(), "cannot prune what runs printed; trying again");
        }
        match queue.prune_suspects().await {
            Ok(0) => {}
            Ok(pruned) => tracing::debug!(pruned, "pruned suspects whose jobs no longer exist"),
            Err(error) => {
                tracing::warn!(error = %error.told(), "cannot prune suspects whose jobs no longer exist; trying again")
            }
        }
    }
}

/// Prune what runs printed and need not be kept, in statements of bounded size.
async fn prune_lines(queue: &Queue, stop: &CancellationToken) -> sqlx::Result<()> {
    let mut sum = 0;
    while !stop.is_cancelled() {
        let pruned = queue.prune_lines().await?;
        sum += pruned;
        if pruned == 0 {
            break;
        }
    }
    if sum > 0 {
        tracing::debug!(pruned = sum, "pruned what runs printed");
    }
    Ok(())
}

impl Rescue {
    /// The rules of the current plugins.
    fn rules(&self) -> Vec<RescueRule> {
        let rule = |served: &Served| RescueRule {
            entrypoint: served.entrypoint.to_string(),
            max_attempts: served.options.max_attempts,
            max_crashes: self.max_crashes,
            on_failure: served.options.on_failure,
        };
        self.plugins.borrow().served().map(rule).collect()
    }

    fn seed(&self) -> Option<String> {
        self.tracer.as_ref().and_then(Tracer::seed)
    }

    fn report(&self, job: &Rescued) {
        tracing::warn!(job.id = job.id, job.entrypoint = job.entrypoint, status = job.status, "its worker was lost");
        if let (Some(tracer), Some(turn)) = (&self.tracer, &job.turn) {
            tracer.lost(&LostTurn {
                job: job.id,
                entrypoint: &job.entrypoint,
                attempt: job.attempt,
                worker: job.worker.map_or_else(|| "?".to_owned(), |worker| worker.to_string()),
                status: &job.status,
                claimed: job.claimed.unwrap_or(job.noticed).into(),
                noticed: job.noticed.into(),
                parent: job.parent.as_deref(),
                previous: job.previous.as_deref(),
                turn,
            });
        }
    }
}
