//! Where somebody is in a list: the chosen row, what is on the screen, and how it is sorted.

use crate::table::{Column, Key, Row, Table};

#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    chosen: Option<Key>,
    place: usize,
    top: usize,
    pub(crate) sort: Option<usize>,
    pub(crate) reversed: bool,
}

impl List {
    /// Sort the rows as it was asked for, and find the chosen one among them, wherever it went.
    pub(crate) fn settle(&mut self, table: &mut Table) {
        if let Some(column) = self.sort {
            table.sort(column, self.reversed);
        }
        let found = self.chosen.as_ref().and_then(|key| table.rows.iter().position(|row| row.key == *key));
        self.choose(table, found.unwrap_or(self.place));
    }

    fn choose(&mut self, table: &Table, place: usize) {
        self.place = place.min(table.rows.len().saturating_sub(1));
        self.chosen = table.rows.get(self.place).map(|row| row.key.clone());
    }

    pub(crate) fn row<'t>(&self, table: &'t Table) -> Option<&'t Row> {
        table.rows.get(self.place)
    }

    pub(crate) fn place(&self) -> usize {
        self.place
    }

    /// Go so many rows down, or up.
    pub(crate) fn go(&mut self, table: &Table, by: isize) {
        self.choose(table, self.place.saturating_add_signed(by));
    }

    /// To the first row, of another list.
    pub(crate) fn restart(&mut self) {
        (self.chosen, self.place, self.top) = (None, 0, 0);
    }

    /// The first row of so many on the screen, the chosen one among them.
    pub(crate) fn top(&mut self, rows: usize, shown: usize) -> usize {
        let last = rows.saturating_sub(shown);
        self.top = self.top.min(last).min(self.place).max((self.place + 1).saturating_sub(shown));
        self.top
    }

    /// By the next column; behind the last one as it comes.
    pub(crate) fn sort_next(&mut self, columns: &[Column]) {
        self.reversed = false;
        self.sort = match self.sort {
            None => Some(0),
            Some(column) if column + 1 < columns.len() => Some(column + 1),
            Some(_) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Cell, Kind};

    const COLUMNS: [Column; 1] = [Column { name: "Job", kind: Kind::Number, gives_way: 0 }];

    fn table(ids: &[i64]) -> Table {
        let row =
            |id: &i64| Row { key: Key::Job(*id), cells: vec![Cell::number(*id, id.to_string())], detail: Vec::new() };
        Table { columns: &COLUMNS, rows: ids.iter().map(row).collect(), none: String::new() }
    }

    #[test]
    fn the_chosen_row_stays_chosen_when_others_come_and_go() {
        let (mut list, mut before) = (List::default(), table(&[5, 4, 3]));
        list.settle(&mut before);
        list.go(&before, 1);
        let mut after = table(&[7, 6, 5, 4, 3]);
        list.settle(&mut after);
        assert_eq!((list.place(), list.row(&after).map(|row| row.key.clone())), (3, Some(Key::Job(4))));
        let mut gone = table(&[3]);
        list.settle(&mut gone);
        assert_eq!(list.row(&gone).map(|row| row.key.clone()), Some(Key::Job(3)), "the nearest, where it has gone");
        list.settle(&mut table(&[]));
        assert!(list.row(&table(&[])).is_none());
    }

    #[test]
    fn the_chosen_row_is_on_the_screen_and_the_sort_goes_round() {
        let (mut list, all) = (List::default(), table(&(0..100).collect::<Vec<_>>()));
        list.go(&all, 50);
        assert_eq!(list.top(100, 10), 41);
        list.go(&all, -5);
        assert_eq!(list.top(100, 10), 41, "it was there already");
        list.go(&all, -20);
        assert_eq!(list.top(100, 10), 25);
        list.go(&all, 1_000);
        assert_eq!((list.place(), list.top(100, 10)), (99, 90));
        list.sort_next(&COLUMNS);
        assert_eq!(list.sort, Some(0));
        list.sort_next(&COLUMNS);
        assert_eq!(list.sort, None);
    }
}
