//! The names of what is counted, with help, units and buckets. docs/metrics.md lists them.

use anyhow::Context as _;
use metrics::{Unit, describe_counter, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::logging;

/// Upper bounds of times, from those of a claim to those of a long job.
const SECONDS: &[f64] =
    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0];
/// A backlog's jobs wait for longer than any run.
const PICKUP_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 3600.0];
/// Upper bounds of numbers of jobs.
const JOBS: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// Have everything counted. Once per process.
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
    describe_counter!("pgq_host_runs_total", "Runs that ended, by how: ok, failed, crashed, released");
    describe_histogram!(
        "pgq_host_run_seconds",
        Unit::Seconds,
        "Wall time of runs, instantiation included; a batch's is that of each of its jobs"
    );
    describe_histogram!(
        "pgq_host_pickup_seconds",
        Unit::Seconds,
        "From when a job was due to its claim, by the database's clock"
    );
    describe_histogram!("pgq_host_batch_jobs", Unit::Count, "Jobs that went into one call of a handler");
    describe_histogram!("pgq_host_claim_jobs", Unit::Count, "Jobs that a claim brought");
    describe_histogram!("pgq_host_record_jobs", Unit::Count, "Outcomes that were recorded in one write");
    describe_histogram!(
        "pgq_host_statement_seconds",
        Unit::Seconds,
        "From asking to the answer, waiting for a connection included: claim, record, hand_over (both in one), heartbeat"
    );
    describe_counter!("pgq_host_database_errors_total", "Statements that failed, by which");
    describe_counter!(
        "pgq_host_leases_lost_total",
        "Jobs that were another worker's or cancelled when their run ended, by where that was noticed: run, record"
    );
    describe_counter!(
        "pgq_host_schedules_moved_back_total",
        "Schedules whose next tick was moved back after the server's clock had been ahead"
    );
    describe_counter!("pgq_host_limit_hits_total", "Limits that runs met");
    describe_counter!("pgq_host_denied_total", "What plugins tried without a grant");
    describe_counter!(
        logging::DROPPED,
        "Log lines that found no room, because stderr took them more slowly than they came, or not at all"
    );
    // So that the first of them is a change that an alert can see.
    metrics::counter!(logging::DROPPED).increment(0);
    describe_counter!(
        "pgq_host_no_instance_total",
        "Runs and descriptions that found no instance free, which is a mistake of the host's"
    );
    describe_counter!("pgq_host_reloads_total", "Versions of plugins that came into service");
}
