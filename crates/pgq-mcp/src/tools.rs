//! The tools, PgQueuer's first.

use crate::parameter::{Kind, Parameter};
use crate::tool::{Answers, ToolText};

/// Rows of one answer.
pub(crate) const MOST_ROWS: i64 = 1_000;
/// Rows that can be left out before a page.
const MOST_OFFSET: i64 = 100_000;
/// Bytes of a payload and of an output.
pub(crate) const MOST_CONTENT: i64 = 256 << 10;

const PERIOD: Parameter = Parameter::new(
    "period",
    Kind::OptionalText,
    "How far to look back, as a duration of ISO 8601 like PT1H or P7D. All of it if left out.",
);
const ENTRYPOINT: Parameter = Parameter::new("entrypoint", Kind::OptionalText, "Of this entrypoint alone.");
const YOUNGER: Parameter = Parameter::new(
    "younger",
    Kind::OptionalText,
    "At most this old: seconds like 30, or with a unit like 15m, 2h, 1d.",
);

const fn limit(default: i64) -> Parameter {
    Parameter::new("limit", Kind::Whole { least: 0, most: MOST_ROWS, default }, "Rows at most.")
}

const fn rows(name: &'static str, parameters: &'static [Parameter], about: &'static str) -> ToolText {
    ToolText { name, about, parameters, answers: Answers::Rows }
}

const fn one(name: &'static str, parameters: &'static [Parameter], about: &'static str) -> ToolText {
    ToolText { name, about, parameters, answers: Answers::One }
}

