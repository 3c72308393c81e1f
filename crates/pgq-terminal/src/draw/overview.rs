//! The first page: numbers, the last hour, the entrypoints, causes of failures, hosts.

use chrono::{DateTime, Utc};
use pgq_queue::{Minute, Outcomes};

use super::canvas::Canvas;
use super::{chart, list};
use crate::app::App;
use crate::ask::{Answer, Snapshot};
use crate::looks::overview;
use crate::text::width;
use crate::tone::Tone;

/// From so many columns on, causes and hosts stand beside each other; from so many lines on, the
/// chart is tall.
const WIDE: u16 = 140;
const TALL: u16 = 36;
const TALL_CHART: usize = 6;
/// Of what is wrong, lines that are shown.
const WRONG: usize = 3;
/// Columns of what is written beside a chart.
const LABEL: usize = 11;

/// In four characters, where it stands beside a chart.
fn brief(number: i64) -> String {
    match number {
        ..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", number / 1_000),
        _ => format!("{}M", number / 1_000_000),
    }
}

pub(super) fn overview(canvas: &mut Canvas<'_, '_>, app: &mut App, now: DateTime<Utc>, top: u16, height: u16) {
    let Some(Answer::Overview(look)) = app.answer() else { return };
    let end = top + height;
    let mut row = wrong(canvas, look, top);
    row = numbers(canvas, look, row);
    row = charts(canvas, look, row, height);
    let (causes, hosts) = (overview::causes(look), overview::hosts(look));
    let rest = usize::from(end.saturating_sub(row));
    let wide = canvas.width >= WIDE;
    // The entrypoints have half of what is left, or more.
    let most = if wide { rest / 3 } else { rest.saturating_sub(8) / 4 };
    let shown = |lines: &[(Tone, String)]| lines.len().min(most.max(1));
    let (causes_shown, hosts_shown) = (shown(&causes), shown(&hosts));
    let below = if wide { causes_shown.max(hosts_shown) + 1 } else { causes_shown + hosts_shown + 2 };
    let Some(table) = app.table(now) else { return };
    let rows = rest.saturating_sub(below);
    list::table(canvas, app, &table, row, rows);
    let first = row + u16::try_from(rows).unwrap_or_default();
    let half = usize::from(canvas.width) / 2;
    let room = if wide { half - 2 } else { usize::from(canvas.width) };
    section(canvas, (0, first, room), "Failures, the newest cause first", &causes[..causes_shown], causes.len());
    let (column, first) =
        if wide { (half, first) } else { (0, first + 1 + u16::try_from(causes_shown).unwrap_or_default()) };
    section(canvas, (column, first, room), "Hosts", &hosts[..hosts_shown], hosts.len());
}

/// In a line each, as many as leave room for the rest.
fn wrong(canvas: &mut Canvas<'_, '_>, look: &Snapshot, top: u16) -> u16 {
    let (mut row, lines) = (top, overview::wrong(look));
    for (tone, line) in lines.iter().take(WRONG) {
        canvas.put_within(0, row, canvas.width.into(), *tone, line);
        row += 1;
    }
    if lines.len() > WRONG {
        canvas.put(0, row, Tone::Warn, &format!("! {} more: pgq-host overview", lines.len() - WRONG));
        row += 1;
    }
    row
}

fn numbers(canvas: &mut Canvas<'_, '_>, look: &Snapshot, top: u16) -> u16 {
    let (mut column, mut row) = (0, top);
    for (name, value, tone) in overview::numbers(look) {
        let room = width(name) + 1 + width(&value);
        if column > 0 && column + room > usize::from(canvas.width) {
            (column, row) = (0, row + 1);
        }
        canvas.put(column, row, Tone::Dim, name);
        canvas.put(column + width(name) + 1, row, tone, &value);
        column += room + 3;
    }
    row + 1
}

fn charts(canvas: &mut Canvas<'_, '_>, look: &Snapshot, top: u16, height: u16) -> u16 {
    let of = |value: fn(&Outcomes) -> i64| {
        look.overview.minutes.iter().map(|minute: &Minute| value(&minute.outcomes)).collect::<Vec<i64>>()
    };
    let (ended, failed) = (of(Outcomes::ended), of(|outcomes| outcomes.failed + outcomes.exception));
    let tall = height >= TALL;
    let wide = if usize::from(canvas.width) >= LABEL + 2 * ended.len() + 24 { 2 } else { 1 };
    let mut row = top;
    for (name, values, tone, height) in [
        ("Ended/min", &ended, Tone::Plain, if tall { TALL_CHART } else { 1 }),
        ("Failed/min", &failed, Tone::Bad, if tall { TALL_CHART / 2 } else { 1 }),
    ] {
        let lines = chart::columns(values, height, wide);
        let most = values.iter().copied().max().unwrap_or_default();
        canvas.put(0, row, Tone::Dim, name);
        if tall {
            canvas.put(0, row + 1, Tone::Dim, &format!("max {}", brief(most)));
        } else {
            canvas.put(LABEL + wide * values.len() + 1, row, Tone::Dim, &format!("max {}", brief(most)));
        }
        for line in &lines {
            canvas.put(LABEL, row, tone, line);
            row += 1;
        }
    }
    if look.overview.minutes_cut {
        canvas.put(0, row, Tone::Warn, "More was logged than is counted for a look: these numbers are too small.");
        row += 1;
    }
    row
}

fn section(
    canvas: &mut Canvas<'_, '_>,
    (column, top, room): (usize, u16, usize),
    name: &str,
    lines: &[(Tone, String)],
    all: usize,
) {
    let more = if all > lines.len() { format!(" ({} more)", all - lines.len()) } else { String::new() };
    canvas.put_heading(column, top, room, &format!("{name}{more}"));
    for ((tone, line), row) in lines.iter().zip(top + 1..) {
        canvas.put_within(column, row, room, *tone, line);
    }
}
