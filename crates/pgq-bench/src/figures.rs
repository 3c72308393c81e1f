//! The results: named figures, one set per round, and the median of the rounds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// The names of all figures, in the order in which they are shown.
pub mod measure {
    /// How many jobs (or claims) the other figures are about.
    pub const JOBS: &str = "jobs";
    /// From the first claim to the last outcome.
    pub const JOBS_PER_SECOND: &str = "jobs_per_second";
    /// The median of what [`super::Row::timed`] describes.
    pub const P50: &str = "p50_ms";
    /// The 95th percentile of the same.
    pub const P95: &str = "p95_ms";
    /// The 99th percentile of the same.
    pub const P99: &str = "p99_ms";
    /// The 99th percentile as a multiple of that of an empty queue.
    pub const P99_RATIO: &str = "p99_to_empty";
    /// CPU seconds of all hosts per 1,000 jobs.
    pub const HOST_CPU: &str = "host_cpu_s_per_1000_jobs";
    /// CPU seconds of the database server per 1,000 jobs.
    pub const POSTGRES_CPU: &str = "postgres_cpu_s_per_1000_jobs";
    /// For enqueueing, running and counting a job.
    pub const WAL: &str = "wal_bytes_per_job";
    /// The part of it for enqueueing.
    pub const WAL_ENQUEUE: &str = "wal_enqueue_bytes_per_job";
    /// The part of it for aggregating the log into the statistics.
    pub const WAL_STATISTICS: &str = "wal_statistics_bytes_per_job";
    /// The hosts' transactions that wrote to the log.
    pub const TRANSACTIONS: &str = "transactions_per_job";
    /// Row versions left for vacuum.
    pub const DEAD_TUPLES: &str = "dead_tuples_per_job";
}

/// Figures by name. Those that could not be measured are missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Figures(BTreeMap<&'static str, f64>);

impl Figures {
    /// Figures about `jobs` jobs.
    pub(super) fn of(jobs: i64) -> Figures {
        Figures::default().with(measure::JOBS, Some(count(jobs)))
    }

    /// Add a figure, if it is known.
    pub(super) fn with(mut self, name: &'static str, value: Option<f64>) -> Figures {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.0.insert(name, value);
        }
        self
    }

    /// Add the percentiles of these times.
    pub(super) fn with_times(self, mut times: Vec<Duration>) -> Figures {
        times.sort_unstable();
        // The smallest time that this percentage of the times does not exceed.
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1);
            times.get(rank - 1).map(|time| time.as_secs_f64() * 1000.0)
        };
        let (p50, p95, p99) = (at(50), at(95), at(99));
        self.with_percentiles([p50, p95, p99])
    }

    /// Add the 50th, 95th and 99th percentiles, in milliseconds.
    pub(super) fn with_percentiles(self, [p50, p95, p99]: [Option<f64>; 3]) -> Figures {
        self.with(measure::P50, p50).with(measure::P95, p95).with(measure::P99, p99)
    }

    /// One figure.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// The median of each figure.
    fn median(rounds: &[Figures]) -> Figures {
        let mut all: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        for (name, value) in rounds.iter().flat_map(|round| &round.0) {
            all.entry(name).or_default().push(*value);
        }
        Figures(all.into_iter().map(|(name, values)| (name, middle(values))).collect())
    }
}

/// The number as a float, for divisions.
#[expect(clippy::cast_precision_loss, reason = "no bench has 2^53 jobs")]
pub(super) fn count(number: i64) -> f64 {
    number as f64
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

/// The result of one round of a scenario in one case.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) case: String,
    pub(super) timed: &'static str,
    pub(super) figures: Figures,
}

/// One case of a scenario.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What distinguishes it from the scenario's other cases.
    pub case: String,
    /// What the percentiles measure.
    pub timed: &'static str,
    /// The median of the rounds, figure by figure.
    #[serde(flatten)]
    pub median: Figures,
    /// The figures of each round.
    pub rounds: Vec<Figures>,
}

/// Collects rounds into rows, in the order in which the cases first appeared.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<Row>);

impl Rows {
    pub(super) fn add(&mut self, scenario: &'static str, measured: Measured) {
        let Measured { case, timed, figures } = measured;
        match self.0.iter_mut().find(|row| row.scenario == scenario && row.case == case) {
            Some(row) => row.rounds.push(figures),
            None => self.0.push(Row { scenario, case, timed, median: Figures::default(), rounds: vec![figures] }),
        }
    }

    pub(super) fn finish(mut self) -> Vec<Row> {
        self.0.iter_mut().for_each(|row| row.median = Figures::median(&row.rounds));
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let figures = Figures::of(200).with_times((1..=200).map(Duration::from_millis).collect());
        let ms = [measure::P50, measure::P95, measure::P99].map(|name| figures.get(name));
        assert_eq!(ms, [Some(100.0), Some(190.0), Some(198.0)]);
        assert_eq!(Figures::default().with_times(Vec::new()).get(measure::P50), None);
    }

    #[test]
    fn a_row_has_the_median_of_its_rounds_figure_by_figure() {
        let mut rows = Rows::default();
        for (rate, cpu) in [(3.0, None), (1.0, Some(7.0)), (2.0, None), (4.0, None)] {
            let figures = Figures::of(1).with("rate", Some(rate)).with("cpu", cpu);
            rows.add("drain", Measured { case: "fresh".into(), timed: "", figures });
        }
        let rows = rows.finish();
        assert_eq!((rows.len(), rows[0].rounds.len()), (1, 4));
        assert_eq!(
            (rows[0].median.get("rate"), rows[0].median.get("cpu"), rows[0].median.get("none")),
            (Some(2.5), Some(7.0), None)
        );
    }
}
