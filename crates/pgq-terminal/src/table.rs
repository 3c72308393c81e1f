//! A table: what each view of many things is, on the screen and as plain text.

use std::cmp::Ordering;

use pgq_job::JobId;

use crate::text::{safe, width};
use crate::tone::Tone;

/// What a row is about, whatever place it has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    Job(JobId),
    Name(String),
    /// A plugin, and the digest of a version of it.
    Version(String, String),
}

/// How a cell is compared with the others of its column.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rank {
    Text,
    Number(f64),
}

#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    rank: Rank,
}

impl Cell {
    /// A text of others.
    pub(crate) fn text(text: &str) -> Cell {
        Cell { text: safe(text), tone: Tone::Plain, rank: Rank::Text }
    }

    /// A text that is ordered by a number.
    #[expect(clippy::cast_precision_loss, reason = "an order")]
    pub(crate) fn number(number: i64, text: impl Into<String>) -> Cell {
        Cell::real(number as f64, text)
    }

    pub(crate) fn real(number: f64, text: impl Into<String>) -> Cell {
        Cell { text: text.into(), tone: Tone::Plain, rank: Rank::Number(number) }
    }

    /// Nothing is known; it comes last.
    pub(crate) fn none() -> Cell {
        Cell { text: "-".into(), tone: Tone::Dim, rank: Rank::Number(f64::NEG_INFINITY) }
    }

    pub(crate) fn toned(self, tone: Tone) -> Cell {
        Cell { tone, ..self }
    }

    fn order(&self, other: &Cell) -> Ordering {
        match (self.rank, other.rank) {
            (Rank::Number(one), Rank::Number(other)) => one.total_cmp(&other),
            (Rank::Text, Rank::Text) => self.text.to_lowercase().cmp(&other.text.to_lowercase()),
            (Rank::Number(_), Rank::Text) => Ordering::Less,
            (Rank::Text, Rank::Number(_)) => Ordering::Greater,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The one with the highest goes first where there is not room for all; 0 stays.
    pub(crate) gives_way: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    /// Takes the room that the others leave.
    Rest,
}

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) cells: Vec<Cell>,
    /// More about it, for whoever chose it.
    pub(crate) detail: Vec<(Tone, String)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) columns: &'static [Column],
    pub(crate) rows: Vec<Row>,
    /// What is said instead of no rows.
    pub(crate) none: String,
}

/// Columns between two cells.
pub(crate) const GAP: usize = 2;
/// A column that takes the rest has at least so much, and no other has more than the second.
const LEAST_REST: usize = 14;
const MOST_WIDTH: usize = 48;

impl Table {
    /// By a column: text from its beginning, numbers from the highest; or the other way round.
    pub(crate) fn sort(&mut self, column: usize, reversed: bool) {
        let Some(kind) = self.columns.get(column).map(|column| column.kind) else { return };
        self.rows.sort_by(|one, other| {
            let (Some(one), Some(other)) = (one.cells.get(column), other.cells.get(column)) else {
                return Ordering::Equal;
            };
            let order = if kind == Kind::Number { other.order(one) } else { one.order(other) };
            if reversed { order.reverse() } else { order }
        });
    }

    /// The width of each column within so many; `None`: there is no room for it.
    pub(crate) fn widths(&self, room: usize) -> Vec<Option<usize>> {
        let natural = |place: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(place)).map(|cell| width(&cell.text));
            // With a mark behind the name of the column that sorts.
            cells.chain([width(column.name) + 1]).max().unwrap_or_default()
        };
        let wanted: Vec<usize> =
            self.columns.iter().enumerate().map(|(place, column)| natural(place, column)).collect();
        let least = |place: usize| match self.columns[place].kind {
            Kind::Rest => wanted[place].min(LEAST_REST),
            Kind::Text | Kind::Number => wanted[place].min(MOST_WIDTH),
        };
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let taken = |shown: &[usize]| shown.iter().map(|&place| least(place) + GAP).sum::<usize>().saturating_sub(GAP);
        while taken(&shown) > room {
            let last = shown.iter().copied().max_by_key(|&place| (self.columns[place].gives_way, place));
            match last.filter(|&place| self.columns[place].gives_way > 0) {
                Some(last) => shown.retain(|&place| place != last),
                None => break,
            }
        }
        let mut left = room.saturating_sub(taken(&shown));
        let mut widths = vec![None; self.columns.len()];
        for &place in &shown {
            let more = match self.columns[place].kind {
                Kind::Rest => left.min(wanted[place].saturating_sub(least(place))),
                Kind::Text | Kind::Number => 0,
            };
            left -= more;
            widths[place] = Some(least(place) + more);
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { name: "Name", kind: Kind::Rest, gives_way: 0 },
        Column { name: "Jobs", kind: Kind::Number, gives_way: 0 },
        Column { name: "State", kind: Kind::Text, gives_way: 1 },
    ];

    fn table() -> Table {
        let row = |name: &str, jobs: i64| Row {
            key: Key::Name(name.into()),
            cells: vec![Cell::text(name), Cell::number(jobs, jobs.to_string()), Cell::text("served")],
            detail: Vec::new(),
        };
        let rows = vec![row("b", 9), row("a-long-name-of-an-entrypoint", 10), row("C", 2)];
        Table { columns: &COLUMNS, rows, none: String::new() }
    }

    fn first(table: &Table) -> &str {
        &table.rows[0].cells[0].text
    }

    #[test]
    fn rows_are_sorted_by_any_column_and_numbers_by_what_they_are() {
        let mut table = table();
        table.sort(1, false);
        assert_eq!(first(&table), "a-long-name-of-an-entrypoint", "10 is more than 9");
        table.sort(1, true);
        assert_eq!(first(&table), "C");
        table.sort(0, true);
        assert_eq!(first(&table), "C", "in any case");
        table.sort(9, false);
        assert_eq!(first(&table), "C");
    }

    #[test]
    fn columns_give_way_and_one_takes_the_rest() {
        let table = table();
        assert_eq!(table.widths(80), [Some(28), Some(5), Some(6)]);
        assert_eq!(table.widths(35), [Some(20), Some(5), Some(6)]);
        assert_eq!(table.widths(24), [Some(17), Some(5), None]);
        assert_eq!(table.widths(3), [Some(14), Some(5), None], "what has no room is cut");
    }
}
