//! The overview as plain text: for a file, a pipe, or a terminal that can do no more.

use crate::ask::Snapshot;
use crate::looks::overview;
use crate::table::{GAP, Kind, Table};
use crate::text::width;

/// What goes on, in lines. Of each list, so many at most.
pub fn plain(look: &Snapshot, limit: usize) -> String {
    let mut lines = vec![format!("At {} UTC", look.at.format("%Y-%m-%d %H:%M:%S"))];
    lines.extend(overview::paused(look));
    lines.extend(overview::wrong(look).into_iter().map(|(_, line)| line));
    lines.extend(overview::numbers(look).into_iter().map(|(name, value, _)| format!("{name:<14} {value}")));
    lines.push(String::new());
    table(&overview::table(look), limit, &mut lines);
    for (name, all) in [("Failures, the newest cause first", overview::causes(look)), ("Hosts", overview::hosts(look))]
    {
        lines.extend([String::new(), name.to_owned()]);
        lines.extend(all.iter().take(limit).map(|(_, line)| format!("  {line}")));
        lines.extend(more(all.len(), limit));
    }
    lines.join("\n")
}

fn more(all: usize, limit: usize) -> Option<String> {
    (all > limit).then(|| format!("  and {} more", all - limit))
}

fn table(table: &Table, limit: usize, lines: &mut Vec<String>) {
    if table.rows.is_empty() {
        lines.push(table.none.clone());
        return;
    }
    let widths = table.widths(usize::MAX / 2);
    let line = |texts: &mut dyn Iterator<Item = &str>| {
        let cells = texts.zip(table.columns).zip(&widths).map(|((text, column), room)| {
            let gap = " ".repeat(room.unwrap_or_default().saturating_sub(width(text)));
            if column.kind == Kind::Number { format!("{gap}{text}") } else { format!("{text}{gap}") }
        });
        cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    lines.push(line(&mut table.columns.iter().map(|column| column.name)));
    for row in table.rows.iter().take(limit) {
        lines.push(line(&mut row.cells.iter().map(|cell| cell.text.as_str())));
    }
    lines.extend(more(table.rows.len(), limit));
}
