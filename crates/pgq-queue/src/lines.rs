//! The lines of a run as they are stored: a JSON array of arrays, compressed. They are part of the
//! outcome; the statement that records it writes them.

use std::time::Duration;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde::Serialize;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;

use super::Queue;
use super::millis::millis;
use pgq_job::Printed;

/// Lines repeat themselves; more effort gains little.
const EFFORT: u8 = 3;
/// No host stores as much. Whatever else is in the column is not unpacked further.
const MOST_BYTES: usize = 64 << 20;
/// Rows that one statement removes.
const PRUNED: i64 = 1_000;

/// Lines to be stored with an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLines {
    packed: Vec<u8>,
    cut: u64,
    kept_for: Duration,
    failed: bool,
}

impl KeptLines {
    /// What a run printed, to be kept for so long. `failed`: whether the run did.
    pub fn new(printed: &Printed, kept_for: Duration, failed: bool) -> KeptLines {
        let rows: Vec<_> = printed
            .lines
            .iter()
            .map(|line| {
                let after = u64::try_from(line.after.as_millis()).unwrap_or(u64::MAX);
                (after, line.stream, line.level, line.message.as_str(), line.fields.as_str())
            })
            .collect();
        // Numbers and texts cannot fail.
        let json = serde_json::to_vec(&rows).unwrap_or_default();
        KeptLines { packed: compress_to_vec_zlib(&json, EFFORT), cut: printed.cut, kept_for, failed }
    }

    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.packed.len()
    }
}

/// A line that was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct KeptLine {
    /// Milliseconds since the run began.
    pub after_ms: u64,
    /// `log`, `stdout` or `stderr`.
    pub stream: String,
    pub level: String,
    pub message: String,
    /// `name=value` of each field, or nothing.
    pub fields: String,
}

/// Unpack stored lines; `None`: they are not what a host stores.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<KeptLine>> {
    let json = decompress_to_vec_zlib_with_limit(packed, MOST_BYTES).ok()?;
    let rows: Vec<(u64, String, String, String, String)> = serde_json::from_slice(&json).ok()?;
    let line = |(after_ms, stream, level, message, fields)| KeptLine { after_ms, stream, level, message, fields };
    Some(rows.into_iter().map(line).collect())
}

/// Lines column by column, as `unnest` takes them: a place for each record, with or without.
#[derive(Debug, Clone, Default)]
pub struct LinesColumns {
    pub packed: Vec<Option<Vec<u8>>>,
    pub cut: Vec<Option<i64>>,
    pub keep_ms: Vec<Option<i64>>,
    pub failed: Vec<Option<bool>>,
}

impl LinesColumns {
    pub(super) fn of<'l>(all: impl IntoIterator<Item = Option<&'l KeptLines>>) -> LinesColumns {
        let mut columns = LinesColumns::default();
        for lines in all {
            columns.packed.push(lines.map(|lines| lines.packed.clone()));
            columns.cut.push(lines.map(|lines| i64::try_from(lines.cut).unwrap_or(i64::MAX)));
            columns.keep_ms.push(lines.map(|lines| millis(lines.kept_for)));
            columns.failed.push(lines.map(|lines| lines.failed));
        }
        columns
    }
}

/// The parameters about lines.
pub(super) fn with_lines<'l>(
    query: Query<'static, Postgres, PgArguments>,
    all: impl IntoIterator<Item = Option<&'l KeptLines>>,
) -> Query<'static, Postgres, PgArguments> {
    let LinesColumns { packed, cut, keep_ms, failed } = LinesColumns::of(all);
    query.bind(packed).bind(cut).bind(keep_ms).bind(failed)
}

impl Queue {
    /// Whether the database has a place for lines.
    pub fn keeps_lines(&self) -> bool {
        self.sql.features.lines
    }

    /// Delete lines that need not be kept any longer. Returns how many runs' there were; it is
    /// bounded, so there may be more.
    pub async fn prune_lines(&self) -> sqlx::Result<u64> {
        if !self.keeps_lines() {
            return Ok(0);
        }
        let pool = self.pool.patient();
        Ok(sqlx::query(self.sql.prune_lines.clone()).bind(PRUNED).execute(&pool).await?.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgq_job::Line;

    #[test]
    fn lines_are_read_as_they_were_written_and_take_less() {
        let line = |n: u64| Line {
            after: Duration::from_millis(n),
            stream: "stderr",
            level: "info",
            message: format!("line \u{1b}[2J\0 {n}"),
            fields: "a=b".into(),
        };
        let printed = Printed { lines: (0..1000).map(line).collect(), cut: 7 };
        let kept = KeptLines::new(&printed, Duration::from_secs(1), true);
        assert!(kept.bytes() < 10_000, "{}", kept.bytes());
        let lines = unpack(&kept.packed).expect("lines");
        assert_eq!(lines.len(), 1000);
        let KeptLine { after_ms, stream, message, .. } = &lines[999];
        assert_eq!((*after_ms, stream.as_str(), message.as_str()), (999, "stderr", "line \u{1b}[2J\0 999"));
        assert_eq!((unpack(b"x"), unpack(&compress_to_vec_zlib(b"[[1]]", 1))), (None, None));
    }
}
