//! The file: columns, rows, and what is wrong with them.

use std::collections::BTreeMap;
use std::io::Read;

use csv::{ByteRecord, ErrorKind, Reader};
use flate2::read::MultiGzDecoder;
use serde::Serialize;

use crate::stats::Stats;

/// How many groups a report can have: beyond it, the column is an id and the report as long as the
/// file.
const MAX_GROUPS: usize = 10_000;

/// How many rows that did not parse are shown; all are counted.
const SHOWN: usize = 5;

/// How many rows are read between two questions to the host.
const ROWS_PER_HEARTBEAT: u64 = 1024;

const GZIP: &[u8] = &[0x1f, 0x8b];

/// A CSV file with a head line, and the two columns that matter.
pub(crate) struct Table<'a> {
    rows: Reader<Box<dyn Read + 'a>>,
    group_by: Column,
    value: Column,
}

struct Column {
    name: String,
    index: usize,
}

/// The output of the job.
#[derive(Serialize)]
pub(crate) struct Report {
    group_by: String,
    value: String,
    /// Rows that are in the groups.
    pub(crate) rows: u64,
    /// Rows that are not, for they do not parse.
    pub(crate) skipped: u64,
    first_skipped: Vec<Skipped>,
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    group: String,
    #[serde(flatten)]
    stats: Stats,
}

#[derive(Serialize)]
struct Skipped {
    line: u64,
    reason: String,
}

/// Why there is no report.
pub(crate) enum Stop {
    Interrupted,
    Unreadable(String),
}

impl<'a> Table<'a> {
    /// Read the head line of a file that may be gzipped.
    pub(crate) fn open(file: &'a [u8], group_by: &str, value: &str) -> Result<Self, String> {
        let plain: Box<dyn Read> =
            if file.starts_with(GZIP) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut rows = Reader::from_reader(plain);
        let head = match rows.headers() {
            Ok(head) => head,
            Err(error) => return Err(format!("the head line cannot be read: {error}")),
        };
        let column = |name: &str| match head.iter().position(|known| known == name) {
            Some(index) => Ok(Column { name: name.to_owned(), index }),
            None => {
                let known: Vec<_> = head.iter().map(|name| format!("`{name}`")).collect();
                Err(format!("no column `{name}`; there are {}", known.join(", ")))
            }
        };
        let (group_by, value) = (column(group_by)?, column(value)?);
        Ok(Self { rows, group_by, value })
    }

    /// Read all rows. `go_on` is asked every so often.
    pub(crate) fn summarise(mut self, go_on: impl Fn() -> bool) -> Result<Report, Stop> {
        let mut groups = BTreeMap::new();
        let (mut rows, mut skipped, mut first_skipped) = (0, 0, Vec::new());
        // One record for all rows: nothing is allocated per row.
        let mut row = ByteRecord::new();
        loop {
            if (rows + skipped) % ROWS_PER_HEARTBEAT == 0 && !go_on() {
                return Err(Stop::Interrupted);
            }
            let line = self.rows.position().line();
            let cells = match self.rows.read_byte_record(&mut row) {
                Ok(false) => break,
                Ok(true) => self.cells(&row),
                Err(error) => Err(unequal(error, line)?),
            };
            match cells {
                Ok((group, value)) => {
                    add(&mut groups, group, value).map_err(Stop::Unreadable)?;
                    rows += 1;
                }
                Err(reason) => {
                    if first_skipped.len() < SHOWN {
                        first_skipped.push(Skipped { line, reason });
                    }
                    skipped += 1;
                }
            }
        }
        Ok(Report {
            group_by: self.group_by.name,
            value: self.value.name,
            rows,
            skipped,
            first_skipped,
            groups: groups.into_iter().map(|(group, stats)| Group { group, stats }).collect(),
        })
    }

    /// Group and value of one row.
    fn cells<'row>(&self, row: &'row ByteRecord) -> Result<(&'row str, f64), String> {
        let group = text(row, &self.group_by)?;
        let value = text(row, &self.value)?.trim();
        match value.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok((group, number)),
            _ => Err(format!("`{}` is not a number: `{value}`", self.value.name)),
        }
    }
}

/// A row of another length is that row's fault. Anything else is the file's.
fn unequal(error: csv::Error, line: u64) -> Result<String, Stop> {
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => Ok(format!("{len} fields instead of {expected_len}")),
        _ => Err(Stop::Unreadable(format!("the file cannot be read on from line {line}: {error}"))),
    }
}

/// The key is copied for the first row of a group only.
fn add(groups: &mut BTreeMap<String, Stats>, group: &str, value: f64) -> Result<(), String> {
    if let Some(stats) = groups.get_mut(group) {
        stats.add(value);
    } else if groups.len() < MAX_GROUPS {
        groups.insert(group.to_owned(), Stats::of(value));
    } else {
        return Err(format!("there are more than {MAX_GROUPS} groups"));
    }
    Ok(())
}

fn text<'row>(row: &'row ByteRecord, column: &Column) -> Result<&'row str, String> {
    str::from_utf8(&row[column.index]).map_err(|_| format!("`{}` is not UTF-8", column.name))
}
