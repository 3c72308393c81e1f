//! Fills the queue: with jobs as PgQueuer's client enqueues them, and with large numbers of rows
//! that a claim has to cope with.

use sqlx::{PgConnection, Row as _};

use super::environment::Environment;

/// The rows, and a log row for each.
const ENQUEUE: &str = "
WITH new AS (
    INSERT INTO {queue} (priority, entrypoint, payload, headers, status)
    SELECT 0, ($1::text[])[1 + n % cardinality($1)], $2, 'null', 'queued' FROM generate_series(1, $3) AS n
    RETURNING id, priority, entrypoint
), logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint) SELECT id, 'queued', priority, entrypoint FROM new
)
SELECT min(id)::bigint FROM new";

const BACKLOG: &str = "
INSERT INTO {queue} (priority, entrypoint, payload, headers, status)
SELECT 0, $1, $2, 'null', 'queued' FROM generate_series(1, $3)";

/// Due over a day that starts in an hour.
const FUTURE: &str = "
INSERT INTO {queue} (priority, entrypoint, payload, headers, status, execute_after)
SELECT 0, $1, $2, 'null', 'queued', now() + interval '1 hour' + interval '1 day' * random() FROM generate_series(1, $3)";

/// Held by a worker whose last heartbeat is in the future, because nobody sends heartbeats for it.
/// Each holds a slot.
const IN_FLIGHT: &str = "
INSERT INTO {queue} (priority, entrypoint, payload, headers, status, queue_manager_id, heartbeat, slot)
SELECT 0, $1, $2, 'null', 'picked', '00000000-0000-4000-8000-000000000000', now() + interval '1 day', n - 1
FROM generate_series(1, $3) AS n";

/// What autovacuum would do sooner or later. Done explicitly, so that its timing is not random.
const TIDY: &str = "VACUUM ANALYZE {queue}";

/// Rows that are present before anything is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mass {
    /// Jobs that are due.
    Backlog,
    /// Jobs that are deferred.
    Future,
    /// Jobs that are running.
    InFlight,
}

impl Mass {
    /// Insert `size` such rows in one statement.
    pub(super) async fn put(
        self,
        connection: &mut PgConnection,
        environment: &Environment,
        entrypoint: &str,
        payload: &[u8],
        count: i64,
    ) -> sqlx::Result<()> {
        let template = match self {
            Mass::Backlog => BACKLOG,
            Mass::Future => FUTURE,
            Mass::InFlight => IN_FLIGHT,
        };
        sqlx::query(environment.sql(template)).bind(entrypoint).bind(payload).bind(count).execute(connection).await?;
        Ok(())
    }
}

/// Vacuum the queue, as autovacuum would.
pub(super) async fn tidy(connection: &mut PgConnection, environment: &Environment) -> sqlx::Result<()> {
    sqlx::raw_sql(environment.sql(TIDY)).execute(connection).await?;
    Ok(())
}

/// Enqueue `jobs` jobs, distributed over the entrypoints in turn. Returns the first id, which is
/// the lowest.
pub(super) async fn enqueue(
    connection: &mut PgConnection,
    environment: &Environment,
    entrypoints: &[String],
    payload: &[u8],
    count: i64,
) -> sqlx::Result<i64> {
    let row =
        sqlx::query(environment.sql(ENQUEUE)).bind(entrypoints).bind(payload).bind(count).fetch_one(connection).await?;
    row.try_get(0)
}
