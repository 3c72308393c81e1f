//! The statements of this module, for whoever wants to see their plans.

macro_rules! statements {
    ($($name:ident $file:literal)*) => {
        $(pub(crate) const $name: &str = include_str!(concat!("../sql/operator/", $file, ".sql"));)*

        /// Their names and texts.
        pub const LOOK_STATEMENTS: &[(&str, &str)] = &[$(($file, $name),)*];
    };
}

statements! {
    JOB "job"
    JOB_EVENTS "job_events"
    JOB_ATTEMPTS "job_attempts"
    JOB_PARENT "job_parent"
    JOB_OUTPUT "job_output"
    JOB_LINES "job_lines"
    NEW_LINES "new_lines"
    LAST_LINES "last_lines"
    JOBS_BY_ID "jobs_by_id"
    JOBS_BY_ID_END "jobs_by_id_end"
    JOBS_RUNNING "jobs_running"
    JOBS_RUNNING_END "jobs_running_end"
    JOBS_WAITING "jobs_waiting"
    JOBS_WAITING_END "jobs_waiting_end"
    JOBS_ENDED "jobs_ended"
    JOBS_ENDED_END "jobs_ended_end"
    HELD_JOBS "held_jobs"
    HELD_JOBS_END "held_jobs_end"
    DEPTHS "depths"
    DEPTHS_RUNNING "depths_running"
    THROUGHPUT "throughput"
    RECENT_RUNS "recent_runs"
    CAUSES_TO "causes_to"
    CAUSES "causes"
    FAILURES "failures"
    HELD_FAILURES "held_failures"
    PLUGIN_VERSIONS "plugin_versions"
    JUDGEMENTS "judgements"
    MINUTE_TIMES "minute_times"
    AUDIT "audit"
    BROWSE_QUEUE "browse_queue"
    NEWEST_LOG "newest_log"
    NEWEST_EXCEPTIONS "newest_exceptions"
    STATISTICS_ROWS "statistics_rows"
    UNCOUNTED "uncounted"
    OPEN_TRANSACTIONS "open_transactions"
    GONE_HOSTS "gone_hosts"
}
