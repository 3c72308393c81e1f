//! How long runs took lately, and how many of them failed, from a few of their attempts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sqlx::Row as _;

use super::statements;
use crate::Operator;
use crate::text::optional_text;

const WITHIN: Duration = Duration::from_secs(2);
/// Enough for a percentile, and as many look-ups in the log.
const SAMPLE: i64 = 500;
/// Of a quiet queue, runs of an hour ago still tell something.
const SPANS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(3600)];
const ENOUGH: usize = 100;

/// Some runs of the last minute, or of the last hour where there were few.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RunTimes {
    /// How many runs this tells of.
    pub runs: i64,
    /// How many of them failed; `None`: the database has attempts of earlier releases alone.
    pub failed: Option<i64>,
    pub p50_us: i64,
    pub p95_us: i64,
    pub memory_p95_bytes: i64,
    pub cpu_p50_us: Option<i64>,
    /// From the last enqueue to the claim, a delay that was asked for included; `None`: the log does
    /// not tell.
    pub waited_p50_us: Option<i64>,
    pub waited_p95_us: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct RecentRuns {
    pub(super) all: Option<RunTimes>,
    pub(super) by_entrypoint: BTreeMap<String, RunTimes>,
    /// By the key of the plugin's version.
    pub(super) by_version: BTreeMap<i64, RunTimes>,
}

#[derive(Debug, Default)]
struct Figures {
    elapsed: Vec<i64>,
    memory: Vec<i64>,
    cpu: Vec<i64>,
    waited: Vec<i64>,
    failed: Option<i64>,
}

impl Figures {
    fn add(&mut self, run: &Run) {
        self.elapsed.push(run.elapsed);
        self.memory.push(run.memory);
        self.cpu.extend(run.cpu);
        self.waited.extend(run.waited);
        if let Some(failed) = run.failed {
            self.failed = Some(self.failed.unwrap_or_default() + i64::from(failed));
        }
    }

    fn times(mut self) -> RunTimes {
        RunTimes {
            runs: i64::try_from(self.elapsed.len()).unwrap_or(i64::MAX),
            failed: self.failed,
            p50_us: percentile(&mut self.elapsed, 50).unwrap_or_default(),
            p95_us: percentile(&mut self.elapsed, 95).unwrap_or_default(),
            memory_p95_bytes: percentile(&mut self.memory, 95).unwrap_or_default(),
            cpu_p50_us: percentile(&mut self.cpu, 50),
            waited_p50_us: percentile(&mut self.waited, 50),
            waited_p95_us: percentile(&mut self.waited, 95),
        }
    }
}

struct Run {
    elapsed: i64,
    memory: i64,
    cpu: Option<i64>,
    waited: Option<i64>,
    failed: Option<bool>,
}

/// The value below which so many percent of them are.
fn percentile(values: &mut [i64], percent: usize) -> Option<i64> {
    values.sort_unstable();
    let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(place).copied()
}

impl Operator {
    /// What a few runs of the last minute or hour tell; nothing where none is noted.
    pub(super) async fn recent_runs(&self) -> sqlx::Result<RecentRuns> {
        let features = self.features().await?;
        if !features.attempts {
            return Ok(RecentRuns::default());
        }
        let mut rows = Vec::new();
        for span in SPANS {
            let query = sqlx::query(self.sql_with(statements::RECENT_RUNS, features)).persistent(false);
            let query = query.bind(crate::millis::millis(span)).bind(SAMPLE);
            rows = self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await?;
            if rows.len() >= ENOUGH {
                break;
            }
        }
        let (mut all, mut by_entrypoint, mut by_version) =
            (Figures::default(), BTreeMap::<String, Figures>::new(), BTreeMap::<i64, Figures>::new());
        for row in &rows {
            let waited: Option<i64> = row.try_get("waited_us")?;
            let run = Run {
                elapsed: row.try_get("elapsed_us")?,
                memory: row.try_get("memory_bytes")?,
                cpu: row.try_get("cpu_us")?,
                // Clocks of transactions overlap.
                waited: waited.map(|waited| waited.max(0)),
                failed: row.try_get("failed")?,
            };
            all.add(&run);
            by_version.entry(row.try_get("plugin")?).or_default().add(&run);
            if let Some(entrypoint) = optional_text(row, "entrypoint")? {
                by_entrypoint.entry(entrypoint).or_default().add(&run);
            }
        }
        Ok(RecentRuns {
            all: (!rows.is_empty()).then(|| all.times()),
            by_entrypoint: by_entrypoint.into_iter().map(|(name, figures)| (name, figures.times())).collect(),
            by_version: by_version.into_iter().map(|(key, figures)| (key, figures.times())).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_there() {
        assert_eq!(percentile(&mut [], 50), None);
        assert_eq!(percentile(&mut [7], 95), Some(7));
        assert_eq!(percentile(&mut [3, 1, 2, 4], 50), Some(2));
        assert_eq!(percentile(&mut (1..=100).rev().collect::<Vec<_>>(), 95), Some(95));
    }
}