pub(crate) const TOOLS: &[ToolText] = &[
    rows(
        "queue_size",
        &[],
        "How many jobs the queue holds now, by entrypoint, status and priority: count, entrypoint, priority, status \
         (queued, picked while they run, failed where they are held). Many queued and few picked jobs mean that workers \
         are down or slow. Nothing: the queue is empty.",
    ),
    rows(
        "queue_table_info",
        &[
            limit(100),
            Parameter::new(
                "offset",
                Kind::Whole { least: 0, most: MOST_OFFSET, default: 0 },
                "Rows to leave out before the first one.",
            ),
        ],
        "Rows of the queue as they are, the highest priority first, then the oldest: id, priority, queue_manager_id (the \
         worker), created, updated, heartbeat, execute_after, status, entrypoint, dedupe_key, payload, headers, attempts, \
         slot. Payloads and headers are withheld unless the server was started with --payloads. Jobs that are over are in \
         queue_log.",
    ),
    rows(
        "queue_stats",
        &[PERIOD, limit(50)],
        "What happened to jobs, by seconds, the newest first: count, created (the second), entrypoint, priority, status \
         (queued, picked, successful, exception, failed, canceled, deleted). What is logged and not counted yet is in it.",
    ),
    rows(
        "throughput_summary",
        &[PERIOD],
        "What happened to jobs in total, by entrypoint and status, as far as it is counted: entrypoint, status, \
         total_count (digits as text). Compare successful with exception and failed for a failure rate.",
    ),
    rows(
        "failed_jobs",
        &[limit(50)],
        "Jobs that failed for good and were deleted, the newest first: id (of the log row), created, job_id, status \
         ('exception'), priority, entrypoint, traceback (JSON as text: exception_type, exception_message, traceback, \
         additional_context with plugin and version), aggregated. Jobs that are held are in `jobs` with status 'failed'; \
         `failures` groups both by cause.",
    ),
    rows(
        "queue_log",
        &[limit(100)],
        "Every step of every job, the newest first: id, created, job_id, status (the one that it got), priority, \
         entrypoint, traceback (where a run failed), aggregated.",
    ),
    rows(
        "schedules",
        &[],
        "All schedules, with expression (cron), entrypoint, status, next_run, last_run (null: never), heartbeat, created, \
         updated. A next_run in the past means that nobody runs it.",
    ),
    rows(
        "stale_jobs",
        &[
            Parameter::new(
                "threshold",
                Kind::Text { default: "PT5M" },
                "Silence that counts, as a duration of ISO 8601 like PT5M.",
            ),
            limit(50),
        ],
        "Jobs that run, and whose worker has sent no heartbeat for longer than the threshold, the longest first: id, \
         priority, queue_manager_id, created, updated, heartbeat, execute_after, status, entrypoint, \
         seconds_since_heartbeat. Their worker may be dead, cut off or stuck.",
    ),
    rows(
        "active_workers",
        &[],
        "Workers that hold jobs, of PgQueuer and pgq-host: queue_manager_id, active_jobs, oldest_heartbeat, \
         newest_heartbeat, entrypoints. `hosts` tells more of those of pgq-host.",
    ),
    rows(
        "queue_age",
        &[],
        "For how long jobs have been waiting, by entrypoint, deferred ones included: entrypoint, queued_count, \
         oldest_created, oldest_age_seconds, avg_age_seconds.",
    ),
    rows(
        "schema_info",
        &[],
        "PgQueuer's four tables: table_name, persistence (LOGGED, or UNLOGGED: emptied by a crash of the server), \
         estimated_rows, total_size. One that is missing here is not installed.",
    ),
    one(
        "incidents",
        &[Parameter::new(
            "older",
            Kind::Text { default: "5m" },
            "What has been so for less time is left out: seconds like 30, or with a unit like 5m.",
        )],
        "What is wrong now: jobs that are due and do not run, runs that fail with one cause, open circuit breakers, hosts \
         and workers that are silent, files that cannot be loaded, versions that were rolled back, ticks that are overdue, \
         transactions that stay open. Each with kind, what, entrypoint or subject, since, why, jobs, examples (ids), began_with \
         (the version of a plugin), hosts, and next (commands for a person).",
    ),
    one(
        "overview",
        &[
            ENTRYPOINT,
            Parameter::new("after", Kind::OptionalText, "Entrypoints after this one: `next` of the answer before."),
            Parameter::new("limit", Kind::Whole { least: 1, most: MOST_ROWS, default: 100 }, "Entrypoints at most."),
        ],
        "What is going on, by entrypoint: due, deferred, running and held jobs, how long the oldest has waited, how jobs \
         ended in the last minute, five minutes and hour, and how long runs take. And the last sixty minutes of all.",
    ),
    one(
        "failures",
        &[ENTRYPOINT, YOUNGER],
        "Failed runs by cause, the newest first: entrypoint, exception_type, message (numbers and names taken out), \
         frame, how many, first_seen, last_seen, versions (the first one began it), examples, and jobs that are held for \
         it. `key` finds the held jobs of a cause with `jobs`.",
    ),
    one(
        "jobs",
        &[
            Parameter::new(
                "status",
                Kind::OptionalText,
                "queued, picked or failed (held) of jobs in the queue; successful, exception, canceled or deleted of those \
                 in the log. All in the queue if left out.",
            ),
            ENTRYPOINT,
            Parameter::new("older", Kind::OptionalText, "At least this old: seconds like 30, or with a unit like 15m."),
            YOUNGER,
            Parameter::new("error", Kind::OptionalText, "With this text in their last error."),
            Parameter::new("header", Kind::OptionalText, "With this header: name or name=value."),
            Parameter::new(
                "plugin",
                Kind::OptionalText,
                "How the sha256 of the plugin begins that runs them, or in which they last failed.",
            ),
            Parameter::new("cause", Kind::OptionalText, "The key of a group of `failures`, for held jobs."),
            Parameter::new("after", Kind::OptionalText, "Where the page begins: `next` of the page before."),
            Parameter::new("limit", Kind::Whole { least: 1, most: MOST_ROWS, default: 50 }, "Jobs at most."),
        ],
        "A page of jobs that match: id, status, entrypoint, priority, attempts, times, worker and host, deadline, version \
         of the plugin, last error.",
    ),
    one(
        "job",
        &[
            Parameter::new("id", Kind::Id, "The job."),
            Parameter::new(
                "bytes",
                Kind::Whole { least: 0, most: MOST_CONTENT, default: 16_384 },
                "Bytes of its payload and of its output at most.",
            ),
        ],
        "Everything about one job: its row, each attempt with host, plugin, version, sha256, time, memory and requests, \
         each step in the log with its traceback, follow-up jobs, and the job that enqueued it. Payload, headers, output \
         and printed lines are withheld unless the server was started with --payloads.",
    ),
    one(
        "logs",
        &[
            Parameter::new("job_id", Kind::OptionalId, "Of this job."),
            ENTRYPOINT,
            Parameter::new("runs", Kind::Whole { least: 1, most: 100, default: 10 }, "Runs at most."),
        ],
        "What the last runs of a job, of an entrypoint or of all printed, the oldest first. Only where the server was \
         started with --payloads: lines may hold what payloads hold.",
    ),
    one(
        "plugins",
        &[],
        "Plugins over all hosts: entrypoints, versions with sha256, the keys that signed it, when each was first served, where it \
         is stable or a canary, verdicts on it (good, refused, rolled_back, paused) with their reasons, its latest runs; and files that \
         cannot be loaded, with the error.",
    ),
    one(
        "hosts",
        &[],
        "The hosts that announced themselves, with version, since when, last seen, whether they are lost, the jobs they \
         hold and the files they serve; and other workers that hold jobs.",
    ),
    one("pauses", &[], "What operators paused: what, why, who, since when and until when."),
];
