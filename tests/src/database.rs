//! A separate database for each test.

use std::sync::atomic::{AtomicU32, Ordering};

use pgq_job::NewJob;
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::schema::{self, InstallOptions};
use pgq_queue::{self as queue, OnConflict, Pool, Queue};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};

use crate::{eventually, server};

/// PgQueuer's default names.
pub(crate) fn default_names() -> Names {
    Names::new(&NameSettings::default(), |_| None).expect("defaults are valid")
}

/// A separate database, with the schema installed unless a constructor says otherwise.
pub struct Database {
    dsn: String,
    pool: PgPool,
    queue: Pool,
}

impl Database {
    /// With PgQueuer's tables and ours.
    pub async fn new() -> Database {
        Database::copy_of(server::TEMPLATE).await
    }

    pub async fn empty() -> Database {
        Database::copy_of("template0").await
    }

    /// With PgQueuer's tables and ours, in this encoding.
    pub async fn encoded(encoding: &str) -> Database {
        let database =
            Database::made(&format!("TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")).await;
        database.install().await;
        database
    }

    async fn copy_of(template: &str) -> Database {
        Database::made(&format!("TEMPLATE {template}")).await
    }

    async fn made(how: &str) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}{}_{}", server::PREFIX, std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::connect(&server::dsn("postgres")).await.expect("the tests' PostgreSQL answers");
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name} {how}"))).await.expect("a database");
        Database::at(server::dsn(&name)).await
    }

    /// A database on the test's own server, as it is.
    pub async fn at(dsn: String) -> Database {
        let options = queue::connect_options(Some(&dsn)).expect("a DSN");
        let pool = queue::connect(options.clone()).await.expect("it answers");
        let queue = queue::Database::from(options).connect().await.expect("it answers");
        Database { dsn, pool, queue }
    }

    /// Install PgQueuer's tables and ours.
    pub async fn install(&self) {
        let mut connection = self.connect().await;
        schema::install(&mut connection, &default_names(), &InstallOptions::default()).await.expect("the schema");
    }

    pub fn dsn(&self) -> String {
        self.dsn.clone()
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.dsn()).await.expect("it answers")
    }

    /// For the test's own queries.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The queue as another worker sees it.
    pub fn queue(&self) -> Queue {
        Queue::new(self.queue.clone(), default_names())
    }

    pub async fn enqueue(&self, entrypoint: &str, payload: impl Into<Vec<u8>>) -> i64 {
        self.enqueue_many(entrypoint, 1, payload).await[0]
    }

    /// Enqueue `count` identical jobs.
    pub async fn enqueue_many(&self, entrypoint: &str, count: usize, payload: impl Into<Vec<u8>>) -> Vec<i64> {
        let job = NewJob { entrypoint: entrypoint.into(), payload: Some(payload.into()), ..NewJob::default() };
        self.queue().enqueue(&vec![job; count], OnConflict::Raise).await.expect("enqueued")
    }

    pub async fn execute(&self, sql: &str) {
        self.pool.execute(AssertSqlSafe(sql.to_owned())).await.expect("executed");
    }

    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await.expect("a count")
    }

    /// The states that a job went through, oldest first.
    pub async fn history(&self, id: i64) -> Vec<String> {
        sqlx::query_scalar("SELECT status::text FROM pgqueuer_log WHERE job_id = $1 ORDER BY id")
            .bind(id)
            .fetch_all(&self.pool)
            .await
            .expect("a history")
    }

    /// The most jobs of this entrypoint that ran at once, according to the slots that were taken
    /// and freed.
    ///
    /// By the log's ids rather than its times: a claim that reuses a slot has seen the end of the
    /// previous job, but the clock of its transaction may have started earlier.
    pub async fn most_at_once(&self, entrypoint: &str) -> i64 {
        sqlx::query_scalar(
            "SELECT max(running)::bigint FROM (
                 SELECT sum(CASE status WHEN 'picked' THEN 1 WHEN 'successful' THEN -1 ELSE 0 END) OVER (ORDER BY id) AS running
                 FROM pgqueuer_log WHERE entrypoint = $1) AS r",
        )
        .bind(entrypoint)
        .fetch_one(&self.pool)
        .await
        .expect("a count")
    }

    /// The newest traceback of a job.
    pub async fn traceback(&self, id: i64) -> serde_json::Value {
        let text: String = sqlx::query_scalar(
            "SELECT traceback::text FROM pgqueuer_log WHERE job_id = $1 AND traceback IS NOT NULL ORDER BY id DESC LIMIT 1",
        )
        .bind(id)
        .fetch_one(&self.pool)
        .await
        .expect("a traceback");
        serde_json::from_str(&text).expect("JSON")
    }

    /// A job's output as text.
    pub async fn output(&self, id: i64) -> Option<String> {
        let bytes: Option<Vec<u8>> = sqlx::query_scalar("SELECT output FROM pgqueuer_output WHERE job_id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .expect("an output");
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Wait until the last entry of the job's log has this status.
    pub async fn wait_for(&self, id: i64, status: &str) {
        let mut last = String::new();
        eventually(&format!("job {id} is {status}"), async || {
            last = self.history(id).await.pop().unwrap_or_default();
            last == status
        })
        .await;
    }

    /// Wait until the queue has so many jobs, whatever their status.
    pub async fn wait_until_queue_has(&self, jobs: i64) {
        eventually(&format!("{jobs} jobs are left"), async || {
            self.count("SELECT count(*) FROM pgqueuer").await == jobs
        })
        .await;
    }

    /// Wait until no job is queued or running. Gives up when none of them ends for as long as
    /// [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_until_done(&self) {
        let left = async || self.count("SELECT count(*) FROM pgqueuer WHERE status <> 'failed'").await;
        let mut before = left().await;
        while before > 0 {
            let mut now = before;
            eventually(&format!("one of {before} jobs that are queued or picked ends"), async || {
                now = left().await;
                now != before
            })
            .await;
            before = now;
        }
    }
}
