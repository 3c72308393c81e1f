//! Versions of plugins over the whole fleet, a row for each, and files that are refused.

use chrono::{DateTime, Utc};
use pgq_job::units::{ago, bytes, micros};
use pgq_queue::{JudgementLook, PluginLook, Plugins, RefusedFile, SignerLook, VersionLook};

use super::overview::share;
use crate::table::{Cell, Column, Key, Kind, Row, Table};
use crate::text::safe;
use crate::tone::Tone;

pub(crate) const COLUMNS: [Column; 8] = [
    Column { name: "Plugin", kind: Kind::Rest, gives_way: 0 },
    Column { name: "Version", kind: Kind::Text, gives_way: 0 },
    Column { name: "State", kind: Kind::Text, gives_way: 0 },
    Column { name: "p50/p95", kind: Kind::Number, gives_way: 2 },
    Column { name: "Failed", kind: Kind::Number, gives_way: 1 },
    Column { name: "Memory", kind: Kind::Number, gives_way: 4 },
    Column { name: "SHA-256", kind: Kind::Text, gives_way: 3 },
    Column { name: "Since", kind: Kind::Number, gives_way: 5 },
];

pub(crate) fn table(plugins: &Plugins, now: DateTime<Utc>) -> Table {
    let versions =
        |plugin: &PluginLook| plugin.versions.iter().map(|version| row(plugin, version, now)).collect::<Vec<_>>();
    let rows = plugins.refused.iter().map(refused).chain(plugins.plugins.iter().flat_map(versions)).collect();
    let none = "No host has served a plugin yet: pgq-host plugin new hello, then pgq-host plugin build hello";
    Table { columns: &COLUMNS, rows, none: none.into() }
}

fn refused(file: &RefusedFile) -> Row {
    let mut cells = vec![
        Cell::text(&file.file),
        Cell::text(file.version.as_deref().unwrap_or("-")),
        Cell::text("refused").toned(Tone::Bad),
    ];
    cells.extend((3..COLUMNS.len()).map(|_| Cell::none()));
    let detail = vec![(Tone::Bad, safe(&file.error)), (Tone::Plain, format!("on {}", safe(&file.hosts.join(", "))))];
    Row { key: Key::Name(file.file.clone()), cells, detail }
}

fn state(plugin: &PluginLook, version: &VersionLook) -> (Tone, String) {
    let is_out = version.judgements.iter().any(|judgement| judgement.verdict == "rolled_back");
    match (version.stable_on.len(), version.canary_on.len()) {
        (0, 0) if is_out => (Tone::Bad, "rolled back".into()),
        (0, 0) => (Tone::Dim, "not served".into()),
        (_, canary) if canary > 0 => (Tone::Busy, format!("canary on {canary}")),
        _ if !plugin.paused.is_empty() => (Tone::Bad, "breaker open".into()),
        _ if !plugin.held.is_empty() => (Tone::Warn, "paused".into()),
        (stable, _) => (Tone::Good, format!("served on {stable}")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an order")]
fn row(plugin: &PluginLook, version: &VersionLook, now: DateTime<Utc>) -> Row {
    let (tone, state) = state(plugin, version);
    let runs = version.runs.as_ref();
    let times = |runs: &pgq_queue::RunTimes| {
        Cell::number(runs.p95_us, format!("{} / {}", micros(runs.p50_us), micros(runs.p95_us)))
    };
    let failed = |failed: i64, runs: i64| {
        Cell::real(failed as f64 / runs.max(1) as f64, share(failed, runs)).toned(if failed > 0 {
            Tone::Bad
        } else {
            Tone::Dim
        })
    };
    let cells = vec![
        Cell::text(&plugin.name),
        Cell::text(&version.version),
        Cell::text(&state).toned(tone),
        runs.map_or_else(Cell::none, times),
        runs.and_then(|runs| Some(failed(runs.failed?, runs.runs))).unwrap_or_else(Cell::none),
        runs.map_or_else(Cell::none, |runs| Cell::number(runs.memory_p95_bytes, bytes(runs.memory_p95_bytes))),
        Cell::text(version.sha256.get(..8).unwrap_or(&version.sha256)),
        version.first_served.map_or_else(Cell::none, |at| Cell::real(at.timestamp_millis() as f64, ago(at, now))),
    ];
    let mut detail = vec![(Tone::Dim, format!("sha256 {}", safe(&version.sha256)))];
    if !version.signed_by.is_empty() {
        detail.push((Tone::Plain, format!("signed by {}", safe(&SignerLook::list(&version.signed_by)))));
    }
    let list = |what: &str, names: &[String]| {
        (!names.is_empty()).then(|| (Tone::Plain, format!("{what} {}", safe(&names.join(", ")))))
    };
    detail.extend(list("serves", &plugin.entrypoints));
    detail.extend(list("served on", &version.stable_on));
    detail.extend(list("canary on", &version.canary_on));
    detail.extend(list("breaker open:", &plugin.paused));
    detail.extend(list("paused by an operator:", &plugin.held));
    detail.extend(version.judgements.iter().map(|one| judgement(one, now)));
    Row { key: Key::Version(plugin.name.clone(), version.sha256.clone()), cells, detail }
}

fn judgement(judgement: &JudgementLook, now: DateTime<Utc>) -> (Tone, String) {
    let tone = if judgement.verdict == "good" { Tone::Good } else { Tone::Bad };
    let of = judgement.entrypoint.as_deref().map(|name| format!(" {}", safe(name))).unwrap_or_default();
    let verdict = safe(&judgement.verdict.replace('_', " "));
    let when = ago(judgement.judged, now);
    (tone, format!("{verdict}{of}: {} ({}, {when})", safe(&judgement.reason), safe(&judgement.host)))
}
