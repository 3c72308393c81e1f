//! Failures by their cause, a row for each.

use chrono::{DateTime, Utc};
use pgq_job::units::{ago, count};
use pgq_queue::{FailureGroup, Failures};

use crate::table::{Cell, Column, Key, Kind, Row, Table};
use crate::text::safe;
use crate::tone::Tone;

pub(crate) const COLUMNS: [Column; 6] = [
    Column { name: "Entrypoint", kind: Kind::Text, gives_way: 0 },
    Column { name: "Runs", kind: Kind::Number, gives_way: 0 },
    Column { name: "Held", kind: Kind::Number, gives_way: 0 },
    Column { name: "Last", kind: Kind::Number, gives_way: 1 },
    Column { name: "First", kind: Kind::Number, gives_way: 2 },
    Column { name: "Cause", kind: Kind::Rest, gives_way: 0 },
];
/// Versions and jobs that are named of a cause.
const NAMED: usize = 3;

pub(crate) fn table(failures: &Failures, now: DateTime<Utc>) -> Table {
    let rows = failures.groups.iter().map(|group| row(group, now)).collect();
    Table { columns: &COLUMNS, rows, none: "Nothing failed lately.".into() }
}

#[expect(clippy::cast_precision_loss, reason = "an order")]
fn row(group: &FailureGroup, now: DateTime<Utc>) -> Row {
    let cause = &group.cause;
    let at = |at: DateTime<Utc>| Cell::real(at.timestamp_millis() as f64, ago(at, now));
    let cells = vec![
        Cell::text(&cause.entrypoint),
        Cell::number(group.failures, count(group.failures)),
        Cell::number(group.held, count(group.held)).toned(if group.held > 0 { Tone::Bad } else { Tone::Dim }),
        at(group.last_seen),
        at(group.first_seen),
        Cell::text(&format!("{}: {}", cause.exception_type, cause.message)),
    ];
    let mut detail = vec![(Tone::Strong, format!("Latest: {}", safe(&group.last_message)))];
    detail.extend(cause.frame.iter().map(|frame| (Tone::Plain, format!("in {}", safe(frame)))));
    if let Some((first, others)) = group.versions.split_first() {
        let name = |version: &pgq_queue::FailingVersion| {
            let short = version.sha256.get(..8).unwrap_or(&version.sha256);
            format!("{} {} ({})", safe(&version.plugin), safe(&version.version), safe(short))
        };
        let others: Vec<String> = others.iter().take(NAMED).map(name).collect();
        let also = if others.is_empty() { String::new() } else { format!("; also in {}", others.join(", ")) };
        detail.push((Tone::Plain, format!("Began with {}, {}{also}", name(first), ago(first.first_seen, now))));
    }
    let jobs = |ids: &[i64]| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    if !group.held_examples.is_empty() {
        detail.push((Tone::Plain, format!("Held jobs, for example: {}", jobs(&group.held_examples))));
    } else if !group.examples.is_empty() {
        detail.push((Tone::Plain, format!("Jobs, for example: {}", jobs(&group.examples))));
    }
    Row { key: Key::Name(group.key.clone()), cells, detail }
}

/// How far the look went.
pub(crate) fn looked_at(failures: &Failures, now: DateTime<Utc>) -> String {
    let since = failures.since.map(|since| format!(", back to {}", ago(since, now))).unwrap_or_default();
    let older = if failures.cut { ", there are older ones" } else { "" };
    let held = if failures.held_cut { ", more are held than were looked at" } else { "" };
    format!("from the latest {} failed runs{since}{older}{held}", count(failures.looked_at))
}
