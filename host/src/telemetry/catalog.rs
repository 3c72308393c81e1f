//! The names of all metrics, with their help, units and buckets. docs/metrics.md lists them.

use anyhow::Context as _;
use metrics::{Unit, describe_counter, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::logging;

/// Bucket bounds for durations, from that of a claim to that of a long job.
const SECONDS: &[f64] =
    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0];
/// Bucket bounds for waiting times. Jobs in a backlog wait for longer than any run.
const PICKUP_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 3600.0];
/// Bucket bounds for numbers of jobs.
const JOBS: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// Install the recorder. Call once per process.
pub(super) fn install() -> anyhow::Result<PrometheusHandle> {
    let buckets = |builder: PrometheusBuilder, matcher, bounds| builder.set_buckets_for_metric(matcher, bounds);
    let builder = PrometheusBuilder::new();
    let counts = buckets(builder, Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(|builder| buckets(builder, Matcher::Full("pgq_host_pickup_seconds".into()), PICKUP_SECONDS))
        .and_then(|builder| buckets(builder, Matcher::Suffix("_jobs".into()), JOBS))
        .and_then(PrometheusBuilder::install_recorder)
        .context("cannot count")?;
    describe();
    Ok(counts)
}

fn describe() {
    describe_counter!("pgq_host_runs_total", "Runs that ended, by result: ok, failed, crashed, released");
    describe_histogram!(
        "pgq_host_run_seconds",
        Unit::Seconds,
        "Wall time of runs, including instantiation; each job of a batch counts the whole batch"
    );
    describe_histogram!(
        "pgq_host_pickup_seconds",
        Unit::Seconds,
        "From the time a job was due to its claim, by the database's clock"
    );
    describe_histogram!("pgq_host_batch_jobs", Unit::Count, "Jobs per call of a handler");
    describe_histogram!("pgq_host_claim_jobs", Unit::Count, "Jobs per claim");
    describe_histogram!("pgq_host_record_jobs", Unit::Count, "Outcomes per write");
    describe_histogram!(
        "pgq_host_statement_seconds",
        Unit::Seconds,
        "From request to answer, including the wait for a connection: claim, record, hand_over (both in one), lock (a claim that only locks), settle (the end of its transaction), heartbeat"
    );
    describe_counter!(
        "pgq_host_locked_jobs_total",
        "Jobs that were only locked at their claim, by end: finished in that transaction, or marked because they still ran"
    );
    describe_counter!("pgq_host_database_errors_total", "Statements that failed, by statement");
    describe_counter!(
        "pgq_host_leases_lost_total",
        "Jobs that were cancelled or taken over by another worker during their run, by when that was noticed: run, record, lock"
    );
    describe_counter!(
        "pgq_host_schedules_moved_back_total",
        "Schedules whose next tick was moved back after the server's clock had been ahead"
    );
    describe_counter!("pgq_host_pruned_rows_total", "Old rows that this host removed, by table");
    describe_histogram!("pgq_host_sql_seconds", Unit::Seconds, "Statements of handlers, by kind");
    describe_counter!("pgq_host_sql_errors_total", "Statements of handlers that failed, by kind");
    describe_counter!(
        "pgq_host_sql_commits_total",
        "Outcomes that were committed with what their runs wrote, by end: committed, refused, not_ours, unknown"
    );
    describe_counter!("pgq_host_limit_hits_total", "Limits that runs hit");
    describe_counter!("pgq_host_denied_total", "What plugins tried to do without a grant");
    describe_counter!(logging::DROPPED, "Log lines dropped because stderr accepted them too slowly, or not at all");
    // Export a zero, so that an alert can see the first increase.
    metrics::counter!(logging::DROPPED).increment(0);
    describe_counter!(
        "pgq_host_no_instance_total",
        "Runs and descriptions that found no free instance, which is a bug in the host"
    );
    describe_counter!("pgq_host_spans_exported_total", "Spans of traces that the collector took");
    describe_counter!(
        "pgq_host_spans_dropped_total",
        "Spans that nobody got, by reason: queue_full, run_limit, export_failed, stopped"
    );
    describe_counter!("pgq_host_reloads_total", "Plugin versions that were put into service");
}
