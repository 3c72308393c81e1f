//! What counts: installed once per process, with every counter that can be known at the start at 0,
//! so that an alert sees the first increase.

use anyhow::Context as _;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::catalog::CATALOG;
use super::metric::{Kind, Section};
use crate::{logging, meter};
use pgq_queue::PrunedTable;

/// Bucket bounds for durations, from that of a claim to that of a long job.
const SECONDS: &[f64] =
    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0];
/// Bucket bounds for waiting times. Jobs in a backlog wait for longer than any run.
const PICKUP_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 3600.0];
/// Bucket bounds for numbers of jobs.
const JOBS: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

const STATEMENTS: [&str; 6] = ["claim", "record", "hand_over", "lock", "settle", "heartbeat"];
const TABLES: [PrunedTable; 4] =
    [PrunedTable::Log, PrunedTable::Output, PrunedTable::Attempts, PrunedTable::Statistics];

/// Install the recorder. Call once per process.
pub(super) fn install() -> anyhow::Result<PrometheusHandle> {
    let buckets = |builder: PrometheusBuilder, matcher, bounds| builder.set_buckets_for_metric(matcher, bounds);
    let builder = PrometheusBuilder::new();
    let counts = buckets(builder, Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(|builder| buckets(builder, Matcher::Full("pgq_host_pickup_seconds".into()), PICKUP_SECONDS))
        .and_then(|builder| buckets(builder, Matcher::Suffix("_jobs".into()), JOBS))
        .and_then(PrometheusBuilder::install_recorder)
        .context("cannot count")?;
    for metric in CATALOG {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
            // The others are written at each scrape.
            Kind::Gauge if metric.section == Section::Process => describe_gauge!(metric.name, metric.help),
            Kind::Gauge | Kind::Untyped => {}
        }
    }
    begin_at_zero();
    Ok(counts)
}

fn begin_at_zero() {
    for name in [logging::DROPPED, "pgq_host_no_instance_total", "pgq_host_schedules_moved_back_total"] {
        counter!(name).increment(0);
    }
    for name in STATEMENTS {
        counter!("pgq_host_database_errors_total", "statement" => name).increment(0);
    }
    meter::begin_sealing();
    for noticed in ["run", "record", "lock"] {
        counter!("pgq_host_leases_lost_total", "noticed" => noticed).increment(0);
    }
    for end in ["finished", "marked"] {
        counter!("pgq_host_locked_jobs_total", "end" => end).increment(0);
    }
    for table in TABLES {
        counter!("pgq_host_pruned_rows_total", "table" => table.label()).increment(0);
    }
}
