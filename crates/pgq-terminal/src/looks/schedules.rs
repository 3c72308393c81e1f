//! What runs by the clock, a row for each.

use chrono::{DateTime, Utc};
use pgq_job::units::ago;
use pgq_queue::ListedSchedule;

use crate::table::{Cell, Column, Key, Kind, Row, Table};
use crate::tone::Tone;

/// A tick that is so late has no one who turns it into a job.
const OVERDUE_SECONDS: i64 = 60;

pub(crate) const COLUMNS: [Column; 5] = [
    Column { name: "Entrypoint", kind: Kind::Rest, gives_way: 0 },
    Column { name: "Expression", kind: Kind::Text, gives_way: 0 },
    Column { name: "Next", kind: Kind::Number, gives_way: 0 },
    Column { name: "Last", kind: Kind::Number, gives_way: 2 },
    Column { name: "State", kind: Kind::Text, gives_way: 1 },
];

pub(crate) fn table(schedules: &[ListedSchedule], now: DateTime<Utc>) -> Table {
    let rows = schedules.iter().map(|schedule| row(schedule, now)).collect();
    let none = "Nothing runs by the clock. Plugins declare their schedules, and hosts add them.";
    Table { columns: &COLUMNS, rows, none: none.into() }
}

#[expect(clippy::cast_precision_loss, reason = "an order")]
fn row(schedule: &ListedSchedule, now: DateTime<Utc>) -> Row {
    let at = |at: DateTime<Utc>| Cell::real(at.timestamp_millis() as f64, ago(at, now));
    let (tone, state) = match schedule.status.as_deref() {
        Some("picked") => (Tone::Busy, "a Python worker runs it"),
        _ if (now - schedule.next_run).num_seconds() > OVERDUE_SECONDS => (Tone::Warn, "overdue"),
        _ => (Tone::Plain, "waits"),
    };
    let cells = vec![
        Cell::text(&schedule.entrypoint),
        Cell::text(&schedule.expression),
        at(schedule.next_run),
        schedule.last_run.map_or_else(|| Cell::text("never").toned(Tone::Dim), at),
        Cell::text(state).toned(tone),
    ];
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let last = schedule.last_run.map_or_else(|| "never".into(), time);
    let detail =
        vec![(Tone::Plain, format!("Schedule {}: next {}, last {last}", schedule.id, time(schedule.next_run)))];
    Row { key: Key::Job(schedule.id), cells, detail }
}
