//! Jobs that a filter lets through, a row for each.

use chrono::{DateTime, Utc};
use pgq_job::units::{ago, count};
use pgq_queue::{JobPage, JobSummary};

use crate::table::{Cell, Column, Key, Kind, Row, Table};
use crate::tone::Tone;

pub(crate) const COLUMNS: [Column; 7] = [
    Column { name: "Job", kind: Kind::Number, gives_way: 0 },
    Column { name: "Status", kind: Kind::Text, gives_way: 0 },
    Column { name: "Entrypoint", kind: Kind::Text, gives_way: 0 },
    Column { name: "Since", kind: Kind::Number, gives_way: 1 },
    Column { name: "Runs", kind: Kind::Number, gives_way: 2 },
    Column { name: "Prio", kind: Kind::Number, gives_way: 3 },
    Column { name: "Where and why", kind: Kind::Rest, gives_way: 0 },
];

/// A status in a word, and what it is about.
pub(crate) fn status(label: &str) -> (Tone, String) {
    match label {
        "queued" => (Tone::Plain, "queued".into()),
        "picked" => (Tone::Busy, "running".into()),
        "failed" => (Tone::Bad, "held".into()),
        "successful" => (Tone::Good, "successful".into()),
        "exception" => (Tone::Bad, "failed".into()),
        "canceled" | "deleted" => (Tone::Dim, label.to_owned()),
        other => (Tone::Plain, crate::text::safe(other)),
    }
}

pub(crate) fn table(page: &JobPage, now: DateTime<Utc>) -> Table {
    let rows = page.jobs.iter().map(|job| row(job, now)).collect();
    let none = match page.next {
        Some(_) => {
            "None of the jobs that were looked at matches; > looks at more, and a filter by entrypoint or status reads less."
        }
        None => "No such jobs. Those that ended are under the statuses successful, exception, canceled and deleted.",
    };
    Table { columns: &COLUMNS, rows, none: none.into() }
}

#[expect(clippy::cast_precision_loss, reason = "an order")]
fn row(job: &JobSummary, now: DateTime<Utc>) -> Row {
    let deferred = job.execute_after.filter(|at| job.status == "queued" && *at > now);
    let (tone, label) = if deferred.is_some() { (Tone::Dim, "deferred".into()) } else { status(&job.status) };
    let (at, since) = match deferred {
        Some(at) => (at, format!("due {}", ago(at, now))),
        None => {
            let at = if job.status == "queued" { job.created.unwrap_or(job.updated) } else { job.updated };
            (at, ago(at, now))
        }
    };
    let place = job.host.clone().or(job.queue_manager_id.map(|id| id.to_string()));
    let why = match (&job.error, place, &job.dedupe_key) {
        (Some(error), ..) => Cell::text(error).toned(if job.status == "failed" { Tone::Bad } else { Tone::Plain }),
        (None, Some(place), _) => Cell::text(&format!("on {place}")),
        (None, None, Some(key)) => Cell::text(&format!("key {key}")).toned(Tone::Dim),
        (None, None, None) => Cell::text(""),
    };
    let runs = job.attempts.unwrap_or_default();
    let cells = vec![
        Cell::number(job.id, job.id.to_string()),
        Cell::text(&label).toned(tone),
        Cell::text(&job.entrypoint),
        Cell::real(at.timestamp_millis() as f64, since),
        Cell::number(runs.into(), count(runs.into())).toned(if runs > 0 { Tone::Plain } else { Tone::Dim }),
        Cell::number(job.priority.into(), job.priority.to_string()),
        why,
    ];
    Row { key: Key::Job(job.id), cells, detail: Vec::new() }
}
