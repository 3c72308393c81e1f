//! A drain of a queue whose log is long, with and without old rows being removed beside it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::PgConnection;

use super::environment::Environment;
use super::figures::Measured;
use super::load;
use super::measurement::Measurement;
use super::scenario::{DONE, grouped};
use super::setup::Setup;

/// The log of jobs that ended long ago, three rows each. Their ids are below those of all others.
const PAST: &str = "
INSERT INTO {log} (created, job_id, status, priority, entrypoint, aggregated)
SELECT now() - interval '60 days' + n * interval '1 s', -n, status, 0, 'past', true
FROM generate_series(1, $1) AS n, unnest(ARRAY['queued', 'picked', 'successful']::{status}[]) WITH ORDINALITY AS s (status, place)
ORDER BY n, place";
const TIDY: &str = "VACUUM ANALYZE {log}";
const LEFT: &str = "SELECT count(*) FROM {log} WHERE job_id < 0";
const ROWS_PER_JOB: i64 = 3;

/// Hosts begin a few seconds after their start.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

const KEPT: &str = "[retention]\nattempts = \"forever\"\n";
const PRUNED: &str = "[retention]\nattempts = \"forever\"\nlog = \"30d\"\n";

impl Setup<'_> {
    /// Both, one after the other.
    pub(super) async fn retention(&self, rows: u64) -> anyhow::Result<Vec<Measured>> {
        let jobs = i64::try_from(rows)? / ROWS_PER_JOB;
        let mut measured = Vec::new();
        for (how, config) in [("kept", KEPT), ("pruned beside them", PRUNED)] {
            let case = format!("{} old log rows, {how}", grouped(rows));
            (self.say)(&format!("  {case}: {} jobs", grouped(self.settings.jobs.unsigned_abs())));
            let setup = Setup { config, ..*self };
            measured.push(setup.beside_the_past(case, jobs, config == PRUNED).await?);
        }
        Ok(measured)
    }

    async fn beside_the_past(&self, case: String, past: i64, is_pruned: bool) -> anyhow::Result<Measured> {
        let (entrypoints, environment) = ([self.entrypoint()], self.environment);
        let mut connection = environment.fresh().await?;
        sqlx::query(environment.sql(PAST)).bind(past).execute(&mut connection).await?;
        sqlx::raw_sql(environment.sql(TIDY)).execute(&mut connection).await?;
        load::tidy(&mut connection, environment).await?;
        let hosts = self.settings.hosts.unwrap_or(1);
        let measurement = Measurement::start(self, connection, hosts, &entrypoints).await?;
        let mut watching = environment.connect().await?;
        let (all, began) = (past * ROWS_PER_JOB, Instant::now());
        while is_pruned && left(&mut watching, environment).await? == all {
            ensure!(began.elapsed() < PATIENCE, "no host began to remove old rows");
            tokio::time::sleep(POLL).await;
        }
        let (before, began) = (left(&mut watching, environment).await?, Instant::now());
        let figures = measurement.drain(&entrypoints, self.payload(), self.settings.jobs).await?;
        let (after, took) = (left(&mut watching, environment).await?, began.elapsed());
        let removed = grouped((before - after).unsigned_abs());
        (self.say)(&format!(
            "  {removed} old rows were removed in {:.1} s, the hosts' stop included",
            took.as_secs_f64()
        ));
        if is_pruned && after == 0 {
            (self.say)("  no old row was left before the last job was done: a larger --size compares all of the time");
        }
        Ok(Measured { case, timed: DONE, figures })
    }
}

async fn left(connection: &mut PgConnection, environment: &Environment) -> sqlx::Result<i64> {
    sqlx::query_scalar(environment.sql(LEFT)).fetch_one(connection).await
}
