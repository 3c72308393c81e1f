//! One measurement: warmed-up hosts, jobs for them, and what hosts and database spent on those
//! jobs.

use std::time::{Duration, Instant};

use anyhow::bail;
use chrono::{DateTime, Utc};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::counters::{Counters, Outcomes, Span};
use super::figures::{Figures, count, measure};
use super::load;
use super::load::Mass;
use super::setup::Setup;
use super::workers::Workers;

/// The log has the times that are measured. Polling more often would only use the same processors.
const POLL: Duration = Duration::from_millis(20);
/// Starting takes a moment, a first compilation several. Only a hang takes this long.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);
/// Connections, statements, caches: the first jobs of a host pay for things that are not part of a
/// job's cost.
const WARM_UP_PER_HOST: i64 = 100;

pub(super) struct Measurement<'a> {
    setup: &'a Setup<'a>,
    connection: PgConnection,
    workers: Workers,
    /// Jobs that the hosts ran to warm up.
    warm_up: i64,
}

/// A point in time, and what had been spent by then.
struct Mark {
    at: DateTime<Utc>,
    wal: i64,
    host_cpu: Option<f64>,
    postgres_cpu: Option<f64>,
}

impl<'a> Measurement<'a> {
    /// Start hosts, and have them run some jobs.
    pub(super) async fn start(
        setup: &'a Setup<'a>,
        connection: PgConnection,
        hosts: usize,
        entrypoints: &[String],
    ) -> anyhow::Result<Measurement<'a>> {
        let workers = setup.start(entrypoints)?.workers(hosts)?;
        let warm_up = WARM_UP_PER_HOST.min(setup.settings.jobs) * i64::try_from(hosts)?;
        let mut measurement = Measurement { setup, connection, workers, warm_up };
        let begun = Instant::now();
        while measurement.counters().hosts().await? < i64::try_from(hosts)? {
            measurement.workers.check()?;
            if begun.elapsed() > STALL_TIMEOUT {
                bail!("the hosts did not become ready:\n{}", measurement.workers.log_tails());
            }
            tokio::time::sleep(POLL).await;
        }
        let before = measurement.counters().logged().await?;
        load::enqueue(&mut measurement.connection, setup.environment, entrypoints, setup.payload(), warm_up).await?;
        measurement.wait_for_log(before + 3 * warm_up).await?;
        Ok(measurement)
    }

    fn counters(&mut self) -> Counters<'_> {
        Counters { environment: self.setup.environment, connection: &mut self.connection }
    }

    async fn mark(&mut self) -> anyhow::Result<Mark> {
        let mut counters = self.counters();
        let (at, wal) = (counters.now().await?, counters.wal().await?);
        Ok(Mark { at, wal, host_cpu: self.workers.cpu(), postgres_cpu: self.setup.environment.server_cpu() })
    }

    /// Wait until the log has had this many rows.
    async fn wait_for_log(&mut self, rows: i64) -> anyhow::Result<()> {
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            let logged = self.counters().logged().await?;
            if logged >= rows {
                return Ok(());
            }
            self.workers.check()?;
            if logged > last {
                (last, moved) = (logged, Instant::now());
            } else if moved.elapsed() > STALL_TIMEOUT {
                let failure = self.counters().failure().await?.unwrap_or_default();
                bail!("no progress for {} s {failure}\n{}", STALL_TIMEOUT.as_secs(), self.workers.log_tails());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Wait until each of the `jobs` jobs from this id on has succeeded, once.
    async fn wait_for_jobs(&mut self, first: i64, jobs: i64, rows: i64) -> anyhow::Result<Outcomes> {
        self.wait_for_log(rows).await?;
        let begun = Instant::now();
        loop {
            let outcomes = self.counters().outcomes(Span::all(first)).await?;
            if outcomes.successful >= jobs {
                if outcomes.successful + outcomes.other > jobs || outcomes.picked > jobs {
                    bail!(
                        "{jobs} jobs were run {} times and ended {} times",
                        outcomes.picked,
                        outcomes.successful + outcomes.other
                    );
                }
                return Ok(outcomes);
            }
            if outcomes.other > 0 || begun.elapsed() > STALL_TIMEOUT {
                let failure = self.counters().failure().await?.unwrap_or_default();
                let (ended, log_tails) = (outcomes.successful, self.workers.log_tails());
                bail!("{ended} of {jobs} jobs ended well; the first that did not: {failure}\n{log_tails}");
            }
            // A number of the sequence was allocated but not used, for example by a write that was
            // retried.
            self.workers.check()?;
            tokio::time::sleep(POLL).await;
        }
    }

    /// Enqueue `jobs` jobs at once, and wait until none is left.
    pub(super) async fn drain(mut self, entrypoints: &[String], payload: &[u8], jobs: i64) -> anyhow::Result<Figures> {
        let before = self.counters().wal().await?;
        // The commit starts the race: enqueueing is complete by then.
        self.connection.execute("BEGIN").await?;
        let first = load::enqueue(&mut self.connection, self.setup.environment, entrypoints, payload, jobs).await?;
        let rows = self.counters().logged().await? + 2 * jobs;
        let start = self.mark().await?;
        self.connection.execute("COMMIT").await?;
        let outcomes = self.wait_for_jobs(first, jobs, rows).await?;
        let end = self.mark().await?;
        let times = self.counters().times(Span::all(first), "picked", "successful").await?;
        let rate = outcomes.seconds.map(|seconds| count(jobs) / seconds);
        let figures = Figures::of(jobs).with(measure::JOBS_PER_SECOND, rate).with_percentiles(times);
        let enqueue = per(start.wal - before, jobs);
        self.settle(figures.with(measure::WAL_ENQUEUE, enqueue), &start, &end, &outcomes, enqueue, jobs).await
    }

    /// Enqueue a backlog, and stop when `jobs` of its jobs are done.
    pub(super) async fn take(mut self, entrypoint: &str, jobs: i64, backlog: i64) -> anyhow::Result<Figures> {
        const LEFT: &str = "SELECT count(*) FROM {queue}";
        let environment = self.setup.environment;
        self.connection.execute("BEGIN").await?;
        Mass::Backlog.put(&mut self.connection, environment, entrypoint, self.setup.payload(), backlog).await?;
        let rows = self.counters().logged().await? + 2 * jobs;
        let start = self.mark().await?;
        self.connection.execute("COMMIT").await?;
        self.wait_for_log(rows).await?;
        let end = self.mark().await?;
        let span = Span { first: 0, from: start.at, to: end.at };
        let outcomes = self.counters().outcomes(span).await?;
        let times = self.counters().times(span, "picked", "successful").await?;
        let (done, seconds) = (outcomes.successful, (end.at - start.at).as_seconds_f64());
        let figures =
            Figures::of(done).with(measure::JOBS_PER_SECOND, Some(count(done) / seconds)).with_percentiles(times);
        let setup = self.setup;
        let all_jobs = backlog + self.warm_up;
        let Measurement { mut connection, workers, .. } = self;
        workers.stop().await?;
        let mut counters = Counters { environment: setup.environment, connection: &mut connection };
        let all = counters.outcomes(Span::all(0)).await?;
        let left: i64 = sqlx::query_scalar(setup.environment.sql(LEFT)).fetch_one(&mut connection).await?;
        if all.successful + left != all_jobs || all.other > 0 {
            bail!("of {all_jobs} jobs {} ended well and {left} are left", all.successful);
        }
        let figures = spent(figures, &start, &end, done).with(measure::TRANSACTIONS, per(outcomes.transactions, done));
        finish(figures, setup, connection, all.successful, end.wal, per(end.wal - start.wal, done)).await
    }

    /// Enqueue `jobs` jobs at this rate, each as soon as it is due, and wait for the last one. The
    /// second set of figures is about the wait for a claim.
    pub(super) async fn pace(
        mut self,
        entrypoints: &[String],
        jobs: i64,
        rate: u32,
    ) -> anyhow::Result<(Figures, Figures)> {
        let environment = self.setup.environment;
        let rows = self.counters().logged().await? + 3 * jobs;
        let start = self.mark().await?;
        let (begun, mut first, mut sent) = (tokio::time::Instant::now(), None, 0);
        while sent < jobs {
            // Late jobs are not skipped: everything that is due by now is enqueued together.
            #[expect(clippy::cast_possible_truncation, reason = "seconds times a rate, at most the number of jobs")]
            let due = ((begun.elapsed().as_secs_f64() * f64::from(rate)) as i64 + 1).min(jobs);
            if due > sent {
                let id =
                    load::enqueue(&mut self.connection, environment, entrypoints, self.setup.payload(), due - sent)
                        .await?;
                first.get_or_insert(id);
                sent = due;
            }
            tokio::time::sleep_until(begun + Duration::from_secs_f64(count(sent) / f64::from(rate))).await;
        }
        let first = first.unwrap_or_default();
        let outcomes = self.wait_for_jobs(first, jobs, rows).await?;
        let end = self.mark().await?;
        let span = Span::all(first);
        let claimed = Figures::of(jobs).with_percentiles(self.counters().times(span, "queued", "picked").await?);
        let times = self.counters().times(span, "queued", "successful").await?;
        let rate = outcomes.seconds.map(|seconds| count(jobs) / seconds);
        let figures = Figures::of(jobs).with(measure::JOBS_PER_SECOND, rate).with_percentiles(times);
        Ok((self.settle(figures, &start, &end, &outcomes, None, jobs).await?, claimed))
    }

    /// Stop the hosts, and add the figures that are only known then.
    async fn settle(
        self,
        figures: Figures,
        start: &Mark,
        end: &Mark,
        outcomes: &Outcomes,
        enqueue: Option<f64>,
        jobs: i64,
    ) -> anyhow::Result<Figures> {
        let Measurement { setup, connection, workers, warm_up } = self;
        workers.stop().await?;
        let figures = spent(figures, start, end, jobs).with(measure::TRANSACTIONS, per(outcomes.transactions, jobs));
        let wal = per(end.wal - start.wal, jobs).map(|wal| wal + enqueue.unwrap_or_default());
        finish(figures, setup, connection, jobs + warm_up, end.wal, wal).await
    }
}

fn per(number: i64, jobs: i64) -> Option<f64> {
    Some(count(number) / count(jobs))
}

fn spent(figures: Figures, start: &Mark, end: &Mark, jobs: i64) -> Figures {
    let cpu = |start: Option<f64>, end: Option<f64>| Some((end? - start?) / count(jobs) * 1000.0);
    figures
        .with(measure::HOST_CPU, cpu(start.host_cpu, end.host_cpu))
        .with(measure::POSTGRES_CPU, cpu(start.postgres_cpu, end.postgres_cpu))
}

/// Figures about all jobs that ran, including the warm-up: dead row versions, and the WAL for
/// aggregating the log. Hosts that stop aggregate, too.
async fn finish(
    figures: Figures,
    setup: &Setup<'_>,
    mut connection: PgConnection,
    ran: i64,
    wal_before: i64,
    wal: Option<f64>,
) -> anyhow::Result<Figures> {
    let mut counters = Counters { environment: setup.environment, connection: &mut connection };
    let dead = counters.dead_tuples(ran).await?;
    let counted = counters.aggregate().await?;
    let statistics = per(counters.wal().await? - wal_before, ran);
    connection.close().await?;
    Ok(figures
        .with(measure::DEAD_TUPLES, dead.and_then(|dead| per(dead + counted, ran)))
        .with(measure::WAL_STATISTICS, statistics)
        .with(measure::WAL, wal.zip(statistics).map(|(wal, statistics)| wal + statistics)))
}
