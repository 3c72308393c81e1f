//! All metrics, with what a scraper and docs/metrics.md say of them.

use super::metric::{Kind, Metric, Section};

const fn counter(section: Section, name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { section, name, kind: Kind::Counter, labels, help }
}

const fn gauge(section: Section, name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { section, name, kind: Kind::Gauge, labels, help }
}

const fn histogram(
    section: Section,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { section, name, kind: Kind::Histogram, labels, help }
}

const fn untyped(section: Section, name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { section, name, kind: Kind::Untyped, labels, help }
}

use Section::{Database, Host, Jobs, PgQueuer, Plugins, Process, Queue, Rows, Schedules};

/// Every metric that a page has.
pub const CATALOG: &[Metric] = &[
    counter(
        Jobs,
        "pgq_host_runs_total",
        &["plugin", "entrypoint", "outcome", "version", "role"],
        "Runs that ended: ok, failed (the handler said so), crashed, released; by version and role (stable, canary)",
    ),
    histogram(
        Jobs,
        "pgq_host_run_seconds",
        &["plugin", "entrypoint", "version", "role"],
        "Wall time of runs, instantiation included; each job of a batch counts with the time of the batch",
    ),
    histogram(
        Jobs,
        "pgq_host_pickup_seconds",
        &["entrypoint"],
        "From when a job was due to its claim, by the database's clock",
    ),
    histogram(Jobs, "pgq_host_batch_jobs", &["entrypoint"], "Jobs that went into one call of a handler"),
    gauge(Jobs, "pgq_host_jobs_in_flight", &[], "Jobs that this host has claimed and not yet recorded"),
    gauge(Jobs, "pgq_host_places", &[], "Jobs that this host runs at a time (--max-concurrent-tasks)"),
    gauge(
        Jobs,
        "pgq_host_claimed_bytes",
        &[],
        "Payloads and headers of claimed jobs that are held in memory; jobs of up to 4 KiB are not counted",
    ),
    gauge(Jobs, "pgq_host_claimed_bytes_limit", &[], "How many of them this host holds at most"),
    counter(
        Jobs,
        "pgq_host_leases_lost_total",
        &["noticed"],
        "Jobs that were cancelled or belonged to another worker when their run ended, by where that was noticed: run, record, lock",
    ),
    counter(
        Jobs,
        "pgq_host_sealing_total",
        &["what"],
        "Sealed payloads: opened, or refused because this host has no_key, they are broken, or in_clear where they must be sealed; and what was sealed of outcomes",
    ),
    gauge(
        Queue,
        "pgq_host_queue_jobs",
        &["entrypoint", "state"],
        "Jobs in the queue, whoever runs them: due, deferred, running, held; reported by one host at a time",
    ),
    gauge(
        Queue,
        "pgq_host_queue_oldest_seconds",
        &["entrypoint"],
        "How long the job that has been due longest has waited; reported by one host at a time",
    ),
    gauge(
        Queue,
        "pgq_host_queue_oldest_running_seconds",
        &["entrypoint"],
        "How long ago the job was claimed that runs longest; reported by one host at a time",
    ),
    gauge(
        Queue,
        "pgq_host_queue_oldest_held_seconds",
        &["entrypoint"],
        "How long the job has been held that is held longest; reported by one host at a time",
    ),
    gauge(
        Queue,
        "pgq_host_statistics_lag_seconds",
        &[],
        "How long something has been logged that is not in PgQueuer's statistics, about; reported by one host at a time",
    ),
    gauge(
        Queue,
        "pgq_host_hosts",
        &["state"],
        "Hosts on this queue: alive, or died (killed or cut off in the last ten minutes); reported by one host at a time",
    ),
    untyped(
        PgQueuer,
        "pgqueuer_queue_count",
        &["aggregation", "entrypoint", "status"],
        "Jobs in the queue, as PgQueuer exports them; reported by one host at a time",
    ),
    untyped(
        PgQueuer,
        "pgqueuer_logs_count",
        &["aggregation", "entrypoint", "status"],
        "What was logged in the last five minutes and is counted, as PgQueuer exports it; reported by one host at a time",
    ),
    counter(
        Rows,
        "pgq_host_pruned_rows_total",
        &["table"],
        "Rows that this host removed because of their age: log, output, attempts, statistics",
    ),
    gauge(
        Schedules,
        "pgq_host_schedules_lag_seconds",
        &[],
        "How long the tick has been overdue that is overdue longest, of any schedule; reported by one host at a time",
    ),
    counter(
        Schedules,
        "pgq_host_schedules_moved_back_total",
        &[],
        "Schedules whose next tick was moved back after the server's clock had been ahead",
    ),
    gauge(
        Plugins,
        "pgq_host_plugin_info",
        &["plugin", "version", "sha256", "role", "signed_by"],
        "1 for each version that is served: stable, or a canary beside it",
    ),
    gauge(Plugins, "pgq_host_plugin_refused", &["file"], "1 while a file's content is not what is served"),
    gauge(
        Plugins,
        "pgq_host_entrypoint_paused",
        &["entrypoint"],
        "1 while the circuit breaker of an entrypoint is open",
    ),
    gauge(
        Plugins,
        "pgq_host_entrypoint_held",
        &["entrypoint"],
        "1 while an operator pauses an entrypoint, or its plugin, version, or all",
    ),
    counter(Plugins, "pgq_host_reloads_total", &["plugin"], "Versions of plugins that came into service"),
    counter(
        Plugins,
        "pgq_host_no_instance_total",
        &[],
        "Claimed jobs that found no free instance; above 0 only through a fault of the host",
    ),
    counter(Plugins, "pgq_host_limit_hits_total", &["plugin", "entrypoint", "limit"], "Limits that runs hit"),
    counter(
        Plugins,
        "pgq_host_denied_total",
        &["plugin", "what"],
        "What plugins tried without a grant: http, address, secret, enqueue, sql",
    ),
    histogram(Plugins, "pgq_host_sql_seconds", &["plugin", "kind"], "Statements of handlers, by kind"),
    counter(Plugins, "pgq_host_sql_errors_total", &["plugin", "kind"], "Statements of handlers that failed"),
    counter(
        Plugins,
        "pgq_host_sql_commits_total",
        &["plugin", "outcome"],
        "Outcomes that were committed with what their runs wrote: committed, refused, not_ours, unknown",
    ),
    histogram(
        Database,
        "pgq_host_statement_seconds",
        &["statement"],
        "From asking to the answer, waiting for a connection included: claim, record, hand_over (both in one), lock (a claim that only locks), settle (the end of its transaction), heartbeat",
    ),
    counter(
        Database,
        "pgq_host_locked_jobs_total",
        &["end"],
        "Jobs that were locked at their claim: finished in the transaction that locked them, or marked in it because they still ran",
    ),
    counter(Database, "pgq_host_database_errors_total", &["statement"], "Statements that failed"),
    histogram(Database, "pgq_host_claim_jobs", &[], "Jobs per claim"),
    histogram(Database, "pgq_host_record_jobs", &[], "Outcomes per write"),
    gauge(Database, "pgq_host_listener_up", &[], "1 while notifications are heard"),
    gauge(
        Database,
        "pgq_host_database_round_trip_seconds",
        &[],
        "How long the database took to answer a statement that does nothing, with the wait for a session",
    ),
    gauge(
        Database,
        "pgq_host_sessions",
        &["state"],
        "Sessions of this host's pool: open (in use or idle), idle, and limit, how many there may be",
    ),
    gauge(Host, "pgq_host_build_info", &["version"], "1, with this host's version"),
    counter(
        Host,
        "pgq_host_log_lines_dropped_total",
        &[],
        "Lines of the log that were dropped because stderr did not take them in time",
    ),
    counter(Host, "pgq_host_spans_exported_total", &[], "Spans of traces that the collector took"),
    counter(
        Host,
        "pgq_host_spans_dropped_total",
        &["reason"],
        "Spans that nobody got: queue_full, run_limit (128 of one call have spans), export_failed, stopped",
    ),
    counter(Process, "process_cpu_seconds_total", &[], "Processor time of the process, in whole seconds"),
    gauge(Process, "process_open_fds", &[], "Files that are open"),
    gauge(Process, "process_max_fds", &[], "Files that may be open"),
    gauge(Process, "process_virtual_memory_bytes", &[], "Address space; guests reserve most of it and use little"),
    gauge(Process, "process_virtual_memory_max_bytes", &[], "Address space that there may be"),
    gauge(Process, "process_resident_memory_bytes", &[], "Memory in use"),
    gauge(Process, "process_start_time_seconds", &[], "When it started, since 1970"),
    gauge(Process, "process_threads", &[], "Threads"),
];
