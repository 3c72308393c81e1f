//! How a session with the database comes to be: where it is asked for, with which password, and what is set in it before it is used.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};
use tokio::time::Instant;
use uuid::Uuid;

use super::presence;
use super::server_version::check_server;
use super::source::Source;
use super::sqlstate::Remedy;

use crate::told::Told as _;

/// Every statement here is written for one plan, of index look-ups; a queue table's statistics, true for the moment they were
/// taken, can only mislead the planner away from it (a claim that sorts the whole backlog: 50 ms against 1). And compiling such a
/// statement takes PostgreSQL longer than running it.
///
/// They are written for READ COMMITTED as well: a claim that skips what is locked has nothing to gain from a snapshot that lasts longer,
/// and where `serializable` is the default, workers that do not read the same rows would still be failed for each other's sake.
const PLANNER: &str = "SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; \
    SET plan_cache_mode = force_generic_plan";
const READ_COMMITTED: &str = "SET default_transaction_isolation = 'read committed'";

/// In a database whose encoding is SQL_ASCII, texts are bytes. A session whose client says UTF8 cannot read those that are not: the whole
/// statement fails, whatever else it reads.
pub(crate) const AS_BYTES: &str =
    "SELECT set_config('client_encoding', 'SQL_ASCII', {local}) WHERE current_setting('server_encoding') = 'SQL_ASCII'";

/// What is set in a session, or in a transaction of one that was lent.
pub(super) fn settings(local: bool) -> String {
    let planner = if local { PLANNER.replace("SET ", "SET LOCAL ") } else { format!("{PLANNER}; {READ_COMMITTED}") };
    format!("{planner}; {}", AS_BYTES.replace("{local}", &local.to_string()))
}

/// A server lets go of what a client holds that is gone or frozen (rows, seats, its sign of life) when a statement of ours would have been
/// given up: the network's silence ends the connection, whether nobody answers or a stopped process reads nothing. A statement whose client
/// hung up is given up. What is shorter already stays as it is.
///
/// `statement_timeout` is the last resort, above the longest deadline of ours. What a platform does not have is left out.
const LIMITS: &str = "
SELECT set_config(ours.name, ours.value::text, false)
FROM (VALUES ('tcp_keepalives_idle', {seconds} / 2), ('tcp_keepalives_interval', {seconds} / 6), ('tcp_keepalives_count', 3),
             ('tcp_user_timeout', {seconds} * 1000), ('client_connection_check_interval', least(5000, {seconds} * 500)),
             ('idle_in_transaction_session_timeout', {seconds} * 2000), ('statement_timeout', {longest})) AS ours (name, value)
JOIN pg_settings AS theirs ON theirs.name = ours.name
WHERE theirs.setting::bigint = 0 OR theirs.setting::bigint > ours.value";

/// Long enough for a lock that somebody's migration holds for a moment, and for a payload of tens of megabytes; as long as a lease.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// A look through all leases of a long queue beside a transaction that is left open takes minutes.
const UPKEEP_TIMEOUT: Duration = Duration::from_secs(600);

const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// Whose the sessions behind our connections are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sessions {
    /// Ours for as long as the connection lasts. Each is a worker's sign of life, where there is one, before it is anything else.
    Ours(Option<Uuid>),
    /// A pooler's: nothing is set in them.
    Lent {
        /// Statements may be prepared by name, since it lends a session for longer than a transaction.
        prepare: bool,
    },
}

/// Where sessions come from.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) source: Source,
    pub(super) sessions: Sessions,
    /// For one try, or for as many as can be made in that time.
    pub(super) timeout: Duration,
    pub(super) deadlines: Deadlines,
}

/// How long a statement may take, with its way there and back. Past that its connection is given up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// Claims, outcomes, heartbeats: they take milliseconds.
    pub(super) statement: Duration,
    /// Counting a long log, looking through all leases, dropping old attempts.
    pub(super) upkeep: Duration,
}

impl Deadlines {
    pub(super) fn of(statement: Option<Duration>) -> Deadlines {
        let statement = statement.unwrap_or(STATEMENT_TIMEOUT);
        Deadlines { statement, upkeep: UPKEEP_TIMEOUT.max(statement) }
    }
}

impl Connector {
    /// One try, in time.
    pub(super) async fn try_open(&self) -> sqlx::Result<PgConnection> {
        super::connection::within(self.timeout, async {
            let mut connection = PgConnection::connect_with(&self.options().await?).await?;
            self.set_up(&mut connection).await?;
            Ok(connection)
        })
        .await
    }

    /// Tried again for as long as there is time, while the server starts or is full.
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

    /// A pool of one, as the driver's listener wants it.
    pub(super) async fn alone(&self) -> sqlx::Result<PgPool> {
        let (options, this) = (self.options().await?, self.clone());
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(self.timeout).max_lifetime(None).idle_timeout(None);
        let pool = pool.after_connect(move |connection, _| {
            let this = this.clone();
            Box::pin(async move { this.set_up(connection).await })
        });
        Ok(pool.connect_lazy_with(options))
    }

    async fn options(&self) -> sqlx::Result<PgConnectOptions> {
        let options = self.source.read_again().await?;
        Ok(match self.sessions {
            Sessions::Ours(_) | Sessions::Lent { prepare: true } => options,
            // What is prepared would stay behind in a session that is somebody else's next.
            Sessions::Lent { prepare: false } => options.statement_cache_capacity(0),
        })
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
            // A platform that lacks one of them. Our own deadlines are there all the same.
            tracing::debug!(error = %error.told(), "the server does not take the limits of a session");
        }
        connection.execute(AssertSqlSafe(settings(false))).await?;
        Ok(())
    }
}
