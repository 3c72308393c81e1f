//! Checks whether all workers agree on the heartbeat timeout, after which a worker's jobs are taken
//! over.
//!
//! PgQueuer's workers do not announce their timeout. Two things are visible: how long jobs go
//! without a heartbeat, and log entries of jobs that were taken from a live worker.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::finding::{CheckResult, Finding};
use super::fleet;
use super::target::Target;

/// PgQueuer's workers send heartbeats every half of their timeout and write them an eighth later;
/// hosts send them every three eighths. With the same timeout, no worker is silent for longer than
/// this share of it.
const SILENT: f64 = 0.7;
/// Only the newest rows of the log, so that the cost of the check does not grow with it.
const RECENT: i64 = 20_000;
const MAX_JOBS: i64 = 1_000;

/// A job that was picked twice in a row was taken over in place, as PgQueuer does. When a host puts
/// a job back, the log says whose it was.
#[derive(Debug)]
struct Taken {
    in_place: i64,
    put_back: Vec<String>,
}

impl FromRow<'_, PgRow> for Taken {
    fn from_row(row: &PgRow) -> sqlx::Result<Taken> {
        Ok(Taken { in_place: row.try_get("in_place")?, put_back: row.try_get("put_back")? })
    }
}

const TAKEN: &str = "
WITH recent AS MATERIALIZED (
    SELECT id, job_id, status::text AS status, created, traceback FROM {log} ORDER BY id DESC LIMIT $1
), steps AS (
    SELECT status, created, traceback, lag(status) OVER (PARTITION BY job_id ORDER BY id) AS before FROM recent
    WHERE created > now() - interval '1 day'
)
SELECT count(*) FILTER (WHERE status = 'picked' AND before = 'picked') AS in_place,
       coalesce(array_agg(DISTINCT traceback -> 'additional_context' ->> 'queue_manager_id')
           FILTER (WHERE traceback ->> 'exception_type' = 'WorkerLost'), '{}') AS put_back
FROM steps";

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let timeout = target.deployment.heartbeat_timeout;
    let operator = target.operator();
    let (_, hosts) = fleet::hosts(target).await?;
    let is_host = |id: Uuid| hosts.iter().any(|host| host.id == id);
    let mut silent: BTreeMap<Uuid, (usize, f64)> = BTreeMap::new();
    for job in operator.stale(timeout.mul_f64(SILENT), MAX_JOBS).await? {
        let worker = silent.entry(job.queue_manager_id.unwrap_or_default()).or_default();
        *worker = (worker.0 + 1, worker.1.max(job.seconds_since_heartbeat));
    }
    let remedy = "the same heartbeat_timeout on all workers of a queue: --heartbeat-timeout, PGQ_HOST_HEARTBEAT_TIMEOUT or [run] \
        heartbeat-timeout here, `heartbeat_timeout` of run() and `pgq run --heartbeat-timeout` in Python";
    let mut found = Vec::new();
    for (worker, (jobs, seconds)) in silent {
        let kind = if is_host(worker) { "the host" } else { "the worker" };
        let what = format!(
            "{kind} {worker} has not sent a heartbeat for {jobs} of its jobs for up to {seconds:.0} s; the timeout here is {}",
            humantime::format_duration(timeout)
        );
        let why = "it is dead, or its timeout is longer than this one; then its jobs are taken from it while they run, and run twice";
        found.push(Finding::warning(what, why, remedy));
    }
    let taken: Taken =
        sqlx::query_as(target.sql(TAKEN)).bind(RECENT).fetch_one(&mut *target.read_only().await?).await?;
    // A worker that holds jobs now was alive when its jobs were taken, since workers never return
    // under the same id.
    let holders: Vec<Uuid> = operator.workers().await?.into_iter().map(|worker| worker.queue_manager_id).collect();
    let robbed = taken
        .put_back
        .iter()
        .filter_map(|id| id.parse::<Uuid>().ok())
        .filter(|id| holders.contains(id) || is_host(*id));
    for worker in robbed {
        let what = format!("jobs were taken from {worker}, which is alive");
        let why = "its timeout is longer than that of a host, or it was suspended for a while; such a job runs twice";
        found.push(Finding::warning(what, why, remedy));
    }
    if taken.in_place > 0 {
        let what = format!(
            "{} job(s) of the last day were taken over by a Python worker while another worker had them",
            taken.in_place
        );
        let why = "their workers had died, or send heartbeats less often than the Python worker's timeout requires; such a job runs twice";
        found.push(Finding::note(what, why, remedy));
    }
    if found.is_empty() {
        let timeout = humantime::format_duration(timeout);
        found.push(Finding::ok(format!(
            "no job has been silent for longer than a timeout of {timeout} allows, and none was taken from a live worker"
        )));
    }
    Ok(found)
}
