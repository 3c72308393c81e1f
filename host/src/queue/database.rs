//! How to reach the database: directly or through a pooler, and from where notifications come.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use super::connection::{connector, pool_sizes, within};
use super::pool::Pool;
use super::session::{Connector, Sessions};
use super::source::Source;

/// Where the database is.
#[derive(Debug, Clone)]
pub struct Database {
    /// For statements.
    pub source: Source,
    /// What is there is a pooler in transaction mode: no two transactions need meet the same session.
    pub transaction_pooling: bool,
    /// Where sessions are our own, for what needs one: listening, the sign of life, changes of the schema.
    pub direct: Option<Source>,
    /// A statement of a worker has so long, with its way there and back; `None` is the default.
    pub statement_timeout: Option<Duration>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A pooler gives one server process to two sessions.
    #[error(
        "this is a pooler in transaction mode, and it shares our sessions with others: set --transaction-pooling \
         (PGQ_HOST_TRANSACTION_POOLING=true), and --listen-dsn (PGQ_HOST_LISTEN_DSN) to an address of the server itself, so that workers are \
         woken instead of polling; or let the pooler pool sessions"
    )]
    TransactionPooler,
    /// It does not answer, or not as it should.
    #[error(transparent)]
    Unreachable(#[from] sqlx::Error),
}

/// What a worker has of the database.
#[derive(Debug, Clone)]
pub struct Connected {
    /// For statements.
    pub pool: Pool,
    /// For the listener; none where there is no session of our own.
    pub listen_from: Option<ListenFrom>,
}

/// Where the listener has its session from.
#[derive(Debug, Clone)]
pub struct ListenFrom(Connector);

impl From<PgConnectOptions> for Database {
    fn from(options: PgConnectOptions) -> Database {
        Database::from(Source::from(options))
    }
}

impl From<Source> for Database {
    fn from(source: Source) -> Database {
        Database { source, transaction_pooling: false, direct: None, statement_timeout: None }
    }
}

impl Database {
    /// Connections as a worker has them, for a tool.
    pub async fn connect(&self) -> sqlx::Result<Pool> {
        let (least, most) = pool_sizes()?;
        let pool = self.open(if self.transaction_pooling { LENT } else { Sessions::Ours(None) }, least, most).await?;
        // Somebody waits at a terminal for a look at a queue that may be long.
        Ok(if self.statement_timeout.is_none() { pool.patient() } else { pool })
    }

    /// Connections for the worker of this id.
    pub async fn connect_worker(&self, worker: Uuid) -> Result<Connected, ConnectError> {
        let ours = Sessions::Ours(Some(worker));
        let elsewhere = self.direct.clone().map(|source| self.connector(source, ours)).transpose()?.map(ListenFrom);
        let (least, most) = pool_sizes()?;
        if self.transaction_pooling {
            return Ok(Connected { pool: self.open(LENT, least, most).await?, listen_from: elsewhere });
        }
        // Before anything is set in a session, which would stay set for whoever has it next.
        if are_shared(&self.connector(self.source.clone(), LENT)?).await? {
            return Err(ConnectError::TransactionPooler);
        }
        // The listener has one for itself.
        let pool = self.open(ours, least, most - usize::from(elsewhere.is_none())).await?;
        let listen_from = match elsewhere {
            Some(elsewhere) => elsewhere,
            None => ListenFrom(self.connector(self.source.clone(), ours)?),
        };
        Ok(Connected { pool, listen_from: Some(listen_from) })
    }

    fn connector(&self, source: Source, sessions: Sessions) -> sqlx::Result<Connector> {
        connector(source, sessions, self.statement_timeout)
    }

    async fn open(&self, sessions: Sessions, least: usize, most: usize) -> sqlx::Result<Pool> {
        let pool = Pool::new(self.connector(self.source.clone(), sessions)?, least, most);
        pool.fill().await?;
        Ok(pool)
    }
}

const LENT: Sessions = Sessions::Lent { prepare: false };

impl ListenFrom {
    /// A session that listens nowhere yet. One that is lost is not opened again by itself.
    pub(super) async fn listener(&self) -> sqlx::Result<PgListener> {
        // A pool for each: one whose only connection hangs would have no other to give.
        let mut listener = PgListener::connect_with(&self.0.alone().await?).await?;
        listener.eager_reconnect(false);
        Ok(listener)
    }
}

/// Whether two connections to there meet the same server process, or one connection two of them.
async fn are_shared(connector: &Connector) -> sqlx::Result<bool> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let (mut first, mut second) = (connector.open().await?, connector.open().await?);
    let compared = async {
        let before = process(&mut first).await?;
        // It keeps what it gets, so that the first cannot have the same again.
        sqlx::raw_sql("BEGIN").execute(&mut second).await?;
        let other = process(&mut second).await?;
        // A pool of one process has none left.
        let after = tokio::time::timeout(PATIENCE, process(&mut first)).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut second).await?;
        Ok(other == before || !matches!(after, Ok(Ok(after)) if after == before))
    };
    let shared = within(connector.timeout + PATIENCE, compared).await;
    // Whoever is next may need the places that they have.
    let farewell = async { tokio::join!(first.close(), second.close()) };
    let _ = tokio::time::timeout(PATIENCE, farewell).await;
    shared
}

async fn process(connection: &mut PgConnection) -> sqlx::Result<i32> {
    // Nothing is prepared: what was, would be looked for in another process.
    sqlx::raw_sql("SELECT pg_backend_pid() AS pid").fetch_one(connection).await?.try_get("pid")
}
