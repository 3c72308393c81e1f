//! Metrics, for whoever asks over HTTP. Without `--listen` nothing is counted.

use std::net::SocketAddr;

use anyhow::Context as _;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::PrometheusBuilder;

/// Upper bounds of run times, in seconds.
const RUN_SECONDS: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0];

/// Serve `/metrics` here until the process ends. Once per process: a worker that is started anew finds it serving.
pub fn listen(address: SocketAddr) -> anyhow::Result<()> {
    static SERVING: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    if SERVING.get().is_some() {
        return Ok(());
    }
    // The exporter binds late and reports it to nobody.
    drop(std::net::TcpListener::bind(address).with_context(|| format!("cannot listen on {address}; name another address with --listen"))?);
    PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets(RUN_SECONDS)
        .context("the buckets are in order")?
        .install()
        .with_context(|| format!("cannot serve metrics on {address}"))?;
    describe();
    let _ = SERVING.set(());
    tracing::info!(%address, "serving /metrics");
    Ok(())
}

fn describe() {
    describe_counter!("pgq_host_runs_total", "Runs that ended, by how: ok, failed, crashed, released");
    describe_histogram!("pgq_host_run_seconds", Unit::Seconds, "Wall time of runs, instantiation included");
    describe_counter!("pgq_host_limit_hits_total", "Limits that runs met");
    describe_counter!("pgq_host_denied_total", "What plugins tried without a grant");
    describe_counter!("pgq_host_reloads_total", "Versions of plugins that came into service");
    describe_gauge!("pgq_host_plugin_refused", "1 while a file's content is not what is served");
    describe_gauge!("pgq_host_entrypoint_paused", "1 while the circuit breaker of an entrypoint is open");
}
