//! Opening a session: address, password, and the settings that it gets before it is used.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};
use tokio::time::Instant;
use uuid::Uuid;

use super::left::Left;
use super::millis::millis;
use super::presence;
use super::reach::Reach;
use super::server_version::check_server;
use super::source::Source;
use super::sqlstate::Remedy;
use super::timeout::within;

use crate::told::Told as _;

/// Every statement is written for one plan, of index look-ups. The statistics of a queue table are
/// outdated as soon as they are taken, and can only mislead the planner (a claim that sorts the
/// whole backlog takes 50 ms instead of 1). JIT compilation of such a statement takes longer than
/// the statement.
///
/// Statements are written for READ COMMITTED. Where `serializable` is the default, PostgreSQL would
/// fail workers that read no common row.
const PLANNER: &str = "SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; \
    SET plan_cache_mode = force_generic_plan";
const READ_COMMITTED: &str = "SET default_transaction_isolation = 'read committed'";

/// In a database with the encoding SQL_ASCII, texts are bytes. To a client that says UTF8, a
/// statement fails with the first text that is not.
pub const AS_BYTES: &str =
    "SELECT set_config('client_encoding', 'SQL_ASCII', {local}) WHERE current_setting('server_encoding') = 'SQL_ASCII'";

/// Settings of a session, or of one transaction in a session that a pooler lends (`local`).
pub(super) fn settings(local: bool) -> String {
    let planner = if local { PLANNER.replace("SET ", "SET LOCAL ") } else { format!("{PLANNER}; {READ_COMMITTED}") };
    format!("{planner}; {}", AS_BYTES.replace("{local}", &local.to_string()))
}

/// Settings of a worker's own sessions.
pub fn worker_settings() -> String {
    settings(false)
}

/// Settings of a session of somebody who only looks. The server refuses what would write.
fn reading(longest: Duration) -> String {
    format!("SET default_transaction_read_only = on; SET statement_timeout = {}", millis(longest))
}

/// Timeouts that make the server release what a dead or frozen client holds (rows, slots, its
/// advisory lock) at about the time when the client itself would have given up: the connection ends
/// whether nobody answers or a stopped process does not read. A statement whose client hung up is
/// cancelled. Shorter settings of the server stay.
///
/// A transaction of ours is never idle for longer than the jobs may run whose rows it locks, which
/// is tens of milliseconds. One that is idle for five seconds is that of a host that stands still,
/// or that the network has lost, and its rows are for others.
///
/// `statement_timeout` is the last resort, above the longest deadline of ours. Settings that the
/// platform lacks are left out.
const LIMITS: &str = "
SELECT set_config(ours.name, ours.value::text, false)
FROM (VALUES ('tcp_keepalives_idle', {seconds} / 2), ('tcp_keepalives_interval', {seconds} / 6), ('tcp_keepalives_count', 3),
             ('tcp_user_timeout', {seconds} * 1000), ('client_connection_check_interval', least(5000, {seconds} * 500)),
             ('idle_in_transaction_session_timeout', 5000), ('statement_timeout', {longest})) AS ours (name, value)
JOIN pg_settings AS theirs ON theirs.name = ours.name
WHERE theirs.setting::bigint = 0 OR theirs.setting::bigint > ours.value";

/// Long enough for a lock that a migration holds for a moment, and for a payload of tens of
/// megabytes. As long as a lease.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// A full scan of the leases of a long queue, beside a transaction that is left open, takes
/// minutes.
const UPKEEP_TIMEOUT: Duration = Duration::from_secs(600);

const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// Who owns the sessions behind our connections.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sessions {
    /// We do, for as long as the connection lasts. A session of a worker takes the worker's
    /// advisory lock first.
    Ours(Option<Uuid>),
    /// A pooler: nothing is set in them.
    Lent {
        /// Whether statements may be prepared by name, because the pooler lends a session for
        /// longer than a transaction.
        prepare: bool,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) source: Source,
    pub(super) sessions: Sessions,
    /// Deadline of one try, and of all retries together.
    pub(super) timeout: Duration,
    pub(super) deadlines: Deadlines,
    /// Whoever only looks: nothing is written, and the server ends a statement after this time.
    pub(super) reading: Option<Duration>,
    pub(super) left: Left,
}

/// Deadlines of statements, round trip included. Past its deadline, a statement's connection is
/// closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// Claims, outcomes, heartbeats, which take milliseconds.
    pub(super) statement: Duration,
    /// Aggregating a long log, full scans of the leases, pruning.
    pub(super) upkeep: Duration,
}

impl Deadlines {
    pub(super) fn of(statement: Option<Duration>) -> Deadlines {
        let statement = statement.unwrap_or(STATEMENT_TIMEOUT);
        Deadlines { statement, upkeep: UPKEEP_TIMEOUT.max(statement) }
    }
}

impl Connector {
    pub(super) async fn try_open(&self) -> sqlx::Result<PgConnection> {
        within(self.timeout, async {
            let reach = self.reach().await?;
            let mut connection = PgConnection::connect_with(&reach.options).await?;
            self.set_up(&mut connection).await?;
            Ok(connection)
        })
        .await
    }

    /// Retried until the deadline while the server starts or has no free connection.
    pub(super) async fn open(&self) -> sqlx::Result<PgConnection> {
        let deadline = Instant::now() + self.timeout;
        let mut retry = FIRST_RETRY;
        loop {
            match self.try_open().await {
                Err(error) if Remedy::may_pass_while_connecting(&error) && Instant::now() + retry < deadline => {
                    tokio::time::sleep(retry.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    retry = (retry * 2).min(LAST_RETRY);
                }
                opened => return opened,
            }
        }
    }

    /// The driver's listener wants a pool: one with a single session, for which the way is open.
    pub(super) async fn alone(&self) -> sqlx::Result<(PgPool, Reach)> {
        let (reach, this) = (self.reach().await?, self.clone());
        let pool =
            PgPoolOptions::new().max_connections(1).acquire_timeout(self.timeout).max_lifetime(None).idle_timeout(None);
        let pool = pool.after_connect(move |connection, _| {
            let this = this.clone();
            Box::pin(async move { this.set_up(connection).await })
        });
        Ok((pool.connect_lazy_with(reach.options.clone()), reach))
    }

    async fn reach(&self) -> sqlx::Result<Reach> {
        let mut reach = self.source.reach(self.timeout).await?;
        if matches!(self.sessions, Sessions::Lent { prepare: false }) {
            // Prepared statements would stay behind in a session that another client gets next.
            reach.options = reach.options.statement_cache_capacity(0);
        }
        Ok(reach)
    }

    pub(super) async fn set_up(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        check_server(connection)?;
        let Sessions::Ours(worker) = self.sessions else { return Ok(()) };
        if let Some(worker) = worker {
            connection.execute(presence::lock(worker)).await?;
        }
        let Deadlines { statement, upkeep } = self.deadlines;
        let limits = LIMITS.replace("{seconds}", &statement.as_secs().clamp(6, 3600).to_string());
        let limits = limits.replace("{longest}", &(upkeep + statement).as_millis().to_string());
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(limits)).execute(&mut *connection).await {
            // The platform lacks one of the settings. Our own deadlines hold all the same.
            tracing::debug!(error = %error.told(), "the server does not take the limits of a session");
        }
        connection.execute(AssertSqlSafe(settings(false))).await?;
        if let Some(longest) = self.reading {
            connection.execute(AssertSqlSafe(reading(longest))).await?;
        }
        Ok(())
    }
}
