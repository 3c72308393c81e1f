//! Who works on the queue, a row for each.

use chrono::{DateTime, Utc};
use pgq_job::units::{ago, count, many};
use pgq_queue::{Fleet, FleetHost, OtherWorker, ServedFile};

use crate::table::{Cell, Column, Key, Kind, Row, Table};
use crate::text::safe;
use crate::tone::Tone;

pub(crate) const COLUMNS: [Column; 6] = [
    Column { name: "Host", kind: Kind::Rest, gives_way: 0 },
    Column { name: "State", kind: Kind::Text, gives_way: 0 },
    Column { name: "Jobs", kind: Kind::Number, gives_way: 0 },
    Column { name: "Since", kind: Kind::Number, gives_way: 2 },
    Column { name: "Seen", kind: Kind::Number, gives_way: 1 },
    Column { name: "Version", kind: Kind::Text, gives_way: 3 },
];

/// The worst of what a host says of itself.
pub(crate) fn state(host: &FleetHost) -> (Tone, String) {
    let broken = host.plugins.iter().filter(|file| file.error.is_some()).count();
    if host.lost {
        (Tone::Bad, "silent".into())
    } else if broken > 0 {
        (Tone::Bad, many(broken, "refused file"))
    } else if host.plugins.iter().any(|file| !file.paused.is_empty()) {
        (Tone::Bad, "breaker open".into())
    } else if host.plugins.iter().any(|file| file.canary.is_some()) {
        (Tone::Busy, "canary".into())
    } else {
        (Tone::Good, many(host.plugins.len(), "plugin"))
    }
}

pub(crate) fn table(fleet: &Fleet, now: DateTime<Utc>) -> Table {
    let rows = fleet.hosts.iter().map(|host| row(host, now)).chain(fleet.others.iter().map(|other| python(other, now)));
    let none = "Nobody works on this queue: pgq-host run --plugins plugins";
    Table { columns: &COLUMNS, rows: rows.collect(), none: none.into() }
}

#[expect(clippy::cast_precision_loss, reason = "an order")]
fn at(at: DateTime<Utc>, now: DateTime<Utc>) -> Cell {
    Cell::real(at.timestamp_millis() as f64, ago(at, now))
}

fn row(host: &FleetHost, now: DateTime<Utc>) -> Row {
    let (tone, state) = state(host);
    let cells = vec![
        Cell::text(&host.label()),
        Cell::text(&state).toned(tone),
        Cell::number(host.jobs, count(host.jobs)),
        at(host.started, now),
        at(host.seen, now),
        Cell::text(&host.version),
    ];
    let mut detail = vec![(Tone::Dim, format!("Worker {}, {}", host.id, safe(&host.version)))];
    detail.extend(host.plugins.iter().flat_map(file));
    Row { key: Key::Name(host.id.to_string()), cells, detail }
}

fn file(file: &ServedFile) -> Vec<(Tone, String)> {
    let name = file.plugin.as_deref().or(file.file.as_deref()).unwrap_or("?");
    let version = file.version.as_deref().map(|version| format!(" {}", safe(version))).unwrap_or_default();
    let names: Vec<String> = file.entrypoints.iter().take(12).map(|name| safe(name)).collect();
    let more = if file.entrypoints.len() > names.len() { ", ..." } else { "" };
    let mut lines = vec![(Tone::Plain, format!("{}{version}: {}{more}", safe(name), names.join(", ")))];
    if let Some(canary) = &file.canary {
        lines.push((Tone::Busy, format!("  canary {}", safe(&canary.version))));
    }
    if !file.paused.is_empty() {
        lines.push((Tone::Bad, format!("  breaker open: {}", safe(&file.paused.join(", ")))));
    }
    if !file.held.is_empty() {
        lines.push((Tone::Warn, format!("  paused by an operator: {}", safe(&file.held.join(", ")))));
    }
    if let Some(error) = &file.error {
        lines.push((Tone::Bad, format!("  refused: {}", safe(error))));
    }
    lines
}

fn python(worker: &OtherWorker, now: DateTime<Utc>) -> Row {
    let cells = vec![
        Cell::text(&worker.queue_manager_id.to_string()),
        Cell::text("a Python worker"),
        Cell::number(worker.jobs, count(worker.jobs)),
        Cell::none(),
        at(worker.oldest_heartbeat, now),
        Cell::text("-").toned(Tone::Dim),
    ];
    let detail = vec![(Tone::Plain, format!("holds jobs of {}", safe(&worker.entrypoints.join(", "))))];
    Row { key: Key::Name(worker.queue_manager_id.to_string()), cells, detail }
}
