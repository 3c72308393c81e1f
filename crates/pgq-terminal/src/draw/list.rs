//! A table, and more about the row that is chosen.

use chrono::{DateTime, Utc};
use pgq_job::units::many;

use super::canvas::Canvas;
use crate::app::App;
use crate::ask::Answer;
use crate::filter_line;
use crate::looks;
use crate::page::{Page, Tab};
use crate::table::{GAP, Key, Kind, Table};
use crate::text::{safe, width, wrap};
use crate::tone::Tone;

/// Columns in front of a row: whether it is chosen, and whether it is marked.
const MARGIN: usize = 2;

pub(super) fn list(canvas: &mut Canvas<'_, '_>, app: &mut App, now: DateTime<Utc>, top: u16, height: u16) {
    let Some(table) = app.table(now) else { return };
    let head = title(app, &table, now);
    canvas.put(0, top, Tone::Plain, &head);
    let detail = app.list().and_then(|list| list.row(&table)).map(|row| row.detail.clone()).unwrap_or_default();
    let lines: Vec<(Tone, String)> = detail
        .iter()
        .flat_map(|(tone, text)| wrap(text, usize::from(canvas.width) - 2).into_iter().map(|line| (*tone, line)))
        .collect();
    let most = usize::from(height / 3).max(3);
    let below = if lines.is_empty() { 0 } else { (lines.len() + 1).min(most) };
    let rows = usize::from(height).saturating_sub(1 + below);
    self::table(canvas, app, &table, top + 1, rows);
    let first = top + 1 + u16::try_from(rows).unwrap_or_default();
    if below > 0 {
        canvas.put(0, first, Tone::Dim, &"\u{2500}".repeat(usize::from(canvas.width)));
    }
    for ((tone, line), row) in lines.iter().take(below.saturating_sub(1)).zip(first + 1..) {
        canvas.put(1, row, *tone, line);
    }
}

/// What the list has, and in which order.
fn title(app: &mut App, table: &Table, now: DateTime<Utc>) -> String {
    let sort = app.list().and_then(|list| {
        let column = table.columns.get(list.sort?)?;
        Some(format!(", by {} {}", column.name, arrow(column.kind, list.reversed)))
    });
    let sort = sort.unwrap_or_default();
    let rows = table.rows.len();
    match (app.page, app.answer()) {
        (Page::Tab(Tab::Jobs), Some(Answer::Jobs(page))) => {
            let filter = filter_line::write(&app.filter);
            let (place, filter) = match filter.is_empty() {
                true => (" in the queue", String::new()),
                false => ("", format!(": {}", safe(&filter))),
            };
            let more = if page.next.is_some() { ", more behind >" } else { "" };
            let number =
                if app.places.is_empty() { String::new() } else { format!(" (page {})", app.places.len() + 1) };
            let meant = match (app.all, app.marked.len()) {
                (true, _) => ", ALL that match are meant".to_owned(),
                (false, 0) => String::new(),
                (false, marked) => format!(", {marked} marked"),
            };
            format!("{}{place}{number}{more}{meant}{sort}{filter}", many(rows, "job"))
        }
        (_, Some(Answer::Failures(failures))) => {
            format!("{}, {}{sort}", many(rows, "cause"), looks::failures::looked_at(failures, now))
        }
        (_, Some(Answer::Plugins(plugins))) => {
            let cut = if plugins.cut { ", there are more than were looked at" } else { "" };
            format!("{} of {}{cut}{sort}", many(rows, "version"), many(plugins.plugins.len(), "plugin"))
        }
        (_, Some(Answer::Hosts(fleet))) => {
            format!("{}, {}{sort}", many(fleet.hosts.len(), "host"), many(fleet.others.len(), "Python worker"))
        }
        (_, Some(Answer::Schedules(_))) => format!("{}{sort}", many(rows, "schedule")),
        _ => String::new(),
    }
}

/// A heading, and so many rows with it.
pub(super) fn table(canvas: &mut Canvas<'_, '_>, app: &mut App, table: &Table, top: u16, rows: usize) {
    let shown = rows.saturating_sub(1);
    app.rows = shown;
    let room = usize::from(canvas.width).saturating_sub(MARGIN);
    let widths = table.widths(room);
    let (sort, reversed) = app.list().map_or((None, false), |list| (list.sort, list.reversed));
    let mut column = MARGIN;
    for ((place, head), width) in table.columns.iter().enumerate().zip(&widths) {
        let Some(width) = *width else { continue };
        let arrow = arrow(head.kind, reversed);
        let name = if sort == Some(place) { format!("{}{arrow}", head.name) } else { head.name.to_owned() };
        canvas.put_heading(column, top, width, &aligned(&name, head.kind, width));
        column += width + GAP;
    }
    if table.rows.is_empty() {
        for (line, row) in wrap(&table.none, room).iter().zip(top + 2..) {
            canvas.put(MARGIN, row, Tone::Dim, line);
        }
        return;
    }
    let Some(list) = app.list() else { return };
    let (first, chosen) = (list.top(table.rows.len(), shown), list.place());
    for ((place, row), y) in table.rows.iter().enumerate().skip(first).take(shown).zip(top + 1..) {
        let is_marked = matches!(row.key, Key::Job(id) if app.page == Page::Tab(Tab::Jobs) && (app.all || app.marked.contains(&id)));
        let mark = if is_marked { "*" } else { " " };
        canvas.put(0, y, Tone::Strong, &format!("{}{mark}", if place == chosen { ">" } else { " " }));
        let mut column = MARGIN;
        for ((cell, head), width) in row.cells.iter().zip(table.columns).zip(&widths) {
            let Some(width) = *width else { continue };
            canvas.put_within(column, y, width, cell.tone, &aligned(&cell.text, head.kind, width));
            column += width + GAP;
        }
        if place == chosen {
            canvas.choose(y);
        }
    }
}

/// Whether values grow from line to line: texts do so at first, and numbers fall.
fn arrow(kind: Kind, reversed: bool) -> &'static str {
    if reversed == (kind == Kind::Number) { "\u{2191}" } else { "\u{2193}" }
}

/// Numbers to the right.
fn aligned(text: &str, kind: Kind, room: usize) -> String {
    let gap = if kind == Kind::Number { room.saturating_sub(width(text)) } else { 0 };
    format!("{}{text}", " ".repeat(gap))
}
