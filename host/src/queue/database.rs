//! How to reach the database: directly or through a pooler, and from where notifications come.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use super::connection::{Sessions, open};
use super::pool::Pool;
use super::server_version::{ServerTooOld, check_server};

/// Where the database is.
#[derive(Debug, Clone)]
pub struct Database {
    /// For statements.
    pub options: PgConnectOptions,
    /// What is there is a pooler in transaction mode: no two transactions need meet the same session.
    pub transaction_pooling: bool,
    /// Where sessions are our own, for what needs one: listening, the sign of life, changes of the schema.
    pub direct: Option<PgConnectOptions>,
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
    /// What it says of itself.
    #[error(transparent)]
    TooOld(#[from] ServerTooOld),
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
pub enum ListenFrom {
    /// The worker's own.
    Pool(PgPool),
    /// Elsewhere.
    Direct(Box<PgConnectOptions>, Uuid),
}

impl From<PgConnectOptions> for Database {
    fn from(options: PgConnectOptions) -> Database {
        Database { options, transaction_pooling: false, direct: None }
    }
}

impl Database {
    /// Connections as a worker has them, for a tool.
    pub async fn connect(&self) -> sqlx::Result<Pool> {
        if self.transaction_pooling { self.lent().await } else { Ok(open(self.options.clone(), Sessions::Ours(None)).await?.into()) }
    }

    /// Connections for the worker of this id.
    pub async fn connect_worker(&self, worker: Uuid) -> Result<Connected, ConnectError> {
        let elsewhere = self.direct.clone().map(|options| ListenFrom::Direct(Box::new(options), worker));
        if self.transaction_pooling {
            let pool = self.lent().await?;
            check_server(&mut *pool.begin().await?)?;
            return Ok(Connected { pool, listen_from: elsewhere });
        }
        // Before anything is set in a session, which would stay set for whoever has it next.
        if are_shared(&self.options).await? {
            return Err(ConnectError::TransactionPooler);
        }
        let pool = open(self.options.clone(), Sessions::Ours(Some(worker))).await?;
        check_server(&mut *pool.acquire().await?)?;
        Ok(Connected { listen_from: Some(elsewhere.unwrap_or_else(|| ListenFrom::Pool(pool.clone()))), pool: pool.into() })
    }

    async fn lent(&self) -> sqlx::Result<Pool> {
        Ok(Pool::by_transaction(open(self.options.clone().statement_cache_capacity(0), Sessions::Lent).await?))
    }
}

impl ListenFrom {
    /// A session that listens nowhere yet.
    pub(super) async fn listener(&self) -> sqlx::Result<PgListener> {
        match self {
            ListenFrom::Pool(pool) => PgListener::connect_with(pool).await,
            // A pool for each: one whose only connection hangs would have no other to give.
            ListenFrom::Direct(options, worker) => {
                PgListener::connect_with(&open((**options).clone(), Sessions::Ours(Some(*worker))).await?).await
            }
        }
    }
}

/// Whether two connections to there meet the same server process, or one connection two of them.
async fn are_shared(options: &PgConnectOptions) -> sqlx::Result<bool> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let pool = open(options.clone(), Sessions::Lent).await?;
    let (mut first, mut second) = (pool.acquire().await?, pool.acquire().await?);
    let before = process(&mut first).await?;
    // It keeps what it gets, so that the first cannot have the same again.
    sqlx::raw_sql("BEGIN").execute(&mut *second).await?;
    let other = process(&mut second).await?;
    // A pool of one process has none left.
    let after = tokio::time::timeout(PATIENCE, process(&mut first)).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut *second).await?;
    drop((first, second));
    pool.close().await;
    Ok(other == before || !matches!(after, Ok(Ok(after)) if after == before))
}

async fn process(connection: &mut PgConnection) -> sqlx::Result<i32> {
    // Nothing is prepared: what was, would be looked for in another process.
    sqlx::raw_sql("SELECT pg_backend_pid() AS pid").fetch_one(connection).await?.try_get("pid")
}
